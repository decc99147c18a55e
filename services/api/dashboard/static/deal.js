// The page of one deal: the journey that led to it, what each touch earned under each model, and why it counts for a campaign or not.
import { get } from "./api.js";
import { openMark, settledMark } from "./charts.js";
import { h, show, sr } from "./dom.js";
import { counted, dayOf, daysBetween, instantOf, minor, money, moneyText, num } from "./format.js";
import { calledOf, cameBy, campaignChip, campaignNames, check, csvButton, ev, inUnits, ranks, sharesTable, stack, touched, verdict, when } from "./parts.js";
import { choose, chosen, link, run } from "./shell.js";
import { decidingEvent, eventDoor } from "./why.js";
import { DEAL_STATES, MODELS, NOT_ELIGIBLE, ROLES, typeName, UNCREDITED } from "./words.js";

const ID = chosen("id"), PATH = `/v1/deals/${encodeURIComponent(ID)}`, OTHERS_MAX = 500;
const SETTLED_MS = 60_000; // after so long, more may be settled although nothing came
const model = () => chosen("model") || "linear";

const shownModels = () => [...new Set([...Object.keys(MODELS), model()])]; // the address may name one that the workspace has defined
const modelName = name => MODELS[name] || name;

async function load() {
  const [deal, names, attribution] = await Promise.all([
    get(PATH), campaignNames(), get(PATH + "/attribution", { model: shownModels(), all: "true", limit: String(OTHERS_MAX) }),
  ]);
  const models = new Map(attribution.models.map(name => [name, { ...attribution, shares: attribution.shares.map(x => ({ ...x, ...x.by_model[name] })) }]));
  const about = chosen("campaign") || deal.campaigns[0] || names.keys().next().value;
  return { deal, names, models, others: attribution.others, more: Boolean(attribution.next_cursor), about,
    explained: about ? await get(PATH + "/explain", { campaign: about }) : null };
}

// What each campaign earned of the deal under a model, in minor units. A touch of several campaigns is split as the API splits it:
// equally, in the order of their ids, the first ones get one more minor unit each.
function byCampaign({ shares }) {
  const out = new Map();
  const add = (id, part) => out.set(id, (out.get(id) || 0n) + part);
  for (const { campaigns, share } of shares) {
    if (!share) continue;
    const whole = minor(share.amount), n = BigInt(campaigns.length), sign = whole < 0n ? -1n : 1n, size = whole * sign;
    if (!campaigns.length) add("", whole);
    campaigns.forEach((id, i) => add(id, sign * (size / n + (BigInt(i) < size % n ? 1n : 0n))));
  }
  return out;
}

const personOf = ({ deal }, contact) => { const known = deal.contacts.find(c => c.contact === contact); return known ? calledOf(known) : contact || "anonymous visitor"; };
const nameOf = (data, id) => id ? data.names.get(id) || id : "No campaign";

function parts(data, k, name) {
  const { currency, amount } = data.models.get(name).amount || { currency: "", amount: "0" }, digits = (amount.split(".")[1] || "").length;
  return [...byCampaign(data.models.get(name))].sort((a, b) => a[1] < b[1] ? 1 : a[1] > b[1] ? -1 : a[0] < b[0] ? -1 : 1).map(([id, part]) => ({
    id, k: id ? k.get(id) : 0, minor: part, name: nameOf(data, id), amount: inUnits(part, digits), title: `${nameOf(data, id)} ${moneyText(inUnits(part, digits), currency)}`,
  }));
}

// Whether the deal may still change: an open one does, and before the close of another there may be events that come yet.
function settled({ deal }, through) {
  if (deal.state === "open") return openMark("It may still change while it is open");
  if (!through || !deal.closed_at) return null;
  return Date.parse(deal.closed_at) <= Date.parse(through) ? settledMark(null) : openMark("Provisional: events from before the close may still come");
}

