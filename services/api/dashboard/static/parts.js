// The parts that pages share: numbers that open, swatches, stacked bars, the drawer.
import { address, all, csv, Problem } from "./api.js";
import { openDrawer } from "./dialogs.js";
import { copied, h, icon, show, sr } from "./dom.js";
import { counted, dayOf, instantOf, pageOf, shortDay, timeOf, yearOf, money, moneyText, minor, num, percent } from "./format.js";
import { daysText } from "./ranges.js";
import { ALL_CURRENCIES, allCurrencies, choose, link, query, rangeOnly } from "./shell.js";
import { shownEvent } from "./why.js";
import { channelName, METRICS, MODELS, OUT_RULES, REASONS } from "./words.js";

// What a person is called: by name, else by email address, else by the id that events give.
export const calledOf = i => i.name || i.email || i.contact;
// What a touch touched, by its name: an asset, else a page by its address; `before` stands before it. Null if neither is known.
export function touched({ asset, asset_id, url }, before = "") {
  if (asset) return [before, h("a", { href: link("asset", { id: asset.asset_id }), title: url || asset.asset_id }, asset.name || (url ? pageOf(url) : asset.asset_id))];
  return asset_id || url ? [before, asset_id || pageOf(url)] : null;
}

// What brought a touch: its channel, and source and medium where they are known.
export const cameBy = ({ channel, source, medium }) => [channelName(channel), [source, medium].filter(Boolean).join(" / ")].filter(Boolean).join(" · ");

export const swatch = k => h("span", { class: `sw k${k}`, "aria-hidden": "true" });

// A long amount is written smaller, so that it stays in its place.
const LONG = 11, VERY_LONG = 15; // characters
export const fitting = text => text.length > VERY_LONG ? "longer" : text.length > LONG ? "long" : null;

// A number with what is behind it.
export const door = (content, id, open) =>
  h("button", { class: "why", type: "button", id, "aria-haspopup": "dialog", onclick: open }, content, sr(", show what is behind it"));

// Parts of an amount below zero are drawn as those of one above; a part of the other sign is not drawn.
export const stack = (parts, label) => {
  const sign = parts.reduce((sum, p) => sum + p.minor, 0n) < 0n ? -1n : 1n;
  return h("div", { class: "stack", role: "img", "aria-label": label },
    parts.filter(p => p.minor * sign > 0n).map(p => h("span", { class: `k${p.k}${p.k ? "" : " none"}`, "--w": String(p.minor * sign), title: p.title })));
};

// Campaign colours by rank when the page is first drawn: six at most, the others are hatched. They stay as they are on that page,
// whatever range is then chosen.
const COLOURS = 6, coloured = new Map();
export function ranks(ids) {
  for (const id of ids) if (!coloured.has(id) && coloured.size < COLOURS) coloured.set(id, coloured.size + 1);
  return { get: id => coloured.get(id) || 0 };
}

export const revenue = (amounts, currency) => {
  const own = amounts.find(m => m.currency === currency) || amounts[0] || { amount: "0.00", currency };
  return money(own.amount, own.currency);
};

// The other currencies beside it, never added.
export const others = (amounts, currency) => amounts.filter(m => m.currency !== currency && amounts.length > 1).map(m =>
  h("small", { class: "also" }, "also ", moneyText(m.amount, m.currency)));

// `open(reason)` makes the handler that opens the list behind a number.
export function keptOut(excluded, open) {
  const rows = Object.entries(excluded).filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
  if (!rows.length) return h("p", { class: "muted" }, "Nothing was kept out.");
  const most = rows[0][1];
  return h("ul", { class: "bars grey" }, rows.map(([code, n]) => h("li", {},
    h("span", {}, REASONS[code], h("small", { class: "mono" }, code)),
    h("span", { class: "tr" }, h("i", { "--w": `${n / most * 100}%` })), h("span", { class: "v" }, open ? door(num(n), "out-" + code, open(code)) : num(n)))));
}

