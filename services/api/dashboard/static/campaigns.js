// The page of all campaigns: where the won revenue came from, and every campaign's headline numbers.
import { all, get, Problem } from "./api.js";
import { dayNumber, dayText, delta, doneMark, NOT_WHOLE, openMark, settledMark, spark, unsettledPart } from "./charts.js";
import { changeButton } from "./changes.js";
import { openDrawer } from "./dialogs.js";
import { h, nothingOn, show, sr } from "./dom.js";
import { createCampaign } from "./forms.js";
import { counted, dayOf, instantOf, minor, money, moneyText, num, percent, today } from "./format.js";
import { csvButton, door, drawer, currencyControl, fitting, groupDrawer, inUnits, others, ranks, stack, swatch } from "./parts.js";
import { asCompared, COMPARED, comparedWith, daysText, spanOf } from "./ranges.js";
import { allCurrencies, choices, choose, chosen, compareControl, currencyAsked, link, modelControl, query, rangeControls, rangeOnly, rangeText, run } from "./shell.js";
import { isMoney, METRICS } from "./words.js";

const COLUMNS = [
  ["sessions", "Sessions"], ["new_contacts_first_touch", "New contacts"], ["influenced_contacts", "Influenced contacts"],
  ["closed_deals", "Deals won / all"], ["influenced_revenue", "Influenced revenue"], ["attributed_revenue", "Attributed revenue"],
];
const ON_PHONE = ["sessions", "new_contacts_first_touch", "closed_deals", "attributed_revenue"];
const COMPARED_MAX = 10;
const SKELETON_ROWS = 7, SETTLED_MS = 60_000; // after so long, more may be settled although nothing came

// The headline comes as soon as it is there; the list, which takes longer, follows.
async function load(status) {
  const part = unsettledPart(query(), status.settled_through);
  const asked = query(), before = comparedWith(asked, chosen("compare"), chosen("range")), currency = currencyAsked();
  const report = span => get("/v1/reports/attribution", { ...asked, ...span, group_by: "campaign", currency });
  const askList = () => {
    const list = all("/v1/campaigns", { ...asked, compare: asCompared(before), series: "sessions", interval: "week" });
    list.catch(() => {}); // `drawList` awaits it and says what was wrong
    return list;
  };
  const list = askList();
  const [now, then] = await Promise.all([report({}), before && report(before)]);
  // the list says whether the period before is complete; until it is there, nothing is compared
  return { report: now, then, complete: null, through: status.settled_through, part, askPart: () => report(part), list, askList, model: asked.model, before };
}

const period = daysText;
export const state = c => {
  if (c.deleted_at) return "Deleted";
  if (c.ends_on && c.ends_on < today()) return "Ended";
  return c.starts_on && c.starts_on > today() ? "Planned" : null;
};

const dates = c => {
  if (!c.starts_on && !c.ends_on) return "no dates";
  if (!c.ends_on) return `since ${dayOf(c.starts_on)}`;
  return c.starts_on ? spanOf(c.starts_on, c.ends_on) : `until ${dayOf(c.ends_on)}`;
};

const nameOf = (row, names) => row.group ? row.name || names.get(row.group) || row.group : row.reason === "no_campaign" ? "No campaign" : "No journey";

const ofRows = (report, model) => ({ ...rangeOnly(), group_by: "campaign", model, currency: report.currency });
const OF_TOTAL = { name: "Won revenue" };
const NONE = {
  no_campaign: { name: "Touches in no campaign", says: "What touches of the journeys earned that count for no campaign." },
  no_journey: { name: "Won deals without a journey" },
};

// Up to when the numbers of the page are settled, shown once: rows do not repeat it, the drawers of numbers do.
function wonMark({ report, unsettled, part, model, through }) {
  if (part === null || (part && !unsettled)) return null;
  const total = unsettled?.total[model] || "0";
  if (!part) return settledMark(null);
  if (!minor(total)) return doneMark(`Settled through ${instantOf(through)}`);
  return openMark(`${moneyText(total.split(".")[0], report.currency)} won since ${part.from === through ? instantOf(through) : dayOf(part.from)}: provisional`);
}

