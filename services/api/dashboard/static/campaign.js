// The page of one campaign: its numbers, over time, who held which asset, what was kept out and why, its deals and assets.
import { all, get } from "./api.js";
import { changeButton, mayChange, takeBackButton } from "./changes.js";
import { budgetItems, spendItems } from "./costs.js";
import { dayNumber, dayShort, dayText, delta, INTERVAL_NAMES, intervalFor, intervalText, NOT_WHOLE, openMark, settledMark, strip, timeline, unsettledPart } from "./charts.js";
import { h, show } from "./dom.js";
import { addAssets, addToBudget, deleteCampaign, editCampaign, recordSpend, registerAsset } from "./forms.js";
import { counted, dayOf, instantOf, minor, money, moneyText, num, today } from "./format.js";
import { campaignNames, door, drawer, fitting, inUnits, keptOut, others, outDrawer, ranks } from "./parts.js";
import { asCompared, comparedWith, daysText } from "./ranges.js";
import { choices, choose, chosen, compareControl, currencyAsked, link, modelControl, query, rangeControls, rangeOnly, rangeText, run } from "./shell.js";
import { shownEvent, whyPanel } from "./why.js";
import { ASSET_TYPES, assetTypeName, HIDDEN, INEFFECTIVE, isMoney, METRICS, statisticsText } from "./words.js";

const ID = chosen("id");
const PATH = `/v1/campaigns/${encodeURIComponent(ID)}`;
const TILES = ["sessions", "influenced_contacts", "new_contacts_first_touch", "influenced_deals", "influenced_revenue", "attributed_revenue"];
const STAGES = ["sessions", "new_sessions", "influenced_contacts", "influenced_deals", "closed_deals"];
const SETTLED_MS = 60_000; // after so long, more may be settled although nothing came
const BAND_ROWS = 8, DEALS_SHOWN = 8, ASSETS_SHOWN = 8;

async function load() {
  const asked = query(), before = comparedWith(asked, chosen("compare"), chosen("range")), compare = asCompared(before);
  const [campaign, overview, assets, deals, refusals, roi, names] = await Promise.all([
    get(PATH), get(PATH + "/overview", { ...asked, compare }), all(PATH + "/assets"), all(PATH + "/deals", { ...asked, metric: "closed_deals" }),
    all(PATH + "/refusals"), get("/v1/reports/roi", { ...asked, currency: currencyAsked() }), campaignNames(),
  ]);
  const metric = charted(), timelineOf = (span, interval) => get(PATH + "/timeline", { metric, interval, model: asked.model, ...span }).then(answer => answer.points);
  const { axis, interval, points } = await drawnOver(campaign, asked, timelineOf);
  const moved = movedFirst(campaign.associations, axis).slice(0, BAND_ROWS), span = { from: dayText(axis.from), to: dayText(axis.to) };
  const [then, held, unsettled] = await Promise.all([
    before && timelineOf(before, interval), Promise.all(moved.map(id => get(`/v1/assets/${encodeURIComponent(id)}`, span))), unsettledOf(overview, asked),
  ]), now = points;
  return { campaign, overview, unsettled, then: overview.compare, before, assets: assets.items, deals: deals.items, refusals: refusals.items,
    roi: roi.rows.find(r => r.campaign_id === ID), roiCurrency: roi.currency, metric, axis, interval, series: now, seriesBefore: then, held, names, asked };
}

// The metrics of the part of the range that may still change, because events of it may come yet; null: it is not known how late events come.
async function unsettledOf(overview, asked) {
  const part = unsettledPart(asked, overview.settled_through);
  if (!part) return part === null ? null : {};
  return part.from === asked.from ? overview.metrics : (await get(PATH + "/overview", { ...asked, ...part })).metrics;
}

const name = c => c.name || c.campaign_id;
const period = daysText;

const charted = () => chosen("chart") in METRICS ? chosen("chart") : "sessions";

