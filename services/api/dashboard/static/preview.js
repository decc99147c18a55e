// What would a change change? The answer of the preview, in words.
import { h } from "./dom.js";
import { counted, dayOf, instantOf, moneyText, num } from "./format.js";
import { assetTypeName, INEFFECTIVE, isMoney, METRICS, REASONS } from "./words.js";

const SHOWN_MAX = 8;

const written = (metric, value) => !isMoney(metric) ? num(value || 0)
  : value?.length ? value.map(m => moneyText(m.amount, m.currency)).join(" and ") : "none";
const isNothing = value => !value || value.length === 0;

// The metrics that differ; of a campaign that is new, those that are not nothing.
const differing = campaign => Object.entries(campaign.metrics || {}).filter(([metric, m]) => metric in METRICS && !(isNothing(m.before) && isNothing(m.after)));

const costsDiffer = ({ before, after }) => ["spent", "budget_in_all"].some(name => before?.[name] !== after?.[name]);

const LABELS = { asset_type: "Type", url: "Address", target_url: "Leads to", starts_on: "First day", ends_on: "Last day", budget_in_all: "Budget in all", utm_campaign: "utm_campaign" };
const said = (name, value) => name === "asset_type" ? assetTypeName(value) : name.endsWith("_on") ? dayOf(value) : value;

function fields({ before, after }) {
  const known = ["created", "deleted", "registered", "held"], names = new Set([...Object.keys(before || {}), ...Object.keys(after || {})].filter(name => !known.includes(name)));
  return [...names].filter(name => before?.[name] !== after?.[name]).map(name =>
    h("li", {}, `${LABELS[name] || name.replaceAll("_", " ").replace(/^./, c => c.toUpperCase())}: `, before?.[name] ? `${said(name, before[name])} → ` : "", after?.[name] ? said(name, after[name]) : "none"));
}

function campaign(one, names) {
  const metrics = differing(one), name = names.get(one.id) || one.after?.name || one.id;
  const what = !one.before?.created && one.after?.created ? "New campaign " : !one.after?.deleted || one.before?.deleted ? "" : "Deleted: ";
  return h("section", { class: "would" }, h("h4", {}, what, name), h("ul", {}, fields(one)),
    metrics.length ? h("table", { class: "mini" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Number"), h("th", { scope: "col", class: "n" }, "Now"), h("th", { scope: "col", class: "n" }, "Then"))),
      h("tbody", {}, metrics.map(([metric, m]) => h("tr", {}, h("th", { scope: "row" }, METRICS[metric][0]), h("td", { class: "n" }, written(metric, m.before)), h("td", { class: "n" }, written(metric, m.after))))))
      : !costsDiffer(one) && h("p", { class: "muted" }, "No number of it changes."));
}

// Who holds the asset otherwise than before: a time that ends elsewhere, one that is gone, one that is new.
function holding({ before, after }, names) {
  const was = before?.held || [], will = after?.held || [], called = t => names.get(t.campaign_id) || t.campaign_id;
  const same = (a, b) => a.campaign_id === b.campaign_id && a.from === b.from, until = t => t.to ? ` until ${instantOf(t.to)}` : " on";
  return [
    ...was.filter(t => !will.some(w => same(t, w))).map(t => `${called(t)} no longer holds it from ${instantOf(t.from)}${until(t)}.`),
    ...will.filter(t => was.some(w => same(t, w) && w.to !== t.to)).map(t => t.to ? `${called(t)} holds it until ${instantOf(t.to)}; what counted until then stays there.` : `${called(t)} holds it from ${instantOf(t.from)} on, without an end.`),
    ...will.filter(t => !was.some(w => same(t, w))).map(t => `${called(t)} holds it from ${instantOf(t.from)}${until(t)}.`),
  ].map(text => h("li", {}, text));
}

const asset = (one, names) => {
  const changes = [...fields(one), ...holding(one, names)], is = one.after || one.before || {};
  return h("section", { class: "would" }, h("h4", {}, !one.before?.registered && one.after?.registered ? "New asset " : "Asset ", is.name || one.id),
    changes.length ? h("ul", {}, changes) : h("p", { class: "muted" }, "Nothing about it changes."));
};

// `told` is the answer of POST /v1/preview, `names` the campaigns' names by id.
export function previewInWords(told, names) {
  const moved = told.campaigns.filter(c => differing(c).length), rest = told.campaigns.slice(SHOWN_MAX);
  const summary = !moved.length ? (told.campaigns.some(costsDiffer) ? "Budget or spend changes, and no other number." : "No number of any campaign changes.") : `Numbers of ${counted(moved.length, "campaign")} change.`;
  return [h("p", { class: "sum" }, h("b", {}, summary)),
    told.no_effect.map(e => h("p", { class: "note" }, `One event would change nothing: ${(INEFFECTIVE[e.reason] || REASONS[e.reason] || e.reason.replaceAll("_", " ")).toLowerCase()}.`)),
    told.assets.map(one => asset(one, names)), told.campaigns.slice(0, SHOWN_MAX).map(one => campaign(one, names)),
    rest.length > 0 && h("details", {}, h("summary", {}, counted(rest.length, "more campaign")), rest.map(one => campaign(one, names)))];
}

// The campaigns from which an asset would be taken: those that hold it now and would not after.
export const takenFrom = told => [...new Set(told.assets.flatMap(one => (one.before?.held || []).filter(t => !t.to &&
  !(one.after?.held || []).some(w => w.campaign_id === t.campaign_id && !w.to)).map(t => t.campaign_id)))];