// The campaigns' names by their ids, asked once a page.
let named = null;
export async function campaignNames() {
  named ??= all("/v1/campaigns", { numbers: "false" }).then(({ items }) => new Map(items.map(c => [c.campaign_id, c.name || c.campaign_id])));
  return named;
}
export const forgetNames = () => { named = null; }; // one of them may have changed

// The choice among the currencies of a report's revenue, and of all `together`; nothing if there is one alone.
export function currencyControl(host, report, refresh, together = false) {
  const among = [...new Set([report.currency, ...report.other_currencies.map(m => m.currency)])].sort();
  show(host, among.length > 1 && h("select", { class: "field", id: "pick-currency", "aria-label": "Currency", onchange: event => { choose("currency", event.target.value); refresh(); } },
    among.map(c => h("option", { value: c, selected: c === report.currency && !allCurrencies() }, c)), together && h("option", { value: ALL_CURRENCIES, selected: allCurrencies() }, "All, side by side")));
}

// A chip for a campaign, which leads to its page.
export const campaignChip = (id, name, k) => h("a", { class: "chip", href: link("campaign", { id }) }, swatch(k.get(id)), name);

export const CONTACT_METRICS = ["influenced_contacts", "new_contacts_first_touch", "new_contacts_last_touch", "contacts_with_revenue", "contacts_with_attributed_revenue"];
const DEAL_METRICS = { influenced_deals: "influenced_deals", closed_deals: "closed_deals", influenced_revenue: "closed_deals", attributed_revenue: "closed_deals" };
const TOUCH_METRICS = ["page_views", "form_submissions", "cta_clicks", "email_opens", "email_clicks"], SESSION_METRICS = ["sessions", "new_sessions"];
const SHOWN_MAX = 200;

// Cells that touches and sessions have in common: who it was, and what makes it the campaign's.
export const who = i => i.contact ? h("a", { href: link("contact", { id: i.contact }) }, calledOf(i)) : "anonymous visitor";
const by = i => i.asset_id ? h("a", { href: link("asset", { id: i.asset_id }) }, i.asset_name || i.asset_id) :  h("span", {}, "utm value ", h("span", { class: "mono" }, i.utm_campaign));
const decided = i => shownEvent(i.deciding_event);
const touches = (path, asked) => ({
  path: path + "touches", query: { ...rangeOnly(), ...asked }, one: "touch", many: "touches", heads: ["Who", "When", "By", "Deciding event"],
  row: i => [who(i), instantOf(i.occurred_at), by(i), decided(i)],
});

// The list behind a number: its address, its heads, and how an item becomes a row.
function behind(campaign, metric) {
  const path = `/v1/campaigns/${encodeURIComponent(campaign)}/`;
  if (CONTACT_METRICS.includes(metric)) return {
    path: path + "contacts", query: { ...query(), metric }, one: "contact", heads: ["Contact", "When", "Deciding event"],
    row: i => [who(i), instantOf(i.at), decided(i)],
  };
  if (TOUCH_METRICS.includes(metric)) return touches(path, { metric });
  if (SESSION_METRICS.includes(metric)) return {
    path: path + "sessions", query: { ...rangeOnly(), metric }, one: "session", heads: ["Who", "Began", "By", "Page views"],
    row: i => [who(i), instantOf(i.at), by(i), num(i.page_views)],
  };
  const ofShare = metric === "attributed_revenue";
  return {
    path: path + "deals", query: { ...query(), metric: DEAL_METRICS[metric] }, one: "deal", heads: ["Deal", "Closed", ofShare ? "Share" : "Amount"],
    of: i => ofShare ? i.share : i.amount, keep: i => !ofShare || i.share, keepLine: line => !ofShare || line["share.amount"],
    row: i => [h("a", { href: link("deal", { id: i.deal_id, campaign }) }, i.name || i.deal_id), i.closed_at ? dayOf(i.closed_at) : i.state,
      (ofShare ? i.share : i.amount) ? money((ofShare ? i.share : i.amount).amount, (ofShare ? i.share : i.amount).currency) : "no amount"],
  };
}

