// The parts that pages share: numbers that open, swatches, stacked bars, the drawer.
import { all } from "./api.js";
import { h, sr } from "./dom.js";
import { instantOf, money, moneyText, minor, num } from "./format.js";
import { query } from "./shell.js";
import { METRICS, REASONS } from "./words.js";

export const swatch = k => h("span", { class: `sw k${k}`, "aria-hidden": "true" });

// A number with what is behind it.
export const door = (content, id, open) =>
  h("button", { class: "why", type: "button", id, "aria-haspopup": "dialog", onclick: open }, content, sr(", show what is behind it"));

export const stack = (parts, label) => h("div", { class: "stack", role: "img", "aria-label": label },
  parts.filter(p => p.minor > 0).map(p => h("span", { class: `k${p.k}${p.k ? "" : " none"}`, "--w": String(p.minor), title: p.title })));

// Campaign colours by rank, once a page: six at most, the others are hatched.
export const ranks = ids => new Map(ids.map((id, i) => [id, i < 6 ? i + 1 : 0]));

export const revenue = (amounts, currency) => {
  const own = amounts.find(m => m.currency === currency) || amounts[0] || { amount: "0.00", currency };
  return money(own.amount, own.currency);
};

// The other currencies beside it, never added.
export const others = (amounts, currency) => amounts.filter(m => m.currency !== currency && amounts.length > 1).map(m =>
  h("small", { class: "also" }, "also ", moneyText(m.amount, m.currency)));

export function keptOut(excluded) {
  const rows = Object.entries(excluded).filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
  if (!rows.length) return h("p", { class: "muted" }, "Nothing was kept out.");
  const most = rows[0][1];
  return h("ul", { class: "bars grey" }, rows.map(([code, n]) => h("li", {},
    h("span", {}, REASONS[code], h("small", { class: "mono" }, code)),
    h("span", { class: "tr" }, h("i", { "--w": `${n / most * 100}%` })), h("span", { class: "v" }, num(n)))));
}

const CONTACT_METRICS = ["influenced_contacts", "new_contacts_first_touch", "new_contacts_last_touch", "contacts_with_revenue", "contacts_with_attributed_revenue"];
const DEAL_METRICS = { influenced_deals: "influenced_deals", closed_deals: "closed_deals", influenced_revenue: "closed_deals", attributed_revenue: "closed_deals" };

async function behind(campaign, metric) {
  const path = `/v1/campaigns/${encodeURIComponent(campaign)}/`;
  if (CONTACT_METRICS.includes(metric)) {
    const { items } = await all(path + "contacts", { ...query(), metric });
    return table("Contacts", ["Contact", "When", "Deciding event"],
      items.map(i => [i.contact, instantOf(i.at), h("span", { class: "mono" }, i.deciding_event.slice(0, 12))]));
  }
  if (metric in DEAL_METRICS) {
    const { items } = await all(path + "deals", { ...query(), metric: DEAL_METRICS[metric] });
    const shown = metric === "attributed_revenue" ? items.filter(i => i.share) : items;
    return table("Deals", ["Deal", "Closed", metric === "attributed_revenue" ? "Share" : "Amount"], shown.map(i => {
      const m = metric === "attributed_revenue" ? i.share : i.amount;
      return [i.name || i.deal_id, i.closed_at ? instantOf(i.closed_at) : i.state, m ? money(m.amount, m.currency) : "none told"];
    }));
  }
  return null;
}

const SHOWN_MAX = 200;
const table = (title, heads, rows) => h("section", {}, h("h3", {}, `${title} behind it: ${num(rows.length)}`),
  h("div", { class: "scroll" }, h("table", { class: "mini" },
    h("thead", {}, h("tr", {}, heads.map((c, i) => h("th", { class: i === heads.length - 1 ? "n" : null, scope: "col" }, c)))),
    h("tbody", {}, rows.slice(0, SHOWN_MAX).map(row => h("tr", {}, row.map((c, i) => h("td", { class: i === row.length - 1 ? "n" : null }, c))))))),
  rows.length > SHOWN_MAX && h("p", { class: "muted" }, `The first ${SHOWN_MAX} are shown; the API call below gives all.`));

export async function drawer(campaign, name, metric, value, excluded) {
  document.querySelector("dialog")?.remove();
  const opener = document.activeElement;
  const [label, rule, ruleName] = METRICS[metric];
  const rows = h("div", { "aria-live": "polite" }, h("p", { class: "muted" }, "Reading…"));
  const q = new URLSearchParams(Object.entries(query()).filter(([, v]) => v));
  const dialog = h("dialog", { class: "drawer", "aria-labelledby": "drawer-title" },
    h("div", { class: "dh" }, h("div", {}, h("p", { class: "muted" }, name), h("h2", { id: "drawer-title" }, label)),
      h("button", { class: "x", type: "button", "aria-label": "Close", onclick: () => dialog.close() }, "×")),
    h("p", { class: "big" }, value),
    h("section", {}, h("h3", {}, "What it counts"), h("blockquote", {}, rule, " Rule ", h("b", {}, ruleName), ".")),
    rows,
    h("section", {}, h("h3", {}, "Kept out, and why"), keptOut(excluded)),
    h("section", {}, h("h3", {}, "The same number elsewhere"),
      h("code", { class: "api" }, `GET /v1/campaigns/${campaign}/overview?${q}`)));
  document.body.append(dialog);
  dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => { dialog.remove(); (document.getElementById(opener?.id) || opener)?.focus(); });
  dialog.showModal();
  rows.replaceChildren(...[await behind(campaign, metric)].filter(Boolean));
}

// Whether parts add up to a total, in minor units.
export const addsUp = (parts, total) => parts.reduce((sum, amount) => sum + minor(amount), 0) === minor(total);
