// What earned the revenue, or brought the deals and contacts: several models side by side, by whatever group; what belongs to none is opened.
import { get } from "./api.js";
import { h, nothingOn, show } from "./dom.js";
import { counted, dayOf, money, moneyText, num, percent } from "./format.js";
import { csvButton, currencyControl, door, exact, fill, groupDrawer, inUnits, listDrawer, PART_DECIMALS, partText, ranks, stack, swatch, tried } from "./parts.js";
import { bones, choices, chosen, choose, currencyAsked, link, query, rangeControls, rangeOnly, rangeText, run, select } from "./shell.js";
import { ASSET_TYPES, channelName, DATA_DRIVEN, DATA_DRIVEN_SAYS, MODELS, typeName } from "./words.js";

const GROUPS = { campaign: "Campaign", asset: "Asset", asset_type: "Type of asset", interaction: "Interaction", channel: "Channel", source: "Source", medium: "Medium", utm_campaign: "utm_campaign", owner: "Owner" };
const OF = { revenue: "Won revenue", deals: "Deals created", contacts: "Contacts created" };
const SHOWN = 30, PATH_SHOWN = 8;
const REASONS = { no_campaign: "No campaign", no_journey: "No journey", none: "None" };

const ALL_MODELS = { ...MODELS, ...DATA_DRIVEN };
// Those that are data-driven take the paths of all journeys, which takes long, and share out revenue alone: they are asked for once one is chosen.
const namesAsked = () => Object.keys(!chosen("of") && query().model in DATA_DRIVEN ? ALL_MODELS : MODELS);
const asked = () => ({ ...rangeOnly(), model: namesAsked(), group_by: chosen("by") || "campaign", of: chosen("of") || "revenue", currency: chosen("of") ? "" : currencyAsked() });

const askPaths = () => get("/v1/reports/paths", { ...rangeOnly(), limit: "10" });

async function load() {
  const paths = askPaths();
  paths.catch(() => {}); // `drawPaths` awaits it and says what was wrong
  const report = await get("/v1/reports/attribution", asked());
  return { report, paths, model: query().model in report.total ? query().model : "linear", by: asked().group_by, of: asked().of };
}

const groupName = (row, by) => {
  if (row.group === null) return REASONS[row.reason] || row.reason.replaceAll("_", " ");
  const known = { asset_type: t => ASSET_TYPES[t], interaction: typeName, channel: channelName }[by];
  return row.name || known?.(row.group) || row.group;
};
const values = row => row.credit || row.revenue;
// A part of deals or contacts, such as 1209.596043: whole ones in groups of three, what is left quieter.
const parted = text => { const [whole, left = ""] = text.split("."); return [num(BigInt(whole)), left && "." + left]; };
const write = (text, of, currency) => of === "revenue" ? money(text, currency) : h("span", { class: "num" }, parted(text)[0], parted(text)[1] && h("span", { class: "cents" }, parted(text)[1]));
const writeText = (text, of, currency) => of === "revenue" ? moneyText(text, currency) : parted(text).join("");
// Blanks as wide as the decimals that a number has less than the longest of its column, so that decimal points stand below one another.
const DIGIT = "\u2007", POINT = "\u2008";
const blanks = (text, longest) => {
  const left = parted(text)[1].length, missing = longest - left;
  return missing > 0 && h("span", { class: "cents", "aria-hidden": "true" }, left ? "" : POINT, DIGIT.repeat(missing - (left ? 0 : 1)));
};

// The parts of a model, the largest first, those beyond the colours as one, those of no group last.
function partsOf(data, model, k) {
  const { report, by } = data, whole = exact(report.total[model]);
  const parts = report.rows.map(row => ({ k: row.group === null ? 0 : k.get(row.group), group: row.group, reason: row.reason, name: groupName(row, by), text: values(row)[model], minor: exact(values(row)[model]), row }));
  const order = parts.filter(p => p.group !== null).sort((a, b) => (a.minor < b.minor ? 1 : a.minor > b.minor ? -1 : 0)), none = parts.filter(p => p.group === null);
  const rest = order.filter(p => !p.k).reduce((sum, p) => sum + p.minor, 0n);
  const drawn = [...order.filter(p => p.k).sort((a, b) => a.k - b.k), { k: 0, name: "Others", minor: rest }, ...none].filter(p => p.minor > 0n).map(p => ({ ...p, title: `${p.name}: ${percent(p.minor, whole)}` }));
  return { whole, table: [...order, ...none], drawn };
}