// The sum of the money of items as text, each currency by itself; an item may have several amounts, with more or fewer decimals.
export function sums(items, of) {
  const total = new Map(), scaled = (value, by) => value * 10n ** BigInt(by);
  for (const item of items) for (const { amount, currency } of [of(item) || []].flat()) {
    const known = total.get(currency) || { minor: 0n, digits: 0 }, own = (amount.split(".")[1] || "").length, digits = Math.max(own, known.digits);
    total.set(currency, { minor: scaled(known.minor, digits - known.digits) + scaled(minor(amount), digits - own), digits });
  }
  return [...total].sort().map(([currency, { minor: all, digits }]) => moneyText(inUnits(all, digits), currency)).join(" and ");
}
export function inUnits(all, digits) {
  const text = String(all < 0n ? -all : all).padStart(digits + 1, "0");
  return (all < 0n ? "-" : "") + (digits ? `${text.slice(0, -digits)}.${text.slice(-digits)}` : text);
}

// The sum of the parts of deals or contacts of items: whole millionths, without floats.
export const PART_DECIMALS = 6;
export const exact = text => { const [whole, part = ""] = text.split("."); return BigInt(whole + part.padEnd(PART_DECIMALS, "0")); };
export const partText = all => inUnits(all, PART_DECIMALS).replace(/\.?0+$/, "");
const creditSum = items => partText(items.reduce((sum, item) => sum + exact(item.credit), 0n));

// The call of the read API that answers the same, to be read, and copied for a terminal: with a key from the environment, never a visitor's own.
export function sameByApi(path, query) {
  const at = address(path, query).replaceAll("'", "%27"), code = h("code", { class: "api" }, "GET " + at), copyStatus = h("span", { class: "muted", role: "status" });
  const command = `curl -H "Authorization: Bearer $READ_KEY" '${location.origin}${at}'`;
  const copy = async () => { code.textContent = command; show(copyStatus, await copied(command, code)); };
  return h("section", {}, h("h3", {}, "The same by the API"), code, h("div", { class: "bar below" }, h("button", { class: "btn small", type: "button", onclick: copy }, "Copy as curl"), copyStatus));
}

// A button that saves a list as CSV; `asked` is its query, or answers it when the button is pressed; `keep` says which lines, if not all.
export function csvButton(path, asked, name, keep = null) {
  const failed = h("span", { class: "bad", role: "alert" });
  const save = async event => {
    const button = event.currentTarget;
    button.disabled = true;
    failed.replaceChildren();
    try {
      await csv(path, typeof asked === "function" ? asked() : asked, name, keep);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      failed.replaceChildren(error.message);
    } finally {
      button.disabled = false;
    }
  };
  return h("span", { class: "csv" }, h("button", { class: "btn", type: "button", onclick: save }, "CSV"), failed);
}

export async function fill(rows, list) {
  await tried(rows, async () => filled(rows, list, await all(list.path, list.query, 1000)));
}

// Do what asks the API; if it fails, say so in the place of what was asked for, with a way to ask again.
export async function tried(host, work) {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    host.replaceChildren(h("p", { class: "bad", role: "alert" }, error.message, " ", h("span", { class: "mono" }, error.reference)),
      h("div", { class: "bar" }, h("button", { class: "btn", type: "button", onclick: () => { host.replaceChildren(h("p", { class: "muted" }, "Reading…")); tried(host, work); } }, "Try again")));
  }
}

const NUMBERS = ["Amount", "Share", "Part", "Touches", "Days", "Page views"], MANY = 4; // columns, from which on a phone shows a card for each row

