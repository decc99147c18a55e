// The page of one asset: who held it when, its touches a day by the campaign that they count for, and whom it influenced.
import { get } from "./api.js";
import { changeButton, mayChange, takeBackButton } from "./changes.js";
import { dayNumber, strip } from "./charts.js";
import { h, show } from "./dom.js";
import { moveAsset, removeAsset } from "./forms.js";
import { counted, dayOf, instantOf, money, moneyText, num, today } from "./format.js";
import { calledOf, campaignNames, door, fitting, listDrawer, others, ranks, swatch, who } from "./parts.js";
import { chosen, link, rangeControls, rangeOnly, run } from "./shell.js";
import { shownEvent } from "./why.js";
import { ASSET_TYPES, assetTypeName, METRICS, statisticsText, typeName } from "./words.js";

const ID = chosen("id"), WEEK = 7, PATH = `/v1/assets/${encodeURIComponent(ID)}`;

async function load() {
  const [asset, names] = await Promise.all([get(PATH, rangeOnly()), campaignNames()]);
  return { asset, names };
}

function axisOf({ held, days }) {
  const { from, to } = rangeOnly(), tomorrow = dayNumber(today()) + 1;
  const first = Math.min(tomorrow - WEEK, ...held.map(t => dayNumber(t.from)), ...days.map(d => dayNumber(d.on)));
  return { from: from ? dayNumber(from) : first, to: to ? Math.min(dayNumber(to), tomorrow) : tomorrow };
}

const head = a => [h("p", { class: "crumb" }, h("a", { href: link("assets") }, "Assets")), h("h1", {}, a.name || a.asset_id),
  h("p", { class: "facts" }, h("span", {}, a.asset_type ? assetTypeName(a.asset_type) : ASSET_TYPES.null), [a.network, a.ad_type].filter(Boolean).map(t => h("span", {}, t)), h("span", { class: "mono" }, a.asset_id)),
  (a.url || a.target_url) && h("p", { class: "facts mono" }, a.url || a.target_url)];

const counts = (a, of) => OF_RESULTS[of](a.results);
const OF_RESULTS = {
  influenced_contacts: r => num(r.influenced_contacts), influenced_deals: r => num(r.influenced_deals),
  influenced_revenue: r => r.influenced_revenue.length ? r.influenced_revenue.map((m, i) => [i > 0 && h("br"), money(m.amount, m.currency)]) : num(0), // in the drawer; the tile has the own currency alone
};
// Whom it influenced, as a number that opens them.
function result(a, of, shown = counts(a, of)) {
  const contacts = of === "influenced_contacts", won = of === "influenced_revenue";
  return door(shown, of, () => listDrawer({ above: a.name || a.asset_id, title: METRICS[of][0], value: counts(a, of), rule: contacts ? "influence" : "deal",
    says: contacts ? "Contacts whom the asset touched for the first time in this range, whichever campaign held it." : won ? "Full amounts of the won deals, whichever campaign held the asset." : "Open and won deals with a contact whom the asset touched in time, whichever campaign held it.",
    list: contacts ? { path: PATH + "/contacts", query: rangeOnly(), one: "contact", heads: ["Contact", "First touch"], row: i => [h("a", { href: link("contact", { id: i.contact }) }, calledOf(i)), instantOf(i.at)] }
      : { path: PATH + "/deals", query: rangeOnly(), one: "deal", heads: ["Deal", "Closed", "Amount"], of: won ? d => d.amount : null, keep: won ? d => d.state === "won" : null, keepLine: won ? line => line.state === "won" : null,
        row: d => [h("a", { href: link("deal", { id: d.deal_id }) }, d.name || d.deal_id), d.closed_at ? dayOf(d.closed_at) : d.state, d.amount ? money(d.amount.amount, d.amount.currency) : "no amount"] } }));
}

// Its touches in the range, each with the campaigns that it counts for.
const touchesOf = (a, names) => door(num(a.touches), "touches", () => listDrawer({ above: a.name || a.asset_id, title: "Touches", value: num(a.touches), rule: "touch",
  says: "Touches of the asset in this range that count, whichever campaign held it. What machines and own staff did is left out.",
  list: { path: PATH + "/touches", query: rangeOnly(), one: "touch", many: "touches", count: i => i.touches, heads: ["Who", "When", "What", "Counts for", "Event"],
    row: i => [who(i), instantOf(i.occurred_at), [typeName(i.type), i.touches > 1 && `, ${num(i.touches)} at once`],
      i.campaigns.length ? i.campaigns.map((id, n) => [n > 0 && ", ", h("a", { href: link("campaign", { id }) }, names.get(id) || id)]) : h("span", { class: "muted" }, "no campaign"),
      shownEvent(i.event_id)] } }));

