// The tracker: visits, navigation within a page, forms, calls to action, and who the visitor is. It never throws on the page.
import { type Consent, GIVEN, REFUSED, WAITING, consentAtStart, signalled } from "./consent";
import {
  address, broughtBy, decorate, host, landedBefore, landing, linkedVisitor, option, random, readCookie, title, writeCookie,
} from "./page";
import { type TouchlineEvent, add, askForCookie, flush, leave, mayStore, note, retry } from "./queue";
import { attempt, safe } from "./safe";

/** What a page can call: `touchline.NAME(…)`, or `touchline.push([NAME, …])` also before the script is there. */
export interface Touchline {
  identify(email: string): void;
  track(type: string, fields?: Record<string, unknown>): void;
  consent(given: boolean): void;
  push(...calls: Call[]): void;
}
type Call = [Exclude<keyof Touchline, "push">, ...unknown[]];

declare global {
  interface Window {
    touchline?: Touchline | Call[];
  }
}

const VISIT = "page_visited";
const HELD_MAX = 50; // events before the visitor has decided
const NOTE_MS = 2000; // a consent manager that knows its visitor answers sooner
const MENU = 2; // the button of a mouse that opens a menu, and follows nothing
const EMAIL = /^\S+@\S+\.\S+$/;

let consent: Consent = WAITING;
let visitor: string | undefined;
let linked: string | undefined;
let held: TouchlineEvent[] = [];
let last = "";
const seen = new WeakSet<Element>();

const on = (target: EventTarget, name: string, work: (event: Event) => void, capture = false): void =>
  target.addEventListener(name, safe(work), capture);

function track(type: string, fields?: Record<string, unknown>): void {
  if (!type) return;
  const given = { id: random(), type, occurred_at: new Date().toISOString(), ...fields };
  const event: TouchlineEvent = JSON.parse(JSON.stringify(given)); // what is no JSON is lost alone, and the page may change its own object
  if (consent == WAITING) held = held.concat(event).slice(-HELD_MAX);
  else pass(event);
}

/** Send an event with the visitor; without consent only that a page was visited, by nobody. */
function pass(event: TouchlineEvent): void {
  if (consent == GIVEN) add({ visitor_id: visitor, ...event });
  else if (event.type == VISIT) add({ ...event, visitor_id: undefined, contact: undefined });
}

function visit(url = address(), from = last || broughtBy()): void {
  track(VISIT, { url, referrer: from || undefined, title: title() || undefined });
  last = address();
}