// The days that the time axis covers: the range, but no later than today, and no earlier than the campaign.
function axisOf(campaign, asked) {
  const tomorrow = dayNumber(today()) + 1;
  const first = Math.min(...[campaign.starts_on, campaign.created_at, campaign.associations[0]?.from].filter(Boolean).map(dayNumber), tomorrow - 28);
  const from = asked.from ? dayNumber(asked.from) : first, to = asked.to ? Math.min(dayNumber(asked.to), tomorrow) : tomorrow;
  return { from, to: Math.max(to, from + 1) };
}

// The time axis with its intervals and the points of the timeline. Of all time, the axis of a campaign that is over ends with the last
// interval in which something counted: what follows would be empty.
async function drawnOver(campaign, asked, timelineOf) {
  const days = ({ from, to }) => ({ from: dayText(from), to: dayText(to) }), by = ({ from, to }) => chosen("interval") in INTERVAL_NAMES ? chosen("interval") : intervalFor(to - from);
  const axis = axisOf(campaign, asked), interval = by(axis), points = await timelineOf(days(axis), interval);
  const counted = points.findLast(p => Array.isArray(p.value) ? p.value.length : p.value), over = campaign.ends_on && campaign.ends_on < today();
  if (asked.to || !over || !counted) return { axis, interval, points };
  const cut = { from: axis.from, to: Math.min(axis.to, Math.max(dayNumber(counted.to), dayNumber(campaign.ends_on) + 1)) };
  return { axis: cut, interval: by(cut), points: await timelineOf(days(cut), by(cut)) };
}

// The value of a point: a count, or an amount of the currency in minor units.
const valueOf = (value, currency) => Array.isArray(value) ? minor(own(value, currency).amount) : BigInt(value);

function head({ campaign: c, overview, roi, asked, before }) {
  const ended = c.deleted_at ? "Deleted" : c.ends_on && c.ends_on < today() ? "Ended" : c.starts_on && c.starts_on > today() ? "Planned" : "Running";
  const when = !c.starts_on ? "" : c.ends_on ? `, ${dayOf(c.starts_on)} to ${dayOf(c.ends_on)}` : `${ended === "Planned" ? " from" : " since"} ${dayOf(c.starts_on)}`;
  const spent = c.spent.map(m => moneyText(m.amount, m.currency)).join(", ");
  return [h("p", { class: "crumb" }, h("a", { href: link("campaigns") }, "Campaigns")), h("h1", {}, name(c)),
    h("p", { class: "facts" }, h("span", {}, ended + (c.deleted_at ? ` on ${dayOf(c.deleted_at)}` : when)), c.owner && h("span", {}, c.owner),
      c.budget && h("span", {}, `Budget ${moneyText(c.budget.amount, c.budget.currency)}${spent ? ", spent " + spent : ""}`),
      roi?.return && h("span", {}, "Return ", h("b", {}, inPercent(roi.return)), " of what was spent"),
      c.deleted_by && takeBackButton(c.deleted_by, `the deletion of ${name(c)}`)),
    c.utm_campaign.length > 0 && h("p", { class: "facts" }, "Claims ", c.utm_campaign.map(u =>
      h("span", { class: "chip" }, h("span", {}, h("span", { class: "mono" }, u.value), `, since ${dayOf(u.since)}`)))),
    overview.compare && !overview.compare.complete && h("p", { class: "facts", id: "not-whole" }, NOT_WHOLE),
    h("p", { class: "facts" }, rangeText(before), h("span", { id: "settled" }, !overview.settled_through ? "No event came in live yet, so it is not known how late events come."
      : unsettledPart(asked, overview.settled_through) ? `Settled through ${instantOf(overview.settled_through)}; what came later may still grow.` : settledMark(null)))];
}

const own = (amounts, currency) => amounts.find(m => m.currency === currency) || { amount: "0.00", currency };
const shown = (metrics, metric, currency) => { if (!isMoney(metric)) return num(metrics[metric]); const m = own(metrics[metric], currency); return money(m.amount, m.currency); };
const asNumber = (metrics, metric, currency) => isMoney(metric) ? minor(own(metrics[metric], currency).amount) : metrics[metric];
const change = (data, metric, currency) => data.then && delta(asNumber(data.overview.metrics, metric, currency), asNumber(data.then.metrics, metric, currency), period(data.before), data.then.complete);
const open = (data, metric, currency) => () => drawer(ID, name(data.campaign), metric, shown(data.overview.metrics, metric, currency), data.overview.excluded,
  [change(data, metric, currency), mark(data, metric, currency)]);

