// The changes that a marketer makes: a campaign, an asset, who holds it, a claimed utm value, two contacts that are one.
import { get, send } from "./api.js";
import { calls, campaignOptions, changeDrawer } from "./changes.js";
import { h, show } from "./dom.js";
import { dayOf, today } from "./format.js";
import { campaignNames } from "./parts.js";
import { link } from "./shell.js";
import { assetTypeName, ASSET_TYPES } from "./words.js";

const ID_LENGTH = 60, SUGGESTED = "8", PICKED_FROM = "12", TYPING_MS = 250;
const PAGES = ["site_page", "landing_page", "blog_post", "case_study", "knowledge_article", "external_page"]; // have an address of their own
const LINKS = ["tracking_url", "paid_search", "cta"]; // lead somewhere
const ADS = ["ad_campaign", "paid_search"];
const at = (...parts) => parts.map(part => part.startsWith("/") ? part : "/" + encodeURIComponent(part)).join("");
const campaign = id => at("/v1/campaigns", id), asset = id => at("/v1/assets", id);
const moving = (path, move) => path + (move ? "?move=true" : "");

const AMOUNT = { placeholder: "1200.50", form: /^\d{1,14}(\.\d{1,4})?$/, wrong: "An amount is written with a point, such as 1200.50." };
const CURRENCY = { form: /^[A-Z]{3}$/, wrong: "A currency is three capital letters, such as EUR." };
const CAMPAIGN_THERE = "There is a campaign with this id already.", ASSET_THERE = "There is an asset with this id already.";
const missing = error => { if (error.status === 404) return null; throw error; };

// An id that says the name: lower case, words joined by hyphens.
const idOf = name => name.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, ID_LENGTH);

// The id follows the name until somebody writes another one.
function idFollows(name) {
  let own = false;
  return (form, touched) => {
    const id = form.elements[name];
    if (touched === id) own = id.value !== "";
    else if (!own && !id.readOnly) id.value = idOf(form.elements.name.value);
  };
}

// `id` is that of a campaign that events name and nobody created; it begins when it was first named (`since`).
export function createCampaign({ currency, id = "", utm = "", since = null }) {
  const toEvent = ({ campaign_id, ...given }) => ({ campaign_id, ...given });
  changeDrawer({
    title: "New campaign", verb: "Create the campaign", says: "It holds nothing yet. What it claims and holds counts for it from then on.",
    fields: [
      { name: "name", label: "Name", required: true, value: id || utm },
      { name: "campaign_id", label: "Id", required: true, value: id || idOf(utm), fixed: Boolean(id), hint: id ? "Events name it by this id." : "Stands for the campaign in events and addresses, and never changes." },
      { name: "utm_campaign", label: "utm_campaign", value: utm, hint: "Visits with this value count for the campaign." },
      { name: "starts_on", label: "First day", type: "date" }, { name: "ends_on", label: "Last day", type: "date" }, { name: "owner", label: "Owner" },
      { name: "budget", label: "Budget", ...AMOUNT }, { name: "currency", label: "Currency of the budget", value: currency, ...CURRENCY },
    ],
    changed: idFollows("campaign_id"),
    what: given => given.utm_campaign && `Visits with the utm_campaign ${given.utm_campaign} count for it.`,
    events: given => [{ type: "campaign_created", ...toEvent(withMoney(given)), ...(since && { occurred_at: since }) }],
    check: (preview, given) => preview.campaigns.find(c => c.id === given.campaign_id)?.before?.created ? ["campaign_id", CAMPAIGN_THERE] : null,
    guard: async given => !id && (await campaignNames()).has(given.campaign_id) ? ["campaign_id", CAMPAIGN_THERE] : null,
    call: (given, move) => { const { campaign_id, ...body } = withMoney(given); return calls(["PUT", moving(campaign(campaign_id), move), body]); },
    done: given => h("p", {}, h("a", { href: link("campaign", { id: given.campaign_id }) }, "Open the campaign")),
  });
}
// A currency is sent only with a budget.
const withMoney = ({ currency, ...given }) => given.budget ? { ...given, currency } : given;

