// What surrounds every page: signing in, navigation, range and model, the lag, and what to show while it loads or fails.
import { get, keyOfAddress, Problem, signIn, signOut } from "./api.js";
import { openDrawer } from "./dialogs.js";
import { h, icon, nothingOn, s, show, sr } from "./dom.js";
import { counted, instantOf, timeOf, zone } from "./format.js";
import { bounds, COMPARED, daysText, RANGES } from "./ranges.js";
import { DATA_DRIVEN, MODELS } from "./words.js";

const REFRESH_MS = 2000;
const SKELETON_MS = 150;
const KEPT = ["range", "from", "to", "compare", "model", "currency"]; // what goes along from page to page
const NAV = [
  ["campaigns", "Campaigns", "M2.5 13.5V9|M6.5 13.5V5|M10.5 13.5V7.5|M14 13.5V2.5", ["campaign"]],
  ["attribution", "Attribution", "M2.5 4h11|M2.5 8h7|M2.5 12h9", []],
  ["deals", "Deals", "M2.5 5.5h11v7h-11z|M6 5.5V3.5h4v2", ["deal"]],
  ["contacts", "Contacts", "M8 7.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z|M3 13.5c.6-2.6 2.5-4 5-4s4.4 1.4 5 4", ["contact"]],
  ["assets", "Assets", "M3 2.5h6l4 4v7H3z|M9 2.5v4h4", ["asset"]],
  ["unresolved", "Unresolved", "M8 2.500a5.500 5.500 0 1 0 0 11 5.500 5.500 0 0 0 0-11z|M8 5.500v3|M8 11h.01", []],
  ["live", "Live", "M2 8h3l2-4 3 8 2-4h2", []],
  ["operations", "Operations", "M8 5.500a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z|M8 2v2|M8 12v2|M2 8h2|M12 8h2", []],
  ["install", "Put it on your site", "M5.5 4.5 2 8l3.5 3.5|M10.5 4.5 14 8l-3.5 3.5", []],
];
export const PAGE = location.pathname.split("/").pop();

const params = () => new URLSearchParams(location.search);
export const chosen = name => params().get(name) || "";

// Range, comparison and model live in the address, so that a page can be sent to somebody.
export function query() {
  return { ...bounds(chosen("range"), chosen("from"), chosen("to")), model: chosen("model") || "linear" };
}
export const rangeOnly = () => { const { from, to } = query(); return { from, to }; };
// With `currency=all`, amounts in every other currency stand beside those in the workspace's; the API is then asked for the workspace's.
export const ALL_CURRENCIES = "all";
export const allCurrencies = () => chosen("currency") === ALL_CURRENCIES;
export const currencyAsked = () => allCurrencies() ? "" : chosen("currency");
// The days of the page's range, and those that it is compared with; nothing if the range is all time.
export const rangeText = (before = null) => {
  const days = daysText(rangeOnly());
  return days && h("span", { class: "num", id: "range-days" }, days, before && `, against ${daysText(before)}`);
};

export function choose(name, value) {
  const next = params();
  if (value) next.set(name, value); else next.delete(name);
  history.replaceState(null, "", location.pathname + (next.size ? "?" + next : ""));
  for (const place of document.querySelectorAll("a[data-page]")) place.href = link(place.dataset.page);
}

export const link = (page, more = {}) => {
  const next = new URLSearchParams(more);
  for (const name of KEPT) if (chosen(name) && !(name === "model" && chosen(name) in DATA_DRIVEN && page !== "attribution")) next.set(name, chosen(name));
  return `/dashboard/${page}${next.size ? "?" + next : ""}`;
};

export const select = (label, name, options, refresh, initial = "") => h("select", {
  class: "field", id: "pick-" + name, "aria-label": label,
  onchange: event => { choose(name, event.target.value === initial ? "" : event.target.value); refresh(); },
}, Object.entries(options).map(([value, text]) => h("option", { value, selected: (chosen(name) || initial) === value }, text)));

const day = (label, name, refresh) => h("input", { class: "field", type: "date", id: "pick-" + name, "aria-label": label, value: chosen(name),
  onchange: event => { choose(name, event.target.value); refresh(); } });

