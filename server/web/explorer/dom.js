// Elements, and numbers as people read them. Every text of a reply enters the page as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child || child === 0));
  return node;
}

// el("a", {href: "#x", class: "y"}, "text", another)
export const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

export const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);

// Three significant digits; whole numbers with separators.
export function num(value, digits = 3) {
  if (!known(value)) return "unknown";
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(digits - 1).replace("e+", "e");
  if (size >= 10 ** digits || size >= 1000) return Math.round(value).toLocaleString("en-US");
  return value.toPrecision(digits);
}

// The same for the scale of a chart, without zeros at the end.
export function tick(value) {
  const text = num(value);
  return /^-?\d+\.\d+$/.test(text) ? text.replace(/\.?0+$/, "") : text;
}

export function percent(share) {
  if (!known(share)) return "unknown";
  const value = share * 100;
  if (value !== 0 && Math.abs(value) < 0.1) return value < 0 ? "about\u00a00\u00a0%" : "<\u00a00.1\u00a0%";
  return (value !== 0 && Math.abs(value) < 9.95 ? value.toFixed(1) : Math.round(value)) + "\u00a0%";
}

const WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
export const word = (count) => WORDS[count] || num(count);
export const plural = (count, noun) => num(count) + " " + noun + (count === 1 ? "" : "s");
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export function bytes(count) {
  if (!known(count)) return "unknown";
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (count >= 1000 && at + 1 < units.length) { count /= 1000; at++; }
  return (at ? Number(count.toPrecision(3)) : count) + " " + units[at];
}

// What the reader asked to see alone: ?panels=made,rows
const wanted = new URLSearchParams(location.search).get("panels");
const chosen = wanted ? new Set(wanted.split(",").map((name) => name.trim())) : null;
export const shown = (name) => !chosen || chosen.has(name);

// A part of a view under its own heading. Its name is what `panels` takes.
export function panel(name, title, ...children) {
  if (!shown(name)) return null;
  const id = "panel-" + name;
  return el("section", { class: "panel", "data-panel": name, "aria-labelledby": id },
    el("h2", { id }, title), ...children);
}

export const quiet = (...children) => el("p", { class: "quiet" }, ...children);

// Text in which `backticks` mark code.
export const inline = (text) => text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));

// A definition list; what is unknown says so.
export function facts(rows) {
  return el("dl", { class: "facts" }, rows.filter(Boolean).map(([name, value]) =>
    el("div", {}, el("dt", {}, name), el("dd", known(value) ? {} : { class: "quiet" }, known(value) ? value : "unknown"))));
}

export function tile(value, name, note) {
  return el("div", { class: "tile" }, el("b", known(value) ? {} : { class: "quiet" }, known(value) ? value : "unknown"),
    el("span", {}, name), note && el("small", {}, note));
}

// Replaces what `place` holds when the promise settles. A failure is a sentence, not an empty place.
export async function later(place, promise, draw) {
  place.replaceChildren(el("p", { class: "quiet waiting", role: "status" }, "Loading …"));
  try {
    const content = await draw(await promise);
    place.replaceChildren(...[content].flat(Infinity).filter(Boolean));
  } catch (error) {
    if (error.name === "AbortError") return place;
    place.replaceChildren(failure(error));
  }
  return place;
}

export function failure(error) {
  if (!error.status && !(error.name === "Problem")) console.error(error);
  return el("p", { class: "failure", role: "alert" }, sentence(error.message || String(error)));
}

export function copyable(text, name) {
  const button = el("button", { type: "button", class: "small", "aria-label": "Copy " + name, onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it and copy";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } }, "Copy");
  return el("div", { class: "code" }, el("pre", { tabindex: "0", role: "region", "aria-label": name }, text), button);
}

// Gives the reader a file that the page made.
export function save(name, content, type) {
  const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = el("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
