// What a campaign costs: its spend and its budget, item by item, each with the way back.
import { all } from "./api.js";
import { mayChange, takeBackButton } from "./changes.js";
import { openDrawer } from "./dialogs.js";
import { h, show } from "./dom.js";
import { counted, dayOf, money, moneyText } from "./format.js";
import { sameByApi, sums } from "./parts.js";

const SHOWN_MAX = 200;

// A list of items in a drawer; `row` answers the cells of an item, and `called` what it is, in words.
async function items({ title, name, path, query, heads, row, called, none }) {
  const rows = h("div", { "aria-live": "polite" }, h("p", { class: "muted" }, "Reading…"));
  openDrawer({ title, above: name }, rows, sameByApi(path, query));
  const list = await all(path, query, SHOWN_MAX);
  const total = sums(list.items, item => item.amount);
  show(rows, !list.items.length ? h("p", { class: "muted" }, none) : h("section", {}, h("h3", {}, counted(list.items.length, "item") + (list.more ? " and more" : "")),
    h("div", { class: "scroll" }, h("table", { class: "mini" }, h("thead", {}, h("tr", {}, heads.map(text => h("th", { scope: "col" }, text)), h("th", { scope: "col", class: "n" }, "Amount"), mayChange() && h("th", { scope: "col", class: "n" }, "Change"))),
      h("tbody", {}, list.items.map(item => h("tr", {}, row(item).map(cell => h("td", {}, cell)), h("td", { class: "n" }, money(item.amount.amount, item.amount.currency)), mayChange() && h("td", { class: "n" }, takeBackButton(item.event_id, called(item)))))),
      h("tfoot", {}, h("tr", { class: "sum" }, h("td", { colspan: heads.length }, "Sum"), h("td", { class: "n" }, total), mayChange() && h("td", {})))))));
}

// `held` are the names of assets by id.
export const spendItems = (id, name, range, held) => items({
  title: "Spent", name, path: `/v1/campaigns/${encodeURIComponent(id)}/spend`, query: range, heads: ["Day", "Spent on"], none: "Nothing was spent in this range.",
  row: item => [dayOf(item.on), item.asset_id ? held.get(item.asset_id) || item.asset_id : "the campaign"], called: item => `${moneyText(item.amount.amount, item.amount.currency)} of ${dayOf(item.on)}`,
});

export const budgetItems = (id, name) => items({
  title: "Budget", name, path: `/v1/campaigns/${encodeURIComponent(id)}/budget-items`, query: {}, heads: ["Planned for"], none: "The budget was set as one sum, or there is none.",
  row: item => [item.name || "not named"], called: item => `${moneyText(item.amount.amount, item.amount.currency)}${item.name ? " for " + item.name : ""}`,
});
