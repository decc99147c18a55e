// The page for whoever runs the service: how far the projection is, whether it was checked, which others there are, what was refused and
// why, and what each producer sent.
import { get, Problem, send } from "./api.js";
import { mayChange } from "./changes.js";
import { openDrawer } from "./dialogs.js";
import { h, show } from "./dom.js";
import { counted, inBytes, instantOf, lasted, moneyText, minor, num } from "./format.js";
import { inUnits, sameByApi, verdict } from "./parts.js";
import { query, run } from "./shell.js";
import { isMoney, METRICS, REASONS, refusalName } from "./words.js";

const LETTERS_SHOWN = "20", VERIFICATIONS_SHOWN = 6, CAMPAIGNS_SHOWN = 20;
const AGAIN_MS = 10_000; // what is made or checked goes on, whether or not events come
const STOPPED_MS = 60_000; // a builder reports its progress every second

async function load() {
  const [producers, generations, verifications] = await Promise.all([
    get("/v1/producers"), get("/v1/generations"), get("/v1/verifications", { limit: String(VERIFICATIONS_SHOWN) })]);
  return { producers: producers.items, generations: generations.items, verifications: verifications.items };
}

const fact = (name, value, more) => h("tr", {}, h("td", {}, name), h("td", { class: "n" }, value), more && h("td", { class: "muted" }, more));
const lag = s => s.up_to_date === null ? "unknown: the log does not answer" : s.up_to_date ? "none" : counted(s.lag_events || 0, "event");

const projection = s => [fact("Generation", s.generation), fact("Projected", counted(s.projected_offset || 0, "event")), fact("In the log", s.log_end_offset === null ? "unknown" : counted(s.log_end_offset, "event")),
  fact("Behind", lag(s)), fact("Partition", String(s.partition)),
  s.settings_under_way && fact("Settings under way", `${num(s.settings_under_way.events_done || 0)} of ${num(s.settings_under_way.events_to_do || 0)}`)];

function refused(s) {
  if (!s.dead_letters) return h("p", { class: "pad muted" }, "Nothing was refused.");
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Reason"), h("th", { scope: "col" }, "Key"), h("th", { scope: "col", class: "n" }, "Events"))),
    h("tbody", {}, s.dead_letters_by.map(row => h("tr", {}, h("td", {}, mayChange() ? h("button", { class: "why", type: "button", id: `letters-${row.reason}-${row.key}`, "aria-haspopup": "dialog", onclick: () => letters(row.reason) }, refusalName(row.reason)) : refusalName(row.reason), " ", h("small", { class: "mono muted" }, row.reason)),
      h("td", { class: "mono" }, row.key || ""), h("td", { class: "n" }, num(row.events)))))),
  h("p", { class: "pad muted" }, "Each is kept whole. ", mayChange() ? "A reason opens its letters, which can be sent again." : "With an admin key, they are shown here and can be sent again."));
}

// The dead letters of a reason, in a drawer: what is wrong with each, what was sent, and sending it again.
async function letters(reason) {
  const list = h("ol", { class: "letters" }), outcome = h("p", { role: "status" }), more = h("div", { class: "bar" });
  openDrawer({ title: refusalName(reason), above: "Refused events" }, h("p", { class: "soft" }, "To send one again is of use once what was wrong is mended, as by another release or setting. It then counts as of when it was received."), outcome, list, more);
  const act = (item, row, method, path, done) => async () => {
    try {
      await send(method, `/v1/dead-letters/${item.number}${path}`);
      row.remove();
      show(outcome, `${done} number ${item.number}.`);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      show(row.querySelector(".bad"), error.code === "refused_again" ? `Refused again: ${error.message}` : error.message);
    }
  };
  const shown = item => {
    const row = h("li", { class: "would" }, h("p", {}, h("b", {}, item.detail)), h("p", { class: "muted" }, `${instantOf(item.received_at)}, key ${item.key || "unknown"}${item.producer ? ", " + item.producer : ""}`),
      h("code", { class: "api" }, item.body), h("p", { class: "bad", role: "alert" }));
    row.append(h("div", { class: "bar" }, h("button", { class: "btn small", type: "button", onclick: act(item, row, "POST", "/retry", "Sent again:"), "aria-label": `Send number ${item.number} again` }, "Send again"),
      h("button", { class: "btn quiet small", type: "button", onclick: act(item, row, "DELETE", "", "Deleted:"), "aria-label": `Delete number ${item.number}` }, "Delete")));
    return row;
  };
  async function page(cursor) {
    const letters = await get("/v1/dead-letters", { reason, limit: LETTERS_SHOWN, cursor });
    list.append(...letters.items.map(shown));
    show(more, letters.next_cursor && h("button", { class: "btn", type: "button", onclick: () => page(letters.next_cursor) }, "Show more"));
  }
  await page("");
}

