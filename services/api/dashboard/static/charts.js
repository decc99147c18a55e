// The drawings: a number's change, a small series, the timeline, and who held an asset. SVG by attributes and classes alone.
import { h, s, sr } from "./dom.js";
import { num, zone } from "./format.js";

const DAY_MS = 864e5;
const utc = options => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...options });
const shortDay = utc({ day: "numeric", month: "short" }), longDay = utc({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
const shortMonth = utc({ month: "short", year: "numeric" });

// Days are counted as whole numbers since 1970, in the workspace's time zone, so that no clock of the browser's moves them.
export function dayNumber(text) {
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return Date.parse(text) / DAY_MS;
  const parts = new Intl.DateTimeFormat("en-CA", { timeZone: zone.name, year: "numeric", month: "2-digit", day: "2-digit" }).format(new Date(text));
  return Date.parse(parts) / DAY_MS;
}
export const dayText = number => new Date(number * DAY_MS).toISOString().slice(0, 10);
export const dayShort = number => shortDay.format(number * DAY_MS);
const exact = text => {  // a day and the part of it that has passed
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return dayNumber(text);
  const [hour, minute] = new Intl.DateTimeFormat("en-GB", { timeZone: zone.name, hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(new Date(text)).split(":");
  return dayNumber(text) + (Number(hour) * 60 + Number(minute)) / 1440;
};

// The part of a range of which events may still come: numbers are settled up to the instant `through`. False: there is none; null: nothing
// is known about how late events come.
export function unsettledPart({ from, to }, through) {
  if (!through) return null;
  if (to && dayNumber(to) <= dayNumber(through)) return false;
  return { from: from && dayNumber(from) > dayNumber(through) ? from : through, to };
}

// How final something is: a dashed ring and what may still change, or a ticked one.
const ring = (open, text) => h("span", { class: open ? "mark prov" : "mark" }, s("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" },
  s("circle", { cx: 6, cy: 6, r: 4.75, "stroke-dasharray": open ? "2 1.7" : null }), !open && s("path", { d: "M3.8 6.2 5.4 7.7 8.3 4.5" })), text);
export const openMark = text => ring(true, text);
export const doneMark = text => ring(false, text);
export const settledMark = provisional => provisional ? openMark(`${provisional} provisional`) : doneMark("Settled");

// How much a number changed: in per cent of what it was, from three times it on as so many times; never by colour alone. What is not
// `complete`, because the period begins before there was anything to count, is not compared.
const TIMES_MIN = 3, TENTHS_BELOW = 10;
export function delta(now, before, period, complete = true) {
  if (before == null) return null;
  const a = Number(now), b = Number(before);
  if (!complete) return a || b ? h("span", { class: "delta wraps", title: NOT_WHOLE }, "not comparable", sr(`: ${period} begins before the first touch`)) : null;
  if (!b) return a ? h("span", { class: "delta" }, "new", sr(`, nothing in ${period}`)) : null;
  const change = Math.round((a - b) / Math.abs(b) * 100), way = change > 0 ? "up" : change < 0 ? "down" : "", times = a / b;
  const text = times >= TIMES_MIN && b > 0 ? `${times < TENTHS_BELOW ? Math.round(times * 10) / 10 : num(Math.round(times))}×` : change ? num(Math.abs(change)) + "%" : "same";
  return h("span", { class: "delta " + way },
    s("svg", { viewBox: "0 0 8 8", "aria-hidden": "true" }, s("path", { d: change > 0 ? "M4 1l3.5 6h-7z" : change < 0 ? "M4 7L.5 1h7z" : "M1 3h6v2H1z" })),
    text, sr(text.endsWith("×") ? ` what it was in ${period}` : ` ${way || "nearly unchanged"} against ${period}`));
}
export const NOT_WHOLE = "The period that it is compared with begins before the first touch, so a change in per cent would mislead.";

// Steps of an axis from 0 to at least `most`.
function ticks(most, whole, count = 4) {
  const raw = most / count || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(most < 4 ? 1 : 0, [1, 2, 2.5, 5, 10].map(m => m * power).find(m => m >= raw && (!whole || Number.isInteger(m))) || 1);
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, i) => i * step);
}

export const INTERVAL_NAMES = { day: "Day", week: "Week", month: "Month" };

export const intervalFor = days => days <= 35 ? "day" : days <= 190 ? "week" : "month";
export const intervalText = ([from, to]) => to - from === 1 ? longDay.format(from * DAY_MS)
  : to - from > 7 && new Date(from * DAY_MS).getUTCDate() === 1 ? shortMonth.format(from * DAY_MS) : `${dayShort(from)} to ${dayShort(to - 1)}`;

const width = host => Math.max(240, host.clientWidth);
const left = wide => wide < 500 ? 34 : 44;

// Draw again when the host's width changes.
function following(host, draw) {
  draw();
  let was = host.clientWidth;
  new ResizeObserver(() => { if (host.isConnected && host.clientWidth !== was) { was = host.clientWidth; draw(); } }).observe(host);
}

// A bar an interval over its real days; the period compared with is a dash on it; what may still change is hatched; moves are dotted.
// `of`: {label, spans, now, before|null, settled: a day, moves: [instants], whole: of counts, write: number => text, read: (index|null) => …}.
export function timeline(host, of) {
  following(host, () => host.replaceChildren(drawTimeline(width(host), of)));
}

function drawTimeline(W, { label, spans, now, before, settled, moves, whole, write, read }) {
  const H = W < 500 ? 184 : 228, T = 20, B = 22, L = left(W), from = spans[0][0], to = spans.at(-1)[1];
  const steps = ticks(Math.max(...now, ...(before || [])), whole), top = steps.at(-1) || 1;
  const X = day => L + (W - L - 4) * (day - from) / (to - from), Y = value => H - B - (H - T - B) * value / top;
  const graph = s("svg", { class: "c timeline", viewBox: `0 0 ${W} ${H}`, height: H, role: "group", tabindex: 0,
    "aria-label": `${label}, ${intervalText(spans[0])} on. Arrow keys read the values; List shows them all as a table.` });
  graph.append(s("defs", {}, s("pattern", { id: "hatched", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, s("path", { d: "M1 0V5", class: "hatch" }))));
  for (const value of steps) graph.append(s("path", { class: value ? "grid" : "base", d: `M${L} ${Y(value)}H${W - 4}` }), s("text", { x: L - 8, y: Y(value) + 4, "text-anchor": "end" }, write(value, true)));
  let hatched = false;
  spans.forEach(([begin, end], i) => {
    const gap = X(end) - X(begin) > 8 ? 3 : 1, x = X(begin) + gap / 2, wide = Math.max(1, X(end) - X(begin) - gap), open = settled != null && end > settled;
    hatched ||= open;
    graph.append(s("rect", { class: open ? "bar prov" : "bar", x, y: Y(now[i]), width: wide, height: Math.max(0, Y(0) - Y(now[i])), rx: wide > 8 ? 1.5 : 0, fill: open ? "url(#hatched)" : null }));
    if (before) graph.append(s("path", { class: "prev", d: `M${x - gap / 2} ${Y(before[i])}h${wide + gap}` }));
  });
  if (hatched) graph.append(s("text", { x: W - 4, y: T - 7, "text-anchor": "end", class: "provtext" }, "may still change"));
  const drawn = new Set(); // moves at nearly the same instant are one line
  for (const move of moves) if (exact(move) > from && exact(move) < to && !drawn.has(Math.round(X(exact(move)) / 2)) && drawn.add(Math.round(X(exact(move)) / 2))) graph.append(s("path", { class: "move", d: `M${X(exact(move))} ${T}V${H}` }));
  const every = Math.max(1, Math.ceil(spans.length / (W < 500 ? 4 : 8)));
  spans.forEach(([begin], i) => { if (i % every === 0 && X(begin) < W - 40) graph.append(s("text", { class: "day", x: X(begin) + 1, y: H - 5 }, dayShort(begin))); });
  readOut(graph, { W, H, T, B, X, spans, read });
  return graph;
}

// The bar under the pointer, or reached by arrow keys, is read out.
function readOut(graph, { W, H, T, B, X, spans, read }) {
  const chosen = s("rect", { class: "sel", y: T - 4, height: H - T - B + 4, rx: 2, visibility: "hidden" });
  graph.append(chosen);
  let at = spans.length;
  const choose = i => {
    at = Math.max(0, Math.min(spans.length - 1, i));
    chosen.setAttribute("visibility", "visible");
    chosen.setAttribute("x", X(spans[at][0]));
    chosen.setAttribute("width", X(spans[at][1]) - X(spans[at][0]));
    read(at);
  };
  const leave = () => { chosen.setAttribute("visibility", "hidden"); at = spans.length; read(null); };
  graph.addEventListener("pointermove", event => {
    const box = graph.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * W;
    const i = spans.findIndex(([begin, end]) => x >= X(begin) && x < X(end));
    if (i >= 0) choose(i);
  });
  graph.addEventListener("pointerleave", leave);
  graph.addEventListener("blur", leave);
  graph.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -1e6, End: 1e6 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(at === spans.length && step === 1 ? 0 : at + step);
  });
}

