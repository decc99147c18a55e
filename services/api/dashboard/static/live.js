// The page of the newest events: what arrived, and what each counted for.
import { get } from "./api.js";
import { h, nothingOn, show } from "./dom.js";
import { dayOf, instantOf, secondOf } from "./format.js";
import { calledOf, campaignChip, campaignNames, ranks, touched } from "./parts.js";
import { link, run } from "./shell.js";
import { eventDrawer } from "./why.js";
import { REASONS, typeName } from "./words.js";

const SHOWN = "50";

const load = async () => {
  const [events, names] = await Promise.all([get("/v1/events", { limit: SHOWN }), campaignNames()]);
  return { events: events.items, names };
};

// Today's events have seconds, because they follow one another closely.
const happened = at => dayOf(at) === dayOf(new Date().toISOString()) ? secondOf(at) : instantOf(at);
const counts = (e, names, k) => e.counted === false || e.reason ? h("span", { class: "chip off" }, REASONS[e.reason] || e.reason || "does not count")
  : e.campaigns.length ? h("span", { class: "bar" }, e.campaigns.map(id => campaignChip(id, names.get(id) || id, k))) : h("span", { class: "muted" }, "no campaign");

function table({ events, names }) {
  const k = ranks([...new Set(events.flatMap(e => e.campaigns))]);
  if (!events.length) return h("div", { class: "state" }, nothingOn(), h("h2", {}, "Nothing has arrived yet"), h("p", {}, "Events show here a moment after they were accepted."));
  return h("div", { class: "scroll" }, h("table", { class: "cards" },
    h("thead", {}, h("tr", {}, ["Event", "When", "Who", "On", "Counts for"].map(text => h("th", { scope: "col" }, text)))),
    h("tbody", {}, events.map(e => h("tr", {},
      h("td", { class: "wide nowrap" }, h("button", { class: "why", type: "button", id: "e-" + e.event_id, "aria-haspopup": "dialog", onclick: () => eventDrawer(e.event_id) }, typeName(e.type))),
      h("td", { class: "nowrap", "data-l": "When" }, happened(e.occurred_at)),
      h("td", { class: "two", "data-l": "Who" }, e.contact ? h("a", { href: link("contact", { id: e.contact }) }, calledOf(e)) : h("span", { class: "muted" }, "anonymous visitor")),
      h("td", { class: "wide", "data-l": "On" }, touched(e)),
      h("td", { class: "wide", "data-l": "Counts for" }, counts(e, names, k)))))));
}

run(load, (host, data) => {
  if (!host.childNodes.length) host.append(h("div", { class: "head" }, h("div", {}, h("h1", {}, "Live"),
    h("p", { class: "facts" }, "The newest events as they arrive: what each counts for, or why it does not count."))),
    h("section", { class: "panel", "aria-label": "Newest events", id: "events" }));
  show(document.getElementById("events"), table(data));
});