// Object keys that are whole numbers come first in JavaScript, so the order is given.
const ORDER = ["", "this-month", "last-month", "this-quarter", "last-quarter", "this-year", "last-year", "28", "84", "365", "custom"];
export const rangeControls = refresh => {
  const days = h("span", { class: "bar", id: "days" });
  const fill = () => show(days, chosen("range") === "custom" && [day("First day", "from", refresh), day("Last day", "to", refresh)]);
  fill();
  const pick = h("select", { class: "field", id: "pick-range", "aria-label": "Range",
    onchange: event => { choose("range", event.target.value); fill(); refresh(); } },
    ORDER.map(value => h("option", { value, selected: chosen("range") === value }, RANGES[value])));
  return [pick, days];
};
export const modelControl = refresh => select("Model", "model", MODELS, refresh, "linear");
export const compareControl = refresh => select("Comparison", "compare", COMPARED, refresh);

// Choices of a page. On a phone they are folded behind one button, which says what is chosen, so that numbers come first.
export function choices(...of) {
  const set = h("div", { class: "set bar", id: "choices" }, of), choiceNames = h("span", {});
  const say = () => show(choiceNames, [...set.querySelectorAll("select")].map(one => one.selectedOptions[0]?.text).filter(Boolean).join(", "));
  const unfold = h("button", { class: "btn fold", type: "button", "aria-expanded": "false", "aria-controls": "choices", onclick: () => {
    const open = set.toggleAttribute("data-open");
    unfold.setAttribute("aria-expanded", String(open));
  } }, sr("Shown: "), choiceNames, icon("M4 6l4 4 4-4"));
  set.addEventListener("change", say);
  new MutationObserver(say).observe(set, { childList: true, subtree: true });
  say();
  return [unfold, set];
}

function flipTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `touchline_theme=${root.dataset.theme}; path=/dashboard; max-age=31536000; samesite=lax`;
}

const logo = () => s("svg", { viewBox: "0 0 26 16", "aria-hidden": "true" },
  s("path", { d: "M0 8H26", stroke: "currentColor", "stroke-width": 1.75 }),
  s("circle", { cx: 6, cy: 8, r: 3, fill: "var(--surface)", stroke: "currentColor", "stroke-width": 1.75 }),
  s("circle", { cx: 17, cy: 8, r: 4.25, fill: "var(--accent)" }));

const TABS = 4; // on a phone; the others are in the fifth
const place = ([page, text, paths, within]) =>
  h("a", { href: link(page), "data-page": page, "aria-current": page === PAGE || within.includes(PAGE) ? "page" : null }, icon(paths), text);

const more = () => openDrawer({ title: "More" }, h("nav", { class: "nav", "aria-label": "More places" }, NAV.slice(TABS).map(place)),
  h("div", { class: "bar" }, h("button", { class: "btn", type: "button", onclick: flipTheme }, "Light or dark"), leave()));

const leave = () => h("button", { class: "btn quiet", type: "button", onclick: async () => { await signOut(); location.reload(); } }, "Sign out");

function frame() {
  const parts = {
    workspace: h("div", { class: "ws" }, bone("70%"), bone("50%")), live: h("p", { class: "live", role: "status" }), generation: h("p", { class: "muted" }), verified: h("p", { class: "muted", id: "verified" }),
    main: h("main", { id: "main", tabindex: -1 }),
  };
  document.getElementById("app").replaceChildren(h("div", { class: "shell" },
    h("header", { class: "side" }, h("a", { class: "brand", href: link("campaigns") }, logo(), "Touchline"),
      parts.workspace, h("nav", { class: "nav", "aria-label": "Main" }, NAV.map(place)),
      h("div", { class: "foot" }, parts.live, parts.generation, parts.verified,
        h("button", { class: "btn quiet", type: "button", onclick: flipTheme }, "Light or dark"), leave())),
    parts.main),
    h("nav", { class: "tabs", "aria-label": "Main, phone" }, NAV.slice(0, TABS).map(place),
      h("button", { type: "button", "aria-haspopup": "dialog", onclick: more }, icon("M3 8h.01|M8 8h.01|M13 8h.01"), "More")));
  return parts;
}

function showStatus(parts, status) {
  show(parts.workspace, h("b", {}, status.workspace.name), h("span", {}, `${status.workspace.currency}, ${zone.name}`));
  const lag = status.up_to_date === null ? "lag unknown" : status.up_to_date ? "up to date"
    : status.lag_events ? counted(status.lag_events, "event") + " behind" : "catching up";
  show(parts.live, h("i"), h("span", {}, lag));
  parts.live.classList.remove("away");
  show(parts.generation, `Generation ${status.generation}` + (status.projected_offset === null ? "" : `, ${counted(status.projected_offset, "event")}`) +
    (status.dead_letters ? `, ${counted(status.dead_letters, "dead letter")}` : ""));
}

