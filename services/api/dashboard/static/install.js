// The page that puts the tracker on a site: the line to copy, the first events and what each counted for, and why there are none yet.
import { get, postJson, Problem, send } from "./api.js";
import { mayChange } from "./changes.js";
import { copied, h, icon, show } from "./dom.js";
import { instantOf } from "./format.js";
import { campaignNames } from "./parts.js";
import { run } from "./shell.js";
import { REASONS, typeName } from "./words.js";

const REFRESH_MS = 2000;
const FORM = /^tlc_[A-Za-z0-9_-]{32}$/;
const OPTIONS = [
  ["consent", "Wait for the visitor's consent", "Nothing is sent or stored until the page calls touchline.consent(true), or a consent manager says so."],
  ["forms", "Count every form", "Otherwise only forms with data-tl-form=\"ITS ASSET\" are counted. Forms with a password never are."],
  ["hash", "Addresses with # are pages", "For sites whose router writes addresses such as /#/cart."],
];
const state = { key: "", host: location.origin, domains: "", options: {}, made: null };
const explained = new Map(); // what is final of events: an explanation is asked once

const line = () => {
  const attributes = [["key", state.key || "tlc_…"], ["domains", state.domains.trim()]].filter(each => each[1]).map(([name, value]) => ` data-${name}="${value}"`);
  if (state.options.consent) attributes.push(' data-consent="wait"');
  for (const name of ["forms", "hash"]) if (state.options[name]) attributes.push(` data-${name}`);
  return `<script async src="${state.host.replace(/\/+$/, "")}/t.js"${attributes.join("")}></script>`;
};

// An event that counted (true), something that is wrong (false), or what may be the reason (null).
const mark = (good, ...children) => h("li", { class: { true: null, false: "fail", null: "skip2" }[good] }, icon({ true: "M3 8.5 6.5 12 13 4.5", false: "M4 4 12 12|M12 4 4 12", null: "M3.5 8H12.5" }[good]), h("div", {}, children));
const mono = text => h("span", { class: "mono" }, text);

function keyProblem(keys) {
  if (!state.key) return null;
  if (/^tl[sra]_/.test(state.key)) return "This is a secret key. It must never be on a page; use a collect key, which begins with tlc_.";
  if (!FORM.test(state.key)) return "This is no collect key: it is tlc_ and 32 further characters.";
  const known = keys.find(key => key.name === state.key.slice(0, 8));
  if (!known) return "This workspace has no such key.";
  return known.revoked ? "This key was revoked: pages that use it are refused." : null;
}

const FORBIDDEN = () => `script-src ${state.host}; connect-src ${state.host}; img-src ${state.host}`;
const WHY = {
  origin_not_allowed: n => [`Pages of ${n.origin} may not use the key ${n.key}…: its list of origins does not have them. `,
    mayChange() ? h("button", { class: "btn", type: "button", onclick: event => allow(event.target, n) }, "Allow these pages")
      : ["Add it: ", mono(`touchline keys origins ${n.key} --origin ${n.origin}`), ", with the other origins of the list."]],
  revoked_key: n => `Pages of ${n.origin} use the key ${n.key}…, which was revoked. Put a valid key there.`,
  unknown_key: n => `Pages of ${n.origin} use a key that does not exist. Was it copied whole?`,
  secret_key_in_browser: n => `A page of ${n.origin} uses the secret key ${n.key}…. Everybody can read it there: revoke it, and use a collect key.`,
  consent_awaited: n => `Visitors of ${n.origin || "a page"} have not decided yet whether they consent (data-consent="wait", or a consent manager of the page).`,
  blocked_by_policy: n => [`The Content-Security-Policy of ${n.origin || "a page"} forbids to send to this address. It must hold `, mono(FORBIDDEN()), "."],
};

// Put a page's origin on the list of its key.
async function allow(button, { key, origin }) {
  button.disabled = true;
  try {
    const { items } = await get("/v1/keys"), found = items.find(each => each.name === key && !each.revoked_at);
    if (found?.origins) await send("PUT", `/v1/keys/${encodeURIComponent(key)}/origins`, { origins: [...found.origins, origin] });
    button.replaceWith("Allowed within 5 seconds; then open the page again.");
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    button.replaceWith(error.message);
  }
}

const when = text => h("span", { class: "ev" }, text);
const notice = n => mark(false, h("p", {}, WHY[n.notice](n)), when(`${n.requests} ${n.requests === 1 ? "time" : "times"}, last ${instantOf(n.last_seen)}`));

function nothingYet(browsers) {
  const wrong = keyProblem(browsers.keys);
  const https = state.host.startsWith("http://") && !/^http:\/\/(localhost|127\.)/.test(state.host);
  const unseen = [
    "the line is not on the page that was opened, or the page was not opened since it is there.",
    `the browser does not load ${state.host}/t.js: an ad blocker, or a Content-Security-Policy without script-src ${state.host}.`,
    https && "this address begins with http:// and the page with https://, so the browser refuses the script. Give Touchline an address with https://.",
  ].filter(Boolean);
  return [h("p", { class: wrong || browsers.notices.length ? "verdict not" : "verdict none" }, icon(wrong || browsers.notices.length ? "M4 4 12 12|M12 4 4 12" : "M3.5 8H12.5"), h("b", {}, "Nothing yet, because…")),
    h("ul", { class: "checks", id: "because" }, wrong && mark(false, h("p", {}, wrong)), browsers.notices.map(notice),
      !wrong && !browsers.notices.length && unseen.map(text => mark(null, h("p", {}, "Perhaps " + text))))];
}

