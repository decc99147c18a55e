// How are numbers, money and days written? Money is whole minor units here, never a float.
import { h } from "./dom.js";

const numbers = new Intl.NumberFormat("en-GB");
const SIGNS = { EUR: "€", USD: "$", GBP: "£" };

export const num = n => numbers.format(n);
export const counted = (n, one, many = one + "s") => `${num(n)} ${n === 1 ? one : many}`;
export const minor = amount => BigInt(amount.replace(".", ""));
export const percent = (part, total) => total === 0n ? "0.0%" : (Number(part * 1000n / total) / 10).toFixed(1) + "%";

export function moneyText(amount, currency) {
  const [whole, cents] = amount.replace("-", "").split(".");
  return (amount.startsWith("-") ? "−" : "") + (SIGNS[currency] || currency + "\u00a0") + num(BigInt(whole)) + (cents ? "." + cents : "");
}

export function money(amount, currency) {
  const text = moneyText(amount, currency), dot = text.lastIndexOf(".");
  if (dot < 0) return h("span", { class: "money" }, text);
  return h("span", { class: "money" }, text.slice(0, dot), h("span", { class: "cents" }, text.slice(dot)));
}

export const zone = { name: localStorage.getItem("touchline.zone") || "UTC" };
const day = options => new Intl.DateTimeFormat("en-GB", { timeZone: zone.name, ...options });
// A date without a time is the same day in every time zone.
export const dayOf = text => new Intl.DateTimeFormat("en-GB", { timeZone: text.length === 10 ? "UTC" : zone.name, day: "numeric", month: "short", year: "numeric" }).format(new Date(text));
export const shortDay = text => day({ day: "numeric", month: "short" }).format(new Date(text));
export const yearOf = text => day({ year: "numeric" }).format(new Date(text));
export const timeOf = text => day({ hour: "2-digit", minute: "2-digit" }).format(new Date(text));
export const secondOf = text => day({ hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(new Date(text));
// A date and a time, which break in two lines at the comma alone.
export const instantOf = text =>
  day({ day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" }).format(new Date(text)).replace(/(?<!,) /g, "\u00a0");
// How long something took, in the two largest units that it has.
export function lasted(from, to) {
  const s = Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000);
  if (s < 10) return `${s.toFixed(1)} s`;
  const units = [[Math.floor(s / 3600), "h"], [Math.floor(s / 60) % 60, "min"], [Math.floor(s % 60), "s"]], first = units.findIndex(([n]) => n > 0);
  return units.slice(first, first + 2).map(([n, unit]) => `${n} ${unit}`).join(" ");
}
// A size in bytes as MB or GB, of a million and a thousand million.
export const inBytes = n => n < 1e9 ? `${num(Math.ceil(n / 1e6))} MB` : `${num(Math.round(n / 1e8) / 10)} GB`;
export const daysBetween = (from, to) => Math.round((Date.parse(to) - Date.parse(from)) / 864e5);
// The day that it is in the workspace's time zone, as 2026-01-31.
export const today = () => new Intl.DateTimeFormat("en-CA", { timeZone: zone.name, year: "numeric", month: "2-digit", day: "2-digit" }).format(new Date());
// A page's address without its scheme and its query.
export const pageOf = url => { try { const at = new URL(url); return at.host + at.pathname; } catch { return url; } };