const producers = items => !items.length ? h("p", { class: "pad muted" }, "Nothing was sent yet.") : h("div", { class: "scroll" }, h("table", { class: "cards" },
  h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Producer"), ["Accepted", "Became events", "No event", "Refused"].map(text => h("th", { scope: "col", class: "n" }, text)), h("th", { scope: "col", class: "n" }, "Last"))),
  h("tbody", {}, items.map(p => h("tr", {}, h("td", { class: "wide" }, p.producer), [["Accepted", p.accepted], ["Became events", p.mapped], ["No event", p.unmapped], ["Refused", p.refused]].map(([label, n]) => h("td", { class: "n", "data-l": label }, num(n))),
    h("td", { class: "n", "data-l": "Last" }, p.last_seen ? instantOf(p.last_seen) : ""))))));

// ---- verifications ----
const RESULTS = { running: "Goes on", agreed: "Agreed", differed: "Differed", failed: "Failed", not_ended: "Did not end" };
const extent = v => v.sample ? `a sample, part ${num(v.sample.place)} of ${num(v.sample.of)}` : "everything";
const compared = v => [v.tables && counted(v.tables, "table"), v.rows != null && counted(v.rows, "row"), v.events != null && `of ${counted(v.events, "event")}`].filter(Boolean).join(", ");
const by = v => v.made_by === "rebuild" ? "by a rebuild" : "by a verify";
const took = v => v.ended_at ? lasted(v.began_at, v.ended_at) : "";

function verificationText(v) {
  const what = `${v.generation}, ${extent(v)}, ${by(v)}`;
  if (v.state === "running") return h("p", { class: "note", role: "status" }, `A comparison of ${what} goes on since ${instantOf(v.began_at)}.`);
  if (v.state === "not_ended") return h("p", { class: "note" }, `The comparison of ${what} of ${instantOf(v.began_at)} did not end: its process was killed. Nothing is known of the rows.`);
  const texts = { agreed: "All rows agree with the log.", differed: "Some rows differ from the log.", failed: "The rows could not be compared with the log." };
  return [verdict(v.state === "agreed", texts[v.state], null), h("p", { class: "soft" }, `${instantOf(v.began_at)}, ${what}. `, compared(v), compared(v) && ", ", `took ${took(v)}.`),
    v.failure && h("p", { class: "bad" }, v.failure),
    v.left_out?.length > 0 && h("p", { class: "soft" }, `Not compared, for settings are applied to all of their history: ${v.left_out.join(", ")}.`),
    v.differences?.length > 0 && h("ul", { class: "differences" }, v.differences.map(text => h("li", { class: "mono" }, text)))];
}

function verifications(items) {
  const [last, ...earlier] = items;
  if (!last) return h("div", { class: "pad" }, h("p", { class: "muted" }, "The rows were never compared with the log. ", h("code", { class: "mono" }, "touchline replay verify"), " does so beside the live traffic."));
  return [h("div", { class: "pad findings" }, verificationText(last)),
    earlier.length > 0 && h("div", { class: "scroll" }, h("table", { class: "cards", role: "table" }, h("caption", { class: "sr" }, "Earlier comparisons"),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ["Earlier", "Result", "Of", "Took"].map((t, i) => h("th", { role: "columnheader", scope: "col", class: i === 3 ? "n" : null }, t)))),
      h("tbody", { role: "rowgroup" }, earlier.map(v => h("tr", { role: "row" }, h("td", { role: "cell", class: "wide" }, instantOf(v.began_at)), h("td", { role: "cell", "data-l": "Result" }, RESULTS[v.state]),
        h("td", { role: "cell", "data-l": "Of" }, `${v.generation}, ${extent(v)}`), h("td", { role: "cell", class: "n", "data-l": "Took" }, took(v)))))))];
}