function wonRevenue(data, k, names) {
  const { report, then, model, before } = data;
  const total = report.total[model], currency = report.currency, whole = minor(total);
  const parts = report.rows.map(row => ({ k: row.group ? k.get(row.group) : 0, none: !row.group, name: nameOf(row, names), minor: minor(row.revenue[model]) }));
  const rest = parts.filter(p => !p.none && !p.k).reduce((sum, p) => sum + p.minor, 0n);
  const few = [...parts.filter(p => p.k).sort((a, b) => (a.minor < b.minor ? 1 : -1)), { k: 0, name: "Other campaigns", minor: rest }, ...parts.filter(p => p.none)]
    .filter(p => p.minor > 0n).map(p => ({ ...p, title: `${p.name}: ${percent(p.minor, whole)}` }));
  return h("section", { class: "panel", "aria-labelledby": "won" },
    h("header", {}, h("div", {}, h("h2", { id: "won" }, "Won revenue by campaign"),
      h("p", {}, "Each won deal is shared among the touches that led to it. The parts add up to the deals, to the cent."))),
    h("div", { class: "pad" },
      h("p", { class: "bigline" }, h("b", { class: fitting(moneyText(total, currency)) }, door(money(total, currency), "won-total", () => groupDrawer({ ...OF_TOTAL, value: money(total, currency), asked: ofRows(report, model) }))), then && data.complete !== null && delta(whole, minor(then.total[model]), period(before), data.complete), wonMark(data),
        h("span", { class: "soft" }, `${counted(report.deals, "won deal")} in ${currency}`),
        report.other_currencies.length > 0 && h("span", { class: "chip off" }, "also won: ",
          report.other_currencies.map(m => moneyText(m.amount, m.currency)).join(" and "), ", not added up")),
      few.length ? [stack(few, few.map(p => p.title).join(", ")),
        h("ul", { class: "legend" }, few.map(p => h("li", {}, swatch(p.k), h("span", { class: "cut" }, p.name), h("b", {}, percent(p.minor, whole)))))]
        : h("p", { class: "muted" }, "No deal has been won in this range.")));
}

// The amount in one currency; 0 if there is none, never an amount in another.
const inCurrency = (amounts, currency) => amounts.find(m => m.currency === currency) || { amount: "0.00", currency };
const value = (c, metric, currency) => {
  if (isMoney(metric)) { const own = inCurrency(c.metrics[metric], currency); return money(own.amount, own.currency); }
  return metric === "closed_deals" ? [num(c.metrics.closed_deals), h("span", { class: "muted" }, ` / ${num(c.metrics.influenced_deals)}`)] : num(c.metrics[metric]);
};
const weight = (c, metric, currency) => isMoney(metric) ? minor(inCurrency(c.metrics[metric], currency).amount) : BigInt(c.metrics[metric]);

// How much of a number may still change, read when its drawer opens; nothing if all of it is settled.
function mark(id, metric, currency, part) {
  const settled = h("span", {});
  if (part) get(`/v1/campaigns/${encodeURIComponent(id)}/overview`, { ...query(), ...part }).then(({ metrics }) => {
    if (weight({ metrics }, metric, currency)) show(settled, settledMark(isMoney(metric) ? moneyText(inCurrency(metrics[metric], currency).amount.split(".")[0], currency) : num(metrics[metric])));
  }, error => { if (!(error instanceof Problem)) throw error; }); // the number stands without it
  return settled;
}

