// How is something changed from a page? Fill in, see what it would change, do it, and take it back if it was wrong.
import { get, postJson, Problem, send } from "./api.js";
import { openDrawer } from "./dialogs.js";
import { h, show } from "./dom.js";
import { counted } from "./format.js";
import { campaignNames, forgetNames } from "./parts.js";
import { previewInWords, takenFrom } from "./preview.js";

// Only an admin key changes anything; the server says in the page which key signed in, and refuses every other one.
export const mayChange = () => document.documentElement.dataset.signedIn === "admin";

// A button that opens a form; nothing for a key that may not change anything.
export const changeButton = (text, id, open, look = "btn") => mayChange() &&
  h("button", { class: look, type: "button", id, "aria-haspopup": "dialog", onclick: open }, text);

const HELD = {
  held_by_another: ["held_by", "holds it"], value_claimed: ["claimed_by", "claims this utm_campaign"], address_taken: ["taken_by", "has this address"],
};

// A labelled control with its hint and the place of what is wrong with it.
function control(field, changed) {
  const id = "f-" + field.name, common = { id, name: field.name, class: "field", required: field.required, "aria-describedby": `${id}-hint ${id}-wrong`, autocomplete: "off" };
  const input = field.options ? h("select", { ...common, onchange: changed }, field.options.map(([value, text]) => h("option", { value, selected: value === field.value }, text)))
    : h("input", { ...common, type: field.type || "text", value: field.value ?? "", placeholder: field.placeholder, list: field.suggest ? id + "-list" : null, readonly: field.fixed, oninput: changed });
  const suggested = field.suggest && h("datalist", { id: id + "-list" });
  if (suggested) input.addEventListener("input", () => field.suggest(input.value).then(found => show(suggested, found.map(value => h("option", { value })))));
  const row = h("div", { class: "fld", id: id + "-row" }, h("label", { for: id }, field.label, field.required ? "" : h("small", {}, " optional")), input, suggested,
    h("small", { id: id + "-hint", class: "muted" }, field.hint), h("p", { id: id + "-wrong", class: "bad", role: "alert" }));
  return { row, input };
}