function head(data, through) {
  const { deal, models, names } = data, whole = models.get(model()), first = whole.shares[0];
  const state = deal.closed_at && deal.state !== "open" ? `${DEAL_STATES[deal.state]} ${instantOf(deal.closed_at)}` : DEAL_STATES[deal.state];
  const lasted = deal.closed_at && deal.state === "won" && [counted(daysBetween(deal.created_at, deal.closed_at), "day"), " from creation",
    first && [", ", counted(daysBetween(first.occurred_at, deal.closed_at), "day"), " from the first touch"]];
  return [h("p", { class: "crumb" }, h("a", { href: link("deals") }, "Deals")), h("h1", {}, deal.name || deal.deal_id),
    h("p", { class: "facts" }, h("span", { class: deal.state === "won" ? "chip on" : "chip off" }, state),
      deal.amount ? h("b", { class: "num" }, money(deal.amount.amount, deal.amount.currency)) : h("span", {}, "no amount"),
      h("span", {}, lasted || `created ${dayOf(deal.created_at)}`), settled(data, through)),
    h("p", { class: "facts" }, "Contacts ", deal.contacts.length ? deal.contacts.map(c => h("a", { class: c.eligible ? "chip" : "chip off", href: link("contact", { id: c.contact }) },
      calledOf(c), !c.eligible && c.reason && h("span", { class: "muted" }, NOT_ELIGIBLE[c.reason] || c.reason))) : "none"),
    whole.amount_refused && h("p", { class: "facts bad" }, `Its amount ${whole.amount_refused.amount} has more decimals than ${whole.amount_refused.currency} has, so it is not counted.`)];
}

function step(data, k, x, largest, before) {
  const ids = x.campaigns || [], credited = "share" in x, both = credited && ids.length > 1;
  return h("li", { class: `step ${credited ? "k" + (ids.length ? k.get(ids[0]) : 0) : "no"}${both ? " both" : ""}${x.late ? " after" : ""}`,
    "--ka": both ? `var(--k${k.get(ids[0])})` : null, "--kb": both ? `var(--k${k.get(ids[1])})` : null },
    when(x.occurred_at, before), h("div", { class: "rail" }, h("i")),
    h("div", { class: "body" }, h("p", { class: "t" }, eventDoor(x.event_id, typeName(x.type), "touch-" + x.event_id), h("span", {}, touched(x, ", "))),
      h("p", { class: "meta" }, [personOf(data, x.contact), cameBy(x)].filter(Boolean).join(" · ")), h("div", { class: "chips" }, (x.roles || []).map(role => h("span", { class: "chip role" }, ROLES[role])),
        credited && (ids.length ? ids.map(id => campaignChip(id, nameOf(data, id), k)) : h("span", { class: "chip off" }, "in no campaign")),
        x.reason && h("span", { class: "chip off" }, UNCREDITED[x.reason] || x.reason, " ", h("span", { class: "mono muted" }, x.reason)),
        x.reason === "not_revenue_touch" && ids.map(id => h("a", { class: "chip", href: link("campaign", { id }) }, `still influences ${nameOf(data, id)}`)))),
    h("div", { class: "share" }, !credited ? h("small", {}, "no credit") : [
      x.share ? h("b", {}, money(x.share.amount, x.share.currency)) : null, h("small", {}, x.weight === "0" ? "no weight" : x.weight + " of the deal"),
      x.share && largest > 0n && h("div", { class: "meter", "aria-hidden": "true" }, h("i", { "--w": `${Number(minor(x.share.amount) * 1000n / largest)  / 10}%` }))]));
}

// A very long journey shows its beginning and its end, until somebody unfolds the steps between.
const ENDS_SHOWN = 80, BETWEEN = "between";
function shortened(all) {
  const left = all.length - 2 * ENDS_SHOWN;
  return left <= ENDS_SHOWN || unfolded.has(BETWEEN) ? all : [...all.slice(0, ENDS_SHOWN), { left, occurred_at: all[ENDS_SHOWN].occurred_at, until: all[all.length - ENDS_SHOWN - 1].occurred_at }, ...all.slice(-ENDS_SHOWN)];
}
const between = ({ left, occurred_at: from, until }, before, again) => h("li", { class: "step no" }, when(from, before), h("div", { class: "rail" }, h("i")),
  h("div", { class: "body" }, h("p", { class: "t" }, h("button", { class: "why", type: "button", id: "fold-" + BETWEEN, onclick: event => {
    const row = event.target.closest("li"), place = [...row.parentNode.children].indexOf(row);
    unfolded.add(BETWEEN);
    again();
    document.querySelectorAll("#journey button.why")[place]?.focus(); // the first of those that were between
  } }, `${counted(left, "more touch", "more touches")}`, sr(", show each")), h("span", {}, dayOf(from) === dayOf(until) ? "" : ` until ${dayOf(until)}`))), h("div", {}));