// What it is called, its days and its owner, and one more utm value; the API removes no value, so what is there stays needed.
export function editCampaign({ campaign_id, name, starts_on, ends_on, owner, budget, currency }) {
  const was = { name, starts_on, ends_on, owner, budget: budget?.amount };
  const field = (name, label, more) => ({ name, label, value: was[name], required: Boolean(was[name]), ...more });
  const different = ({ currency, ...given }) => {
    const out = Object.fromEntries(Object.entries(given).filter(([name, value]) => value !== was[name]));
    return given.budget && (out.budget || currency !== budget?.currency) ? { ...out, budget: given.budget, currency } : out;
  };
  changeDrawer({
    title: "Edit the campaign", above: name || campaign_id, verb: "Change it", missing: "Nothing is different yet.",
    says: "A further utm value counts from then on. Name, days, owner and budget change no count.",
    fields: [
      field("name", "Name"), { name: "utm_campaign", label: "One more utm_campaign", hint: "Visits with this value count for the campaign from then on." },
      field("starts_on", "First day", { type: "date" }), field("ends_on", "Last day", { type: "date" }), field("owner", "Owner"),
      field("budget", "Budget", { ...AMOUNT, hint: "As one sum. If items were added to the budget, their sum counts." }), { name: "currency", label: "Currency of the budget", value: budget?.currency || currency, ...CURRENCY },
    ],
    what: () => `Changes the campaign ${name || campaign_id}.`,
    events: given => { const changed = different(given); return Object.keys(changed).length ? [{ type: "campaign_updated", campaign_id, ...changed }] : []; },
    call: (given, move) => calls(["PUT", moving(campaign(campaign_id), move), different(given)]),
  });
}

// `into` is a campaign that is to hold it at once; `id`, `url` and `type` are what is known already.
export async function registerAsset({ id = "", url = "", type = "landing_page", into = "" } = {}) {
  const options = await campaignOptions(), types = Object.keys(ASSET_TYPES).filter(t => t !== "null").map(t => [t, assetTypeName(t)]);
  const follow = idFollows("asset_id");
  const fieldsOf = ({ campaign_id, asset_id, ...given }) => given;
  changeDrawer({
    title: "Register an asset", verb: "Register the asset", says: "A page, form, email or another thing that people visit, open or fill in.",
    fields: [
      { name: "asset_type", label: "Type", options: types.sort((a, b) => a[1].localeCompare(b[1])), value: type, required: true },
      { name: "name", label: "Name", required: true, value: id }, { name: "asset_id", label: "Id", required: true, value: id, fixed: Boolean(id), hint: "Stands for the asset in events, and never changes." },
      { name: "url", label: "Address of the page", type: "url", value: url, placeholder: "https://", hint: "Visits of this address are visits of the asset." },
      { name: "target_url", label: "Where it leads", type: "url", placeholder: "https://" },
      { name: "network", label: "Network", placeholder: "google, linkedin, …" }, { name: "ad_type", label: "Kind of advertisement", placeholder: "search, display, …" },
      { name: "campaign_id", label: "Campaign that holds it", options: [["", "No campaign yet"], ...options], value: into },
    ],
    changed: (form, touched) => {
      follow(form, touched);
      for (const [name, has] of [["url", PAGES], ["target_url", LINKS], ["network", ADS], ["ad_type", ADS]]) document.getElementById(`f-${name}-row`).hidden = !has.includes(form.elements.asset_type.value);
    },
    events: given => [{ type: "asset_registered", asset_id: given.asset_id, ...fieldsOf(given) },
      ...(given.campaign_id ? [{ type: "asset_associated", asset_id: given.asset_id, campaign_id: given.campaign_id }] : [])],
    check: (preview, given) => preview.assets.find(a => a.id === given.asset_id)?.before?.registered ? ["asset_id", ASSET_THERE] : null,
    guard: async given => await get(asset(given.asset_id)).then(a => a.asset_type ? ["asset_id", ASSET_THERE] : null, missing),
    call: (given, move) => calls(["PUT", moving(asset(given.asset_id), move), fieldsOf(given)],
      ...(given.campaign_id ? [["PUT", moving(at(campaign(given.campaign_id), "assets", given.asset_type, given.asset_id), move)]] : [])),
    done: given => h("p", {}, h("a", { href: link("asset", { id: given.asset_id }) }, "Open the asset")),
  });
}