const tile = (label, value, note, look = null) => h("div", { class: "tile" }, h("p", { class: "lab" }, label), h("p", { class: "val" }, h("b", { class: look }, value)), note);
// In a tile, whole units of the workspace's currency, or of one that there is; the others stand below it.
function revenueTile(a, currency) {
  const amounts = a.results.influenced_revenue, own = amounts.find(m => m.currency === currency) || amounts[0], text = own ? moneyText(own.amount.split(".")[0], own.currency) : num(0);
  return tile(METRICS.influenced_revenue[0], result(a, "influenced_revenue", text), own && others(amounts, own.currency), fitting(text));
}
const numbers = (a, names, currency) => h("section", { class: "panel", "aria-labelledby": "numbers" }, h("h2", { class: "sr", id: "numbers" }, "Numbers"),
  h("div", { class: "tiles four" }, tile("Touches", touchesOf(a, names), h("small", { class: "also wraps" }, statisticsText(a.statistics, num)), fitting(num(a.touches))),
    ["influenced_contacts", "influenced_deals"].map(of => tile(METRICS[of][0], result(a, of))), revenueTile(a, currency)));

function held(a, names) {
  if (!a.held.length) return h("p", { class: "pad muted" }, "No campaign has held it.");
  const k = ranks(a.held.map(t => t.campaign)), called = id => names.get(id) || id, host = h("div", { class: "pad" });
  return { host, draw: () => strip(host, { name: a.name || a.asset_id, held: a.held, days: a.days }, axisOf(a), null, { colour: id => k.get(id), name: called, alone: true }),
    table: h("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": "Table of who held it" }, h("table", { class: "cards" }, h("caption", { class: "sr" }, "Who held it"), h("thead", {}, h("tr", {}, ["Campaign", "From", "To", "Event", mayChange() && "Change"].filter(Boolean).map(t => h("th", { scope: "col" }, t)))),
      h("tbody", {}, a.held.map(t => h("tr", {}, h("td", { class: "wide" }, h("span", { class: "nmx" }, swatch(k.get(t.campaign)), h("a", { href: link("campaign", { id: t.campaign }) }, called(t.campaign)))), h("td", { "data-l": "From" }, instantOf(t.from)), h("td", { "data-l": "To" }, t.to ? instantOf(t.to) : "now"), h("td", { "data-l": "Event" }, shownEvent(t.associated_by)),
        mayChange() && h("td", {}, takeBackButton(t.associated_by, `Association with ${called(t.campaign)}`))))))) };
}

const brief = text => [...text].length > 26 ? [...text].slice(0, 25).join("") + "…" : text; // in a button; the form says the whole name

const changes = (a, names) => a.asset_type && [
  changeButton(a.campaigns.length && a.asset_type !== "workflow" ? "Move" : "Put into a campaign", "move", () => moveAsset(a), "btn main"),
  a.campaigns.map(id => changeButton(`Take out of ${brief(names.get(id) || id)}`, "remove-" + id, () => removeAsset(a, id, names.get(id) || id))),
];

function draw(host, { asset, names }, status, refresh) {
  document.title = `${asset.name || asset.asset_id} · Touchline`;
  if (!document.getElementById("held-host")) host.replaceChildren(h("div", { class: "head" }, h("div", { id: "who" }), h("div", { class: "bar" }, rangeControls(refresh), h("span", { class: "bar", id: "changes" }))), h("div", { id: "numbers-host" }), h("div", { id: "held-host" }));
  show(document.getElementById("who"), head(asset));
  show(document.getElementById("changes"), changes(asset, names));
  show(document.getElementById("numbers-host"), numbers(asset, names, status.workspace.currency));
  const times = held(asset, names), seen = asset.first_seen ? `Touched from ${dayOf(asset.first_seen)} to ${dayOf(asset.last_seen)}, ${counted(asset.touches, "time")} in this range.` : "Not touched in this range.";
  show(document.getElementById("held-host"), h("section", { class: "panel", "aria-labelledby": "held" }, h("header", {}, h("div", {}, h("h2", { id: "held" }, "Who held it"),
    h("p", {}, `Touches count for the campaign that held it at the time. ${seen}`))), times.host ? [times.host, times.table] : times));
  times.draw?.();
}

run(load, draw);
