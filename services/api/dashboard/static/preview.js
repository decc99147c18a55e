// What would a change change? The answer of the preview, in words.
import { h } from "./dom.js";
import { counted, dayOf, instantOf, moneyText, num } from "./format.js";
import { assetTypeName, isMoney, METRICS, REASONS } from "./words.js";

const SHOWN_MAX = 8;

// A number, or a line for each currency of which the amount differs from the `other`.
const amountOf = (money, currency) => money?.find(m => m.currency === currency)?.amount;
function written(metric, value, other) {
  if (!isMoney(metric)) return num(value || 0);
  const currencies = [...new Set([...(value || []), ...(other || [])].map(m => m.currency))].sort().filter(c => amountOf(value, c) !== amountOf(other, c));
  return currencies.map(c => h("div", { class: "nowrap" }, amountOf(value, c) ? moneyText(amountOf(value, c), c) : "none"));
}
const isNothing = value => !value || value.length === 0;

// The metrics that differ; of a campaign that is new, those that are not nothing.
const differing = campaign => Object.entries(campaign.metrics || {}).filter(([metric, m]) => metric in METRICS && !(isNothing(m.before) && isNothing(m.after)));

const costsDiffer = ({ before, after }) => ["spent", "budget_in_all"].some(name => before?.[name] !== after?.[name]);

const LABELS = { asset_type: "Type", url: "Address", target_url: "Leads to", starts_on: "First day", ends_on: "Last day", budget_in_all: "Budget in all", utm_campaign: "utm_campaign" };
const shownValue = (name, value) => name === "asset_type" ? assetTypeName(value) : name.endsWith("_on") ? dayOf(value) : value;

function fields({ before, after }) {
  const known = ["created", "deleted", "registered", "held", ...(before?.created || before?.registered ? [] : ["name"])], names = new Set([...Object.keys(before || {}), ...Object.keys(after || {})].filter(name => !known.includes(name)));
  return [...names].filter(name => before?.[name] !== after?.[name]).map(name =>
    h("li", {}, `${LABELS[name] || name.replaceAll("_", " ").replace(/^./, c => c.toUpperCase())}: `, before?.[name] ? `${shownValue(name, before[name])} → ` : "", after?.[name] ? shownValue(name, after[name]) : "none"));
}

const calledAs = (one, names) => names.get(one.id) || one.after?.name || one.before?.name || one.id;
const isNew = (one, is) => !one.before?.[is] && Boolean(one.after?.[is]), isGone = (one, is) => Boolean(one.before?.[is]) && !one.after?.[is];