// How much of a number may still change; nothing where it is settled, which the head of the page says of all. Of influenced deals, those that
// are open may be won or lost yet.
function mark({ unsettled, overview: { metrics } }, metric, currency) {
  const open = metric === "influenced_deals" ? metrics.influenced_deals - metrics.closed_deals : 0;
  if (open) return openMark(`${num(open)} still open`);
  const some = unsettled && asNumber({ [metric]: isMoney(metric) ? [] : 0, ...unsettled }, metric, currency);
  return some ? settledMark(inTile(unsettled, metric, currency)) : null;
}

// Whole units in a tile; the cents are in the drawer.
function inTile(metrics, metric, currency) {
  if (!isMoney(metric)) return num(metrics[metric]);
  const m = own(metrics[metric], currency);
  return moneyText(m.amount.split(".")[0], m.currency);
}

const tiles = (data, currency, refresh) => h("div", { class: "tiles", role: "group", "aria-label": "Headline metrics" }, TILES.map(metric => {
  const on = metric === data.metric;
  return h("div", { class: "tile", "data-on": on },
    h("button", { class: "lab", type: "button", id: "chart-" + metric, "aria-pressed": String(on), onclick: () => { choose("chart", metric); refresh(); } }, METRICS[metric][0]),
    h("p", { class: "val" }, h("b", { class: fitting(inTile(data.overview.metrics, metric, currency)) }, door(inTile(data.overview.metrics, metric, currency), "tile-" + metric, open(data, metric, currency))), change(data, metric, currency)),
    h("p", { class: "sub" }, mark(data, metric, currency)), isMoney(metric) && others(data.overview.metrics[metric], currency), goalOf(data.overview.goals[metric]));
}));

// What the campaign is to reach in all, beside the number.
const goalOf = goal => goal != null && h("small", { class: "also" }, "goal ", typeof goal === "object" ? moneyText(goal.amount.split(".")[0], goal.currency) : num(goal));

// ---- the timeline and, on the same axis, who held which asset ----
function chart(data, currency, refresh) {
  const { metric, axis, interval } = data, spans = data.series.map(p => [dayNumber(p.from), dayNumber(p.to)]);
  const now = data.series.map(p => valueOf(p.value, currency)), before = data.seriesBefore && now.map((_, i) => data.seriesBefore[i] ? valueOf(data.seriesBefore[i].value, currency) : 0n);
  const digits = isMoney(metric) ? 2 : 0, write = (value, short) => !isMoney(metric) ? num(value)
    : moneyText(short ? String(Math.round(Number(value) / 100)) : inUnits(BigInt(value), digits), currency);
  const read = h("div", { class: "read", "aria-live": "polite" }), plot = h("div", {});
  const say = i => show(read, h("p", {}, i === null ? METRICS[metric][0] : intervalText(spans[i])),
    h("b", {}, i === null ? write(now.reduce((a, b) => a + b, 0n)) : write(now[i])),
    h("ul", {}, h("li", {}, h("span", { class: "key box" }), i === null ? `${dayShort(axis.from)} to ${dayShort(axis.to - 1)}` : "in this range"),
      before && h("li", {}, h("span", { class: "key prev" }), i === null ? `against ${period(data.before)}` : "before: " + write(before[i])),
      i === null && settled && spans.some(([, end]) => end > settled) && h("li", {}, h("span", { class: "key hat" }), "may still change")));
  const settled = data.overview.settled_through && dayNumber(data.overview.settled_through);
  say(null);
  later.push(() => timeline(plot, { label: METRICS[metric][0], spans, now: now.map(Number), before: before?.map(Number), settled: settled || null,
    moves: moves(data), whole: !isMoney(metric), write, read: say }));
  const asList = chosen("as") === "list";
  return [h("div", { class: "ivs bar" }, segments("Interval", "interval", INTERVAL_NAMES, interval, refresh), segments("Show as", "as", { "": "Chart", list: "List" }, chosen("as"), refresh)),
    asList ? h("div", { class: "pad" }, h("table", { class: "mini" }, h("caption", { class: "sr" }, METRICS[metric][0] + " by " + interval),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "When"), h("th", { scope: "col", class: "n" }, METRICS[metric][0]), before && h("th", { scope: "col", class: "n" }, "Before"))),
      h("tbody", {}, spans.map((span, i) => h("tr", {}, h("th", { scope: "row" }, intervalText(span)), h("td", { class: "n" }, write(now[i])), before && h("td", { class: "n" }, write(before[i])))))))
      : h("div", { class: "plot" }, h("div", { class: "row" }, read, plot))];
}