// ---- generations ----
const LATE = "Its progress is no longer reported: its process has ended, or waits.";
function stateOf(g) {
  if (g.state === "live") return g.this_release ? "Live" : "Live for another release";
  if (g.state === "projected_on") return "Projected on, so that a rollback can go back to it";
  if (!g.made) return "Being made";
  const part = Math.min(100, Math.floor(100 * g.made.events / Math.max(1, g.made.of_events))), late = Date.now() - Date.parse(g.made.at) > STOPPED_MS;
  return [`Being made, ${part}%`, h("span", { class: "meter", role: "img", "aria-label": `${part} percent` }, h("i", { "--w": part + "%" })),
    h("small", { class: "muted" }, `${num(g.made.events)} of ${counted(g.made.of_events, "event")}, ${instantOf(g.made.at)}. `, late && LATE)];
}
const lists = g => g.other_lists.map(o => h("small", { class: "muted" }, `Begun with ${o.package} ${o.then}; ${o.now} is installed.`));
const count = n => n == null ? "" : num(n);

const generations = items => h("div", { class: "scroll" }, h("table", { class: "cards", role: "table" }, h("caption", { class: "sr" }, "Generations"),
  h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ["Generation", "State", "Shape", "Events", "Behind", "Size", "Since"].map((t, i) => h("th", { role: "columnheader", scope: "col", class: i > 2 ? "n" : null }, t)))),
  h("tbody", { role: "rowgroup" }, items.map(g => h("tr", { role: "row" }, h("td", { role: "cell", class: "wide" }, h("b", {}, g.name)), h("td", { role: "cell", class: "wide stated" }, stateOf(g), lists(g)),
    h("td", { role: "cell", class: "mono", "data-l": "Shape" }, g.shape, !g.this_release && h("small", { class: "muted" }, " of another release")),
    h("td", { role: "cell", class: "n", "data-l": "Events" }, count(g.events)), h("td", { role: "cell", class: "n", "data-l": "Behind" }, g.behind_events === 0 ? "none" : count(g.behind_events)),
    h("td", { role: "cell", class: "n", "data-l": "Size" }, g.bytes == null ? "" : inBytes(g.bytes)), h("td", { role: "cell", class: "n", "data-l": "Since" }, instantOf(g.live_since || g.created_at)))))));

// ---- what-ifs ----
const written = value => typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
const changes = c => [...Object.entries(c.settings).map(([name, value]) => `${name.replaceAll("_", " ")}: ${written(value)}`), c.added && `${counted(c.added, "event")} added`,
  c.without && `${counted(c.without, "event")} left out`, c.received_by && `only what was received by ${instantOf(c.received_by)}`].filter(Boolean);

function whatIfs(items, own) {
  if (!items.length) return h("div", { class: "pad" }, h("p", { class: "muted" }, "There is no what-if. ", h("code", { class: "mono" }, "touchline replay what-if hourly --set session_gap_minutes=60"), " makes one; the live numbers stay as they are."));
  return h("div", { class: "scroll" }, h("table", { class: "cards", role: "table" }, h("caption", { class: "sr" }, "What-ifs"),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ["Name", "What is changed", "Made", "Kept until", "Compare"].map((t, i) => h("th", { role: "columnheader", scope: "col", class: i > 1 ? "n" : null }, t)))),
    h("tbody", { role: "rowgroup" }, items.map(g => h("tr", { role: "row" }, h("td", { role: "cell", class: "wide" }, h("b", {}, g.name), g.workspace !== own && h("small", { class: "muted" }, ` of ${g.workspace}`)),
      h("td", { role: "cell", class: "wide stated" }, changes(g.changes).join("; ") || "nothing"), h("td", { role: "cell", class: "n", "data-l": "Made" }, instantOf(g.created_at)),
      h("td", { role: "cell", class: "n", "data-l": "Kept until" }, instantOf(g.expires_at)),
      h("td", { role: "cell", class: "n" }, g.workspace === own && h("button", { class: "btn small", type: "button", id: "compare-" + g.name, "aria-haspopup": "dialog", "aria-label": `Compare ${g.name} with the live numbers`, onclick: () => compare(g) }, "Compare")))))));
}

const amounts = value => value?.length ? value.map(m => moneyText(m.amount, m.currency)).join(", ") : "none";
const shown = (money, value) => value == null ? "not there" : money ? amounts(value) : num(value);

// What is more or less, with its sign; of money, each currency by itself.
function more(money, { before, after }) {
  if (!money) { const n = (after || 0) - (before || 0); return (n > 0 ? "+" : "−") + num(Math.abs(n)); }
  const totals = new Map();
  for (const [sign, side] of [[-1n, before], [1n, after]]) for (const m of side || []) {
    const digits = m.amount.split(".")[1]?.length || 0, known = totals.get(m.currency)?.minor || 0n;
    totals.set(m.currency, { minor: known + sign * minor(m.amount), digits });
  }
  return [...totals].filter(([, t]) => t.minor).map(([currency, t]) => (t.minor > 0n ? "+" : "") + moneyText(inUnits(t.minor, t.digits), currency)).join(", ");
}

