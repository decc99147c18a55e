// How are numbers, money and days written? Money is whole minor units here, never a float.
import { h } from "./dom.js";

const numbers = new Intl.NumberFormat("en-GB");
const SIGNS = { EUR: "€", USD: "$", GBP: "£" };

export const num = n => numbers.format(n);
export const minor = amount => Number(amount.replace(".", ""));
export const decimals = amount => (amount.split(".")[1] || "").length;

export function moneyText(amount, currency) {
  const [whole, cents] = amount.split(".");
  return (SIGNS[currency] || currency + " ") + num(BigInt(whole)) + (cents ? "." + cents : "");
}

export function money(amount, currency) {
  const text = moneyText(amount, currency), dot = text.lastIndexOf(".");
  if (dot < 0) return h("span", { class: "money" }, text);
  return h("span", { class: "money" }, text.slice(0, dot), h("span", { class: "cents" }, text.slice(dot)));
}

export const zone = { name: "UTC" };
const day = options => new Intl.DateTimeFormat("en-GB", { timeZone: zone.name, ...options });
export const dayOf = text => day({ day: "numeric", month: "short", year: "numeric" }).format(new Date(text));
export const instantOf = text =>
  day({ day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" }).format(new Date(text));