// When the rows were last compared with the log, and what came of it; asked once a page.
async function showVerified(parts) {
  try {
    const { items: [last] } = await get("/v1/verifications", { limit: "1" });
    if (last?.ended_at) show(parts.verified, h("a", { href: link("operations") }, `Verified ${instantOf(last.ended_at)}: ${{ agreed: "no differences", differed: "differences" }[last.state] || last.state.replaceAll("_", " ")}`));
  } catch (error) {
    if (!(error instanceof Problem)) throw error; // the page itself says that nothing answers
  }
}

function showAway(parts, since) {
  parts.live.classList.add("away");
  show(parts.live, h("i"), h("span", {}, `no answer since ${timeOf(since)}`));
}

// A skeleton in the layout of the page, with its heading where that is known before the numbers.
const bone = (width, look = "sk") => h("span", { class: look, "--w": width });
export const bones = {
  rows: (n = 7) => h("section", { class: "panel" }, h("div", { class: "pad bones" }, Array.from({ length: n }, (_, i) => h("p", {}, bone(14 + i % 3 * 5 + "rem"), bone("5rem"), bone("4rem"), bone("6rem"))))),
  panel: (n = 3) => h("section", { class: "panel" }, h("header", {}, bone("12rem", "sk tall")), h("div", { class: "pad bones" }, Array.from({ length: n }, (_, i) => h("p", {}, bone([60, 80, 70, 90][i % 4] + "%"))))),
  tiles: n => h("section", { class: "panel" }, h("div", { class: n === 4 ? "tiles four" : "tiles" }, Array.from({ length: n }, () => h("div", { class: "tile" }, bone("70%"), bone("50%", "sk tall")))), h("div", { class: "pad" }, bone("100%", "sk chart"))),
};
const LAYOUTS = {
  campaigns: () => [bones.panel(2), bones.rows()], attribution: () => [bones.panel(6), bones.rows()],
  campaign: () => [bones.tiles(6), h("div", { class: "cols" }, bones.panel(5), bones.panel(5))], asset: () => bones.tiles(4),
  deal: () => h("div", { class: "deal" }, bones.panel(8), h("div", {}, bones.panel(6), bones.panel(3))), contact: () => [bones.panel(2), bones.panel(8)],
  unresolved: () => [1, 2, 3, 4].map(() => bones.panel(2)), operations: () => [h("div", { class: "cols" }, bones.panel(4), bones.panel(2)), bones.panel(2), bones.panel(2)],
};
const ONE_OF_MANY = ["campaign", "deal", "contact", "asset"]; // pages whose heading is a name that is not known yet
const TWO_LINES = ["campaigns", "campaign", "deals", "contacts", "assets"]; // pages whose choices have a line of their own
const heading = () => h("div", { class: "head" }, h("div", {}, ONE_OF_MANY.includes(PAGE) ? h("h1", {}, sr("Loading"), bone("12rem", "sk tall")) : h("h1", {}, titleOf())), TWO_LINES.includes(PAGE) && h("p", { class: "facts" }, bone("14rem")),
  TWO_LINES.includes(PAGE) && h("div", { class: "bar by" }, ["11rem", "8rem", "13rem"].map(width => bone(width, "sk ctl"))));
const homeOf = () => NAV.find(([page, , , within]) => page === PAGE || within.includes(PAGE))[0];
const titleOf = () => (NAV.find(([page, , , within]) => page === PAGE || within.includes(PAGE)) || [])[1] || "Touchline";
const skeleton = () => h("div", { role: "status", "aria-busy": "true", "aria-label": "Loading" }, heading(), (LAYOUTS[PAGE] || bones.rows)());