// Assets to choose from, by search; what was chosen stays while one searches on.
function assetPicker(campaign_id, names) {
  const chosen = new Map(), list = h("ul", { class: "picks", "aria-label": "Assets found" }), count = h("p", { class: "muted", role: "status" });
  let touched = () => {}, typing = 0;
  const holder = a => a.campaigns.length ? `held by ${a.campaigns.map(id => names.get(id) || id).join(", ")}` : "in no campaign";
  const row = a => h("li", {}, h("label", {}, h("input", { type: "checkbox", checked: chosen.has(a.asset_id), disabled: a.campaigns.includes(campaign_id), onchange: event => {
    if (event.target.checked) chosen.set(a.asset_id, a); else chosen.delete(a.asset_id);
    say();
    touched();
  } }), h("span", {}, a.name || a.asset_id, h("small", { class: "muted" }, `${assetTypeName(a.asset_type)}, ${a.campaigns.includes(campaign_id) ? "held already" : holder(a)}`))));
  const say = () => show(count, chosen.size ? `Chosen: ${[...chosen.values()].map(a => a.name || a.asset_id).join(", ")}` : "None is chosen yet.");
  async function find() {
    const { items } = await get("/v1/assets", { q: search.value.trim(), sort: "-touches", limit: PICKED_FROM });
    list.replaceChildren(...(items.length ? items.map(row) : [h("li", { class: "muted" }, "No asset has this in its name.")]));
  }
  const search = h("input", { class: "field", type: "search", id: "f-assets", oninput: () => { clearTimeout(typing); typing = setTimeout(find, TYPING_MS); } });
  return {
    row: onChange => { touched = onChange; say(); find(); return h("div", { class: "fld" }, h("label", { for: "f-assets" }, "Search assets"), search, list, count); },
    values: () => ({ assets: [...chosen.values()] }), first: () => search, missing: "Choose at least one asset.",
  };
}

export async function addAssets({ campaign_id, name }) {
  const names = await campaignNames();
  changeDrawer({
    title: "Add assets", above: name, verb: "Add them", own: assetPicker(campaign_id, names),
    says: "Their touches count for the campaign from then on. An asset that another campaign holds is moved; what counted there stays there.",
    events: ({ assets }) => assets.map(a => ({ type: "asset_associated", campaign_id, asset_id: a.asset_id })),
    call: async ({ assets }, move) => {
      const { items } = await send("POST", moving(at(campaign(campaign_id), "assets"), move), { assets: assets.map(a => ({ asset_id: a.asset_id })) });
      return { ids: items.filter(one => one.changed).map(one => one.event_id), refused: items.filter(one => one.code) };
    },
  });
}

export async function moveAsset(a) {
  const options = (await campaignOptions()).filter(([id]) => !a.campaigns.includes(id)), held = a.campaigns.length > 0;
  changeDrawer({
    title: held && a.asset_type !== "workflow" ? "Move to another campaign" : "Put into a campaign", above: a.name || a.asset_id, verb: held && a.asset_type !== "workflow" ? "Move it" : "Put it in",
    says: "Touches from then on count for the new campaign. A move takes nothing along.",
    fields: [{ name: "campaign_id", label: "Campaign", required: true, options: [["", "Choose one"], ...options] }],
    events: given => [{ type: "asset_associated", asset_id: a.asset_id, ...given }],
    call: (given, move) => calls(["PUT", moving(at(campaign(given.campaign_id), "assets", a.asset_type, a.asset_id), move)]),
  });
}

export const removeAsset = (a, campaign_id, called) => changeDrawer({
  title: `Take it out of ${called}?`, above: a.name || a.asset_id, verb: "Take it out", says: "What counted for the campaign until now stays. Touches from now on count for none.",
  events: () => [{ type: "asset_dissociated", asset_id: a.asset_id, campaign_id }], call: () => calls(["DELETE", at(campaign(campaign_id), "assets", a.asset_type, a.asset_id)]),
});