function row({ id, event }, names) {
  if (!event) return mark(true, h("p", {}, "An event arrived, and is being counted…"), when(id));
  const campaigns = event.campaigns.filter(c => c.counts).map(c => names.get(c.campaign_id) || c.campaign_id);
  const counted = event.type === "contact_identified" ? "From now on the visitor is this contact."
    : !event.counted ? `Does not count: ${REASONS[event.reason] || event.reason}.`
      : campaigns.length ? `Counts for ${campaigns.join(", ")}.` : "Counts, and belongs to no campaign.";
  const whose = event.contact || (event.type === "page_visited" && !event.session && event.counted ? "nobody: without consent" : "a visitor not known yet");
  return mark(event.counted !== false, h("p", {}, h("b", {}, typeName(event.type || "event")), ` of ${whose}. `, counted),
    when(`${event.occurred_at ? instantOf(event.occurred_at) + ", " : ""}${id}`));
}

// A page visit that was projected is final enough to show; until then the explanation is asked again.
async function explain(id) {
  if (explained.has(id)) return { id, event: explained.get(id) };
  try {
    const event = await get(`/v1/events/${encodeURIComponent(id)}/explain`);
    explained.set(id, event);
    return { id, event };
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 404) throw error;
    return { id, event: null };
  }
}

// The events that arrived with the key of the line; without a key, those of all keys, the key that was used last first.
async function arrivals() {
  const browsers = await get("/v1/browsers");
  const keys = browsers.keys.filter(key => !state.key || key.name === state.key.slice(0, 8));
  keys.sort((a, b) => (b.last_seen || "").localeCompare(a.last_seen || ""));
  const ids = keys.flatMap(key => key.events).slice(0, 10);
  const [names, ...events] = await Promise.all([campaignNames(), ...ids.map(explain)]);
  return { browsers, names, events };
}

function seen({ browsers, names, events }) {
  if (!events.length) return nothingYet(browsers);
  return [h("p", { class: "verdict" }, icon("M3 8.5 6.5 12 13 4.5"), h("b", {}, "Events arrive.")), h("ul", { class: "checks", id: "arrived" }, events.map(event => row(event, names))),
    browsers.notices.length > 0 && [h("h3", {}, "What does not arrive"), h("ul", { class: "checks" }, browsers.notices.map(notice))]];
}

function draw(host) {
  if (host.childNodes.length) return;
  const code = h("pre", { class: "api", id: "line", tabindex: 0 }), copyStatus = h("span", { class: "muted", role: "status" }), problem = h("p", { role: "alert" });
  const redraw = () => { show(code, line()); };
  const field = (id, label, placeholder, name) => h("p", {}, h("label", { for: id }, label, " "),
    h("input", { class: "field", id, placeholder, value: state[name], autocomplete: "off", spellcheck: "false", size: 40,
      oninput: event => { state[name] = event.target.value.trim(); redraw(); look(); } }));
  const option = ([name, label, says]) => h("p", {}, h("label", {}, h("input", { type: "checkbox", id: "option-" + name,
    onchange: event => { state.options[name] = event.target.checked; redraw(); } }), " ", label), " ", h("small", { class: "muted" }, says));
  const copy = async () => show(copyStatus, await copied(line(), code));
  async function make() {
    try {
      const made = await postJson("/v1/keys", { scope: "collect" });
      state.key = document.getElementById("collect").value = made.key;
      show(problem, "The key is shown here once. It is public, and may stand in your pages.");
      redraw();
      look();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      show(problem, error.status === 403 ? "Keys are made with an admin key, and this page is open with another. On the command line: touchline keys create --scope collect"
        : error.message);
    }
  }
  const now = h("div", { "aria-live": "polite", id: "now" });
  async function look() {
    try {
      show(now, seen(await arrivals()));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      show(now, h("p", { class: "muted" }, error.message));
    }
  }
  async function follow() {
    if (!document.hidden) await look();
    setTimeout(follow, REFRESH_MS);
  }
  host.append(h("div", { class: "head" }, h("div", {}, h("h1", {}, "Put it on your site"), h("p", { class: "facts" }, "One line in every page, and you see here what it sends."))),
    h("section", { class: "panel", "aria-labelledby": "copy" }, h("header", {}, h("div", {}, h("h2", { id: "copy" }, "1. Copy this line into every page"),
      h("p", {}, "Before the end of its <head>. It stores a cookie for 13 months, so ask your visitors first where the law wants it."))),
    h("div", { class: "pad" }, h("div", { class: "install-fields" }, field("collect", "Collect key", "tlc_…", "key"), h("p", { class: "bar" }, h("button", { class: "btn", type: "button", onclick: make }, "Make a new key"), problem),
      field("host", "Address of Touchline", "https://touchline.shop.example", "host"), field("domains", "Your domains, if there are several", "shop.example, second.example", "domains"),
      OPTIONS.map(option)), code, h("p", { class: "bar" }, h("button", { class: "btn main", type: "button", onclick: copy }, "Copy"), copyStatus))),
    h("section", { class: "panel", "aria-labelledby": "arrive" }, h("header", {}, h("div", {}, h("h2", { id: "arrive" }, "2. Open a page of yours"),
      h("p", {}, "What the latest events were, and what each counted for."))), h("div", { class: "pad" }, now)));
  redraw();
  follow();
}

run(async () => null, draw);
