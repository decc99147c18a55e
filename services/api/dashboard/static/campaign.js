// The page of one campaign: its numbers, who held which asset, what was kept out and why, its deals and assets.
import { all, get } from "./api.js";
import { h, s, show } from "./dom.js";
import { dayOf, instantOf, money, moneyText, num } from "./format.js";
import { door, drawer, keptOut, others, revenue } from "./parts.js";
import { chosen, controls, link, query, run } from "./shell.js";
import { whyPanel } from "./why.js";
import { ASSET_TYPES, HIDDEN, INEFFECTIVE, isMoney, METRICS, TOUCHES } from "./words.js";

const ID = chosen("id");
const PATH = `/v1/campaigns/${encodeURIComponent(ID)}`;
const TILES = ["sessions", "influenced_contacts", "new_contacts_first_touch", "influenced_deals", "influenced_revenue", "attributed_revenue"];
const STAGES = ["sessions", "new_sessions", "influenced_contacts", "influenced_deals", "closed_deals"];
const BAND_ROWS = 12;

async function load() {
  const asked = query();
  const [campaign, overview, assets, deals, refusals] = await Promise.all([
    get(PATH), get(PATH + "/overview", asked), all(PATH + "/assets"), all(PATH + "/deals", { ...asked, metric: "closed_deals" }),
    all(PATH + "/refusals"),
  ]);
  return { campaign, overview, assets: assets.items, deals: deals.items, refusals: refusals.items };
}

const name = c => c.name || c.campaign_id;

const settled = overview => overview.settled_through
  ? `Settled through ${instantOf(overview.settled_through)}; what came later may still grow.`
  : "Nothing came in live yet, so nothing tells how late events come.";

function head({ campaign: c, overview }) {
  const ended = c.deleted_at ? "Deleted" : c.ends_on && c.ends_on < new Date().toISOString().slice(0, 10) ? "Ended" : "Running";
  const when = c.starts_on ? `, ${dayOf(c.starts_on)}${c.ends_on ? " to " + dayOf(c.ends_on) : " on"}` : "";
  const spent = c.spent.map(m => moneyText(m.amount, m.currency)).join(", ");
  return [h("p", { class: "crumb" }, h("a", { href: link("campaigns") }, "Campaigns")), h("h1", {}, name(c)),
    h("p", { class: "facts" }, h("span", {}, ended + when), c.owner && h("span", {}, c.owner),
      c.budget && h("span", {}, `Budget ${moneyText(c.budget.amount, c.budget.currency)}${spent ? ", spent " + spent : ""}`)),
    c.utm_campaign.length > 0 && h("p", { class: "facts" }, "Claims ", c.utm_campaign.map(u =>
      h("span", { class: "chip" }, h("span", { class: "mono" }, u.value), `, since ${dayOf(u.since)}`))),
    h("p", { class: "facts", id: "settled" }, settled(overview))];
}

const shown = (metrics, metric, currency) => isMoney(metric) ? revenue(metrics[metric], currency) : num(metrics[metric]);

function open(data, metric, currency) {
  const { campaign, overview } = data;
  return () => drawer(ID, name(campaign), metric, shown(overview.metrics, metric, currency), overview.excluded);
}

const tiles = (data, currency) => h("div", { class: "tiles" }, TILES.map(metric => h("div", { class: "tile" },
  h("span", { class: "lab" }, METRICS[metric][0]),
  h("p", { class: "val" }, h("b", {}, door(shown(data.overview.metrics, metric, currency), "tile-" + metric, open(data, metric, currency)))),
  isMoney(metric) && others(data.overview.metrics[metric], currency))));

