// The list of all assets: pages, forms, emails and the others, who holds them, and how often they were touched.
import { changeButton } from "./changes.js";
import { h } from "./dom.js";
import { registerAsset } from "./forms.js";
import { dayOf, num } from "./format.js";
import { listPage } from "./list.js";
import { campaignNames } from "./parts.js";
import { link, rangeControls, rangeOnly, select, chosen } from "./shell.js";
import { ASSET_TYPES, assetTypeName } from "./words.js";

let names = new Map();
const types = { "": "Every type", ...Object.fromEntries(Object.entries(ASSET_TYPES).filter(([type]) => type !== "null")) };

listPage({
  title: "Assets", says: "What people visit, open or fill in. An asset belongs to one campaign at a time; a workflow may be in several.",
  before: async () => { names = await campaignNames(); }, actions: () => changeButton("Register an asset", "register", () => registerAsset(), "btn main"),
  path: "/v1/assets", name: "assets", initial: "-touches",
  query: () => ({ ...rangeOnly(), type: chosen("type"), unheld: chosen("unheld") }),
  controls: refresh => [select("Type", "type", types, refresh), select("Held", "unheld", { "": "Held or not", true: "In no campaign" }, refresh), rangeControls(refresh)],
  columns: [
    ["Asset", a => h("div", { class: "cname plain" }, h("a", { href: link("asset", { id: a.asset_id }) }, a.name || a.asset_id), a.url && h("small", {}, a.url)), "name"],
    ["Type", a => a.asset_type ? assetTypeName(a.asset_type) : ASSET_TYPES.null, null],
    ["Campaign", a => a.campaigns.length ? a.campaigns.map((id, i) => [i ? ", " : "", h("a", { href: link("campaign", { id }) }, names.get(id) || id)]) : h("span", { class: "muted" }, "none"), null, "two"],
    ["Touches", a => num(a.touches), "touches", "n"],
    ["Last touch", a => a.last_seen ? dayOf(a.last_seen) : h("span", { class: "muted" }, "none yet"), null, "n"],
  ],
  narrow: "No such asset", empty: ["No assets yet", "Pages, forms and emails appear here once they are registered or a campaign holds them."],
});