// Touches without credit that follow one another are one row with their reasons, until somebody unfolds it.
const RUN_SHOWN = 3, unfolded = new Set(), uncredited = x => !x.milestone && !x.left && !("share" in x);
function fold(run, before, again) {
  const [{ event_id: first, occurred_at: from, late }] = run, to = run.at(-1).occurred_at;
  const unfold = () => { unfolded.add(first); again(); document.getElementById("step-" + first).focus(); };
  return h("li", { class: `step no${late ? " after" : ""}` }, when(from, before), h("div", { class: "rail" }, h("i")),
    h("div", { class: "body" }, h("p", { class: "t" }, h("button", { class: "why", type: "button", id: "fold-" + first, onclick: unfold }, `${counted(run.length, "touch", "touches")} without credit`, sr(", show each")), h("span", {}, dayOf(from) === dayOf(to) ? "" : ` until ${dayOf(to)}`)),
      h("div", { class: "chips" }, [...Map.groupBy(run, x => x.reason)].map(([reason, of]) => h("span", { class: "chip off" }, `${num(of.length)} × `, UNCREDITED[reason] || reason, " ", h("span", { class: "mono muted" }, reason))))),
    h("div", { class: "share" }, h("small", {}, "no credit")));
}

const milestone = (text, at, note) => ({ occurred_at: at, milestone: text, note });

function journey(data, k, again) {
  const { deal, models, others, more } = data, { shares } = models.get(model()), only = chosen("touches") === "credited";
  const closed = deal.state === "won" ? deal.closed_at : null;
  const all = shortened([...shares, ...(only ? [] : others.map(o => ({ ...o, late: closed && o.occurred_at >= closed }))),
    milestone("Deal created", deal.created_at), ...(closed ? [milestone("Closed won", closed, "Only touches strictly before this instant earn credit.")] : [])]
    .sort((a, b) => a.occurred_at < b.occurred_at ? -1 : a.occurred_at > b.occurred_at ? 1 : Boolean(a.milestone) - Boolean(b.milestone)));
  const largest = shares.reduce((most, x) => x.share && minor(x.share.amount) > most ? minor(x.share.amount) : most, 0n);
  const one = (x, before) => x.left ? between(x, before, again) : x.milestone ? h("li", { class: "step miles" }, h("div", { class: "when" }), h("div", { class: "rail" }, h("i")),
    h("div", { class: "body" }, h("p", {}, x.milestone, " ", h("small", {}, instantOf(x.occurred_at) + (x.note ? ". " + x.note : ""))))) : step(data, k, x, largest, before);
  const rows = [];
  for (let i = 0; i < all.length;) {
    const before = all[i - 1]?.occurred_at, other = all.findIndex((x, n) => n >= i && !uncredited(x)), run = all.slice(i, other < 0 ? undefined : other);
    if (run.length > RUN_SHOWN && !unfolded.has(run[0].event_id)) {
      rows.push(fold(run, before, again));
      i += run.length;
    } else if (run.length) {
      rows.push(...run.map((x, n) => one(x, n ? run[n - 1].occurred_at : before)));
      rows[rows.length - run.length].id = "step-" + run[0].event_id;
      rows[rows.length - run.length].tabIndex = -1;
      i += run.length;
    } else {
      rows.push(one(all[i], before));
      i += 1;
    }
  }
  rows[0].classList.add("first");
  rows.at(-1).classList.add("last");
  return [deal.state !== "won" && h("p", { class: "pad muted" }, "Only a won deal has a journey: its touches earn credit when it is won."), h("ol", { class: "jn" }, rows),
    more && h("p", { class: "pad muted" }, `The first ${OTHERS_MAX} touches without credit are shown.`)];
}

function radios(label, options, value, pick) {
  const keys = Object.keys(options);
  return h("div", { class: "seg", role: "radiogroup", "aria-label": label, onkeydown: event => {
    const to = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (to) { event.preventDefault(); pick(keys[(keys.indexOf(value) + to + keys.length) % keys.length]); }
  } }, keys.map(key => h("button", { type: "button", role: "radio", id: `pick-${label}-${key}`, tabindex: key === value ? 0 : -1, "aria-checked": String(key === value), onclick: () => pick(key) }, options[key])));
}

