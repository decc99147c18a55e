// How are nodes made under the content security policy? Nodes only, no innerHTML, no style attribute; custom properties
// go through the CSSOM.
const NS = "http://www.w3.org/2000/svg";

function put(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value == null || value === false) continue;
    if (name.startsWith("--")) element.style.setProperty(name, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter(child => child != null && child !== false));
  return element;
}

export const h = (name, attributes, ...children) => put(document.createElement(name), attributes, children);
export const s = (name, attributes, ...children) => put(document.createElementNS(NS, name), attributes, children);
export const sr = text => h("span", { class: "sr" }, text);
export const icon = paths =>
  s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, paths.split("|").map(d => s("path", { d })));

// Put a text on the clipboard, and say so. Without https the browser gives no clipboard: then `shown`, which has the text, is selected.
export async function copied(text, shown) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied.";
  } catch {
    getSelection().selectAllChildren(shown);
    return "Selected: copy it with your keyboard.";
  }
}

// The drawing of a line without touches, above the sentence of an empty or failed page.
export const nothingOn = (broken = false) => s("svg", { viewBox: "0 0 220 48", "aria-hidden": "true", class: broken ? "touchless broken" : "touchless" },
  s("path", { d: "M4 24H216" }), [44, 110, 176].map((x, i) => s("circle", { cx: x, cy: 24, r: 7, class: broken && i === 1 ? "off" : null })));

// Where an element is within a host, as the numbers of its ancestors; null if it is elsewhere.
function placeOf(host, element) {
  const place = [];
  for (let at = element; at !== host; at = at.parentNode) {
    if (!at?.parentNode) return null;
    place.unshift([...at.parentNode.childNodes].indexOf(at));
  }
  return place;
}

// Replace an element's children, unless they are the same already: what is being read or focused stays.
export function show(host, ...children) {
  const next = h("div", {}, ...children);
  if (host.childNodes.length === next.childNodes.length &&
      [...host.childNodes].every((node, i) => node.isEqualNode(next.childNodes[i]))) return;
  const focused = document.activeElement, place = host.contains(focused) ? placeOf(host, focused) : null;
  host.replaceChildren(...next.childNodes);
  if (!place) return;
  const same = focused.id ? document.getElementById(focused.id) : place.reduce((node, i) => node?.childNodes[i], host);
  same?.focus?.({ preventScroll: true });
}