// A choice of a few, as radio buttons: arrows choose, one of them has the focus.
function segments(label, param, options, now, refresh) {
  const take = value => { choose(param, value); refresh(); };
  const values = Object.keys(options);
  return h("div", { class: "seg", role: "radiogroup", "aria-label": label }, values.map((value, i) => h("button", { type: "button", role: "radio", id: `${param}-${value || "first"}`,
    "aria-checked": String(value === now), tabindex: value === now ? 0 : -1, onclick: () => take(value),
    onkeydown: event => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = values[(i + step + values.length) % values.length];
      document.getElementById(`${param}-${next || "first"}`).focus();
      take(next);
    } }, options[value])));
}

// The assets that changed hands or ended first: they are what the band is for.
function movedFirst(held, { from, to }) {
  const within = at => at && dayNumber(at) > from && dayNumber(at) < to;
  const weigh = times => times.filter(t => within(t.to)).length * 4 + (times.some(t => within(t.from)) ? 2 : 0) + (times.some(t => !t.to || dayNumber(t.to) > from) ? 1 : 0);
  return [...Map.groupBy(held, a => a.asset_id)].map(([id, times]) => [id, weigh(times)]).sort((a, b) => b[1] - a[1]).map(([id]) => id);
}
const moves = ({ campaign, asked }) => campaign.associations.flatMap(a => [a.to, a.from]).filter((at, i, list) => at && list.indexOf(at) === i && list.filter(x => x === at).length < 3)
  .filter(at => !asked.from || dayText(dayNumber(at)) >= asked.from).filter(at => Date.parse(at) > Date.parse(campaign.created_at) + 2 * 864e5);

function band(data, k, refresh) {
  if (!data.held.length) return null;
  const { axis, names } = data, called = id => names.get(id) || id, asList = chosen("held") === "list";
  const row = asset => {
    const host = h("div", {});
    later.push(() => strip(host, { name: asset.name || asset.asset_id, held: asset.held, days: asset.days }, axis, ID, { colour: id => k.get(id), name: called }));
    return h("div", { class: "row" }, h("div", { class: "nm" }, h("a", { href: link("asset", { id: asset.asset_id }) }, asset.name || asset.asset_id),
      h("small", {}, one(asset.asset_type), asset.campaigns.includes(ID) ? "" : ", former")), host);
  };
  const more = new Set(data.campaign.associations.map(a => a.asset_id)).size - data.held.length;
  return h("div", { class: "band" },
    h("div", { class: "top" }, h("div", {}, h("h3", {}, "Who held which asset"), h("p", {}, "Touches count for the campaign that held the asset at the time. A move takes nothing along.")),
      segments("Show associations as", "held", { "": "Band", list: "List" }, chosen("held"), refresh)),
    asList ? h("table", { class: "mini cards" }, h("caption", { class: "sr" }, "Who held which asset"), h("thead", {}, h("tr", {}, ["Asset", "Campaign", "From", "To", "Event", mayChange() && "Change"].filter(Boolean).map(t => h("th", { scope: "col" }, t)))),
      h("tbody", {}, data.held.flatMap(a => a.held.map(t => h("tr", {}, h("td", { class: "wide" }, a.name || a.asset_id), h("td", { "data-l": "Campaign" }, called(t.campaign)), h("td", { "data-l": "From" }, instantOf(t.from)), h("td", { "data-l": "To" }, t.to ? instantOf(t.to) : "now"),
        h("td", { "data-l": "Event" }, shownEvent(t.associated_by)), mayChange() && h("td", {}, takeBackButton(t.associated_by, `${a.name || a.asset_id} with ${called(t.campaign)}`)))))))
      : data.held.map(row),
    more > 0 && h("p", { class: "hist muted" }, `${counted(more, "more asset")}; the table below has all.`));
}

