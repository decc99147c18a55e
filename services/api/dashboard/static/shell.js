// What surrounds every page: navigation, range and model, the lag, and what to show while it loads or fails.
import { dropKey, get, hasKey, Problem, setKey } from "./api.js";
import { h, icon, s, show } from "./dom.js";
import { num, zone } from "./format.js";
import { MODELS } from "./words.js";

const REFRESH_MS = 2000;
const SKELETON_MS = 150;
const RANGES = { "": "All time", 28: "Last 28 days", 84: "Last 84 days", 365: "Last 365 days" };
const INSTALL_ICON = "M5.5 4.5 2 8l3.5 3.5|M10.5 4.5 14 8l-3.5 3.5";
const CAMPAIGNS_ICON = "M2.5 13.5V9|M6.5 13.5V5|M10.5 13.5V7.5|M14 13.5V2.5";

const params = () => new URLSearchParams(location.search);
export const chosen = name => params().get(name) || "";

// Range and model live in the address, so that a page can be sent to somebody.
export function query() {
  const days = Number(chosen("days"));
  const from = days ? new Date(Date.now() - days * 864e5).toISOString().slice(0, 10) : "";
  return { from, model: chosen("model") || "linear" };
}

export function choose(name, value) {
  const next = params();
  if (value) next.set(name, value); else next.delete(name);
  history.replaceState(null, "", location.pathname + (next.size ? "?" + next : ""));
}

export const link = (page, more = {}) => {
  const next = new URLSearchParams(more);
  for (const name of ["days", "model"]) if (chosen(name)) next.set(name, chosen(name));
  return `/dashboard/${page}${next.size ? "?" + next : ""}`;
};

const select = (label, name, options, refresh) => h("select", {
  class: "field", id: "pick-" + name, "aria-label": label,
  onchange: event => { choose(name, event.target.value); refresh(); },
}, Object.entries(options).sort((a, b) => a[0] - b[0]).map(([value, text]) =>
  h("option", { value, selected: chosen(name) === value }, text)));

export const controls = refresh => [
  select("Range", "days", RANGES, refresh),
  select("Model", "model", MODELS, refresh),
];

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

function frame() {
  const parts = {
    workspace: h("div", { class: "ws" }), lag: h("span", {}, "…"), generation: h("p", { class: "muted" }),
    main: h("main", { id: "main", tabindex: -1 }),
  };
  const installs = location.pathname.endsWith("/install");
  const nav = () => [h("a", { href: link("campaigns"), "aria-current": installs ? null : "page" }, icon(CAMPAIGNS_ICON), "Campaigns"),
    h("a", { href: link("install"), "aria-current": installs ? "page" : null }, icon(INSTALL_ICON), "Put it on your site")];
  document.getElementById("app").replaceChildren(h("div", { class: "shell" },
    h("header", { class: "side" }, h("a", { class: "brand", href: link("campaigns") }, logo(), "Touchline"),
      parts.workspace, h("nav", { class: "nav", "aria-label": "Main" }, nav()),
      h("div", { class: "foot" }, h("p", { class: "live", role: "status" }, h("i"), parts.lag), parts.generation,
        h("button", { class: "btn quiet", type: "button", onclick: flipTheme }, "Light or dark"))),
    parts.main));
  return parts;
}

function showStatus(parts, status) {
  zone.name = status.workspace.time_zone;
  show(parts.workspace, h("b", {}, status.workspace.name), h("span", {}, `${status.workspace.currency}, ${zone.name}`));
  show(parts.lag, status.up_to_date === null ? "lag unknown" : status.up_to_date ? "up to date" : status.lag_events ? `${num(status.lag_events)} events behind` : "catching up");
  show(parts.generation, `Generation ${status.generation}` + (status.projected_offset === null ? "" : `, ${num(status.projected_offset)} events`) +
    (status.dead_letters ? `, ${num(status.dead_letters)} dead letters` : ""));
}

const skeleton = () => h("section", { class: "panel", "aria-busy": "true", "aria-label": "Loading" },
  h("header", {}, h("span", { class: "sk tall", "--w": "40%" })),
  h("div", { class: "pad" }, [70, 90, 55, 80].map(width => h("p", {}, h("span", { class: "sk", "--w": width + "%" }), " "))));

function problem(error, asOf, retry) {
  return h("section", { class: "panel", role: "alert" }, h("div", { class: "state" },
    h("h2", {}, error.status === 404 ? "There is no such campaign" : "The numbers could not be read"),
    h("p", {}, error.message + " Nothing is lost: what was sent is in the log."),
    h("p", { class: "mono muted" }, error.code, asOf && `, last good numbers as of ${asOf}`),
    h("div", { class: "bar" }, h("button", { class: "btn main", type: "button", onclick: retry }, "Try again"))));
}

function askForKey() {
  const input = h("input", { class: "field", id: "key", name: "key", type: "password", autocomplete: "off", required: true, placeholder: "tlr_…" });
  const form = h("form", { onsubmit: event => { event.preventDefault(); setKey(input.value.trim()); location.reload(); } },
    h("label", { for: "key" }, "Read key of the workspace", input),
    h("p", { class: "muted" }, "It stays in this tab. `keys.json` in the data directory holds one."),
    h("button", { class: "btn main", type: "submit" }, "Show the dashboard"));
  document.getElementById("app").replaceChildren(
    h("main", { id: "main" }, h("section", { class: "panel ask" }, h("header", {}, h("h1", {}, "Touchline")), form)));
}

// Run a page: `load` asks, `draw` draws into the hosts; old numbers stay while new ones are fetched.
export function run(load, draw) {
  if (!hasKey()) { askForKey(); return; }
  const parts = frame(), host = h("div", {});
  parts.main.append(host);
  let asOf = null, drawn = false, busy = false, again = false;
  const waiting = setTimeout(() => { if (!drawn) host.replaceChildren(skeleton()); }, SKELETON_MS);

  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const status = await get("/v1/status");
      showStatus(parts, status);
      const asked = location.search + status.as_of;
      if (asked !== asOf) {
        const data = await load();
        clearTimeout(waiting);
        if (!drawn) host.replaceChildren();
        draw(host, data, status, refresh);
        asOf = asked;
        drawn = true;
      }
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 401) { dropKey(); askForKey(); return; }
      clearTimeout(waiting);
      show(host, problem(error, asOf, () => { asOf = null; drawn = false; refresh(); }));
      drawn = false;
      asOf = null;
    } finally {
      busy = false;
      if (again) { again = false; refresh(); }
    }
  }

  // Look again soon, but never spend more than a quarter of the time asking.
  async function follow() {
    const began = performance.now();
    if (!document.hidden && hasKey()) await refresh();
    setTimeout(follow, Math.max(REFRESH_MS, 3 * (performance.now() - began)));
  }
  follow();
}
