// The page of all deals.
import { get } from "./api.js";
import { openDrawer } from "./dialogs.js";
import { h, show, sr } from "./dom.js";
import { counted, dayOf, money, num } from "./format.js";
import { listPage } from "./list.js";
import { campaignNames, door, sameByApi, tried, who } from "./parts.js";
import { choose, chosen, link, rangeControls, rangeOnly, select } from "./shell.js";
import { DEAL_STATES, NOT_ELIGIBLE } from "./words.js";

let names = new Map();

// The campaign whose deals are shown, with the way back to all.
const ofCampaign = refresh => chosen("campaign") && h("button", { class: "btn", type: "button", onclick: event => { event.currentTarget.remove(); choose("campaign", ""); choose("pages", ""); refresh(); } },
  `Of ${names.get(chosen("campaign")) || chosen("campaign")}`, h("span", { "aria-hidden": "true" }, "×"), sr("show the deals of all campaigns"));

const called = d => d.name || d.deal_id;
// A drawer with a table of two columns: the number, what it counts by which rule, and the rows.
const ruled = (value, text) => [h("p", { class: "big" }, num(value)), h("section", {}, h("h3", {}, "What it counts"), h("blockquote", {}, text, " Rule ", h("b", {}, "deal"), "."))];
const table = (title, heads, rows) => h("section", {}, h("h3", {}, title), h("table", { class: "mini" },
  h("thead", {}, h("tr", {}, heads.map((text, i) => h("th", { scope: "col", class: i ? "n" : null }, text)))),
  h("tbody", {}, rows.map(cells => h("tr", {}, cells.map((cell, i) => h("td", { class: i ? "n" : null }, cell)))))));

// The contacts of a deal: those that it counts, and the others with the reason why not.
async function contactsDrawer(d) {
  const rows = h("div", { "aria-live": "polite" }, h("p", { class: "muted" }, "Reading…")), path = `/v1/deals/${encodeURIComponent(d.deal_id)}`;
  openDrawer({ title: "Contacts of the deal", above: called(d) }, ruled(d.contacts, "Contacts who are in the deal, or were at its close. Only their touches may make it count for a campaign."), rows, sameByApi(path, {}));
  await tried(rows, async () => {
    const { contacts } = await get(path);
    show(rows, !contacts.length ? h("p", { class: "muted" }, "No contact was ever in this deal.") : table(counted(contacts.length, "contact") + (contacts.length > d.contacts ? " that were ever in it" : ""), ["Contact", "In the deal"],
      contacts.map(c => [who(c), c.eligible ? `since ${dayOf(c.associated_at)}` : h("span", { class: "muted" }, NOT_ELIGIBLE[c.reason] || c.reason)])));
  });
}

// The campaigns that a deal counts for, each with the way to the reasons.
const campaignsDrawer = d => openDrawer({ title: "Campaigns that the deal counts for", above: called(d) },
  ruled(d.campaigns.length, "Campaigns that reached one of the deal's contacts in time: before its close, if it is closed. A lost deal counts for none."),
  d.campaigns.length ? table(counted(d.campaigns.length, "campaign"), ["Campaign", "Reasons"], d.campaigns.map(id => [h("a", { href: link("campaign", { id }) }, names.get(id) || id),
    h("a", { href: link("deal", { id: d.deal_id, campaign: id }) }, "why", sr(` it counts for ${names.get(id) || id}`))]))
    : h("section", {}, h("a", { href: link("deal", { id: d.deal_id }) }, "Why it counts for none")),
  sameByApi(`/v1/deals/${encodeURIComponent(d.deal_id)}`, {}));

listPage({
  title: "Deals", says: "Closed in the range, or created in it if they are open. A name leads to the journey and to the reasons.", path: "/v1/deals", name: "deals", initial: "-closed_at",
  query: () => ({ ...rangeOnly(), state: chosen("state"), campaign: chosen("campaign") }),
  before: async () => { names = await campaignNames(); },
  controls: refresh => [h("span", { id: "of-campaign" }, ofCampaign(refresh)), select("State", "state", { "": "Every state", ...DEAL_STATES }, refresh), rangeControls(refresh)],
  narrow: "No such deal in this range", empty: ["No deals yet", "A deal begins with the first event that names it: deal_created, or a deal of your CRM."],
  columns: [
    ["Deal", d => h("a", { href: link("deal", { id: d.deal_id }) }, called(d)), "name"],
    ["State", d => h("span", { class: d.state === "won" ? "chip on" : "chip off" }, DEAL_STATES[d.state])],
    ["Created", d => dayOf(d.created_at), null, "nowrap"], ["Closed", d => d.closed_at ? dayOf(d.closed_at) : h("span", { class: "muted onphone" }, "not yet"), "closed_at", "nowrap"],
    ["Contacts", d => door(num(d.contacts), "contacts-" + d.deal_id, () => contactsDrawer(d)), null, "n"], ["Campaigns", d => door(num(d.campaigns.length), "campaigns-" + d.deal_id, () => campaignsDrawer(d)), null, "n"],
    ["Amount", d => d.amount ? money(d.amount.amount, d.amount.currency) : "no amount", "amount", "n"],
  ],
});