// Who held which asset: a row an asset that changed hands or ended, over the campaign's days.
function band({ campaign }) {
  const held = campaign.associations;
  if (!held.length) return null;
  const now = Date.now(), from = Math.min(...held.map(a => Date.parse(a.from)));
  const x = instant => (Math.max(0, (instant - from) / Math.max(1, now - from)) * 1000).toFixed(1);
  const rows = [...Map.groupBy(held, a => a.asset_id)].sort((a, b) => b[1].filter(i => i.to).length - a[1].filter(i => i.to).length);
  return h("div", { class: "band" },
    h("div", { class: "top" }, h("h3", {}, "Which asset it held, and when"), h("p", {}, "Touches count for the campaign that held the asset at the time. A move takes nothing along.")),
    rows.slice(0, BAND_ROWS).map(([id, spans]) => h("div", { class: "row" },
      h("div", { class: "nm" }, h("span", { class: "soft" }, spans[0].name || id), h("small", {}, one(spans[0].asset_type), spans.at(-1).to ? ", former" : "")),
      s("svg", { class: "c k1", viewBox: "0 0 1000 26", height: 26, preserveAspectRatio: "none", role: "img",
        "aria-label": spans.map(a => `held from ${dayOf(a.from)}${a.to ? " to " + dayOf(a.to) : " on"}`).join("; ") },
        s("rect", { class: "none", x: 0, y: 4, width: 1000, height: 18 }),
        spans.map(a => {
          const left = x(Date.parse(a.from)), width = Math.max(2, x(a.to ? Date.parse(a.to) : now) - left);
          return [s("rect", { class: "seg0 me", x: left, y: 2, width, height: 22 }), s("rect", { class: "edge", x: left, y: 22, width, height: 2 },
            s("title", {}, `${instantOf(a.from)}${a.to ? " to " + instantOf(a.to) : " on"}`))];
        })))),
    rows.length > BAND_ROWS && h("p", { class: "hist muted" }, `${num(rows.length - BAND_ROWS)} more assets; the table below has all.`));
}

function stages(data) {
  const most = Math.max(1, ...STAGES.map(m => data.overview.metrics[m]));
  return h("section", { class: "panel", "aria-labelledby": "stages" },
    h("header", {}, h("div", {}, h("h2", { id: "stages" }, "From session to won deal"), h("p", {}, "Stages count different things (sessions, people, deals), so read the steps, not a rate."))),
    h("div", { class: "pad" }, h("ul", { class: "bars" }, STAGES.map(m => h("li", {}, METRICS[m][0],
      h("span", { class: "tr" }, h("i", { "--w": `${data.overview.metrics[m] / most * 100}%` })),
      h("span", { class: "v" }, num(data.overview.metrics[m])))))));
}

const ledger = (data, currency) => h("section", { class: "panel", "aria-labelledby": "all" },
  h("header", {}, h("h2", { id: "all" }, "All metrics")),
  h("table", { class: "ledger" }, h("tbody", {}, Object.keys(METRICS).filter(m => !TILES.includes(m)).map(m =>
    h("tr", {}, h("td", {}, METRICS[m][0]), h("td", { class: "n" }, door(shown(data.overview.metrics, m, currency), "all-" + m, open(data, m, currency))))))));

const excluded = data => h("section", { class: "panel", "aria-labelledby": "out" },
  h("header", {}, h("div", {}, h("h2", { id: "out" }, "Kept out, and why"), h("p", {}, "Touches of its assets and utm values that do not count for this campaign, one reason each."))),
  h("div", { class: "pad" }, keptOut(data.overview.excluded)));

const refused = data => data.refusals.length > 0 && h("section", { class: "panel", "aria-labelledby": "refused" },
  h("header", {}, h("div", {}, h("h2", { id: "refused" }, "Refused associations"), h("p", {}, "They changed nothing: the asset stayed where it was."))),
  h("table", {}, h("tbody", {}, data.refusals.slice(-DEALS_SHOWN).reverse().map(r => h("tr", {},
    h("td", {}, r.name || r.asset_id), h("td", {}, INEFFECTIVE[r.reason]), h("td", { class: "n" }, dayOf(r.occurred_at)))))));

const DEALS_SHOWN = 8;
const ASSETS_SHOWN = 8;
const unfolded = new Set();
const deals = (data, why) => h("section", { class: "panel", "aria-labelledby": "deals" },
  h("header", {}, h("h2", { id: "deals" }, "Won deals"), h("p", {}, data.deals.length > DEALS_SHOWN ? `the latest ${DEALS_SHOWN} of ${num(data.deals.length)}` : "")),
  data.deals.length ? h("table", {}, h("thead", {}, h("tr", {}, ["Deal", "Closed", "Amount", "Share"].map((t, i) => h("th", { scope: "col", class: i > 1 ? "n" : null }, t)))),
    h("tbody", {}, data.deals.slice(-DEALS_SHOWN).reverse().map(d => h("tr", {},
      h("td", {}, door(d.name || d.deal_id, "deal-" + d.deal_id, () => why.ask("deal", d.deal_id))), h("td", {}, dayOf(d.closed_at)),
      h("td", { class: "n" }, d.amount ? money(d.amount.amount, d.amount.currency) : "none told"), h("td", { class: "n" }, d.share ? money(d.share.amount, d.share.currency) : "none")))))
    : h("p", { class: "pad muted" }, "No deal has been won with it in this range."));

