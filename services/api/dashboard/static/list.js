// A page that is one list of the read API: search, choices, order, a page at a time, CSV.
import { get } from "./api.js";
import { h, nothingOn, show } from "./dom.js";
import { csvButton } from "./parts.js";
import { choices, choose, chosen, run } from "./shell.js";

const SHOWN = 50, TYPING_MS = 250;

// `before` is awaited before anything is asked, `actions` are buttons that change something. `columns`: [heading, cell of an item, name to sort by or null, class]. `controls(refresh)` are further choices; `query()` what is asked.
// `empty` says that there is nothing yet, and what makes the first one; `narrow` that there is nothing of what is asked.
export function listPage({ title, says, path, name, columns, query, controls = null, actions = () => null, before = () => null, initial, empty, narrow = empty[0] }) {
  const narrowed = () => Object.values(query()).some(Boolean);
  const asked = () => ({ ...query(), q: chosen("q"), sort: chosen("sort") || initial });
  const load = async () => {
    const pages = Number(chosen("pages")) || 1;
    await before();
    let items = [], cursor = null, body;
    for (let n = 0; n < pages; n += 1) {
      body = await get(path, { ...asked(), limit: String(SHOWN), cursor });
      items = items.concat(body.items);
      cursor = body.next_cursor;
      if (!cursor) break;
    }
    return { ...body, items, more: Boolean(cursor), pages };
  };

  function heading([text, , sort, look], refresh) {
    if (!sort) return h("th", { scope: "col", class: look }, text);
    const now = asked().sort || "", on = now.replace("-", "") === sort, down = now.startsWith("-");
    return h("th", { scope: "col", class: look, "aria-sort": on ? (down ? "descending" : "ascending") : null },
      h("button", { type: "button", id: "sort-" + sort, onclick: () => { choose("sort", on && down ? sort : on ? "-" + sort : (look === "n" ? "-" : "") + sort); choose("pages", ""); refresh(); } }, text));
  }

  function table(data, refresh) {
    if (!data.items.length) return h("div", { class: "state" }, nothingOn(), h("h2", {}, chosen("q") ? "Nothing has this in its name" : narrowed() ? narrow : empty[0]), !chosen("q") && h("p", {}, narrowed() ? "Choose another range, or fewer conditions." : empty[1]));
    return [h("div", { class: "scroll" }, h("table", { class: "cards list" }, h("thead", {}, h("tr", {}, columns.map(column => heading(column, refresh)))),
      h("tbody", {}, data.items.map(item => h("tr", {}, columns.map(([text, cell, , look], i) => h("td", { class: i ? look : "wide", "data-l": i ? text : null }, cell(item)))))))),
      data.more && h("div", { class: "pad bar" }, h("button", { class: "btn", type: "button", id: "more", onclick: () => { choose("pages", String(data.pages + 1)); refresh(); } }, `Show ${SHOWN} more`))];
  }

  let typing = 0;
  run(load, (host, data, status, refresh) => {
    if (!host.childNodes.length) {
      const search = h("input", { class: "field", type: "search", id: "search", "aria-label": `Search ${title.toLowerCase()}`, placeholder: `Search ${title.toLowerCase()}`, value: chosen("q"),
        oninput: event => { choose("q", event.target.value); choose("pages", ""); clearTimeout(typing); typing = setTimeout(refresh, TYPING_MS); } });
      host.append(h("div", { class: "head" }, h("div", {}, h("h1", {}, title)), h("div", { class: "bar do" }, actions(), csvButton(path, asked, name)), h("p", { class: "facts" }, says),
        h("div", { class: "bar by" }, search, controls && choices(controls(refresh)))),
        h("section", { class: "panel", "aria-label": title, id: "list" }));
    }
    show(document.getElementById("list"), table(data, refresh));
  });
}