function problem(error, retry) {
  const chose = KEPT.some(chosen), id = chosen("id"), refused = error.status === 404 || error.status === 422;
  return [h("div", { class: "head" }, h("div", {}, h("h1", {}, titleOf()))), h("section", { class: "panel", role: "alert" }, h("div", { class: "state" }, nothingOn(true),
    h("h2", {}, error.status === 404 ? "Not found" : "The numbers could not be read"),
    h("p", {}, error.message, refused ? "" : " Nothing is lost: what was sent is in the log."),
    h("p", { class: "mono muted" }, error.reference),
    h("div", { class: "bar" }, h("button", { class: "btn main", type: "button", onclick: retry }, "Try again"),
      error.status === 404 && id && h("a", { class: "btn", href: link(homeOf()) }, `All ${titleOf().toLowerCase()}`),
      refused && chose && h("a", { class: "btn", href: location.pathname + (id ? "?" + new URLSearchParams({ id }) : "") }, "Without range, model and currency"))))];
}

const stale = (error, since) => h("div", { class: "note", role: "alert" }, h("span", {},
  `${error.message} These are the last numbers that could be read, of ${instantOf(since)}.`), h("span", { class: "mono" }, error.reference));

function askForKey(reason) {
  const input = h("input", { class: "field", id: "key", name: "key", type: "password", autocomplete: "current-password", required: true, placeholder: "tlr_…" });
  const says = h("p", { class: "bad", role: "alert" }, reason);
  const form = h("form", { onsubmit: async event => {
    event.preventDefault();
    try {
      await signIn(input.value.trim());
      location.reload();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      show(says, error.message);
      input.select();
    }
  } },
    h("label", { for: "key" }, "Read or admin key of the workspace", input), says,
    h("p", { class: "muted" }, "This browser keeps it for 90 days in a cookie that no script can read. The file ", h("span", { class: "mono" }, "keys.json"), " in the data directory holds one of each kind."),
    h("button", { class: "btn main", type: "submit" }, "Sign in"));
  document.getElementById("app").replaceChildren(
    h("main", { id: "main" }, h("section", { class: "panel ask" }, h("header", {}, h("h1", { class: "brand" }, logo(), "Sign in to Touchline")), form)));
  input.focus();
}

// A link with a key, put into the address of a page that is open, signs in as one that is opened does.
addEventListener("hashchange", () => { if (location.hash.startsWith("#key=")) location.reload(); });

// Run a page: `load` asks, `draw` draws into the host; old numbers stay while new ones are fetched, and when nothing answers. They are
// fetched when events were projected, and after `againMs` in any case.
export async function run(load, draw, { againMs = Infinity } = {}) {
  try {
    if (!await keyOfAddress()) { askForKey(""); return; }
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    askForKey(error.message);
    return;
  }
  const parts = frame(), notes = h("div", {}), host = h("div", {});
  parts.main.append(notes, host);
  let shown = null, shownAt = 0, since = null, drawn = false, busy = false, again = false, out = false, whole = null;
  const waiting = setTimeout(() => { if (!drawn) host.replaceChildren(skeleton()); }, SKELETON_MS);

  async function read() {
    const status = await get("/v1/status"), asked = [location.search, status.as_of, status.generation, status.dead_letters].join(" ");
    if (zone.name !== status.workspace.time_zone) localStorage.setItem("touchline.zone", zone.name = status.workspace.time_zone);
    showStatus(parts, status);
    show(notes);
    if (asked !== shown || performance.now() - shownAt > againMs) {
      const data = await load(status);
      clearTimeout(waiting);
      if (!drawn) host.replaceChildren();
      whole = draw(host, data, status, refresh);
      if (!drawn) showVerified(parts);
      shown = asked;
      shownAt = performance.now();
      drawn = true;
    }
    since = new Date().toISOString();
  }

  async function refresh(byHand = true) {
    if (busy) { again = byHand || again; return; }
    busy = true;
    if (byHand) host.setAttribute("aria-busy", "true");
    try {
      await read();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      clearTimeout(waiting);
      if (error.status === 401) { out = true; askForKey(drawn || since ? error.message : ""); return; }
      shown = null;
      if (drawn) { showAway(parts, since); show(notes, stale(error, since)); } else host.replaceChildren(...problem(error, refresh));
    } finally {
      busy = false;
      host.removeAttribute("aria-busy");
      if (again && !out) { again = false; refresh(); }
    }
  }

  // Look again soon, but never spend more than a quarter of the time asking. What a page fetches while it draws is part of that: asked
  // again before it is there, a slow list would never be shown.
  async function follow() {
    const began = performance.now();
    if (out) return;
    try {
      if (!document.hidden) await refresh(false);
      await whole;
    } finally {
      setTimeout(follow, Math.max(REFRESH_MS, 3 * (performance.now() - began)));
    }
  }
  follow();
}
