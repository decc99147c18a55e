// The drawer at the side of a page: a heading, a button that closes it, and the focus goes back to what opened it.
import { h } from "./dom.js";

let opened = 0;

// `above` stands small over the title, `look` is a further class. A drawer that is open already makes room, and its opener gets the focus later;
// with `over` it stays below, and is there again when this one closes.
export function openDrawer({ title, above = null, look = "", over = false }, ...content) {
  const open = over ? null : [...document.querySelectorAll("dialog.drawer")].at(-1), opener = open?.opener || document.activeElement;
  if (open) { open.opener = null; open.remove(); }
  const dialog = h("dialog", { class: `drawer ${look}`.trim(), "aria-labelledby": `drawer-title-${++opened}` },
    h("div", { class: "dh" }, h("div", {}, above && h("p", { class: "muted" }, above), h("h2", { id: `drawer-title-${opened}` }, title)),
      h("button", { class: "x", type: "button", "aria-label": "Close", onclick: () => dialog.close() }, "×")),
    content);
  dialog.opener = opener;
  dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", event => { // of two drawers, the one above alone
    if (event.key === "Escape") { event.preventDefault(); dialog.close(); }
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (dialog.opener) (document.getElementById(dialog.opener.id) || dialog.opener).focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
