// The page of one contact: who it is, its deals, and every touch in order, by session, with the campaigns that it counts for or the reason why not.
import { all, get } from "./api.js";
import { changeButton } from "./changes.js";
import { h, show } from "./dom.js";
import { mergeContact } from "./forms.js";
import { counted, dayOf, instantOf, money, num } from "./format.js";
import { cameBy, campaignChip, campaignNames, csvButton, ranks, touched, when } from "./parts.js";
import { choose, chosen, link, run } from "./shell.js";
import { eventDoor } from "./why.js";
import { DEAL_STATES, NOT_ELIGIBLE, REASONS, typeName } from "./words.js";

const ID = chosen("id"), PATH = `/v1/contacts/${encodeURIComponent(ID)}`, STEPS = 500, DEALS_READ = 1000, DEALS_SHOWN = 8;
const stepsShown = () => STEPS * (Number(chosen("pages")) || 1);

async function load() {
  const [contact, journey, deals, names] = await Promise.all([get(PATH), all(PATH + "/journey", {}, stepsShown()), all(PATH + "/deals", {}, DEALS_READ), campaignNames()]);
  return { contact, journey, deals, names };
}

const NAME = ["first_name", "last_name"]; // properties
const called = c => NAME.map(part => c.properties[part]).filter(Boolean).join(" ") || c.emails[0] || c.contact;

const propertyName = name => name.replaceAll("_", " ").replace(/^./, first => first.toUpperCase());

function head({ contact: c, journey }) {
  const also = [...c.emails, ...c.ids].filter(name => name !== called(c));
  const properties = Object.entries(c.properties).filter(([name]) => !NAME.includes(name));
  return [h("p", { class: "crumb" }, h("a", { href: link("contacts") }, "Contacts")), h("h1", {}, called(c)),
    h("p", { class: "facts" }, h("span", {}, `Contact since ${instantOf(c.created_at)}`), c.internal && h("span", { class: "chip off" }, "own staff, not counted"),
      h("span", {}, counted(journey.items.length, "touch", "touches"), journey.more && " and more")),
    also.length > 0 && h("p", { class: "facts" }, "Also known as ", also.map(name => h("span", { class: "chip mono" }, name))),
    properties.length > 0 && h("p", { class: "facts" }, properties.map(([name, value]) => h("span", {}, h("span", { class: "muted" }, propertyName(name), " "), value)))];
}

// ---- deals ----
// Since when the contact is one of the deal's, or why its touches count for nothing in it.
const inDeal = d => d.eligible ? h("span", { class: "soft" }, `since ${dayOf(d.associated_at)}`)
  : h("span", { class: "chip off" }, NOT_ELIGIBLE[d.reason] || d.reason);
const countsFor = (d, { names }, k) => d.campaigns.length ? h("span", { class: "chips" }, d.campaigns.map(id => campaignChip(id, names.get(id) || id, k)))
  : h("span", { class: "muted" }, d.state === "lost" || d.state === "deleted" ? `no campaign, for it is ${DEAL_STATES[d.state].toLowerCase()}` : "no campaign reached its contacts in time");

function deals(data, k, again) {
  const { items, more } = data.deals, shown = unfolded ? items : items.slice(0, DEALS_SHOWN);
  if (!items.length) return h("p", { class: "pad muted" }, "This contact is in no deal.");
  return [h("div", { class: "scroll" }, h("table", { class: "cards", role: "table" }, h("caption", { class: "sr" }, "Deals of the contact"),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ["Deal", "State", "Closed", "In the deal", "Counts for", "Amount"].map((t, i) => h("th", { role: "columnheader", scope: "col", class: i === 5 ? "n" : null }, t)))),
    h("tbody", { role: "rowgroup" }, shown.map(d => h("tr", { role: "row" },
      h("td", { role: "cell", class: "wide" }, h("a", { href: link("deal", { id: d.deal_id }), id: "deal-" + d.deal_id }, d.name || d.deal_id)),
      h("td", { role: "cell", "data-l": "State" }, h("span", { class: d.state === "won" ? "chip on" : "chip off" }, DEAL_STATES[d.state])),
      h("td", { role: "cell", class: "nowrap", "data-l": "Closed" }, d.closed_at ? dayOf(d.closed_at) : h("span", { class: "muted" }, "not yet")),
      h("td", { role: "cell", class: "two", "data-l": "In the deal" }, inDeal(d)), h("td", { role: "cell", class: "wide", "data-l": "Counts for" }, countsFor(d, data, k)),
      h("td", { role: "cell", class: "n", "data-l": "Amount" }, d.amount ? money(d.amount.amount, d.amount.currency) : h("span", { class: "muted" }, "no amount"))))))),
  shown.length < items.length && h("div", { class: "pad bar" }, h("button", { class: "btn", type: "button", id: "all-deals", onclick: () => {
    unfolded = true;
    again();
    document.getElementById("deal-" + items[DEALS_SHOWN].deal_id).focus(); // the first of those that were folded
  } }, `Show all ${num(items.length)}`)),
  more && shown.length === items.length && h("p", { class: "pad muted" }, `The first ${num(items.length)} are shown; CSV has all.`)];
}
let unfolded = false;