function row(c, now) {
  const id = c.campaign_id, name = c.name || id, then = c.compare, { currency } = now.data.report, picked = now.picked.includes(id);
  const change = metric => then?.complete && delta(weight(c, metric, currency), weight(then, metric, currency), period(now.data.before));
  return h("tr", { role: "row" },
    h("td", { role: "cell", class: "ck" }, h("input", { type: "checkbox", id: "pick-" + id, "aria-label": `Compare ${name}`, checked: picked,
      disabled: !picked && now.picked.length >= COMPARED_MAX, onchange: event => pick(id, event.target.checked, now) })),
    h("td", { role: "cell", class: "wide" }, h("div", { class: "cname" }, swatch(now.k.get(id)),
      h("span", { class: "ln" }, h("a", { href: link("campaign", { id }) }, name), state(c) && h("span", { class: "chip off" }, state(c))),
      h("small", {}, dates(c), c.utm_campaign.length > 0 && [" · ", h("span", { class: "mono" }, c.utm_campaign.map(u => u.value).join(", "))]))),
    h("td", { role: "cell", class: "two sp0", "data-l": "Sessions by week" }, spark(c.series.map(p => p.value), `Sessions by week: ${c.series.map(p => num(p.value)).join(", ")}`, Boolean(now.data.part))),
    COLUMNS.map(([metric, label]) => h("td", { role: "cell", class: `n${metric === "attributed_revenue" ? " rev" : ""}${ON_PHONE.includes(metric) ? "" : " nophone"}`, "data-l": label },
      door(value(c, metric, currency), `n-${id}-${metric}`, () => drawer(id, name, metric, value(c, metric, currency), c.excluded, [change(metric), mark(id, metric, currency, now.data.part), isMoney(metric) && others(c.metrics[metric], currency)])),
      change(metric),
      isMoney(metric) && (allCurrencies() || !weight(c, metric, currency)) && others(c.metrics[metric], currency))));
}

function pick(id, on, now) {
  const next = on ? [...now.picked, id] : now.picked.filter(one => one !== id);
  choose("with", next.join(" "));
  now.redraw();
}

// The campaigns that were picked, every metric side by side.
function compare(now) {
  const chosenOnes = now.picked.map(id => now.campaigns.find(c => c.campaign_id === id)).filter(Boolean), { currency } = now.data.report;
  openDrawer({ title: `${counted(chosenOnes.length, "campaign")} side by side`, look: "across" },
    h("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": "Campaigns side by side" }, h("table", { class: "mini abreast" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Metric"), chosenOnes.map(c => h("th", { scope: "col", class: "n" }, swatch(now.k.get(c.campaign_id)), " ", c.name || c.campaign_id)))),
      h("tbody", {}, Object.keys(METRICS).map(metric => {
        const most = chosenOnes.reduce((m, c) => { const w = weight(c, metric, currency); return w > m ? w : m; }, 1n);
        return h("tr", {}, h("th", { scope: "row" }, METRICS[metric][0]), chosenOnes.map(c => h("td", { class: "n" },
          metric === "closed_deals" ? num(c.metrics.closed_deals) : value(c, metric, currency),
          h("span", { class: `meter k${now.k.get(c.campaign_id)}`, "aria-hidden": "true" }, h("i", { "--w": Number(weight(c, metric, currency) * 100n / most) + "%" })))));
      })))));
}

const compareBar = now => now.picked.length > 0 && h("div", { class: "cmp", role: "region", "aria-label": "Compare" },
  h("b", {}, `${now.picked.length} of ${COMPARED_MAX} chosen`),
  now.picked.map(id => h("span", { class: "chip" }, swatch(now.k.get(id)), now.names.get(id) || id)), h("span", { class: "sp" }),
  h("button", { class: "btn quiet", type: "button", id: "clear", onclick: () => { choose("with", ""); now.redraw(); } }, "Clear"),
  h("button", { class: "btn", type: "button", id: "compare", onclick: () => compare(now) }, "Compare"));