/** A router has changed the address. `replaced`: it only counts if the path is another. */
function navigated(replaced?: boolean): void {
  const page = (url: string): string => url.split(replaced ? /[?#]/ : option("hash") == null ? "#" : /$^/)[0];
  if (page(address()) != page(last)) visit();
  last = address();
}

function know(): void {
  mayStore(true);
  visitor = linked || readCookie();
  if (!visitor || linked) {
    visitor = visitor || random();
    writeCookie(visitor);
    askForCookie();
  }
}

function decide(answer: Consent): void {
  if (signalled()) answer = REFUSED;
  if (answer == consent) return;
  const before = consent;
  consent = answer;
  if (answer == WAITING) return; // a consent manager asks again: what is known stays until it has an answer
  if (answer == GIVEN) {
    const earlier = !readCookie() && before == WAITING && landedBefore();
    know();
    if (earlier) pass({ id: random(), type: VISIT, occurred_at: new Date(performance.timeOrigin - 1).toISOString(), url: earlier });
  } else {
    visitor = undefined;
    writeCookie();
    mayStore(false);
  }
  const waiting = held;
  held = [];
  waiting.forEach(pass);
}

function submitted(form: HTMLFormElement): void {
  const option_ = option("forms");
  let asset = form.getAttribute("data-tl-form");
  if (asset == null && option_ != null && !form.querySelector("[type=password]"))
    asset = form.getAttribute("id") || form.getAttribute("name") || new URL(form.getAttribute("action") || "", location.href).pathname;
  if (!asset) return;
  const field = form.querySelector<HTMLInputElement>("[data-tl-email],input[type=email]");
  const email = field && field.value.trim();
  track("form_submitted", { asset_id: asset, url: address(), contact: email && EMAIL.test(email) ? { email } : undefined });
}

const cta = (name: string, shown: Element): void => track(name, { asset_id: shown.getAttribute("data-tl-cta"), url: address() });

function watch(): void {
  const observer = new IntersectionObserver(
    safe(entries => {
      for (const { isIntersecting, target } of entries)
        if (isIntersecting) {
          observer.unobserve(target);
          cta("cta_viewed", target);
        }
    }),
    { threshold: 0.5 },
  );
  const scan = safe(() =>
    document.querySelectorAll("[data-tl-cta]").forEach(element => {
      if (seen.has(element)) return;
      seen.add(element);
      observer.observe(element);
    }),
  );
  scan();
  new MutationObserver(scan).observe(document.documentElement, { childList: true, subtree: true });
}

function listen(): void {
  on(document, "submit", event => submitted(event.target as HTMLFormElement), true);
  for (const name of ["click", "auxclick"])
    on(document, name, event => {
      const target = event.target as Element;
      const button = target.closest("[data-tl-cta]");
      if (button && (event as MouseEvent).button != MENU) cta("cta_clicked", button);
      if (visitor && consent == GIVEN) decorate(target, visitor);
    }, true);
  for (const name of ["pushState", "replaceState"] as const) {
    const original = history[name];
    const value = function (this: History, ...given: Parameters<History["pushState"]>): void {
      original.apply(this, given);
      setTimeout(safe(() => navigated(name == "replaceState")));
    };
    attempt(() => Object.defineProperty(history, name, { value, configurable: true, writable: true })); // also if the prototype is frozen
  }
  on(window, "popstate", () => navigated());
  on(window, "hashchange", () => navigated());
  on(window, "online", retry);
  on(window, "pagehide", leave);
  on(document, "visibilitychange", () => document.visibilityState == "hidden" && leave());
  on(window, "pageshow", event => {
    if ((event as PageTransitionEvent).persisted) visit();
  });
  let noted = false;
  on(document, "securitypolicyviolation", event => {
    if (noted || !(event as SecurityPolicyViolationEvent).blockedURI.startsWith(host)) return;
    noted = true;
    note("blocked");
  });
}

const start = safe(() => {
  const called = window.touchline;
  if (called && (called as Touchline).identify) return; // a second tag on the page, or a router ran the first one again
  const api: Touchline = {
    identify: safe(email => {
      if (EMAIL.test(email.trim())) track("contact_identified", { contact: { email: email.trim() } });
    }),
    track: safe(track),
    consent: safe(given => decide(given ? GIVEN : REFUSED)),
    push: (...calls) => calls.forEach(safe(([name, ...given]) => (api[name] as (...given: unknown[]) => void)(...given))),
  };
  window.touchline = api;
  linked = attempt(linkedVisitor);
  const first = attempt(landing);
  consent = consentAtStart(!!readCookie(), safe(decide));
  if (consent == GIVEN) know();
  else if (consent == REFUSED) {
    if (readCookie()) writeCookie();
    mayStore(false);
  } else
    setTimeout(safe(() => consent == WAITING && note("waiting")), NOTE_MS);
  // what a page makes impossible is missing, and the other steps are done
  attempt(() => visit(first));
  attempt(listen);
  if (Array.isArray(called)) api.push(...called);
  attempt(flush);
  if (document.readyState == "loading") on(document, "DOMContentLoaded", watch);
  else watch();
});

if (option("key"))
  if ((document as { prerendering?: boolean }).prerendering) on(document, "prerenderingchange", start);
  else start();