function stages(data, currency) {
  const most = Math.max(1, ...STAGES.map(m => data.overview.metrics[m]));
  return h("section", { class: "panel", "aria-labelledby": "stages" },
    h("header", {}, h("div", {}, h("h2", { id: "stages" }, "From session to won deal"), h("p", {}, "Stages count different things (sessions, people, deals), so read the steps, not a rate."))),
    h("div", { class: "pad" }, h("ul", { class: "bars" }, STAGES.map(m => h("li", {}, h("span", {}, METRICS[m][0]),
      h("span", { class: "tr" }, data.overview.metrics[m] > 0 && h("i", { "--w": `${data.overview.metrics[m] / most * 100}%` })),
      h("span", { class: "v" }, door(num(data.overview.metrics[m]), "stage-" + m, open(data, m, currency))))))));
}

const ledger = (data, currency) => h("section", { class: "panel", "aria-labelledby": "all" },
  h("header", {}, h("h2", { id: "all" }, "All metrics")),
  h("div", { class: "pad" }, h("table", { class: "mini ledger" }, h("caption", { class: "sr" }, "All metrics"), h("tbody", {}, Object.keys(METRICS).filter(m => !TILES.includes(m)).map(m =>
    h("tr", {}, h("th", { scope: "row" }, METRICS[m][0]), h("td", { class: "n" }, door(shown(data.overview.metrics, m, currency), "all-" + m, open(data, m, currency))), data.then?.complete && h("td", { class: "n" }, change(data, m, currency))))))));

// A ratio such as 2.41 as 241%, without floats.
const inPercent = ratio => `${num(BigInt(ratio.replace(".", ""))).replace("-", "−")}%`;

function returns(data, currency) {
  const { roi, roiCurrency, campaign: c } = data, called = name(c), held = new Map(data.assets.map(a => [a.asset_id, a.name || a.asset_id]));
  if (!roi) return null;
  const line = (text, value) => value != null && h("tr", {}, h("th", { scope: "row" }, text), h("td", { class: "n" }, value));
  const cash = m => m && money(m.amount, m.currency), of = { campaign_id: ID, name: called, currency: c.budget?.currency || currency };
  return h("section", { class: "panel", "aria-labelledby": "roi" },
    h("header", {}, h("div", {}, h("h2", { id: "roi" }, "Cost and return"), h("p", {}, `In ${roiCurrency}, of this range.`))),
    h("div", { class: "pad" }, h("table", { class: "mini" }, h("caption", { class: "sr" }, "Cost and return"), h("tbody", {},
      line("Budget", roi.budget && door(cash(roi.budget), "cost-budget", () => budgetItems(ID, called))), line("Spent", door(cash(roi.spend), "cost-spent", () => spendItems(ID, called, rangeOnly(), held))),
      line("Attributed revenue", cash(roi.attributed_revenue)), minor(roi.spend.amount) !== 0n && [line("Cost of a contact", cash(roi.cost_per_contact)), line("Cost of a deal", cash(roi.cost_per_deal))], line("Return on what was spent", roi.return && inPercent(roi.return)))),
    h("div", { class: "bar" }, changeButton("Record spend", "record-spend", () => recordSpend({ ...of, assets: data.assets.filter(a => !a.former) }), "btn small"), changeButton("Add to the budget", "add-to-budget", () => addToBudget(of), "btn small"))));
}

const excluded = data => h("section", { class: "panel", "aria-labelledby": "out" },
  h("header", {}, h("div", {}, h("h2", { id: "out" }, "Kept out, and why"), h("p", {}, "Touches of its assets and utm values that do not count for this campaign, one reason each."))),
  h("div", { class: "pad" }, keptOut(data.overview.excluded, code => () => outDrawer(ID, name(data.campaign), code, num(data.overview.excluded[code])))));

