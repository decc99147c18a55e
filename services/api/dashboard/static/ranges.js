// Which days does a range cover? Days are those of the workspace's time zone, whatever the browser's clock is set to.
import { zone } from "./format.js";

export const RANGES = {
  "": "All time", "this-month": "This month", "last-month": "Last month", "this-quarter": "This quarter", "last-quarter": "Last quarter",
  "this-year": "This year", "last-year": "Last year", 28: "Last 28 days", 84: "Last 84 days", 365: "Last 365 days", custom: "From … to …",
};
export const COMPARED = { "": "No comparison", previous: "Against the period before", year: "Against the year before" };

const text = (year, month, day) => new Date(Date.UTC(year, month, day)).toISOString().slice(0, 10);

// The day that it is in the workspace's time zone: [year, month from 0, day].
function today(now = new Date()) {
  const parts = new Intl.DateTimeFormat("en-CA", { timeZone: zone.name, year: "numeric", month: "2-digit", day: "2-digit" }).format(now);
  const [year, month, day] = parts.split("-").map(Number);
  return [year, month - 1, day];
}

// The first day, and the day after the last, as the read API takes them; empty: no bound.
export function bounds(range, from, to, now) {
  const [year, month, day] = today(now), quarter = month - month % 3;
  switch (range) {
    case "this-month": return { from: text(year, month, 1), to: text(year, month + 1, 1) };
    case "last-month": return { from: text(year, month - 1, 1), to: text(year, month, 1) };
    case "this-quarter": return { from: text(year, quarter, 1), to: text(year, quarter + 3, 1) };
    case "last-quarter": return { from: text(year, quarter - 3, 1), to: text(year, quarter, 1) };
    case "this-year": return { from: text(year, 0, 1), to: text(year + 1, 0, 1) };
    case "last-year": return { from: text(year - 1, 0, 1), to: text(year, 0, 1) };
    case "custom": return { from, to: to && text(...to.split("-").map((part, i) => Number(part) - (i === 1) + (i === 2))) };
    default: return Number(range) > 0 ? { from: text(year, month, day + 1 - Number(range)), to: text(year, month, day + 1) } : { from: "", to: "" };
  }
}

const DAY_MS = 864e5;
const daysIn = (from, to) => Math.round((Date.parse(to) - Date.parse(from)) / DAY_MS);
const moved = (date, years, months, days) => {
  const [year, month, day] = date.split("-").map(Number);
  return text(year - years, month - 1 - months, day - days);
};
// How many whole months a range of days has; 0 if it has other days too.
function monthsIn(from, to) {
  const [[year, month, day], [endYear, endMonth, endDay]] = [from, to].map(date => date.split("-").map(Number));
  return day === 1 && endDay === 1 ? (endYear - year) * 12 + endMonth - month : 0;
}

// The days that a range is compared with: those a year earlier, or those before it. Whole months are compared with as many whole months,
// unless the range was chosen as a number of days. Of a range that goes on, the days until today are compared with as many days. Null
// without two bounds, or if no comparison is chosen.
export function comparedWith({ from, to }, compare, range = "", now) {
  if (!from || !to || !compare) return null;
  const months = Number(range) > 0 ? 0 : monthsIn(from, to);
  const first = compare === "year" ? moved(from, 1, 0, 0) : moved(from, 0, months, months ? 0 : daysIn(from, to));
  const last = compare === "year" ? moved(to, 1, 0, 0) : from;
  const [year, month, day] = today(now), tomorrow = text(year, month, day + 1);
  const soFar = from < tomorrow && tomorrow < to ? moved(first, 0, 0, -daysIn(from, tomorrow)) : last;
  return { from: first, to: soFar < last ? soFar : last };
}
// As the read API takes a range to compare with.
export const asCompared = before => before ? `${before.from}..${before.to}` : "";

// The days of a range in words, such as 1 Apr to 30 Jun 2026; `to` is the day after the last.
const inWords = options => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short", ...options });
const [shortDay, longDay] = [inWords({}), inWords({ year: "numeric" })];
export function daysText({ from, to }) {
  const end = to && moved(to, 0, 0, 1);
  if (!from || !end) return from ? `from ${longDay.format(new Date(from))}` : end ? `until ${longDay.format(new Date(end))}` : "";
  return from === end ? longDay.format(new Date(from)) : spanOf(from, end);
}
// The same of two days, the last included; the year stands once if it is the same.
export const spanOf = (first, last) => `${(first.slice(0, 4) === last.slice(0, 4) ? shortDay : longDay).format(new Date(first))} to ${longDay.format(new Date(last))}`;