function step(data, k, x, before) {
  const [first] = x.campaigns;
  return h("li", { class: `step ${x.counted ? "k" + (first ? k.get(first) : 0) : "no"}` },
    when(x.occurred_at, before), h("div", { class: "rail" }, h("i")),
    h("div", { class: "body" }, h("p", { class: "t" }, eventDoor(x.event_id, typeName(x.type), "touch-" + x.event_id), h("span", {}, touched(x, ", "))),
      h("p", { class: "meta" }, cameBy(x)),
      h("div", { class: "chips" }, x.campaigns.map(id => campaignChip(id, data.names.get(id) || id, k)),
        x.counted && !x.campaigns.length && h("span", { class: "chip off" }, "in no campaign"),
        x.reason && h("span", { class: "chip off" }, REASONS[x.reason] || x.reason, " ", h("span", { class: "mono muted" }, x.reason)),
        x.kept_out.map(o => h("span", { class: "chip off" }, `${data.names.get(o.campaign_id) || o.campaign_id}: ${REASONS[o.reason] || o.reason}`)))));
}

function journey(data, k, refresh) {
  const { items, more } = data.journey, only = chosen("touches") === "counted";
  const shown = items.filter(x => !only || x.counted);
  const rows = [];
  const numbers = new Map(items.filter(x => x.session).map(x => x.session).filter((one, i, all) => all.indexOf(one) === i).map((one, i) => [one, i + 1]));
  let session = null, before = null;
  for (const x of shown) { // a touch without a session, such as an email, ends the group of a session
    if (x.session !== session) rows.push(h("li", { class: "step" }, h("div", { class: "when" }), h("div", { class: "rail" }), h("div", { class: "sess" }, x.session ? `Session ${numbers.get(x.session)}` : "In no session"), h("div", {})));
    session = x.session;
    rows.push(step(data, k, x, before));
    before = x.occurred_at;
  }
  if (!rows.length) return h("p", { class: "pad muted" }, "No touch yet.");
  rows[0].classList.add("first");
  rows.at(-1).classList.add("last");
  return [h("ol", { class: "jn" }, rows), more && h("div", { class: "pad bar" }, h("button", { class: "btn", type: "button", id: "more", onclick: () => { choose("pages", String(stepsShown() / STEPS + 1)); refresh(); } }, `Show ${STEPS} more`),
    h("span", { class: "muted" }, `The first ${num(items.length)} touches are shown; CSV has all.`))];
}

function draw(host, data, status, refresh) {
  document.title = `${called(data.contact)} · Touchline`;
  if (!host.childNodes.length) {
    const only = h("label", { class: "bar" }, h("input", { type: "checkbox", id: "only", checked: chosen("touches") === "counted",
      onchange: event => { choose("touches", event.target.checked ? "counted" : ""); refresh(); } }), "Only what counts");
    host.append(h("div", { class: "head" }, h("div", { id: "who" }), h("div", { class: "bar do" }, changeButton("Merge", "merge", () => mergeContact({ ...host.contact, called: called(host.contact) })))),
      h("section", { class: "panel", "aria-labelledby": "de" }, h("header", {}, h("div", {}, h("h2", { id: "de" }, "Deals"),
        h("p", {}, "A deal counts for a campaign that reached one of its contacts before the close. A name leads to the reasons.")), csvButton(PATH + "/deals", {}, "deals")), h("div", { id: "deals" })),
      h("section", { class: "panel", "aria-labelledby": "jo" }, h("header", {}, h("div", {}, h("h2", { id: "jo" }, "The journey"),
        h("p", {}, "Every touch in order, by session: the campaigns that it counts for, or why it does not.")), h("div", { class: "bar" }, only, csvButton(PATH + "/journey", {}, "journey"))), h("div", { id: "journey" })));
  }
  host.contact = data.contact;
  show(document.getElementById("who"), head(data));
  const k = ranks([...new Set([...data.journey.items, ...data.deals.items].flatMap(x => x.campaigns))]), again = () => show(document.getElementById("deals"), deals(data, k, again));
  again();
  show(document.getElementById("journey"), journey(data, k, refresh));
}

run(load, draw);
