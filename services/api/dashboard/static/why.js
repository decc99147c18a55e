// Why is this (not) here? What the API explains of an event or a deal, asked from the page of a campaign.
import { get, Problem } from "./api.js";
import { takeBackButton } from "./changes.js";
import { openDrawer } from "./dialogs.js";
import { h, show } from "./dom.js";
import { instantOf } from "./format.js";
import { check, ev, verdict } from "./parts.js";
import { chosen } from "./shell.js";
import { INEFFECTIVE, REASONS, typeName } from "./words.js";

function deal(told) {
  return [verdict(told.counts, told.counts ? `Deal ${told.deal_id} counts for this campaign.` : `Deal ${told.deal_id} does not count for this campaign.`),
    h("ul", { class: "checks" }, told.checks.map(c => check(c.holds, c.says, ev(c.deciding_event && `decided by ${c.deciding_event}`))))];
}

const brought = told => [told.source, told.medium].filter(Boolean).join(" / ") || told.channel;

// What an event counted for; of `campaign`, if it is given, first and whatever it is.
function event(told, campaign) {
  const when = told.occurred_at && `${instantOf(told.occurred_at)}${told.contact ? ", " + told.contact : ""}${told.channel ? ", brought by " + brought(told) : ""}`;
  const word = told.reason && (REASONS[told.reason] || INEFFECTIVE[told.reason] || told.reason);
  const mine = told.campaigns.filter(c => c.campaign_id === campaign), others = told.campaigns.filter(c => c.campaign_id !== campaign);
  const row = c => check(c.counts, c.counts ? `Counts for ${c.campaign_id}` : `Does not count for ${c.campaign_id}`,
    ev(c.says));
  return [verdict(told.counted, told.counted ? `${typeName(told.type)} counted.` : `${typeName(told.type || "the event")}: ${word}.`, told.reason), when && h("p", { class: "muted" }, when),
    told.detail && h("p", {}, told.detail), told.retracted_by && ev(`retracted by ${told.retracted_by.join(", ")}`),
    h("ul", { class: "checks" }, mine.map(row), others.map(row),
      campaign && told.counted && told.channel && !mine.length && check(false, "Has nothing to do with this campaign", ev("It never held what this event touched, nor claimed its utm.")))];
}

const ASKED = {
  event: id => get(`/v1/events/${encodeURIComponent(id)}/explain`).then(told => event(told, chosen("id"))),
  deal: id => get(`/v1/deals/${encodeURIComponent(id)}/explain`, { campaign: chosen("id") }).then(deal),
};

// What an event counted for, in a drawer, and the way to take it back.
export async function eventDrawer(id) {
  const path = `/v1/events/${encodeURIComponent(id)}/explain`, told = await get(path);
  openDrawer({ title: typeName(told.type || "event"), above: id }, h("section", {}, event(told, null)),
    !told.retracted_by && told.type && h("div", { class: "bar" }, takeBackButton(id, typeName(told.type))),
    h("section", {}, h("h3", {}, "The same by the API"), h("code", { class: "api" }, "GET " + path)));
}

// A panel that stays while the page around it is drawn again; `ask(kind, id)` fills it in.
export function whyPanel() {
  const kind = h("select", { class: "field", "aria-label": "Kind" }, h("option", { value: "deal" }, "Deal"), h("option", { value: "event" }, "Event"));
  const id = h("input", { class: "field", id: "why-id", "aria-label": "Id", placeholder: "its id", required: true });
  const told = h("div", { "aria-live": "polite", id: "why-told" });
  async function ask() {
    try {
      show(told, await ASKED[kind.value](id.value.trim()));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      show(told, h("p", { class: "muted", role: "alert" }, error.message));
    }
  }
  const panel = h("section", { class: "panel", "aria-labelledby": "why" },
    h("header", {}, h("div", {}, h("h2", { id: "why" }, "Why is this (not) here?"), h("p", {}, "Of a deal or an event, each point with the event that decides it."))),
    h("div", { class: "pad" }, h("form", { class: "bar", onsubmit: submitted => { submitted.preventDefault(); ask(); } }, kind, id,
      h("button", { class: "btn", type: "submit" }, "Explain")), told));
  return { panel, ask: (what, name) => { kind.value = what; id.value = name; panel.scrollIntoView({ block: "nearest" }); return ask(); } };
}
