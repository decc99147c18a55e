// How does a page ask? With the cookie that signing in has set; a script never sees the key after that.

// With a capital letter and a full stop, as sentences of a page have them.
const sentence = text => text.replace(/^./, c => c.toUpperCase()).replace(/([^.!?:…])$/, "$1.");

export class Problem extends Error {
  constructor(status, body) {
    super(sentence(body.detail || "The service did not answer."));
    this.status = status;
    this.code = body.code || "unreachable";
    this.body = body;
  }

  // For whoever keeps the service: the code, and which request it was, as the log has it; empty if nothing answered.
  get reference() { return this.status && this.code + (this.body.request_id ? `, request ${this.body.request_id}` : "") || ""; }
}

async function fetched(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Problem(0, {});
  }
}

async function asked(path, options) {
  const response = await fetched(path, options);
  const body = response.status === 204 ? null : await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(response.status, body);
  return body;
}

export const post = (path, body = "") => asked(path, { method: "POST", body, headers: { "X-Touchline": "1", "Content-Type": "text/plain" } });
export const send = (method, path, body) => asked(path, { method, body: body && JSON.stringify(body), headers: { "X-Touchline": "1", ...(body && { "Content-Type": "application/json" }) } });
export const postJson = (path, body) => send("POST", path, body);
export const signIn = key => post("/dashboard/sign-in", key);
export const signOut = () => post("/dashboard/sign-out");

// An address of the read API; parameters without a value are left out, a list is repeated.
export function address(path, query = {}) {
  const out = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    for (const one of Array.isArray(value) ? value : [value]) if (one) out.append(name, one);
  return path + (out.size ? "?" + out : "");
}

export const get = (path, query) => asked(address(path, query));

// Everything of a list, page by page, up to `most` items.
export async function all(path, query = {}, most = Infinity) {
  let cursor = null, items = [], body;
  do {
    body = await get(path, { ...query, limit: String(Math.min(1000, most)), cursor });
    items = items.concat(body.items);
    cursor = body.next_cursor;
  } while (cursor && items.length < most);
  return { ...body, items, more: Boolean(cursor) };
}

const BYTE_ORDER_MARK = "\ufeff"; // by which Excel knows that a file is UTF-8

// The lines of a CSV file, each with its line break; a break within quotation marks ends none.
const csvLines = text => text.match(/(?:"[^"]*"|[^"\n])*\n/g) || [];
const csvCells = line => [...("," + line).matchAll(/,(?:"((?:[^"]|"")*)"|([^,\r\n]*))/g)].map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain);

// Save a list as a CSV file, all of its pages; `keep`, of the values of a line by the names of the first one, says which lines.
export async function csv(path, query, name, keep = null) {
  let at = address(path, { ...query, limit: "1000" }), text = "", names = null;
  while (at) {
    const response = await fetched(at, { headers: { Accept: "text/csv" } });
    if (!response.ok) throw new Problem(response.status, await response.json().catch(() => ({})));
    const [head, ...lines] = csvLines(await response.text());
    if (!names) { names = csvCells(head); text = head; }
    text += lines.filter(line => !keep || keep(Object.fromEntries(csvCells(line).map((cell, i) => [names[i], cell])))).join("");
    at = /<([^>]+)>;\s*rel="?next"?/.exec(response.headers.get("Link") || "")?.[1];
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([BYTE_ORDER_MARK, text], { type: "text/csv" }));
  link.download = name + ".csv";
  link.click();
  URL.revokeObjectURL(link.href);
}

// A key in the address's fragment, which `touchline demo` prints, signs in; then it is gone from the address.
// Answers whether somebody is signed in then; the server says in the page whether somebody was before.
export async function keyOfAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (!given) return "signedIn" in document.documentElement.dataset;
  history.replaceState(null, "", location.pathname + location.search);
  await signIn(given);
  document.documentElement.dataset.signedIn = given.startsWith("tla_") ? "admin" : "read";
  return true;
}
