// Events on their way: kept until the service has answered, in localStorage where the visitor may be known, else in memory.
import { host, option } from "./page";

export interface TouchlineEvent {
  id: string;
  type: string;
  occurred_at: string;
  visitor_id?: string;
  [field: string]: unknown;
}

const KEPT = "tl_queue";
const KEPT_MAX = 100; // events; the oldest make room
const AT_ONCE = 20; // events of a request: some 20 KB, within the 64 KiB that a browser sends while a page closes
const TRIES_MAX = 8; // in a row, in some 8 minutes; then the next event, page, or connection tries again
const PAUSE_MAX_MS = 240000;

const key = option("key");
let memory: TouchlineEvent[] = [];
let stored = false;
let busy = false;
let tries = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let cookie = false;

/** Whether events may be kept in the browser. Without it, what was kept is deleted. */
export function mayStore(may: boolean): void {
  const open = load();
  stored = may;
  if (may) save(load().concat(open));
  else
    try {
      localStorage.removeItem(KEPT);
    } catch {
      // a page without storage has nothing to delete
    }
}

/** Ask the service to set the cookie of a new visitor, until it has answered. */
export const askForCookie = (): void => {
  cookie = true;
};

function load(): TouchlineEvent[] {
  if (stored)
    try {
      return JSON.parse(localStorage.getItem(KEPT) || "[]");
    } catch {
      stored = false; // no storage, or not ours: memory is left
    }
  return memory;
}

function save(events: TouchlineEvent[]): void {
  events = events.slice(-KEPT_MAX);
  if (stored)
    try {
      if (events.length) localStorage.setItem(KEPT, JSON.stringify(events));
      else localStorage.removeItem(KEPT);
      return;
    } catch {
      stored = false;
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
  if (busy || timer || !events.length) return;
  busy = true;
  fetch(target(), {
    method: "POST",
    body: body(events), // a text, so that the browser asks no preflight request
    keepalive: true,
    credentials: stored ? "include" : "omit",
  }).then(
    answer => done(events, answer.status == 429 || answer.status >= 500, Number(answer.headers.get("Retry-After"))),
    () => done(events, true, 0),
  );
}

function done(events: TouchlineEvent[], again: boolean, waitS: number): void {
  busy = false;
  if (again) {
    if (++tries < TRIES_MAX)
      timer = setTimeout(() => {
        timer = undefined;
        flush();
      }, Math.min(Math.max(2 ** tries * 1000, waitS * 1000), PAUSE_MAX_MS));
    return;
  }
  tries = 0;
  cookie = false;
  remove(events);
  flush();
}

function remove(events: TouchlineEvent[]): void {
  const ids = events.map(event => event.id);
  save(load().filter(event => !ids.includes(event.id)));
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
  const events = load().slice(0, AT_ONCE);
  if (!busy && events.length && navigator.sendBeacon(target(), body(events)) && !stored) remove(events);
}

/** Tell the service why no event comes, so that who sets the page up can see it. It holds nothing of the visitor. */
export const note = (what: string): void => {
  new Image().src = `${host}/v1/p.gif?k=${key}&t=${what}`;
};