// A form in a drawer. `events(values)` are what is previewed; `call(values, move)` does it and answers the ids of its events in order.
// `fields` are controls ({name, label, …; `form` is how a value is written, `wrong` says so}) or `own`, {row, values(), focus()}. `check(preview, values)` may name a field and what is wrong
// with it in what is previewed; `guard(values)` does so where nothing is previewed. `missing` is shown while there are no events. `what(values, names)` is a sentence
// about what is done that the preview itself does not have.
export function changeDrawer({ title, above, says, fields = [], own = null, missing = own?.missing, events, call, verb, check = () => null, guard = async () => null, done = () => null, changed = () => {}, what = () => null }) {
  const names = campaignNames(), form = h("form", { class: "change", novalidate: true }), outcome = h("div", { class: "outcome", "aria-live": "polite" });
  const touched = event => { changed(form, event?.target); show(outcome); look.hidden = false; };
  const controls = new Map(fields.map(field => [field.name, control(field, touched)]));
  const look = h("button", { class: "btn main", type: "submit", id: "change-preview" }, "Preview");
  const values = () => ({ ...Object.fromEntries([...controls].map(([name, c]) => [name, c.row.hidden ? "" : c.input.value.trim()]).filter(([, value]) => value)), ...own?.values() });

  function wrongAt(name, text) {
    const at = controls.get(name?.split(".").pop());
    if (!at || at.row.hidden) return false;
    show(document.getElementById(`f-${name.split(".").pop()}-wrong`), text);
    at.input.setAttribute("aria-invalid", "true");
    at.input.focus();
    return true;
  }
  function clean() {
    for (const { input, row } of controls.values()) { input.removeAttribute("aria-invalid"); show(row.querySelector(".bad")); }
  }
  // What the API says is wrong, at the field that it names; else below the form.
  function refused(error, ...more) {
    const one = error.body.rejected?.[0], message = one ? one.message : error.message;
    if (!wrongAt(one ? one.field : error.body.field, message)) show(outcome, h("p", { class: "bad", role: "alert" }, message, error.status >= 500 && [" ", h("span", { class: "mono" }, error.reference)]), more);
    else show(outcome, more);
  }
  async function trying(work, failed) {
    form.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      failed(error);
    } finally {
      form.removeAttribute("aria-busy");
    }
  }

  const button = (text, id, onclick, look = "btn main") => h("button", { class: look, type: "button", id, onclick }, text);
  const unseen = given => trying(async () => {
    const problem = await guard(given);
    if (problem) wrongAt(...problem); else await perform(given, false);
  }, refused);
  const doIt = (given, from) => {
    const sure = from && h("input", { type: "checkbox", id: "change-sure", onchange: event => { go.disabled = !event.target.checked; } });
    const go = button(verb, "change-do", () => perform(given, Boolean(from)));
    go.disabled = Boolean(from);
    return [from && h("p", { class: "confirm" }, h("label", {}, sure, ` Yes, take it from ${from}.`)), h("div", { class: "bar" }, go)];
  };

  const preview = () => trying(async () => {
    clean();
    const empty = [...controls].find(([, c]) => c.input.required && !c.row.hidden && !c.input.value.trim());
    if (empty) { wrongAt(empty[0], "This is needed."); show(outcome); return; }
    const unfit = fields.find(f => f.form && controls.get(f.name).input.value.trim() && !f.form.test(controls.get(f.name).input.value.trim()));
    if (unfit) { wrongAt(unfit.name, unfit.wrong); show(outcome); return; }
    const given = values(), would = events(given);
    if (!would.length) { show(outcome, h("p", { class: "bad", role: "alert" }, missing)); return; }
    show(outcome, h("p", { class: "muted" }, "Working out what it would change…"));
    const preview = await postJson("/v1/preview", { events: would }), called = await names, problem = check(preview, given);
    if (problem) { show(outcome); wrongAt(...problem); return; }
    const from = takenFrom(preview).map(id => called.get(id) || id).join(" and ");
    show(outcome, h("h3", { tabindex: -1, id: "change-would" }, "What it would change"), previewInWords(preview, called, what(given, called)), doIt(given, from));
    if (fields.length || own) look.hidden = true;
    document.getElementById("change-would").focus();
    outcome.scrollIntoView({ block: outcome.offsetHeight < innerHeight ? "nearest" : "start" }); // with what does it, wherever that fits
  }, error => {
    if (!["preview_timeout", "too_much", "busy"].includes(error.code)) { refused(error); return; }
    show(outcome, h("p", { class: "note", role: "alert" }, error.code === "too_much" ? error.message
      : "What it would change could not be worked out in time: there are many touches, and the machine is busy. Nothing was changed. Try again in a minute, or do it without; it can be taken back."),
    h("div", { class: "bar" }, button("Preview again", "change-again", preview, "btn"), button(`${verb} without a preview`, "change-unseen", () => unseen(values()), "btn")));
  });

  const perform = (given, move) => trying(async () => {
    const answer = await call(given, move);
    forgetNames();
    for (const { input } of controls.values()) input.disabled = true;
    look.hidden = true;
    show(outcome, finished(answer, given));
    document.getElementById("change-done")?.focus();
    outcome.scrollIntoView({ block: "nearest" });
  }, error => {
    const [by, does] = HELD[error.code] || [];
    if (!by) { refused(error); return; }
    names.then(called => refused(error, h("p", {}, `${called.get(error.body[by]) || error.body[by]} ${does} now.`), doIt(given, called.get(error.body[by]) || error.body[by])));
  });

  // What was done, by which events, and the way back.
  function finished({ ids, refused: not = [] }, given) {
    const outcomeOfUndo = h("div", { "aria-live": "polite" });
    const back = button("Take it back", "change-back", () => trying(async () => {
      const by = [];
      for (const id of [...ids].reverse()) by.push((await send("DELETE", `/v1/events/${encodeURIComponent(id)}`)).event_id);
      forgetNames();
      back.remove();
      show(outcomeOfUndo, h("p", {}, h("b", {}, "Taken back. "), "It is as if it had never been sent. Event ", by.map(id => h("span", { class: "mono" }, id, " "))));
    }, error => show(outcomeOfUndo, h("p", { class: "bad", role: "alert" }, error.message))), "btn");
    return [h("div", { class: "verdict", role: "status", tabindex: -1, id: "change-done" }, h("div", {}, h("b", {}, ids.length ? "Done." : "It is so already: nothing was sent."),
      ids.length > 0 && h("span", {}, counted(ids.length, "event"), " ", ids.map(id => h("span", { class: "mono" }, id, " "))))),
    not.map(each => h("p", { class: "bad" }, `${each.asset_id}: ${each.message}`)), done(given), outcomeOfUndo, h("div", { class: "bar" }, ids.length > 0 && back)];
  }

  form.addEventListener("submit", event => { event.preventDefault(); preview(); });
  form.append(...[says && h("p", { class: "soft" }, says), [...controls.values()].map(c => c.row), own?.row(touched), h("div", { class: "bar" }, look), outcome].flat().filter(Boolean));
  openDrawer({ title, above, look: "form" }, form);
  changed(form, null);
  if (!fields.length && !own) { look.hidden = true; preview(); } else (own?.first() || controls.values().next().value.input).focus();
}

// The ids of the events of calls, made one after another.
export async function calls(...asked) {
  const ids = [];
  for (const [method, path, body] of asked) {
    const answer = await send(method, path, body);
    if (answer.changed) ids.push(...(answer.event_ids || [answer.event_id]));
  }
  return { ids };
}

// Take an event back, whatever it is; `what` says in words what it is.
export const takeBack = (event_id, what) => changeDrawer({
  title: "Take it back?", above: what, verb: "Take it back", says: `The event ${event_id} is taken out, as if it had never been sent. That can be taken back, too.`,
  what: () => `Takes back: ${what}.`, events: () => [{ type: "event_retracted", event_id }], call: () => calls(["DELETE", `/v1/events/${encodeURIComponent(event_id)}`]),
});
export const takeBackButton = (event_id, what, look = "btn quiet small") => changeButton("Take back", "back-" + event_id, () => takeBack(event_id, what), look);

// The campaigns that are there now, as options of a select.
export async function campaignOptions() {
  const names = await campaignNames();
  const { items } = await get("/v1/campaigns", { numbers: "false", limit: "1000" });
  return items.filter(c => !c.deleted_at).map(c => [c.campaign_id, names.get(c.campaign_id) || c.campaign_id]).sort((a, b) => a[1].localeCompare(b[1]));
}