function filled(rows, list, { items, more }) {
  const shown = items.filter(list.keep || (() => true)), { heads } = list;
  const total = list.of ? sums(shown, list.of) : list.credit && creditSum(shown), count = list.count ? shown.reduce((sum, item) => sum + list.count(item), 0) : shown.length;
  const look = i => [(i === heads.length - 1 || NUMBERS.includes(heads[i])) && "n", !i && heads.length >= MANY && "wide"].filter(Boolean).join(" ") || null;
  rows.replaceChildren(h("section", {}, h("h3", {}, `${more ? "The first " : ""}${counted(count, list.one, list.many)}${list.alone ? "" : " behind it"}`),
    !shown.length ? list.none && h("p", { class: "muted" }, list.none) : h("div", { class: "scroll" }, h("table", { class: heads.length >= MANY ? "mini cards" : "mini", role: "table" },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map((c, i) => h("th", { class: look(i), scope: "col", role: "columnheader" }, c)))),
      h("tbody", { role: "rowgroup" }, shown.slice(0, SHOWN_MAX).map(item => h("tr", { role: "row" }, list.row(item).map((c, i) => h("td", { class: look(i), role: "cell", "data-l": i ? heads[i] : null }, c))))),
      total && h("tfoot", { role: "rowgroup" }, h("tr", { class: "sum", role: "row" }, h("td", { colspan: heads.length - 1, role: "cell" }, more ? "Sum of these" : "Sum"), h("td", { class: "n", role: "cell" }, total))))),
    shown.length > SHOWN_MAX && h("p", { class: "muted" }, `The first ${SHOWN_MAX} are shown; CSV has all.`),
    shown.length > 0 && h("div", { class: "bar" }, csvButton(list.path, list.query, list.many || list.one + "s", list.keepLine))));
}

export const drawer = (campaign, name, metric, value, excluded, notes) => opened(name, METRICS[metric], value, behind(campaign, metric), excluded, notes);

// What was kept out for a reason.
export const outDrawer = (campaign, name, reason, value) => opened(name, [REASONS[reason], "Touches that would influence somebody, and do not count for the campaign for this one reason.", OUT_RULES[reason]], value,
  touches(`/v1/campaigns/${encodeURIComponent(campaign)}/`, { reason }));

// A number with the list behind it: what it counts, by which rule, and the items.
export const listDrawer = ({ above, title, says, rule, value, list }) => opened(above, [title, says, rule], value, list);

// What is behind a row of an attribution report, by what it shares out and whether deals or contacts are listed: the title, the rule, and what
// it says of the row of a group, of the row without a journey, and of the total.
const BEHIND_ROWS = {
  revenue: {
    deals: ["Won deals", "exact", "Deals with a touch of this group in their journey, and what it earned of each", "Deals before whose close none of their contacts did anything that earns credit", "The full amounts of the deals won in this range"],
    contacts: ["Contacts of won deals", "credit", "Contacts with a touch of this group in the journey of a won deal, and what their touches earned"],
  },
  deals: {
    deals: ["Deals created", "created credit", "Deals created in this range after a touch of this group, and what part of each it brought", "Deals before whose creation none of their contacts did anything that earns credit", "All deals created in this range"],
    contacts: ["Contacts of deals created", "created credit", "Contacts with a touch of this group before the creation of a deal of theirs, and what part of the deals their touches brought"],
  },
  contacts: {
    contacts: ["Contacts created", "created credit", "Contacts created in this range after a touch of this group, and what part of each it brought", "Contacts who did nothing before their creation that earns credit", "All contacts created in this range"],
  },
};