const COLOURS_MAX = 6, inOrder = part => part.k || COLOURS_MAX + (part.id ? 1 : 2);

function modelPanel(data, k, refresh) {
  const now = model(), names = shownModels();
  const pick = name => { choose("model", name === "linear" ? "" : name); refresh(); document.getElementById("model-" + name)?.focus(); };
  const whole = data.models.get(now), own = parts(data, k, now);
  if (data.deal.state !== "won") return h("p", { class: "muted" }, "Only the amount of a won deal is shared out.");
  if (!whole.amount || !own.length) return h("p", { class: "muted" }, whole.amount ? "No touch earned credit, so nothing is shared out: reports show its amount as “no journey”." : "The deal has no amount to share.");
  return [h("div", { class: "models", role: "radiogroup", "aria-label": "Attribution model", onkeydown: event => {
    const to = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (to) { event.preventDefault(); pick(names[(names.indexOf(now) + to + names.length) % names.length]); }
  } }, names.map(name => {
    const of = parts(data, k, name).sort((a, b) => inOrder(a) - inOrder(b)); // the same order under each model: by colour, then the others, then none
    return h("button", { type: "button", role: "radio", id: "model-" + name, tabindex: name === now ? 0 : -1, "aria-checked": String(name === now), onclick: () => pick(name) },
      modelName(name), stack(of, of.map(p => p.title).join(", ")));
  })), sharesTable(modelName(now) + ", by campaign", own, whole.amount.amount, whole.amount.currency)];
}

function checklist({ explained, names, about }) {
  if (!explained) return h("p", { class: "muted" }, "There is no campaign to ask about.");
  const name = names.get(about) || about;
  return [verdict(explained.counts, explained.counts ? `Counts for ${name}` : `Does not count for ${name}`, explained.reason),
    h("ol", { class: "checks" }, explained.checks.map(c => check(c.holds, c.says, ev(decidingEvent(c.deciding_event)))))];
}

function draw(host, data, status, refresh) {
  const ids = [...new Set(parts(data, { get: () => 0 }, model()).map(p => p.id).filter(Boolean))], k = ranks(ids);
  document.title = `${data.deal.name || data.deal.deal_id} · Touchline`;
  if (!host.childNodes.length) {
    const panel = (id, title, says, ...more) => h("section", { class: "panel", "aria-labelledby": id }, h("header", {}, h("div", {}, h("h2", { id }, title), says && h("p", {}, says)), more));
    const about = h("select", { class: "field", id: "pick-campaign", "aria-label": "Campaign to explain", onchange: event => { choose("campaign", event.target.value); refresh(); } },
      [...data.names].sort((a, b) => a[1].localeCompare(b[1])).map(([id, name]) => h("option", { value: id, selected: id === data.about }, name)));
    const left = panel("jo", "The journey", "Every touch of the deal's contacts in order: what earns credit, and what does not, with the reason.", h("div", { class: "bar" }, h("div", { id: "touches" }), csvButton(PATH + "/attribution", () => ({ model: model() }), "shares")));
    left.append(h("div", { id: "journey" }));
    const models = panel("mo", "Models side by side", "Same journey, same amount, shared differently. Choose one to read it on the journey.");
    models.append(h("div", { class: "pad", id: "models" }));
    const why = panel("wh", "Does it count for a campaign?", null, about);
    why.append(h("div", { class: "pad", id: "why" }));
    host.append(h("div", { class: "head" }, h("div", { id: "who" })),
      h("div", { class: "deal" }, left, h("div", {}, models, why)));
  }
  const touches = { all: `All ${data.models.get(model()).shares.length + data.others.length}`, credited: `Credited ${data.models.get(model()).shares.length}` };
  show(document.getElementById("who"), head(data, status.settled_through));
  show(document.getElementById("touches"), data.deal.state === "won" && radios("Touches", touches, chosen("touches") || "all", value => { choose("touches", value === "all" ? "" : value); refresh(); }));
  const again = () => show(document.getElementById("journey"), journey(data, k, again));
  again();
  show(document.getElementById("models"), modelPanel(data, k, refresh));
  show(document.getElementById("why"), checklist(data));
}

run(load, draw, { againMs: SETTLED_MS });