// The foot adds up to the won revenue whatever the search hides: what it hides is a row of its own.
function foot({ report, model }, shown) {
  const currency = report.currency, of = row => minor(row.revenue[model]), digits = (report.total[model].split(".")[1] || "").length;
  const line = (text, amount, sum) => h("tr", { role: "row", class: sum ? "sum" : null }, h("td", { role: "cell", class: "nophone" }),
    h("td", { role: "cell", colspan: COLUMNS.length + 1 }, text), h("td", { role: "cell", class: "n" }, amount));
  const hidden = report.rows.filter(r => r.group && !shown.has(r.group)), whole = minor(report.total[model]);
  const fits = report.rows.reduce((sum, r) => sum + of(r), 0n) === whole;
  return h("tfoot", { role: "rowgroup" },
    hidden.length > 0 && line(`${counted(hidden.length, "campaign")} that the search hides`, money(inUnits(hidden.reduce((sum, r) => sum + of(r), 0n), digits), currency)),
    report.rows.filter(r => !r.group).map(r => line(NONE[r.reason].name, door(money(r.revenue[model], currency), "none-" + r.reason,
      () => groupDrawer({ ...NONE[r.reason], reason: r.reason, value: money(r.revenue[model], currency), asked: ofRows(report, model) })))),
    line(["Won revenue ", h("span", { class: fits ? "ok" : "bad" }, fits ? "✓ adds up" : "does not add up: please report this")],
      door(money(report.total[model], currency), "sum-total", () => groupDrawer({ ...OF_TOTAL, value: money(report.total[model], currency), asked: ofRows(report, model) })), true));
}

function table(now) {
  const { data, campaigns } = now, { currency } = data.report, by = chosen("sort") || "attributed_revenue", upwards = chosen("order") === "up";
  const search = chosen("q").toLowerCase(), named = c => (c.name || c.campaign_id).toLowerCase();
  const order = (a, b) => {
    const [x, y] = by === "name" ? [named(b), named(a)] : [weight(a, by, currency), weight(b, by, currency)];
    return (x === y ? (a.campaign_id < b.campaign_id ? -1 : 1) : x < y ? 1 : -1) * (upwards ? -1 : 1);
  };
  const rows = campaigns.filter(c => [named(c), c.campaign_id, ...c.utm_campaign.map(u => u.value)].some(text => text.toLowerCase().includes(search))).sort(order);
  const sort = metric => () => { choose("order", metric === by && !upwards ? "up" : ""); choose("sort", metric); now.redraw(); };
  const head = (metric, label, look) => h("th", { role: "columnheader", scope: "col", class: look, "aria-sort": metric === by ? ((by === "name") !== upwards ? "ascending" : "descending") : null },
    h("button", { type: "button", id: "sort-" + metric, onclick: sort(metric) }, label));
  return h("section", { class: "panel", "aria-label": "Campaigns" }, compareBar(now), h("div", { class: "scroll wide-open", role: "region", tabindex: 0, "aria-label": "Table of campaigns" }, h("table", { class: "cards sticky", role: "table" },
    h("caption", { class: "sr" }, "Campaigns"),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, h("th", { role: "columnheader", scope: "col" }, sr("Compare")), head("name", "Campaign"), h("th", { role: "columnheader", scope: "col", class: "sp0" }, h("span", {}, "Sessions by week")),
      COLUMNS.map(([metric, label]) => head(metric, label, "n")))),
    h("tbody", { role: "rowgroup" }, rows.map(c => row(c, now)),
      !rows.length && h("tr", { role: "row" }, h("td", { role: "cell", class: "wide", colspan: COLUMNS.length + 3 }, "No campaign has this in its name or in a utm value."))),
    foot(data, new Set(rows.map(c => c.campaign_id))))));
}

const empty = currency => h("section", { class: "panel" }, h("div", { class: "state" }, nothingOn(), h("h2", {}, "No campaigns yet"),
  h("p", {}, "A campaign gathers pages, forms, emails and utm values. From then on, their touches count for it."),
  h("div", { class: "bar" }, changeButton("Create a campaign", "first-campaign", () => createCampaign({ currency }), "btn main"), h("a", { class: "btn", href: link("install") }, "Put the tracker on your site")),
  h("code", { class: "api" }, 'PUT /v1/campaigns/spring {"name": "Spring", "utm_campaign": "spring"}'),
  h("p", { class: "muted" }, h("span", { class: "mono" }, "touchline demo"), " shows a sample workspace, with data of a year.")));