const one = type => (ASSET_TYPES[type] || "").replace(/^Calls/, "Call").replace(/ies$/, "y").replace(/s$/, "");

const said = statistics => Object.entries(statistics).map(([type, n]) => `${num(n)} ${TOUCHES[type] || type}`).join(", ") || "no touch yet";

function assetRow(a) {
  const people = Math.max(0, ...Object.values(a.contacts));
  return h("tr", { class: a.visible ? null : "hid" },
    h("td", { class: "keep" }, a.name || a.asset_id, " ", (a.network || a.ad_type) && h("span", { class: "muted" }, [a.network, a.ad_type].filter(Boolean).join(", "), " "), a.hidden_reason && h("span", { class: "chip off" }, "hidden: " + HIDDEN[a.hidden_reason]),
      Object.values(a.not_shown).map(types => h("span", { class: "chip off" }, said(types) + " stayed with the campaign that held it"))),
    h("td", { class: "two" }, said(a.statistics)), h("td", { class: "n", "data-l": "Contacts" }, num(people)),
    h("td", { class: "n", "data-l": "Held since" }, dayOf(a.associated_at), a.held_until && ` to ${dayOf(a.held_until)}`));
}

const touched = a => Object.values(a.statistics).reduce((sum, n) => sum + n, 0);

function assets(data, again) {
  const held = Map.groupBy(data.assets.filter(a => !a.former), a => a.asset_type);
  const former = data.assets.filter(a => a.former);
  const section = (text, more) => h("tr", { class: "sec" }, h("td", { colspan: 4 }, text, more && h("span", { class: "muted" }, more)));
  return h("section", { class: "panel", "aria-labelledby": "assets" },
    h("header", {}, h("div", {}, h("h2", { id: "assets" }, "Assets"), h("p", {}, "Each asset's whole history, whoever held it. What counts for the campaign is in the tiles above."))),
    h("div", { class: "scroll" }, h("table", { class: "cards assets" }, h("thead", {}, h("tr", {}, ["Asset", "Touches", "Contacts", "Held since"].map((t, i) => h("th", { scope: "col", class: i > 1 ? "n" : null }, t)))),
      h("tbody", {}, [...held].map(([type, items]) => [section(`${ASSET_TYPES[type]}, ${num(items.length)}`),
        items.sort((a, b) => touched(b) - touched(a)).slice(0, unfolded.has(type) ? undefined : ASSETS_SHOWN).map(assetRow),
        items.length > ASSETS_SHOWN && !unfolded.has(type) && h("tr", {}, h("td", { colspan: 4 },
          h("button", { class: "btn quiet", type: "button", id: "all-of-" + type, onclick: () => { unfolded.add(type); again(); } }, `Show all ${num(items.length)}`)))]),
        former.length > 0 && [section("Former assets", " listed because their CTA clicks stayed here"), former.map(assetRow)]))));
}

let why = null;

function draw(host, data, status, refresh) {
  const currency = status.workspace.currency;
  document.title = `${name(data.campaign)} · Touchline`;
  if (!host.childNodes.length) {
    why = whyPanel();
    host.append(h("div", { class: "head" }, h("div", { id: "who" }), h("div", { class: "bar" }, controls(refresh))), h("div", { id: "top" }),
      h("div", { class: "cols" }, h("div", { id: "left" }), h("div", {}, h("div", { id: "right" }), why.panel)), h("div", { id: "bottom" }));
  }
  show(document.getElementById("who"), head(data));
  show(document.getElementById("top"), h("section", { class: "panel", "aria-label": "Numbers" }, tiles(data, currency), band(data)));
  show(document.getElementById("left"), stages(data), ledger(data, currency));
  show(document.getElementById("right"), excluded(data), refused(data), deals(data, why));
  const again = () => show(document.getElementById("bottom"), assets(data, again));
  again();
}

run(load, draw);
