// The page for whoever runs the service: how far the projection is, what was refused and why, and what each producer sent.
import { get, Problem, send } from "./api.js";
import { mayChange } from "./changes.js";
import { openDrawer } from "./dialogs.js";
import { h, show } from "./dom.js";
import { counted, instantOf, num } from "./format.js";
import { run } from "./shell.js";

const LETTERS_SHOWN = "20";
const load = async () => ({ producers: (await get("/v1/producers")).items });

const fact = (name, value, more) => h("tr", {}, h("td", {}, name), h("td", { class: "n" }, value), more && h("td", { class: "muted" }, more));
const lag = s => s.up_to_date === null ? "unknown: the log does not answer" : s.up_to_date ? "none" : counted(s.lag_events || 0, "event");

const projection = s => [fact("Generation", s.generation), fact("Projected", counted(s.projected_offset || 0, "event")), fact("In the log", s.log_end_offset === null ? "unknown" : counted(s.log_end_offset, "event")),
  fact("Behind", lag(s)), fact("Partition", String(s.partition)),
  s.settings_under_way && fact("Settings under way", `${num(s.settings_under_way.events_done || 0)} of ${num(s.settings_under_way.events_to_do || 0)}`)];

function refused(s) {
  if (!s.dead_letters) return h("p", { class: "pad muted" }, "Nothing was refused.");
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Reason"), h("th", { scope: "col" }, "Key"), h("th", { scope: "col", class: "n" }, "Events"))),
    h("tbody", {}, s.dead_letters_by.map(row => h("tr", {}, h("td", { class: "mono" }, mayChange() ? h("button", { class: "why", type: "button", id: `letters-${row.reason}-${row.key}`, "aria-haspopup": "dialog", onclick: () => letters(row.reason) }, row.reason) : row.reason),
      h("td", { class: "mono" }, row.key || ""), h("td", { class: "n" }, num(row.events)))))),
  h("p", { class: "pad muted" }, "Each is kept whole. ", mayChange() ? "A reason opens its letters, which can be sent again." : "With an admin key, they are shown here and can be sent again."));
}

// The dead letters of a reason, in a drawer: what is wrong with each, what was sent, and sending it again.
async function letters(reason) {
  const list = h("ol", { class: "letters" }), said = h("p", { role: "status" }), more = h("div", { class: "bar" });
  openDrawer({ title: "Refused events", above: reason }, h("p", { class: "soft" }, "To send one again is of use once what was wrong is mended, as by another release or setting. It then counts as of when it was received."), said, list, more);
  const act = (item, row, method, path, done) => async () => {
    try {
      await send(method, `/v1/dead-letters/${item.number}${path}`);
      row.remove();
      show(said, `${done} number ${item.number}.`);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      show(row.querySelector(".bad"), error.code === "refused_again" ? `Refused again: ${error.message}` : error.message);
    }
  };
  const shown = item => {
    const row = h("li", { class: "would" }, h("p", {}, h("b", {}, item.detail)), h("p", { class: "muted" }, `${instantOf(item.received_at)}, key ${item.key || "unknown"}${item.producer ? ", " + item.producer : ""}`),
      h("code", { class: "api" }, item.body), h("p", { class: "bad", role: "alert" }));
    row.append(h("div", { class: "bar" }, h("button", { class: "btn small", type: "button", onclick: act(item, row, "POST", "/retry", "Sent again:"), "aria-label": `Send number ${item.number} again` }, "Send again"),
      h("button", { class: "btn quiet small", type: "button", onclick: act(item, row, "DELETE", "", "Deleted:"), "aria-label": `Delete number ${item.number}` }, "Delete")));
    return row;
  };
  async function page(cursor) {
    const told = await get("/v1/dead-letters", { reason, limit: LETTERS_SHOWN, cursor });
    list.append(...told.items.map(shown));
    show(more, told.next_cursor && h("button", { class: "btn", type: "button", onclick: () => page(told.next_cursor) }, "Show more"));
  }
  await page("");
}

const producers = items => !items.length ? h("p", { class: "pad muted" }, "Nothing was sent yet.") : h("div", { class: "scroll" }, h("table", { class: "cards" },
  h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Producer"), ["Accepted", "Became events", "No event", "Refused"].map(text => h("th", { scope: "col", class: "n" }, text)), h("th", { scope: "col", class: "n" }, "Last"))),
  h("tbody", {}, items.map(p => h("tr", {}, h("td", { class: "wide" }, p.producer), [["Accepted", p.accepted], ["Became events", p.mapped], ["No event", p.unmapped], ["Refused", p.refused]].map(([label, n]) => h("td", { class: "n", "data-l": label }, num(n))),
    h("td", { class: "n", "data-l": "Last" }, p.last_seen ? instantOf(p.last_seen) : ""))))));

run(load, (host, data, status) => {
  if (!host.childNodes.length) {
    const panel = (id, title, says) => h("section", { class: "panel", "aria-labelledby": "h-" + id }, h("header", {}, h("div", {}, h("h2", { id: "h-" + id }, title), h("p", {}, says))), h("div", { id }));
    host.append(h("div", { class: "head" }, h("div", {}, h("h1", {}, "Operations"))),
      h("div", { class: "cols" }, panel("projection", "Projection", "How far the numbers are behind what was accepted."), panel("refused", "Refused events", "Dead letters, by reason and by the key that sent them.")),
      panel("producers", "Producers", "What each sent, and what became of it."));
  }
  show(document.getElementById("projection"), h("table", { class: "facts-table" }, h("tbody", {}, projection(status))));
  show(document.getElementById("refused"), refused(status));
  show(document.getElementById("producers"), producers(data.producers));
});
