// What the tracker reads of the page: its own element's options, the page's address, and cookies.
import { attempt } from "./safe";

export const COOKIE = "tl_visitor";
const COOKIE_S = 34128000; // 395 days, 13 months; never prolonged
const LINK_MS = 120000; // a decorated link is followed within seconds; an older one was copied or kept
const URL_CHARACTERS_MAX = 4096; // as the service accepts them
const TITLE_CHARACTERS_MAX = 1000;
const TAGGED = /[?&#](utm_|mtm_|pk_|tl_via=|[a-z]*clid=|[gw]braid=)/i;

const element = (document.currentScript || document.querySelector("script[data-key^=tlc_]")) as HTMLScriptElement | null;

/** The value of `data-NAME` of the script's element; null if it is not there. */
export const option = (name: string): string | null => element && element.getAttribute("data-" + name);

/** Where events are sent; a script whose text was copied into the page has no address, and sends to the page's own site. */
export const host =
  (option("host") || "").replace(/\/+$/, "") || (/^https?:\/\/[^/]+/.exec((element && element.src) || "") || [location.origin])[0];

/** Whether an address names the campaign or click that brought the visit. */
export const tagged = (url: string): boolean => TAGGED.test(url);

export const random = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => (byte + 256).toString(16).slice(1)).join("");

export const readCookie = (): string | undefined => attempt(() => (/(?:^|; )tl_visitor=([\w-]{8,128})/.exec(document.cookie) || [])[1]);

/** Set the cookie for all hosts of the site: of the widest domain that the browser allows. Without an id, delete it. */
export function writeCookie(id?: string): void {
  const labels = location.hostname.split(".");
  for (let first = labels.length - 2; first >= -1; first--) {
    const text =
      `${COOKIE}=${id || ""};path=/;max-age=${id ? COOKIE_S : 0};SameSite=Lax` +
      (first < 0 ? "" : ";domain=" + labels.slice(first).join(".")) +
      (location.protocol == "https:" ? ";Secure" : "");
    attempt(() => (document.cookie = text)); // a page in a sandbox has no cookies
    if (id && readCookie() == id) return;
  }
}

const domains = (option("domains") || "").split(/[\s,]+/).filter(Boolean);

/** Whether a host is one of some domains, or below one. */
const below = (name: string, of: string[]): boolean => of.some(domain => name == domain || name.endsWith("." + domain));

/** Whether a host is one of the company's domains, which `data-domains` lists, or below one. */
const ours = (name: string): boolean => below(name, domains);

const undecorated = (url: string): string =>
  url.replace(/([?&])tl_visitor=[^&#]*(&|(?=#)|$)/, (_, before: string, after: string) => (after ? before : ""));

/** The visitor's id in the page's address, if a page of another of our domains put it there just now. It is removed from the address. */
export function linkedVisitor(): string | undefined {
  const match = /[?&]tl_visitor=([\w-]{8,128})\.([0-9a-z]{1,12})/.exec(location.search);
  if (!match) return undefined;
  attempt(() => history.replaceState(history.state, "", undecorated(location.href)));
  const age = Date.now() - parseInt(match[2], 36);
  const from = referrer();
  return from && ours(new URL(from).hostname) && Math.abs(age) < LINK_MS ? match[1] : undefined;
}

/** While a click on a link to another of our domains is handled, the link has the visitor's id; no query or fragment is changed. */
export function decorate(target: Element, visitor: string): void {
  const link = target.closest("a[href]") as HTMLAnchorElement | null;
  if (!link || !/^https?:$/.test(link.protocol) || link.hostname == location.hostname || !ours(link.hostname)) return;
  const before = link.getAttribute("href") as string;
  const added = `${COOKIE}=${visitor}.${Date.now().toString(36)}`;
  link.href = link.href.replace(/^[^#]*/, address => address + (address.includes("?") ? "&" : "?") + added);
  setTimeout(() => link.setAttribute("href", before));
}

const shortened = (url: string): string => undecorated(url).slice(0, URL_CHARACTERS_MAX);

export const address = (): string => shortened(location.href);

/** The address with which the page was opened, if a router has removed the campaign or click from it; else the present one. */
export function landing(): string {
  const [opened] = performance.getEntriesByType("navigation");
  return opened && tagged(opened.name) && !tagged(location.href) ? shortened(opened.name) : address();
}

/** The earlier page of this site that led here, if its address names a campaign or click; else undefined. */
export const landedBefore = (): string | undefined =>
  referrer().startsWith(location.origin + "/") && tagged(referrer()) ? undecorated(referrer()) : undefined;

/** A property of the document, cut; empty if an element of the page has taken its name (`<form name="title">`). */
const textOf = (name: "title" | "referrer", characters: number): string => {
  const value: unknown = document[name];
  return typeof value == "string" ? value.slice(0, characters) : "";
};

export const referrer = (): string => textOf("referrer", URL_CHARACTERS_MAX);

/** The referrer; empty if it is another of our domains: who comes from there was on our pages already. */
export function broughtBy(): string {
  const from = referrer();
  const name = from && new URL(from).hostname;
  return name && ours(name) && !below(name, domains.filter(domain => below(location.hostname, [domain]))) ? "" : from;
}

export const title = (): string => textOf("title", TITLE_CHARACTERS_MAX);
