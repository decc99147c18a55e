// The page of what events name and nobody created, registered or claimed: mostly typing errors and forgotten steps, each with the way to mend it.
import { get } from "./api.js";
import { changeButton, mayChange } from "./changes.js";
import { h, show } from "./dom.js";
import { claimUtm, createCampaign, registerAsset } from "./forms.js";
import { counted, dayOf, instantOf, num, pageOf } from "./format.js";
import { csvButton, door, listDrawer, touched, who } from "./parts.js";
import { choose, chosen, link, run } from "./shell.js";
import { channelName, typeName } from "./words.js";
import { shownEvent } from "./why.js";

const PATH = "/v1/catalog/unresolved", SHOWN = 25, LOOKED_ON_MAX = 4, VISITS_COUNTED = 10_000;
const times = n => n >= VISITS_COUNTED ? `${num(VISITS_COUNTED)} or more` : num(n);

// Each list: its heading, what it says, what an item is called, how often it was met, and what can be done about it.
const KINDS = {
  campaigns: {
    title: "Campaigns that nobody created", says: "Events put assets or money into them: a typing error in an id, or a campaign that is still to be created.",
    none: "Every campaign that events name was created.", one: "Campaign", name: i => i.campaign_id, count: i => i.events, counts: "Events",
    shown: i => h("a", { class: "mono", href: link("campaign", { id: i.campaign_id }) }, i.campaign_id),
    mend: (i, currency) => [["Create it", () => createCampaign({ id: i.campaign_id, since: i.first_seen, currency })]],
  },
  assets: {
    title: "Assets that nobody registered", says: "They are touched or held, but have no type and no name yet.",
    none: "Every asset that events name was registered.", one: "Asset", name: i => i.asset_id, count: i => i.events, counts: "Events",
    shown: i => h("a", { class: "mono", href: link("asset", { id: i.asset_id }) }, i.asset_id), mend: i => [["Register it", () => registerAsset({ id: i.asset_id })]],
  },
  utm_values: {
    title: "utm values that no campaign claims", says: "Visits came with this utm_campaign, and count for no campaign through it.",
    none: "Every utm_campaign with visits is claimed.", one: "utm_campaign", name: i => i.utm_campaign, count: i => i.visits, counts: "Visits",
    shown: i => h("span", { class: "mono" }, i.utm_campaign),
    mend: (i, currency) => [["Claim it", () => claimUtm(i.utm_campaign)], ["New campaign", () => createCampaign({ utm: i.utm_campaign, currency })]],
  },
  pages: {
    title: "Pages that no asset registered", says: "They are visited, and no campaign can hold them yet.",
    none: "Every visited page is registered as an asset.", one: "Page", name: i => i.url, count: i => i.visits, counts: "Visits",
    shown: i => h("span", {}, i.url.replace(/^https:\/\//, "")), mend: i => [["Register it", () => registerAsset({ url: i.url, type: "site_page" })]],
  },
};

// The events or visits behind an entry, each with the door to what it counted for.
const shown = i => shownEvent(i.event_id);
const came = i => [channelName(i.channel), i.source].filter(Boolean).join(", ");
const VISITS = { one: "visit", heads: ["Who", "When", "Page", "Came by", "Event"], row: i => [who(i), instantOf(i.occurred_at), i.url ? pageOf(i.url) : touched(i), came(i), shown(i)] };
const EVENTS = { one: "event", heads: ["What", "When", "Who", "Event"], row: i => [typeName(i.type), instantOf(i.occurred_at), i.channel ? who(i) : "", shown(i)] };
const CHANGES = { one: "event", heads: ["What", "When", "Asset", "Event"], row: i => [typeName(i.type), instantOf(i.occurred_at), touched(i), shown(i)] };
const BEHIND = { campaigns: CHANGES, assets: EVENTS, utm_values: VISITS, pages: VISITS };
const SAYS = {
  campaigns: ["Events that name this campaign", "Associations with it, and money recorded for it.", "association"], assets: ["Events that name this asset", "Touches of it that count, and what was changed about it.", "page"],
  utm_values: ["Visits with this utm value", "Visits by people that came with it.", "utm"], pages: ["Visits of this page", "Visits by people of this address.", "page"],
};
function behind(kind, item) {
  const of = KINDS[kind], name = of.name(item), value = times(of.count(item)), [title, says, rule] = SAYS[kind];
  return door(value, `behind-${kind}-${name}`, () => listDrawer({ above: name, title, says, rule, value, list: { path: PATH + "/events", query: { kind, name }, ...BEHIND[kind] } }));
}

// A page of each list, and more of the one that somebody unfolds.
async function load() {
  const first = await get(PATH, { limit: String(SHOWN) }), more = chosen("more"), pages = Number(chosen("pages")) || 1;
  const lists = Object.fromEntries(Object.keys(KINDS).map(kind => [kind, { items: first[kind], cursor: first.next_cursors[kind] }]));
  for (const [kind, list] of Object.entries(lists)) { // a page may be empty although more follows: what it passed was resolved
    for (let n = 0; n < LOOKED_ON_MAX && !list.items.length && list.cursor; n += 1) {
      const next = await get(PATH, { kind, limit: String(SHOWN), cursor: list.cursor });
      Object.assign(list, { items: next.items, cursor: next.next_cursor });
    }
  }
  for (let n = 1; more in KINDS && n < pages && lists[more].cursor; n += 1) {
    const next = await get(PATH, { kind: more, limit: String(SHOWN), cursor: lists[more].cursor });
    lists[more] = { items: lists[more].items.concat(next.items), cursor: next.next_cursor };
  }
  return lists;
}

function table(kind, { items, cursor }, currency, refresh) {
  const of = KINDS[kind];
  if (!items.length && !cursor) return h("p", { class: "pad muted" }, of.none);
  const buttons = item => of.mend(item, currency).map(([text, open], n) => changeButton(text, `mend-${kind}-${n}-${of.name(item)}`, open, n ? "btn quiet small" : "btn small"));
  const unfold = () => { choose("pages", String(chosen("more") === kind ? (Number(chosen("pages")) || 1) + 1 : 2)); choose("more", kind); refresh(); };
  const next = cursor && h("div", { class: "pad bar" }, h("button", { class: "btn", type: "button", id: "more-" + kind, onclick: unfold }, `Look for ${SHOWN} more`));
  if (!items.length) return [h("p", { class: "pad muted" }, "None among those that were looked through so far."), next];
  return [h("div", { class: "scroll" }, h("table", { class: "cards" }, h("caption", { class: "sr" }, of.title),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, of.one), h("th", { scope: "col", class: "n" }, of.counts), h("th", { scope: "col", class: "n" }, "First"), h("th", { scope: "col", class: "n" }, "Last"),
      mayChange() && h("th", { scope: "col", class: "n" }, "To do"))),
    h("tbody", {}, items.map(item => h("tr", {}, h("td", { class: "wide" }, of.shown(item)), h("td", { class: "n", "data-l": of.counts }, behind(kind, item)),
      h("td", { class: "n nowrap", "data-l": "First" }, dayOf(item.first_seen)), h("td", { class: "n nowrap", "data-l": "Last" }, dayOf(item.last_seen)),
      mayChange() && h("td", { class: "n wide" }, h("span", { class: "bar end" }, buttons(item)))))))),
  next];
}