const refused = data => data.refusals.length > 0 && h("section", { class: "panel", "aria-labelledby": "refused" },
  h("header", {}, h("div", {}, h("h2", { id: "refused" }, "Refused associations"), h("p", {}, "They changed nothing: the asset stayed where it was."))),
  h("div", { class: "pad" }, h("table", { class: "mini" }, h("caption", { class: "sr" }, "Refused associations"), h("tbody", {}, data.refusals.slice(-DEALS_SHOWN).reverse().map(r => h("tr", {},
    h("td", {}, r.name || r.asset_id), h("td", {}, INEFFECTIVE[r.reason]), h("td", { class: "n" }, dayOf(r.occurred_at))))))));

const deals = (data, why) => h("section", { class: "panel", "aria-labelledby": "deals" },
  h("header", {}, h("div", {}, h("h2", { id: "deals" }, "Won deals"), h("p", {}, data.deals.length > DEALS_SHOWN ? `The latest ${DEALS_SHOWN} of ${num(data.deals.length)}` : "")),
    data.deals.length > DEALS_SHOWN && h("a", { class: "btn quiet", href: link("deals", { state: "won", campaign: ID }) }, `All ${num(data.deals.length)}`)),
  data.deals.length ? h("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": "Table of won deals" }, h("table", {}, h("caption", { class: "sr" }, "Won deals"), h("thead", {}, h("tr", {}, ["Deal", "Closed", "Amount", "Share", "Why"].map((t, i) => h("th", { scope: "col", class: i > 1 ? "n" : i ? "nophone" : null }, t)))),
    h("tbody", {}, data.deals.slice(-DEALS_SHOWN).reverse().map(d => h("tr", {},
      h("td", {}, h("a", { href: link("deal", { id: d.deal_id, campaign: ID }) }, d.name || d.deal_id)), h("td", { class: "nophone nowrap" }, dayOf(d.closed_at)),
      h("td", { class: "n" }, d.amount ? money(d.amount.amount, d.amount.currency) : "no amount"), h("td", { class: "n" }, d.share ? money(d.share.amount, d.share.currency) : "none"),
      h("td", { class: "n" }, h("button", { class: "why", type: "button", id: "deal-" + d.deal_id, onclick: () => why.ask("deal", d.deal_id) }, "why", h("span", { class: "sr" }, ` does ${d.name || d.deal_id} count`))))))))
    : h("p", { class: "pad muted" }, "No deal has been won with it in this range."));

const one = type => type ? assetTypeName(type) : "";
const touchesText = statistics => statisticsText(statistics, num) || "no touch yet";

function assetRow(a) {
  const people = Math.max(0, ...Object.values(a.contacts));
  return h("tr", { role: "row", class: a.visible ? null : "hid" },
    h("td", { role: "cell", class: "wide keep" }, h("a", { href: link("asset", { id: a.asset_id }) }, a.name || a.asset_id), " ", (a.network || a.ad_type) && h("span", { class: "muted" }, [a.network, a.ad_type].filter(Boolean).join(", "), " "), a.hidden_reason && h("span", { class: "chip off" }, "hidden: " + HIDDEN[a.hidden_reason]),
      Object.values(a.not_shown).map(types => h("span", { class: "chip off" }, touchesText(types) + " stayed with the campaign that held it"))),
    h("td", { role: "cell", class: "two", "data-l": "Touches" }, touchesText(a.statistics)), h("td", { role: "cell", class: "n", "data-l": "Contacts" }, num(people)),
    h("td", { role: "cell", class: "n", "data-l": "Held since" }, dayOf(a.associated_at), a.held_until && ` to ${dayOf(a.held_until)}`));
}

const touched = a => Object.values(a.statistics).reduce((sum, n) => sum + n, 0);
const unfolded = new Set();
let withHidden = true;