function campaign(one, names, alone) {
  const metrics = differing(one), changes = fields(one);
  if (!changes.length && !metrics.length && alone) return null; // the sentences above say all of it
  return h("section", { class: "would" }, h("h4", {}, isNew(one, "created") ? "New campaign " : isNew(one, "deleted") ? "Deleted: " : "", calledAs(one, names)), h("ul", {}, changes),
    metrics.length ? h("table", { class: "mini" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Number"), h("th", { scope: "col", class: "n" }, "Now"), h("th", { scope: "col", class: "n" }, "Then"))),
      h("tbody", {}, metrics.map(([metric, m]) => h("tr", {}, h("th", { scope: "row" }, METRICS[metric][0]), h("td", { class: "n" }, written(metric, m.before, m.after)), h("td", { class: "n" }, written(metric, m.after, m.before))))))
      : !alone && !costsDiffer(one) && h("p", { class: "muted" }, "No number of it changes."));
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
  return h("section", { class: "would" }, h("h4", {}, isNew(one, "registered") ? "New asset " : "Asset ", is.name || one.id),
    changes.length ? h("ul", {}, changes) : h("p", { class: "muted" }, "Nothing about it changes."));
};

// What is done, a sentence each: to a campaign, and to an asset.
function ofCampaign(one, names) {
  const name = calledAs(one, names);
  return isNew(one, "created") ? `Creates the campaign ${name}.` : isGone(one, "created") ? `The campaign ${name} is no longer there.`
    : isNew(one, "deleted") ? `Deletes the campaign ${name}: from then on nothing counts for it.` : isGone(one, "deleted") ? `The campaign ${name} is there again.` : null;
}
function ofAsset(one, names) {
  const name = one.after?.name || one.before?.name || one.id, holders = state => (state?.held || []).filter(t => !t.to).map(t => t.campaign_id);
  const was = holders(one.before), will = holders(one.after), called = ids => ids.map(id => names.get(id) || id).join(" and ");
  const left = was.filter(id => !will.includes(id)), came = will.filter(id => !was.includes(id));
  const holds = left.length && came.length ? `Moves ${name} from ${called(left)} to ${called(came)}.` : came.length ? `Puts ${name} into ${called(came)}.` : left.length ? `Takes ${name} out of ${called(left)}.` : null;
  return [isNew(one, "registered") ? `Registers the asset ${name}.` : isGone(one, "registered") ? `The asset ${name} is no longer registered.` : null, holds];
}

// What becomes of the numbers: a new campaign has none yet; what was put elsewhere takes nothing along.
function ofNumbers(preview, moved) {
  if (moved) return `Numbers of ${counted(moved, "campaign")} change.`;
  if (preview.campaigns.some(costsDiffer)) return "Budget or spend changes, and no other number.";
  if (preview.campaigns.length && preview.campaigns.every(one => isNew(one, "created"))) {
    return preview.campaigns.length === 1 ? "It has no numbers until something counts for it: an asset that it holds is used, or a visit has its utm_campaign." : "They have no numbers until something counts for them.";
  }
  const stays = preview.campaigns.some(one => isNew(one, "deleted")) || preview.assets.some(one => one.before?.held?.some(t => !t.to));
  return stays ? "No number changes: what counted until now stays where it counted." : "No number changes.";
}

const WITHOUT_EFFECT = {
  campaign_deleted: "the campaign is deleted, so it takes no asset", social_post_limit: "the campaign has as many social posts as it may have",
  already_associated: "the campaign holds the asset already", not_associated: "the campaign does not hold the asset", ended_at_once: "the asset would be taken out again at the same instant",
  campaign_not_yet_created: "the campaign was not created yet at that time", conflicting_duplicate: "another event has the same id",
};

// `preview` is the answer of POST /v1/preview, `names` the campaigns' names by id, `what` a sentence about what is done that the answer does not have.
export function previewInWords(preview, names, what = null) {
  const moved = preview.campaigns.filter(c => differing(c).length).length, alone = !moved, rest = preview.campaigns.slice(SHOWN_MAX);
  const idle = Map.groupBy(preview.no_effect, e => WITHOUT_EFFECT[e.reason] || REASONS[e.reason] || e.reason.replaceAll("_", " "));
  const does = [...preview.campaigns.map(one => ofCampaign(one, names)), ...preview.assets.flatMap(one => ofAsset(one, names)), what].filter(Boolean);
  return [h("p", { class: "sum" }, h("b", {}, does.map(text => [text, " "])), h("span", {}, ofNumbers(preview, moved))),
    [...idle].map(([reason, of]) => h("p", { class: "note" }, `${of.length > 1 ? `${of.length} changes have` : "This has"} no effect: ${reason}.`)),
    preview.assets.map(one => asset(one, names)), preview.campaigns.slice(0, SHOWN_MAX).map(one => campaign(one, names, alone)),
    rest.length > 0 && h("details", {}, h("summary", {}, counted(rest.length, "more campaign")), rest.map(one => campaign(one, names, false)))];
}

// The campaigns from which an asset would be taken: those that hold it now and would not after.
export const takenFrom = preview => [...new Set(preview.assets.flatMap(one => (one.before?.held || []).filter(t => !t.to &&
  !(one.after?.held || []).some(w => w.campaign_id === t.campaign_id && !w.to)).map(t => t.campaign_id)))];