// A small series: `points` are numbers in order; the line to the last one is dashed if that may still change.
export function spark(points, label, provisional) {
  if (!points.length || !points.some(Boolean)) return h("span", { class: "muted" }, "no visits");
  const W = 96, H = 26, most = Math.max(...points, 1);
  const at = points.map((value, i) => [2 + i * (W - 6) / Math.max(1, points.length - 1), H - 3 - value / most * (H - 7)]);
  const path = list => "M" + list.map(p => p[0].toFixed(1) + " " + p[1].toFixed(1)).join("L");
  return s("svg", { class: "c spark", viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    s("path", { class: "fill", d: path(at) + `L${at.at(-1)[0]} ${H}L2 ${H}Z` }),
    s("path", { class: "now", d: path(provisional ? at.slice(0, -1) : at), "vector-effect": "non-scaling-stroke" }),
    provisional && s("path", { class: "now prov", d: path(at.slice(-2)), "vector-effect": "non-scaling-stroke" }));
}

// Who held an asset, when: segments named after the holder, own ones stronger; ticks are touches a day in the colour of the campaign that
// they count for. `of`: {name, held: [{campaign, from, to}], days: [{on, campaign, touches}]}, `axis`: {from, to} in days. `alone`: it is
// the only drawing of its page, so it is higher and has days below it.
export function strip(host, of, axis, me, { colour, name, alone = false }) {
  following(host, () => host.replaceChildren(drawStrip(width(host), of, axis, me, { colour, name, alone })));
}

// Times that overlap, as a workflow's may, go into lanes.
function lanesOf(held) {
  const ends = [];
  return held.map(one => {
    const begin = exact(one.from), end = one.to ? exact(one.to) : Infinity, lane = ends.findIndex(e => e <= begin);
    const chosen = lane < 0 ? ends.length : lane;
    ends[chosen] = end;
    return { ...one, begin, end, lane: chosen };
  });
}

const ALONE_H = 132, DAYS_H = 18, DAYS_APART = 110; // pixels
function drawStrip(W, { name: asset, held, days }, { from, to }, me, { colour, name, alone }) {
  const times = lanesOf(held), lanes = 1 + Math.max(0, ...times.map(t => t.lane)), L = alone ? 1 : left(W), below = alone ? DAYS_H : 0;
  const H = (lanes > 1 ? 24 * lanes : alone ? ALONE_H : 40) + below;
  const X = day => L + (W - L - 4) * Math.max(0, Math.min(1, (day - from) / (to - from))), high = (H - below - 8) / lanes;
  const graph = s("svg", { class: "c", viewBox: `0 0 ${W} ${H}`, height: H, role: "img", "aria-label": asset + ": " +
    (held.map(t => `${name(t.campaign)} from ${dayShort(dayNumber(t.from))}${t.to ? " to " + dayShort(dayNumber(t.to)) : ""}`).join("; ") || "held by no campaign") });
  if (lanes === 1) graph.append(s("rect", { class: "none", x: L + .5, y: 4.5, width: W - L - 5, height: high - 1, rx: 2 }));
  const most = Math.max(1, ...days.map(d => d.touches));
  times.forEach((time, i) => {
    if (time.end <= from || time.begin >= to) return;
    const x = X(time.begin), wide = Math.max(2, X(time.end) - x - (time.to ? 1.5 : 0)), y = 4 + time.lane * high, tall = high - (lanes > 1 ? 1 : 0);
    const look = `k${colour(time.campaign)}${time.campaign === me ? " me" : ""}`;
    graph.append(s("rect", { class: "cover", x, y, width: wide, height: tall }), s("rect", { class: "seg0 " + look, x, y, width: wide, height: tall, rx: 2 }), s("rect", { class: "edge " + look, x, y: y + tall - 2, width: wide, height: 2 }));
    if (lanes === 1) for (const d of days) if (d.campaign === time.campaign) {
      const day = dayNumber(d.on), up = d.touches / most * (tall - 18);
      if (day >= Math.floor(time.begin) && day < time.end && day >= from && day < to) graph.append(s("rect", { class: "tick " + look, x: Math.max(x, X(day)), y: y + tall - 2 - up, width: Math.max(1.5, (X(day + 1) - X(day)) * .42), height: up }));
    }
    const moved = lanes === 1 && i > 0 && time.begin > from, off = moved ? 13 : 7, called = name(time.campaign), letters = [...called];
    const sign = lanes === 1 && times[i + 1]?.begin === time.end ? 8 : 0; // half of the sign of the move that follows
    const fit = Math.floor((wide - off - sign - 4) / (time.campaign === me ? 6.7 : 6)); // letters
    if (fit > 6) graph.append(s("text", { class: time.campaign === me ? "lbl me" : "lbl", x: x + off, y: y + (lanes > 1 ? tall / 2 + 3 : 12) }, letters.length > fit ? letters.slice(0, fit - 1).join("") + "…" : called));
    if (moved) graph.append(s("g", {}, s("title", {}, `${dayShort(Math.floor(time.begin))}: moved here, event ${time.associated_by || ""}`),
      s("circle", { class: "mv", cx: x, cy: (H - below) / 2, r: 7 }), s("path", { class: "mva", d: `M${x - 3} ${(H - below) / 2}h5.5m-2-2l2 2-2 2` })));
  });
  if (alone) {
    const n = Math.max(1, Math.min(to - from, Math.floor((W - L) / DAYS_APART)));
    for (let i = 0; i < n; i += 1) { const day = from + Math.round(i * (to - from) / n); graph.append(s("text", { class: "day", x: X(day) + 1, y: H - 4 }, dayShort(day))); }
  }
  return graph;
}