export async function claimUtm(value) {
  const options = await campaignOptions(), alike = options.find(([id, name]) => idOf(id) === idOf(value) || idOf(name) === idOf(value));
  changeDrawer({
    title: "Claim the utm value", above: value, verb: "Claim it", says: "Visits with this value count for the campaign from then on; earlier ones stay as they are.",
    fields: [{ name: "campaign_id", label: "Campaign", required: true, options: [["", "Choose one"], ...options], value: alike?.[0] }],
    what: (given, names) => `Visits with the utm_campaign ${value} count for ${names.get(given.campaign_id) || given.campaign_id} from now on.`,
    events: given => [{ type: "campaign_updated", utm_campaign: value, ...given }],
    call: (given, move) => calls(["PUT", moving(campaign(given.campaign_id), move), { utm_campaign: value }]),
  });
}

export const deleteCampaign = ({ campaign_id, name }) => changeDrawer({
  title: "Delete the campaign?", above: name, verb: "Delete it", says: "Nothing counts for it from now on, and no asset can be put into it. What counted until now stays.",
  events: () => [{ type: "campaign_deleted", campaign_id }], call: () => calls(["DELETE", campaign(campaign_id)]),
});

// An id that no other item has. It is made when the form opens, so that a call that is repeated records the sum once.
const newId = () => [...crypto.getRandomValues(new Uint8Array(12))].map(byte => byte.toString(16).padStart(2, "0")).join("");
const sum = currency => [
  { name: "amount", label: "Amount", required: true, ...AMOUNT }, { name: "currency", label: "Currency", required: true, value: currency, ...CURRENCY },
];

// `assets` are those that the campaign holds.
export function recordSpend({ campaign_id, name, currency, assets }) {
  const id = newId(), options = assets.map(a => [a.asset_id, a.name || a.asset_id]).sort((a, b) => a[1].localeCompare(b[1]));
  changeDrawer({
    title: "Record spend", above: name, verb: "Record it", says: "What the campaign cost on one day. Costs of a contact and of a deal, and the return, are worked out of it.",
    fields: [...sum(currency), { name: "on", label: "Day", type: "date", required: true, value: today() }, { name: "asset_id", label: "Spent on", options: [["", "The campaign as a whole"], ...options] }],
    what: given => `Records ${given.amount} ${given.currency} that ${name} cost on ${dayOf(given.on)}.`,
    events: given => [{ type: "spend_recorded", campaign_id, ...given }], call: given => calls(["PUT", at(campaign(campaign_id), "/spend", id), given]),
  });
}

export function addToBudget({ campaign_id, name, currency }) {
  const id = newId();
  changeDrawer({
    title: "Add to the budget", above: name, verb: "Add it", says: "The budget of a campaign that has items is their sum; a budget that was set as one sum then no longer counts.",
    fields: [{ name: "name", label: "What it is planned for", placeholder: "Stand at the fair" }, ...sum(currency)],
    what: given => `Adds ${given.amount} ${given.currency} to the budget of ${name}.`,
    events: given => [{ type: "budget_recorded", campaign_id, ...given }], call: given => calls(["PUT", at(campaign(campaign_id), "/budget-items", id), given]),
  });
}

// A contact as an event names it.
const named = name => name.includes("@") ? { email: name } : { id: name };

export const mergeContact = c => changeDrawer({
  title: "Merge into another contact", above: c.called, verb: "Merge them", says: "Both become one contact: all touches of the two are then its journey.",
  fields: [{ name: "into", label: "The other contact", required: true, hint: "Its e-mail address or id.",
    suggest: async q => q.length < 2 ? [] : (await get("/v1/contacts", { q, limit: SUGGESTED })).items.map(i => i.contact).filter(name => name !== c.contact) }],
  what: ({ into }) => `${c.called} and ${into} become one contact.`, events: ({ into }) => [{ type: "contact_merged", contact: c.ids[0] ? { id: c.ids[0] } : { email: c.emails[0] }, into: named(into) }],
  call: ({ into }) => calls(["POST", at("/v1/contacts", c.contact, "merge"), { into }]),
});
