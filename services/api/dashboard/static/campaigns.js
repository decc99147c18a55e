// The page of all campaigns: where the won revenue came from, and every campaign's headline numbers.
import { all, get } from "./api.js";
import { h, show } from "./dom.js";
import { dayOf, minor, money, moneyText, num } from "./format.js";
import { addsUp, door, drawer, others, ranks, revenue, stack, swatch } from "./parts.js";
import { isMoney } from "./words.js";
import { choose, chosen, controls, link, query, run } from "./shell.js";

const COLUMNS = [
  ["sessions", "Sessions"], ["new_contacts_first_touch", "New contacts"], ["influenced_contacts", "Influenced contacts"],
  ["closed_deals", "Deals won / all"], ["influenced_revenue", "Influenced revenue"], ["attributed_revenue", "Attributed revenue"],
];

async function load() {
  const asked = query();
  const [campaigns, report] = await Promise.all([
    all("/v1/campaigns", asked), get("/v1/reports/attribution", { ...asked, group_by: "campaign" }),
  ]);
  return { campaigns: campaigns.items, report, model: asked.model };
}

const state = c => {
  const today = new Date().toISOString().slice(0, 10);
  if (c.deleted_at) return "Deleted";
  if (c.ends_on && c.ends_on < today) return "Ended";
  return c.starts_on && c.starts_on > today ? "Planned" : null;
};

const dates = c => {
  if (!c.starts_on && !c.ends_on) return "no dates";
  if (!c.ends_on) return `since ${dayOf(c.starts_on)}`;
  return c.starts_on ? `${dayOf(c.starts_on)} to ${dayOf(c.ends_on)}` : `until ${dayOf(c.ends_on)}`;
};

function wonRevenue({ report, campaigns, model }, k) {
  const name = new Map(campaigns.map(c => [c.campaign_id, c.name || c.campaign_id]));
  const total = report.total[model], currency = report.currency;
  const parts = report.rows.map(row => ({
    id: row.group, k: row.group ? k.get(row.group) || 0 : 0, minor: minor(row.revenue[model]),
    name: row.group ? name.get(row.group) || row.group : row.reason === "no_campaign" ? "No campaign" : "No journey",
    amount: row.revenue[model],
  }));
  const all = minor(total) || 1;
  const few = [...parts.filter(p => p.k), { name: "Other campaigns", k: 0, minor: parts.filter(p => p.id && !p.k).reduce((t, p) => t + p.minor, 0) },
    ...parts.filter(p => !p.id)].filter(p => p.minor > 0);
  for (const p of few) p.title = `${p.name}: ${(p.minor / all * 100).toFixed(1)}%`;
  return h("section", { class: "panel", "aria-labelledby": "won" },
    h("header", {}, h("div", {}, h("h2", { id: "won" }, "Won revenue by campaign"),
      h("p", {}, "Each won deal is shared among the touches that led to it. The parts add up to the deals, to the cent."))),
    h("div", { class: "pad" },
      h("p", { class: "bigline" }, h("b", {}, money(total, currency)), h("span", { class: "soft" }, `${num(report.deals)} won deals in ${currency}`),
        report.other_currencies.length > 0 && h("span", { class: "chip off" }, "also won: ",
          report.other_currencies.map(m => moneyText(m.amount, m.currency)).join(" and "), ", never added")),
      few.length ? [stack(few, few.map(p => p.title).join(", ")),
        h("ul", { class: "legend" }, few.map(p => h("li", {}, swatch(p.k), p.name, h("b", {}, (p.minor / all * 100).toFixed(1) + "%"))))]
        : h("p", { class: "muted" }, "No deal has been won in this range.")));
}

const value = (c, metric, currency) => isMoney(metric) ? revenue(c.metrics[metric], currency)
  : metric === "closed_deals" ? [num(c.metrics.closed_deals), h("span", { class: "muted" }, ` / ${num(c.metrics.influenced_deals)}`)]
    : num(c.metrics[metric]);

const weight = (c, metric, currency) => isMoney(metric)
  ? minor((c.metrics[metric].find(m => m.currency === currency) || { amount: "0.00" }).amount) : c.metrics[metric];

