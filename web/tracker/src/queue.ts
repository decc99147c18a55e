// Events on their way: kept until the service has answered, in localStorage where the visitor may be known, else in memory.
import { host, option, writeCookie } from "./page";
import { attempt, safe } from "./safe";

export interface TouchlineEvent {
  id: string;
  type: string;
  occurred_at: string;
  visitor_id?: string;
  [field: string]: unknown;
}

const KEPT = "tl_queue";
const KEPT_MAX = 100; // events; the oldest make room
const AT_ONCE = 20; // events of a request: some 20 KB
const ALIVE_MAX = 20000; // characters, 60 kB at most: a browser refuses to send more than 64 KiB for a page that may close meanwhile
const TRIES_MAX = 8; // in a row, in some 8 minutes; then the next event, page, or connection tries again
const PAUSE_MAX_MS = 240000;
const LOST = 503; // no answer came: as if the service were away

const key = option("key");
let memory: TouchlineEvent[] = [];
let mayKnow = false; // the visitor may be known
let stored = false; // and the browser has a storage
let sending: string[] = []; // the ids of the events that are on their way
let tries = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let cookie = false;

/** Whether events may be kept in the browser. Without it, what was kept is deleted. */
export function mayStore(allowed: boolean): void {
  if (allowed && mayKnow) return;
  const waiting = memory;
  memory = [];
  mayKnow = stored = allowed;
  if (allowed) save(load().concat(waiting));
  else attempt(() => localStorage.removeItem(KEPT)); // a page without storage has nothing to delete
}

/** Ask the service to set the cookie of a new visitor, until it has answered. */
export const askForCookie = (): void => {
  cookie = true;
};

function load(): TouchlineEvent[] {
  const kept: unknown = stored && attempt(() => JSON.parse(localStorage.getItem(KEPT) || "[]"));
  return Array.isArray(kept) ? kept.filter(event => event && event.id) : memory;
}

function save(events: TouchlineEvent[]): void {
  events = events.slice(-KEPT_MAX);
  if (stored)
    try {
      if (events.length) localStorage.setItem(KEPT, JSON.stringify(events));
      else localStorage.removeItem(KEPT);
      return;
    } catch {
      stored = false; // forbidden, or full
    }
  memory = events;
}

export function add(event: TouchlineEvent): void {
  save(load().concat(event));
  flush();
}

const target = (): string => `${host}/v1/events?k=${key}${cookie ? "&c=1" : ""}`;
const body = (events: TouchlineEvent[]): string => JSON.stringify({ events, sent_at: new Date().toISOString() });

/** Send what is open, unless a request or a pause is under way. */
export function flush(): void {
  const events = load().slice(0, AT_ONCE);
  if (sending.length || timer || !events.length) return;
  sending = ids(events);
  const askedForCookie = cookie;
  const text = body(events);
  const done = safe((again: boolean, waitS: number) => {
    sending = [];
    if (askedForCookie && !mayKnow) writeCookie(); // the consent was taken back before this answer brought the cookie
    if (again) pause(waitS);
    else {
      tries = 0;
      cookie = false;
      remove(events);
      flush();
    }
  });
  // a promise of our own: a page may have a `fetch` that throws, or whose answers lack something
  new Promise<Response>(answered =>
    answered(
      fetch(target(), {
        method: "POST",
        body: text, // a string, so that the browser asks no preflight request
        keepalive: text.length < ALIVE_MAX,
        credentials: mayKnow ? "include" : "omit",
      }),
    ),
  )
    .then(answer => [answer.status, Number(answer.headers.get("Retry-After"))])
    .catch(() => [LOST, 0])
    .then(([status, waitS]) => done(status == 429 || status >= 500, waitS));
}

/** Wait before the next try, as the service says, and longer from failure to failure. */
function pause(waitS: number): void {
  if (++tries < TRIES_MAX)
    timer = setTimeout(safe(() => {
      timer = undefined;
      flush();
    }), Math.min(Math.max(2 ** tries * 1000, waitS * 1000), PAUSE_MAX_MS));
}

const ids = (events: TouchlineEvent[]): string[] => events.map(event => event.id);

function remove(events: TouchlineEvent[]): void {
  const gone = ids(events);
  save(load().filter(event => !gone.includes(event.id)));
}

/** Try again at once: the browser is online, or the page is shown. */
export function retry(): void {
  clearTimeout(timer);
  timer = undefined;
  tries = 0;
  flush();
}

/** The page may be closed: give what is not under way to the browser. In storage it stays until a later page gets an answer. */
export function leave(): void {
  let events = load().filter(event => !sending.includes(event.id)).slice(0, AT_ONCE);
  while (events.length && !navigator.sendBeacon(target(), body(events))) events = events.slice(0, events.length / 2); // too large
  if (!stored) remove(events);
}

/** Tell the service why no event comes, so that who sets the page up can see it. It holds nothing of the visitor. */
export const note = (what: string): void => {
  new Image().src = `${host}/v1/p.gif?k=${key}&t=${what}`;
};