function side(data, k, refresh) {
  const names = Object.keys(data.of === "revenue" ? ALL_MODELS : MODELS);
  const { drawn: now, whole } = partsOf(data, data.model, k);
  const take = model => { choose("model", model === "linear" ? "" : model); refresh(); };
  return h("section", { class: "panel", "aria-labelledby": "side" },
    h("header", {}, h("div", {}, h("h2", { id: "side" }, "Models side by side"), h("p", {}, "The same journeys, shared out differently. Choose one to read it in the table."))),
    h("div", { class: "pad" }, h("div", { class: "models", role: "radiogroup", "aria-label": "Attribution model" }, names.map((model, i) => {
      const here = model in data.report.total, drawn = here ? partsOf(data, model, k).drawn : [], on = model === data.model;
      return h("button", { type: "button", role: "radio", id: "model-" + model, "aria-checked": String(on), tabindex: on ? 0 : -1, onclick: () => take(model),
        onkeydown: event => {
          const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
          if (!step) return;
          event.preventDefault();
          const next = names[(i + step + names.length) % names.length];
          document.getElementById("model-" + next).focus();
          take(next);
        } }, ALL_MODELS[model], drawn.length ? stack(drawn, drawn.map(p => p.title).join(", ")) : h("span", { class: "muted" }, here ? "nothing to share out" : "choose it to calculate it"),
      model in DATA_DRIVEN && h("small", { class: "muted" }, DATA_DRIVEN_SAYS[model]));
    })),
    h("ul", { class: "legend", "aria-label": ALL_MODELS[data.model] }, now.map(p => h("li", {}, swatch(p.k), h("span", { class: "cut" }, p.name), h("b", {}, percent(p.minor, whole)))))));
}

const label = (p, by) => p.group !== null && by === "campaign" ? h("a", { href: link("campaign", { id: p.group }) }, p.name)
  : p.group !== null && by === "asset" ? h("a", { href: link("asset", { id: p.group }) }, p.name) : p.name;

function table(data, k, again) {
  const { report, of, by, model } = data, { table: parts, whole } = partsOf(data, model, k), fits = parts.reduce((sum, p) => sum + p.minor, 0n) === whole;
  const few = data.whole ? parts : [...parts.slice(0, SHOWN), ...parts.slice(SHOWN).filter(p => p.group === null)], hidden = parts.filter(p => !few.includes(p));
  const left = hidden.reduce((sum, p) => sum + p.minor, 0n), rest = of === "revenue" ? inUnits(left, PART_DECIMALS).replace(/0{4}$/, "") : partText(left);
  // Each number opens the deals or contacts behind it; what the group earned or brought of them adds up to the row. A data-driven model has no shares
  // of deals and contacts: they are shown with those under the linear one, and the amount of a row opens nothing.
  const behind = (p, shown, what) => door(shown, `${what}-${p === null ? "all" : p.group ?? p.reason}`, () => groupDrawer({
    name: p === null ? `${OF[of]}, in all` : p.name, value: shown.cloneNode?.(true) ?? shown, asked: { ...rangeOnly(), group_by: by, model: model in DATA_DRIVEN ? "linear" : model, currency: report.currency }, of,
    kind: what === "contacts" || of === "contacts" ? "contacts" : "deals", group: p?.group, reason: p?.group === null ? p.reason : null,
  }));
  const longest = of === "revenue" ? 0 : Math.max(...[...parts.map(p => p.text), report.total[model]].map(text => parted(text)[1].length)), ofDeals = of !== "contacts";
  const cell = (text, attributes) => h("td", { role: "cell", ...attributes }, text);
  return h("section", { class: "panel", "aria-labelledby": "groups" },
    h("header", {}, h("div", {}, h("h2", { id: "groups" }, `${OF[of]} by ${GROUPS[by].toLowerCase()}, ${model in DATA_DRIVEN ? ALL_MODELS[model] : ALL_MODELS[model].toLowerCase()}`), h("p", {}, "Every row is a part of the sum below it.")),
      csvButton("/v1/reports/attribution", asked, "attribution")),
    h("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": "Table of groups" }, h("table", { class: ofDeals ? "cards four" : "cards", role: "table" }, h("caption", { class: "sr" }, `${OF[of]} by ${GROUPS[by]}`),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, [GROUPS[by], ofDeals && "Deals", "Contacts", "Share", of === "revenue" ? `In ${report.currency}` : OF[of]].filter(Boolean).map((t, i) => h("th", { role: "columnheader", scope: "col", class: i ? "n" : null }, t)))),
      h("tbody", { role: "rowgroup" }, few.map(p => h("tr", { role: "row", id: p.group === null ? "none-" + p.reason : null },
        cell(h("span", { class: "nmx" }, swatch(p.k), label(p, by)), { class: "wide" }), ofDeals && cell(p.row.deals == null ? "" : behind(p, num(p.row.deals), "deals"), { class: "n", "data-l": "Deals" }),
        cell(p.row.contacts == null ? "" : behind(p, num(p.row.contacts), "contacts"), { class: "n", "data-l": "Contacts" }), cell(percent(p.minor, whole), { class: "n soft", "data-l": "Share" }), cell([model in DATA_DRIVEN ? write(p.text, of, report.currency) : behind(p, write(p.text, of, report.currency), "worth"), blanks(p.text, longest)], { class: "n", "data-l": OF[of] }))),
        hidden.length > 0 && h("tr", { role: "row" }, cell(h("button", { class: "why", type: "button", id: "show-all", onclick: again }, `${counted(hidden.length, "more row")}: show all`), { class: "wide", colspan: ofDeals ? 4 : 3 }), cell([write(rest, of, report.currency), longest > 0 && blanks(rest, longest)], { class: "n" }))),
      h("tfoot", { role: "rowgroup" }, h("tr", { role: "row", class: "sum" }, cell(["Sum ", h("span", { class: fits ? "ok" : "bad" }, fits ? "✓ adds up" : "does not add up: please report this")], { colspan: ofDeals ? 4 : 3 }), cell([behind(null, write(report.total[model], of, report.currency), "sum"), longest > 0 && blanks(report.total[model], longest)], { class: "n" }))))));
}

