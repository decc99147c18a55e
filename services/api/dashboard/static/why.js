// Why does an event or a deal (not) count? The explanations of the API, on the page of a campaign and in drawers.
import { get, Problem } from "./api.js";
import { takeBackButton } from "./changes.js";
import { openDrawer } from "./dialogs.js";
import { h, show, sr } from "./dom.js";
import { dayOf, instantOf, moneyText } from "./format.js";
import { calledOf, cameBy, campaignNames, check, ev, sameByApi, tried, verdict } from "./parts.js";
import { chosen, link } from "./shell.js";
import { DEAL_STATES, INEFFECTIVE, REASONS, typeName } from "./words.js";

const NAMED_MAX = 8; // deals to choose from, of one name

function deal(explained) {
  return [verdict(explained.counts, explained.counts ? `Deal ${explained.deal_id} counts for this campaign.` : `Deal ${explained.deal_id} does not count for this campaign.`),
    h("ul", { class: "checks" }, explained.checks.map(c => check(c.holds, c.says, ev(decidingEvent(c.deciding_event)))))];
}

// What an event counted for. If `campaign` is given, it is listed first, even if the event does not count for it.
function event(explained, campaign, names) {
  const called = c => names.get(c.campaign_id) || c.campaign_id;
  const by = explained.contact && h("a", { href: link("contact", { id: explained.contact }) }, calledOf(explained));
  const when = explained.occurred_at && [instantOf(explained.occurred_at), by && [", by ", by], explained.channel && `. ${cameBy(explained)}.`];
  const word = explained.reason && (REASONS[explained.reason] || INEFFECTIVE[explained.reason] || explained.reason);
  const mine = explained.campaigns.filter(c => c.campaign_id === campaign), others = explained.campaigns.filter(c => c.campaign_id !== campaign);
  const row = c => check(c.counts, c.counts ? `Counts for ${called(c)}` : `Does not count for ${called(c)}`, ev(c.says));
  return [verdict(explained.counted, explained.counted ? `${typeName(explained.type)} counted.` : `${typeName(explained.type || "the event")}: ${word}.`, explained.reason), when && h("p", { class: "muted" }, when),
    explained.detail && h("p", {}, explained.detail), explained.retracted_by && ev(`retracted by ${explained.retracted_by.join(", ")}`),
    h("ul", { class: "checks" }, mine.map(row), others.map(row),
      campaign && explained.counted && explained.channel && !mine.length && check(false, "Has nothing to do with this campaign", ev("It never held what this event touched, nor claimed its utm.")))];
}

const ASKED = {
  event: id => explainedEvent(id, chosen("id")),
  deal: id => get(`/v1/deals/${encodeURIComponent(id)}/explain`, { campaign: chosen("id") }).then(deal),
};
async function explainedEvent(id, campaign) {
  const [explained, names] = await Promise.all([get(`/v1/events/${encodeURIComponent(id)}/explain`), campaignNames()]);
  return event(explained, campaign, names);
}

// What an event counted for, in a drawer, and the way to take it back.
export async function eventDrawer(id, over = false) {
  const path = `/v1/events/${encodeURIComponent(id)}/explain`, host = h("div", { class: "findings", "aria-live": "polite" }, h("p", { class: "muted" }, "Reading…"));
  const heading = h("span", {}, "Event");
  openDrawer({ title: heading, above: id, over }, host, sameByApi(path, {}));
  await tried(host, async () => {
    const [explained, names] = await Promise.all([get(path), campaignNames()]);
    show(heading, typeName(explained.type || "event"));
    show(host, h("section", {}, event(explained, null, names)), !explained.retracted_by && explained.type && h("div", { class: "bar" }, takeBackButton(id, typeName(explained.type), "btn small")));
  });
}

// A button that opens an event over whatever is open; `text` says what it is. Where the page is drawn again, `named` is its id.
export const eventDoor = (id, text, named = null) => id && h("button", { class: "why", type: "button", id: named, "aria-haspopup": "dialog", onclick: () => eventDrawer(id, true) }, text);

// The same in a list and below a point, where its id would say nothing to a reader.
export const shownEvent = id => eventDoor(id, h("span", { title: id }, "show", sr(` event ${id}`)));
export const decidingEvent = id => eventDoor(id, h("span", { title: id }, "the event that decides this", sr(`, ${id}`)));

// A panel that stays while the page around it is drawn again; `ask(kind, id)` fills it in.
export function whyPanel() {
  const kind = h("select", { class: "field", "aria-label": "Kind", onchange: () => { id.placeholder = kind.value === "deal" ? "its name or id" : "its id"; } }, h("option", { value: "deal" }, "Deal"), h("option", { value: "event" }, "Event"));
  const id = h("input", { class: "field", id: "why-id", "aria-label": "Name or id", placeholder: "its name or id", required: true });
  const answer = h("div", { "aria-live": "polite", id: "why-answer" });
  async function ask() {
    try {
      show(answer, await ASKED[kind.value](id.value.trim()));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 404 && kind.value === "deal") await named(error); else show(answer, h("p", { class: "muted", role: "alert" }, error.message));
    }
  }
  // No deal has this id: perhaps its name, or a part of it.
  async function named(error) {
    const { items, next_cursor: more } = await get("/v1/deals", { q: id.value.trim(), limit: String(NAMED_MAX) });
    const pick = d => { id.value = d.deal_id; return ask(); };
    if (items.length === 1) { await pick(items[0]); return; }
    show(answer, items.length ? [h("p", {}, `Which of these${more ? " and more" : ""}?`), h("ul", { class: "picks" }, items.map(d => h("li", {}, h("button", { class: "why", type: "button", onclick: () => pick(d) }, d.name || d.deal_id),
      h("small", { class: "muted" }, [DEAL_STATES[d.state], dayOf(d.closed_at || d.created_at), d.amount && moneyText(d.amount.amount, d.amount.currency)].filter(Boolean).join(", ")))))]
      : h("p", { class: "muted", role: "alert" }, error.message));
  }
  const panel = h("section", { class: "panel", "aria-labelledby": "why" },
    h("header", {}, h("div", {}, h("h2", { id: "why" }, "Why is this (not) here?"), h("p", {}, "Of a deal or an event, each point with the event that decides it."))),
    h("div", { class: "pad" }, h("form", { class: "bar", onsubmit: submitted => { submitted.preventDefault(); ask(); } }, kind, id,
      h("button", { class: "btn", type: "submit" }, "Explain")), answer));
  return { panel, ask: (what, name) => { kind.value = what; id.value = name; panel.scrollIntoView({ block: "nearest" }); return ask(); } };
}