// The deals or contacts behind a row of an attribution report, each with what the group earned or brought. `group` is the row's group, or
// `reason` why there is none; without both it is the total.
export function groupDrawer({ name, value, asked, of = "revenue", kind = "deals", group = null, reason = null, says = null }) {
  const ofTotal = group === null && reason === null, inMoney = of === "revenue", [title, rule, ofGroup, ofNone, ofAll] = BEHIND_ROWS[of][kind];
  const none = reason === "no_journey", model = MODELS[asked.model] || asked.model;
  const cash = amounts => [amounts || []].flat().length ? [amounts].flat().map((m, i) => [i > 0 && h("br"), money(m.amount, m.currency)]) : "none";
  const part = i => inMoney ? cash(i.share) : i.credit, head = inMoney ? "Share" : "Part";
  const rows = kind === "contacts"
    ? { one: "contact", heads: ["Contact", "Created", head], row: i => [who(i), dayOf(i.created_at), part(i)] }
    : { one: "deal", heads: ["Deal", inMoney ? "Closed" : "Created", "Amount", ...(ofTotal ? [] : [head])],
      row: i => [h("a", { href: link("deal", { id: i.deal_id }) }, i.name || i.deal_id), dayOf(inMoney ? i.closed_at : i.created_at), i.amount ? money(i.amount.amount, i.amount.currency) : "no amount", ...(ofTotal ? [] : [part(i)])] };
  const { currency, ...rest } = asked, ofDeals = kind === "deals" && ofTotal;
  return opened(name, [title, says || `${ofTotal ? ofAll : none ? ofNone : ofGroup}${ofTotal || none ? "" : ` (model: ${model})`}.`, rule], value, {
    path: "/v1/reports/attribution/" + kind, query: { ...rest, currency: inMoney ? currency : "", of: inMoney ? "" : of, group, reason }, ...rows,
    of: !inMoney ? null : ofDeals ? i => i.amount : i => i.share, credit: !inMoney && !ofDeals,
  });
}

async function opened(name, [label, rule, ruleName], value, list, excluded, notes = []) {
  const rows = h("div", { "aria-live": "polite" }, h("p", { class: "muted" }, "Reading…"));
  openDrawer({ title: label, above: [name, daysText(rangeOnly())].filter(Boolean).join(", "), look: list.heads.length >= MANY ? "roomy" : "" }, h("p", { class: "big" }, value), notes.some(Boolean) && h("p", { class: "bar" }, notes),
    h("section", {}, h("h3", {}, "What it counts"), h("blockquote", {}, rule, " Rule ", h("b", {}, ruleName), ".")),
    rows,
    excluded && h("section", {}, h("h3", {}, "Kept out, and why"), keptOut(excluded)),
    sameByApi(list.path, list.query));
  await fill(rows, list);
}

// Why something counts or does not: a verdict, and each check with the event that decides.
const MARKS = { true: ["M3 8.5 6.5 12 13 4.5", "", "Holds: "], false: ["M4 4 12 12|M12 4 4 12", "fail", "Fails: "], null: ["M3.5 8H12.5", "skip2", "Not reached: "] };
export const check = (holds, says, ...more) => {
  const [mark, look, word] = MARKS[holds];
  return h("li", { class: look || null }, icon(mark), h("div", {}, h("p", {}, sr(word), says), more));
};
export const ev = text => text && h("span", { class: "ev" }, text);
export const verdict = (counts, text, code) => h("div", { class: counts ? "verdict" : "verdict not", role: "status" }, icon(MARKS[counts][0]),
  h("div", {}, h("b", {}, text), code && h("span", { class: "mono" }, code)));

// When a step of a journey was: its day and time; the year where it is another than that of the step before.
export const when = (at, before) => h("div", { class: "when" }, h("b", {}, shortDay(at)), before && yearOf(before) === yearOf(at) ? "" : h("span", {}, yearOf(at), " "), timeOf(at));

// What each group earned, as a table whose parts add up.
export function sharesTable(caption, parts, total, currency) {
  const whole = minor(total), fits = parts.reduce((sum, p) => sum + p.minor, 0n) === whole;
  return h("table", { class: "mini" }, h("caption", { class: "sr" }, caption),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, caption), h("th", { scope: "col", class: "n" }, "Share"), h("th", { scope: "col", class: "n" }, "Amount"))),
    h("tbody", {}, parts.map(p => h("tr", {}, h("td", {}, h("span", { class: "nmx" }, swatch(p.k), h("span", {}, p.name))),
      h("td", { class: "n soft" }, percent(p.minor, whole)), h("td", { class: "n" }, money(p.amount, currency))))),
    h("tfoot", {}, h("tr", { class: "sum" }, h("td", { colspan: 2 }, "Total ", h("span", { class: fits ? "ok" : "bad" }, fits ? "✓ adds up" : "does not add up: please report this")),
      h("td", { class: "n" }, money(total, currency)))));
}