run(load, (host, lists, status, refresh) => {
  if (!host.childNodes.length) {
    host.append(h("div", { class: "head" }, h("div", {}, h("h1", {}, "Unresolved"), h("p", { class: "facts" }, "What events name, and nobody created, registered or claimed: mostly typing errors and forgotten steps. What was sent is kept."),
      h("p", { class: "facts", id: "how-many" }), !mayChange() && h("p", { class: "note", id: "read-only" }, "You signed in with a read key. With an admin key, a button beside each mends it."))),
    ...Object.entries(KINDS).map(([kind, of]) => h("section", { class: "panel", "aria-labelledby": "h-" + kind },
      h("header", {}, h("div", {}, h("h2", { id: "h-" + kind }, of.title), h("p", {}, of.says)), csvButton(PATH, { kind }, `unresolved-${kind.replace("_", "-")}`)), h("div", { id: "list-" + kind }))));
  }
  const all = Object.values(lists), n = all.reduce((sum, list) => sum + list.items.length, 0);
  show(document.getElementById("how-many"), n ? `${counted(n, "entry", "entries")}${all.some(list => list.cursor) ? " and more" : ""}` : "Everything is resolved.");
  for (const kind of Object.keys(KINDS)) show(document.getElementById("list-" + kind), table(kind, lists[kind], status.workspace.currency, refresh));
});
