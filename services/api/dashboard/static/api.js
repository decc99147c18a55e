// How does a page ask? With the visitor's read key, kept for this tab alone; the address bar shows it never.
const KEY = "touchline.key";

function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
}
takeKey();

export const hasKey = () => Boolean(sessionStorage.getItem(KEY));
export const setKey = key => sessionStorage.setItem(KEY, key);
export const dropKey = () => sessionStorage.removeItem(KEY);

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || "The service did not answer.");
    this.status = status;
    this.code = body.code || "unreachable";
  }
}

export async function get(path, query = {}) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query)) if (value) url.searchParams.set(name, value);
  let response;
  try {
    response = await fetch(url, { headers: { Authorization: `Bearer ${sessionStorage.getItem(KEY)}` } });
  } catch {
    throw new Problem(0, {});
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(response.status, body);
  return body;
}

export async function post(path, told) {
  let response;
  try {
    response = await fetch(path, { method: "POST", headers: { Authorization: `Bearer ${sessionStorage.getItem(KEY)}` }, body: JSON.stringify(told) });
  } catch {
    throw new Problem(0, {});
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(response.status, body);
  return body;
}

// Everything of a list, page by page.
export async function all(path, query = {}) {
  let cursor = null, items = [], body;
  do {
    body = await get(path, { ...query, limit: "1000", cursor });
    items = items.concat(body.items);
    cursor = body.next_cursor;
  } while (cursor);
  return { ...body, items };
}