const skeleton = () => h("section", { class: "panel", "aria-busy": "true", role: "status" }, sr("Loading campaigns"), h("table", { "aria-hidden": "true" }, h("tbody", {},
  Array.from({ length: SKELETON_ROWS }, (_, i) => h("tr", {}, h("td", {}, h("span", { class: "sk", "--w": 11 + i % 3 * 2 + "rem" })),
    h("td", {}, h("span", { class: "sk tall", "--w": "6rem" })), [1, 2, 3].map(() => h("td", {}, h("span", { class: "sk", "--w": "4rem" }))))))));

const notRead = (error, again) => h("section", { class: "panel", role: "alert" }, h("div", { class: "state" }, nothingOn(true), h("h2", {}, "The campaigns could not be read"),
  h("p", {}, error.message, " Nothing is lost: what was sent is in the log."), h("p", { class: "mono muted" }, error.reference),
  h("div", { class: "bar" }, h("button", { class: "btn main", type: "button", onclick: again }, "Try again"))));

async function drawList(host, data, k) {
  const into = document.getElementById("table-host");
  if (!into.childNodes.length) show(into, skeleton());
  let list;
  try {
    list = await data.list;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (host.data === data) show(into, notRead(error, () => { data.list = data.askList(); show(into); drawList(host, data, k); }));
    return;
  }
  if (host.data !== data) return; // a newer request has been sent
  const { items } = list;
  data.complete = items[0]?.compare?.complete ?? true;
  const now = { data, k, campaigns: items, names: new Map(items.map(c => [c.campaign_id, c.name || c.campaign_id])) };
  host.names = now.names;
  now.redraw = host.redraw = () => {
    now.picked = chosen("with").split(" ").filter(id => now.names.has(id));
    show(into, items.length ? table(now) : empty(data.report.currency));
  };
  const running = items.filter(c => !state(c)).length;
  show(document.getElementById("count"), h("span", {}, `${counted(items.length, "campaign")}, ${num(running)} running`), rangeText(data.before), !data.complete && h("span", { id: "not-whole" }, NOT_WHOLE));
  show(document.getElementById("won-host"), wonRevenue(data, k, now.names));
  now.redraw();
  if (!data.part) return;
  try {
    data.unsettled = await data.askPart();
  } catch (error) {
    if (!(error instanceof Problem)) throw error; // the revenue stands without its mark, and the next look asks again
    return;
  }
  if (host.data === data) show(document.getElementById("won-host"), wonRevenue(data, k, now.names));
}

function draw(host, data, status, refresh) {
  const worth = row => minor(row.revenue[data.model]);
  const k = ranks(data.report.rows.filter(r => r.group).sort((a, b) => (worth(a) < worth(b) ? 1 : -1)).map(r => r.group));
  if (!document.getElementById("table-host")) {
    const search = h("input", { class: "field", type: "search", id: "search", "aria-label": "Search campaigns", placeholder: "Search campaigns", value: chosen("q"),
      oninput: event => { choose("q", event.target.value); host.redraw?.(); } });
    host.replaceChildren(h("div", { class: "head" }, h("div", {}, h("h1", {}, "Campaigns")),
      h("div", { class: "bar do" }, changeButton("New campaign", "new-campaign", () => createCampaign({ currency: status.workspace.currency }), "btn main"), csvButton("/v1/campaigns", () => ({ ...query(), q: chosen("q") }), "campaigns")),
      h("p", { class: "facts", id: "count" }), h("div", { class: "bar by" }, search, choices(rangeControls(refresh), compareControl(refresh), modelControl(refresh), h("span", { id: "currency" })))),
      h("div", { id: "won-host" }), h("div", { id: "table-host" }));
  }
  host.data = data;
  currencyControl(document.getElementById("currency"), data.report, refresh, true);
  if (chosen("compare") && !data.before) show(document.getElementById("count"), `${COMPARED[chosen("compare")]}: choose a range first.`);
  show(document.getElementById("won-host"), wonRevenue(data, k, host.names || new Map()));
  return drawList(host, data, k);
}

run(load, draw, { againMs: SETTLED_MS });
