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

// The days that a range is compared with: as many before it, or the same days a year earlier. Null without two bounds or a wish.
export function comparedWith({ from, to }, compare) {
  if (!from || !to || !compare) return null;
  const moved = (date, years, days) => {
    const [year, month, day] = date.split("-").map(Number);
    return text(year - years, month - 1, day - days);
  };
  const days = Math.round((Date.parse(to) - Date.parse(from)) / 864e5);
  return compare === "year" ? { from: moved(from, 1, 0), to: moved(to, 1, 0) } : { from: moved(from, 0, days), to: from };
}