function campaign(c) {
  const rows = [...Object.entries(c.metrics).map(([metric, pair]) => [METRICS[metric]?.[0] || metric, isMoney(metric), pair]),
    ...Object.entries(c.excluded).map(([reason, pair]) => ["Kept out: " + (REASONS[reason] || reason), false, pair])];
  const there = c.exists.before ? (c.exists.after ? "" : " (not in the what-if)") : " (only in the what-if)";
  return h("tbody", {}, h("tr", { class: "sec" }, h("th", { scope: "rowgroup", colspan: 4 }, (c.name || c.campaign_id) + there)),
    rows.map(([label, money, pair]) => h("tr", {}, h("th", { scope: "row" }, label), h("td", { class: "n" }, shown(money, pair.before)), h("td", { class: "n" }, shown(money, pair.after)), h("td", { class: "n" }, more(money, pair)))));
}
const pairs = (campaigns, name) => h("div", { class: "scroll" }, h("table", { class: "mini pairs" }, h("caption", { class: "sr" }, `Numbers that differ, live and in ${name}`),
  h("thead", {}, h("tr", {}, ["Campaign", "Live", name, "Change"].map((t, i) => h("th", { scope: "col", class: i ? "n" : null }, t)))), campaigns.map(campaign)));

// The what-if against the live numbers, in a drawer.
async function compare(g) {
  const path = `/v1/generations/${encodeURIComponent(g.name)}/difference`, { model } = query(), host = h("div", { class: "findings", "aria-live": "polite", "aria-busy": "true" }, h("p", { class: "muted" }, "Comparing all campaigns…"));
  openDrawer({ title: `${g.name} and the live numbers`, above: changes(g.changes).join("; "), look: "across" }, host,
    sameByApi(path, { model }));
  try {
    const difference = await get(path, { model }), rest = difference.campaigns.slice(CAMPAIGNS_SHOWN);
    show(host, h("p", { class: "sum" }, h("b", {}, difference.campaigns.length ? `${counted(difference.campaigns.length, "campaign")} with other numbers, of all time.` : "No number of any campaign differs.")),
      !difference.same_position && h("p", { class: "note" }, "The live numbers show events that came after it was made; they are differences too."),
      difference.campaigns.length > 0 && pairs(difference.campaigns.slice(0, CAMPAIGNS_SHOWN), g.name),
      rest.length > 0 && h("details", {}, h("summary", {}, counted(rest.length, "more campaign")), pairs(rest, g.name)));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    show(host, h("p", { class: "bad", role: "alert" }, error.status === 404 ? "It is not there any more: its time was over, or somebody has dropped it." : error.message),
      error.status !== 404 && h("div", { class: "bar" }, h("button", { class: "btn", type: "button", onclick: () => compare(g) }, "Try again")));
  } finally {
    host.removeAttribute("aria-busy");
  }
}

run(load, (host, data, status) => {
  if (!host.childNodes.length) {
    const panel = (id, title, says) => h("section", { class: "panel", "aria-labelledby": "h-" + id }, h("header", {}, h("div", {}, h("h2", { id: "h-" + id }, title), h("p", {}, says))), h("div", { id }));
    host.append(h("div", { class: "head" }, h("div", {}, h("h1", {}, "Operations"), h("p", { class: "facts" }, "How far the numbers are, whether they were checked, and what was refused."))),
      h("div", { class: "cols" }, panel("projection", "Projection", "How far the numbers are behind what was accepted."), panel("refused", "Refused events", "Dead letters, by reason and by the key that sent them.")),
      panel("verifications", "Last verification", "Whether the numbers agreed with the log when they were last compared."),
      panel("generations", "Generations", "Projections of the whole log. One is live; a rebuild makes the next one beside it."),
      panel("what-ifs", "What-ifs", "The same events with other settings, or with other events. No live number depends on them."),
      panel("producers", "Producers", "What each sent, and what became of it."));
  }
  const place = id => document.getElementById(id);
  show(place("projection"), h("table", { class: "facts-table" }, h("tbody", {}, projection(status))));
  show(place("refused"), refused(status));
  show(place("verifications"), verifications(data.verifications));
  show(place("generations"), generations(data.generations.filter(g => g.state !== "what_if")));
  show(place("what-ifs"), whatIfs(data.generations.filter(g => g.state === "what_if"), status.workspace.id));
  show(place("producers"), producers(data.producers));
}, { againMs: AGAIN_MS });