// The won deals that count for no campaign: they are behind "no campaign" and "no journey".
function unattributed() {
  const rows = h("div", {}, h("p", { class: "muted" }, "Reading…"));
  const list = { path: "/v1/deals", query: { ...rangeOnly(), state: "won" }, one: "deal", alone: true, none: "Every deal that was won in this range counts for a campaign.", heads: ["Deal", "Closed", "Amount"], of: d => d.amount, keep: d => !d.campaigns.length, keepLine: line => !line.campaigns,
    row: d => [h("a", { href: link("deal", { id: d.deal_id }) }, d.name || d.deal_id), dayOf(d.closed_at), d.amount ? money(d.amount.amount, d.amount.currency) : "no amount"] };
  return { list, rows, panel: h("section", { class: "panel", "aria-labelledby": "none" },
    h("header", {}, h("div", {}, h("h2", { id: "none" }, "Won deals that count for no campaign"), h("p", {}, "No contact of theirs was touched by a campaign in time. Each opens its journey, which says why."))), h("div", { class: "pad" }, rows)) };
}

// Nothing to share out: one sentence in place of rows of zeros.
const nothing = { revenue: "No deal has been won in this range", deals: "No deal was created in this range", contacts: "No contact was created in this range" };
const emptyState = of => h("section", { class: "panel" }, h("div", { class: "state" }, nothingOn(), h("h2", {}, nothing[of]), h("p", {}, "Once there is one, it is shared out among the touches that led to it, under each model.")));

// A long path is shown by its beginning and its end.
function pathText(path) {
  const steps = path.map(typeName), left = steps.length - PATH_SHOWN;
  if (left <= 1) return steps.join(" → ") || "no touch";
  return [...steps.slice(0, PATH_SHOWN - 3), `${num(left)} more`, ...steps.slice(-3)].join(" → ");
}

// The deals behind a path.
const pathDeals = (p, value) => () => listDrawer({ above: pathText(p.path), title: "Won deals by this path", rule: "paths", value,
  says: "Deals whose journey has touches of these kinds in this order, of the same kind any number in a row. The days are those from the first touch to the close.",
  list: { path: "/v1/reports/paths/deals", query: { ...rangeOnly(), path: p.path.join(",") }, one: "deal", heads: ["Deal", "Closed", "Touches", "Days", "Amount"], of: d => d.amount,
    row: d => [h("a", { href: link("deal", { id: d.deal_id }) }, d.name || d.deal_id), dayOf(d.closed_at), num(d.touches), d.days_to_close, d.amount ? money(d.amount.amount, d.amount.currency) : "no amount"] } });
