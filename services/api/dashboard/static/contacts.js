// The page of all contacts.
import { h } from "./dom.js";
import { dayOf } from "./format.js";
import { listPage } from "./list.js";
import { calledOf } from "./parts.js";
import { link } from "./shell.js";

listPage({
  title: "Contacts", says: "Everybody who is known by an email address or an id. A name leads to the journey.", path: "/v1/contacts", name: "contacts", initial: "-created_at",
  query: () => ({}), empty: ["No contacts yet", "A visitor becomes a contact with a form, an identification, or an event of your CRM."],
  columns: [
    ["Contact", c => h("a", { href: link("contact", { id: c.contact }) }, calledOf(c)), "name"], ["Email", c => c.email && c.email !== calledOf(c) ? c.email : "", null, "two"],
    ["Contact since", c => dayOf(c.created_at), "created_at", "nowrap"], ["First visit", c => c.first_visit_at ? dayOf(c.first_visit_at) : "", null, "nowrap"], ["Last touch", c => c.last_touch_at ? dayOf(c.last_touch_at) : "", null, "nowrap"],
  ],
});
