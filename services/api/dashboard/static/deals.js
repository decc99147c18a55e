// The page of all deals.
import { h, sr } from "./dom.js";
import { dayOf, money, num } from "./format.js";
import { listPage } from "./list.js";
import { campaignNames } from "./parts.js";
import { choose, chosen, link, rangeControls, rangeOnly, select } from "./shell.js";
import { DEAL_STATES } from "./words.js";

let names = new Map();

// The campaign whose deals are shown, with the way back to all.
const ofCampaign = refresh => chosen("campaign") && h("button", { class: "btn", type: "button", onclick: event => { event.currentTarget.remove(); choose("campaign", ""); choose("pages", ""); refresh(); } },
  `Of ${names.get(chosen("campaign")) || chosen("campaign")}`, h("span", { "aria-hidden": "true" }, "×"), sr("show the deals of all campaigns"));

listPage({
  title: "Deals", says: "Closed in the range, or created in it if they are open. A name leads to the journey and to the reasons.", path: "/v1/deals", name: "deals", initial: "-closed_at",
  query: () => ({ ...rangeOnly(), state: chosen("state"), campaign: chosen("campaign") }),
  before: async () => { names = await campaignNames(); },
  controls: refresh => [h("span", { id: "of-campaign" }, ofCampaign(refresh)), select("State", "state", { "": "Every state", ...DEAL_STATES }, refresh), rangeControls(refresh)],
  empty: ["No deal in this range", "A deal begins with the first event that names it: deal_created, or a deal of your CRM."],
  columns: [
    ["Deal", d => h("a", { href: link("deal", { id: d.deal_id }) }, d.name || d.deal_id), "name"],
    ["State", d => h("span", { class: d.state === "won" ? "chip on" : "chip off" }, DEAL_STATES[d.state])],
    ["Created", d => dayOf(d.created_at), null, "nowrap"], ["Closed", d => d.closed_at ? dayOf(d.closed_at) : "", "closed_at", "nowrap"],
    ["Contacts", d => num(d.contacts), null, "n"], ["Campaigns", d => h("span", { title: d.campaigns.map(id => names.get(id) || id).join(", ") }, num(d.campaigns.length)), null, "n"],
    ["Amount", d => d.amount ? money(d.amount.amount, d.amount.currency) : "no amount", "amount", "n"],
  ],
});