function row(c, k, currency) {
  const id = c.campaign_id, name = c.name || id;
  return h("tr", { role: "row" },
    h("td", { role: "cell", class: "wide" }, h("div", { class: "cname" }, swatch(k.get(id) || 0),
      h("span", { class: "ln" }, h("a", { href: link("campaign", { id }) }, name), state(c) && h("span", { class: "chip off" }, state(c))),
      h("small", {}, dates(c), c.utm_campaign.length > 0 && [" · ", h("span", { class: "mono" }, c.utm_campaign.map(u => u.value).join(", "))]))),
    COLUMNS.map(([metric, label]) => h("td", { role: "cell", class: "n", "data-l": label },
      metric === "influenced_contacts" || metric.startsWith("new") || metric === "attributed_revenue"
        ? door(value(c, metric, currency), `n-${id}-${metric}`, () => drawer(id, name, metric, value(c, metric, currency), c.excluded || {}))
        : value(c, metric, currency), isMoney(metric) && others(c.metrics[metric], currency))));
}

function foot(report, model) {
  const line = (text, amount, sum) => h("tr", { role: "row", class: sum ? "sum" : null },
    h("td", { role: "cell" }, text), h("td", { role: "cell", class: "nophone", colspan: COLUMNS.length - 1 }), h("td", { role: "cell", class: "n" }, money(amount, report.currency)));
  const of = reason => report.rows.find(r => r.reason === reason).revenue[model];
  const sums = addsUp(report.rows.map(r => r.revenue[model]), report.total[model]);
  return h("tfoot", {}, line("Touches in no campaign", of("no_campaign")), line("Won deals without a journey", of("no_journey")),
    line(["Won revenue ", h("span", { class: sums ? "ok" : "" }, sums ? "✓ adds up" : "does not add up: please report this")], report.total[model], true));
}

function table(data, k, refresh) {
  const { report, model } = data, currency = report.currency;
  const by = chosen("sort") || "attributed_revenue", upwards = chosen("order") === "up";
  const search = chosen("q").toLowerCase();
  const rows = data.campaigns.filter(c => (c.name || c.campaign_id).toLowerCase().includes(search) || c.campaign_id.includes(search))
    .sort((a, b) => (weight(b, by, currency) - weight(a, by, currency)) * (upwards ? -1 : 1) || (a.campaign_id < b.campaign_id ? -1 : 1));
  const sort = metric => () => { choose("order", metric === by && !upwards ? "up" : ""); choose("sort", metric); refresh(); };
  return h("section", { class: "panel", "aria-label": "Campaigns" }, h("div", { class: "scroll" }, h("table", { class: "cards", role: "table" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, h("th", { role: "columnheader", scope: "col" }, "Campaign"),
      COLUMNS.map(([metric, label]) => h("th", { role: "columnheader", scope: "col", class: "n", "aria-sort": metric === by ? (upwards ? "ascending" : "descending") : null },
        h("button", { type: "button", id: "sort-" + metric, onclick: sort(metric) }, label))))),
    h("tbody", { role: "rowgroup" }, rows.map(c => row(c, k, currency)),
      !rows.length && h("tr", {}, h("td", { colspan: COLUMNS.length + 1 }, "No campaign has this in its name."))),
    foot(report, model))));
}

const empty = () => h("section", { class: "panel" }, h("div", { class: "state" }, h("h2", {}, "No campaign yet"),
  h("p", {}, "A campaign begins with the first event that names it."),
  h("pre", { class: "api" }, 'curl -H "Authorization: Bearer tls_…" -d \'{"type":"campaign_created","campaign_id":"spring","utm_campaign":"spring"}\' ' + location.origin + "/v1/events")));

function draw(host, data, status, refresh) {
  const k = ranks(data.report.rows.filter(r => r.group).map(r => r.group));
  const running = data.campaigns.filter(c => !state(c)).length;
  if (!host.childNodes.length) {
    const search = h("input", { class: "field", type: "search", id: "search", "aria-label": "Search campaigns", placeholder: "Search campaigns", value: chosen("q"),
      oninput: event => { choose("q", event.target.value); redraw(); } });
    host.append(h("div", { class: "head" }, h("div", {}, h("h1", {}, "Campaigns"), h("p", { class: "soft", id: "count" })),
      h("div", { class: "bar" }, search, controls(refresh))), h("div", { id: "won-host" }), h("div", { id: "table-host" }));
  }
  const redraw = host.redraw = () => {
    const now = host.data;
    show(document.getElementById("table-host"), now.data.campaigns.length ? table(now.data, now.k, host.redraw) : empty());
  };
  host.data = { data, k };
  show(document.getElementById("count"), `${num(data.campaigns.length)} campaigns, ${num(running)} running`);
  show(document.getElementById("won-host"), wonRevenue(data, k));
  redraw();
}

run(load, draw);