function assets(data, again) {
  const all = data.assets.filter(a => withHidden || a.visible || a.former), held = Map.groupBy(all.filter(a => !a.former), a => a.asset_type), former = all.filter(a => a.former);
  const section = (text, more) => h("tr", { role: "row", class: "sec" }, h("td", { role: "cell", colspan: 4 }, text, more && h("span", { class: "muted" }, more)));
  return h("section", { class: "panel", "aria-labelledby": "assets" },
    h("header", {}, h("div", {}, h("h2", { id: "assets" }, "Assets"), h("p", {}, "Each asset's whole history, whoever held it. What counts for the campaign is in the tiles above.")),
      data.assets.some(a => a.hidden_reason) && h("label", { class: "bar soft" }, h("input", { type: "checkbox", id: "hidden", checked: withHidden, onchange: event => { withHidden = event.target.checked; again(); } }), "show hidden")),
    h("div", { class: "scroll" }, h("table", { class: "cards assets", role: "table" }, h("caption", { class: "sr" }, "Assets"),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ["Asset", "Touches", "Contacts", "Held since"].map((t, i) => h("th", { role: "columnheader", scope: "col", class: i > 1 ? "n" : null }, t)))),
      h("tbody", { role: "rowgroup" }, [...held].map(([type, items]) => [section(`${ASSET_TYPES[type]}, ${num(items.length)}`),
        items.sort((a, b) => touched(b) - touched(a)).slice(0, unfolded.has(type) ? undefined : ASSETS_SHOWN).map(assetRow),
        items.length > ASSETS_SHOWN && !unfolded.has(type) && h("tr", { role: "row" }, h("td", { role: "cell", class: "wide", colspan: 4 },
          h("button", { class: "btn quiet", type: "button", id: "all-of-" + type, onclick: () => { unfolded.add(type); again(); } }, `Show all ${num(items.length)}`)))]),
        former.length > 0 && [section("Former assets", " listed because their CTA clicks stayed here"), former.map(assetRow)],
        !data.assets.length && h("tr", { role: "row" }, h("td", { role: "cell", class: "wide muted", colspan: 4 }, "No asset is associated with it yet."))))));
}

let why = null;
const later = []; // drawings that need the width of their place

function draw(host, data, status, refresh) {
  const currency = currencyAsked() || status.workspace.currency;
  host.called = name(data.campaign);
  host.campaign = data.campaign;
  document.title = `${name(data.campaign)} · Touchline`;
  if (!document.getElementById("bottom")) {
    why = whyPanel();
    host.replaceChildren(h("div", { class: "head" }, h("div", { id: "who" }), h("div", { class: "bar do" }, changeButton("Add assets", "add-assets", () => addAssets({ campaign_id: ID, name: host.called }), "btn main"), changeButton("Register an asset", "register", () => registerAsset({ into: ID })), changeButton("Edit", "edit", () => editCampaign({ currency: status.workspace.currency, ...host.campaign })), h("span", { id: "deleting" })),
      h("div", { class: "bar by" }, choices(rangeControls(refresh), compareControl(refresh), modelControl(refresh)))), h("div", { id: "top" }),
      h("div", { class: "cols" }, h("div", {}, h("div", { id: "left" }), why.panel), h("div", { id: "right" })), h("div", { id: "bottom" }));
  }
  show(document.getElementById("who"), head(data));
  show(document.getElementById("deleting"), !data.campaign.deleted_at && changeButton("Delete", "delete-campaign", () => deleteCampaign({ campaign_id: ID, name: host.called }), "btn quiet"));
  const k = ranks([ID, ...data.held.flatMap(a => a.held.map(t => t.campaign))]), reading = document.activeElement?.classList.contains("timeline");
  show(document.getElementById("top"), h("section", { class: "panel", "aria-labelledby": "numbers" }, h("h2", { class: "sr", id: "numbers" }, "Numbers, over time, and associations"),
    tiles(data, currency, refresh), chart(data, currency, refresh), band(data, k, refresh)));
  for (const drawn of later.splice(0)) drawn();
  if (reading) document.querySelector("svg.timeline")?.focus();
  show(document.getElementById("left"), stages(data, currency), ledger(data, currency));
  show(document.getElementById("right"), returns(data, currency), excluded(data), refused(data), deals(data, why));
  const again = () => show(document.getElementById("bottom"), assets(data, again));
  again();
}

run(load, draw, { againMs: SETTLED_MS });