const cash = amounts => amounts.map(m => h("span", { class: "line" }, money(m.amount, m.currency)));

const paths = items => h("section", { class: "panel", "aria-labelledby": "paths" },
  h("header", {}, h("div", {}, h("h2", { id: "paths" }, "The most common paths to a won deal"), h("p", {}, "Kinds of touches in order, without repetitions.")),
    csvButton("/v1/reports/paths", rangeOnly, "paths")),
  items.length ? h("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": "Table of paths" }, h("table", { class: "cards four" }, h("caption", { class: "sr" }, "Paths"), h("thead", {}, h("tr", {}, ["Path", "Deals", "Touches, mean", "Days to the close, median", "Revenue"].map((t, i) => h("th", { scope: "col", class: i ? "n" : null }, t)))),
    h("tbody", {}, items.map((p, i) => h("tr", {}, h("td", { class: "wide" }, pathText(p.path)), h("td", { class: "n", "data-l": "Deals" }, door(num(p.deals), `path-${i}-deals`, pathDeals(p, num(p.deals)))), h("td", { class: "n", "data-l": "Touches" }, p.touches_mean), h("td", { class: "n", "data-l": "Days" }, p.days_to_close_median),
      h("td", { class: "n", "data-l": "Revenue" }, p.revenue.length ? door(cash(p.revenue), `path-${i}-revenue`, () => pathDeals(p, cash(p.revenue))()) : "no amount"))))))
    : h("p", { class: "pad muted" }, "No deal has been won in this range."));

let opened = null, latest = null;

// The paths take longer than the report: they follow, and what was there stays until then.
async function drawPaths(data) {
  const into = document.getElementById("paths-host");
  latest = data;
  if (!into.childNodes.length) show(into, bones.panel(4));
  await tried(into, async () => {
    const asked = data.paths || askPaths();
    data.paths = null; // tried again, they are asked again
    const { items } = await asked;
    if (latest === data) show(into, paths(items));
  });
}

function draw(host, data, status, refresh) {
  const { report, model, of } = data, worth = row => exact(values(row)[model]);
  const k = data.by === "campaign" ? ranks(report.rows.filter(r => r.group !== null).sort((a, b) => (worth(a) < worth(b) ? 1 : -1)).map(r => r.group))
    : (order => ({ get: group => order.indexOf(group) + 1 }))(report.rows.filter(r => r.group !== null).sort((a, b) => (exact(values(a).linear) < exact(values(b).linear) ? 1 : -1)).slice(0, 6).map(r => r.group));
  if (!document.getElementById("models-host")) {
    host.replaceChildren(h("div", { class: "head" }, h("div", {}, h("h1", {}, "Attribution"), h("p", { class: "facts", id: "sum" })),
      h("div", { class: "bar" }, choices(select("What is shared out", "of", { "": OF.revenue, deals: OF.deals, contacts: OF.contacts }, refresh), select("Group by", "by", GROUPS, refresh, "campaign"), rangeControls(refresh), h("span", { id: "currency" })))),
      h("div", { id: "models-host" }), h("div", { id: "groups-host" }), h("div", { id: "none-host" }), h("div", { id: "paths-host" }));
  }
  if (of === "revenue") currencyControl(document.getElementById("currency"), report, refresh); else show(document.getElementById("currency"));
  show(document.getElementById("sum"), h("span", {}, writeText(report.total[model], of, report.currency), of === "revenue" ? " of won revenue" : ` ${OF[of].toLowerCase()}`), rangeText());
  if (!report.rows.some(row => row.deals || row.contacts) && !report.other_currencies?.length) {
    opened = latest = null;
    show(document.getElementById("models-host"), emptyState(of));
    for (const name of ["groups-host", "none-host", "paths-host"]) show(document.getElementById(name));
    return null;
  }
  show(document.getElementById("models-host"), side(data, k, refresh));
  const groups = () => show(document.getElementById("groups-host"), table({ ...data, whole: host.whole }, k, () => { host.whole = true; groups(); }));
  groups();
  const whole = drawPaths(data);
  const now = location.search + data.report.as_of;
  if (of !== "revenue") { show(document.getElementById("none-host")); opened = null; return whole; }
  if (opened === now) return whole;
  opened = now;
  const none = unattributed();
  fill(none.rows, none.list).then(() => { if (opened === now) show(document.getElementById("none-host"), none.panel); });
  return whole;
}

run(load, draw);
