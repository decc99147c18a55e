// The page for whoever runs the service: how far the projection is, what was refused and why, and what each producer sent.
import { get } from "./api.js";
import { h, show } from "./dom.js";
import { counted, instantOf, num } from "./format.js";
import { run } from "./shell.js";

const load = async () => ({ producers: (await get("/v1/producers")).items });

const fact = (name, value, more) => h("tr", {}, h("td", {}, name), h("td", { class: "n" }, value), more && h("td", { class: "muted" }, more));
const lag = s => s.up_to_date === null ? "unknown: the log does not answer" : s.up_to_date ? "none" : counted(s.lag_events || 0, "event");

const projection = s => [fact("Generation", s.generation), fact("Projected", counted(s.projected_offset || 0, "event")), fact("In the log", s.log_end_offset === null ? "unknown" : counted(s.log_end_offset, "event")),
  fact("Behind", lag(s)), fact("Partition", String(s.partition)),
  s.settings_under_way && fact("Settings under way", `${num(s.settings_under_way.events_done || 0)} of ${num(s.settings_under_way.events_to_do || 0)}`)];

function refused(s) {
  if (!s.dead_letters) return h("p", { class: "pad muted" }, "Nothing was refused.");
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Reason"), h("th", { scope: "col" }, "Key"), h("th", { scope: "col", class: "n" }, "Events"))),
    h("tbody", {}, s.dead_letters_by.map(row => h("tr", {}, h("td", { class: "mono" }, row.reason), h("td", { class: "mono" }, row.key || row.key_hint || ""), h("td", { class: "n" }, num(row.events ?? row.count)))))),
    h("p", { class: "pad muted" }, "Each is kept whole: ", h("span", { class: "mono" }, "touchline dead-letters list"), " shows them, ", h("span", { class: "mono" }, "retry"), " sends them again."));
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
