// Fields for an atom or a point: its number, or words of its label, for which the field offers those that match.

import { at, get, once } from "./ask.js";
import { el, num } from "./dom.js";

const OFFERED = 12;
const PAGE = 1000, MOST_POINTS = 50000; // labels of points that the page would keep

async function pointLabels(info) {
  if (!info.has_point_labels || info.point_count > MOST_POINTS) return [];
  return once(info, "point labels", async () => {
    const found = [];
    for (let total = 1; found.length < total;) {
      const reply = await get(at(info.name, "/points?fields=label&limit=" + PAGE + "&offset=" + found.length));
      if (!reply.points.length) break;
      found.push(...reply.points);
      ({ total } = reply);
    }
    return found;
  });
}

const FINDERS = {
  atom: async ({ info, signal }, text) => (await get(at(info.name, "/atoms?fields=label&limit=" + OFFERED + "&q=" + encodeURIComponent(text)), signal))
    .atoms.map((one) => ({ number: one.atom, label: one.label })),
  row: async () => [],
  point: async ({ info }, text) => {
    const words = text.toLowerCase(), begins = [], within = [];
    for (const { point, label } of await pointLabels(info)) {
      const place = label ? label.toLowerCase().indexOf(words) : -1;
      if (place === 0) begins.push({ number: point, label });
      else if (place > 0) within.push({ number: point, label });
    }
    return begins.sort((a, b) => a.label.length - b.label.length).concat(within).slice(0, OFFERED);
  },
};

let made = 0;

// kind: "atom" or "point". chosen(number, label): what was chosen; the form can be submitted, too.
export function chooser(context, kind, { title, action, chosen, value = "" }) {
  const id = "choose-" + kind + "-" + made++, most = context.info[kind + "_count"] || 1;
  let offered = [], answered = null, waiting;
  const list = el("datalist", { id });
  const input = el("input", { class: "choose", list: id, value, size: 15, autocomplete: "off", "aria-label": title,
    placeholder: kind === "row" ? "number" : "number or words", oninput: () => { clearTimeout(waiting); waiting = setTimeout(offer, 120); } });
  const said = el("small", { role: "status" });

  async function offer() {
    const text = input.value.trim();
    said.textContent = "";
    if (!text || /^\d+$/.test(text)) return;
    try {
      const found = await FINDERS[kind](context, text);
      if (text !== input.value.trim()) return;
      offered = found;
      answered = text;
      list.replaceChildren(...found.map((one) => el("option", { value: one.number, label: one.label || "" }, one.label || "")));
    } catch (error) { if (error.name !== "AbortError") said.textContent = error.message; }
  }

  async function accept() {
    clearTimeout(waiting);
    const text = input.value.trim();
    if (!text) return chosen(null, null);
    if (/^\d+$/.test(text)) {
      if (Number(text) < most) return chosen(Number(text), offered.find((one) => one.number === Number(text))?.label ?? null);
      said.textContent = "There is no " + kind + " " + text + ": they are numbered from 0 to " + num(most - 1) + ".";
      return undefined;
    }
    if (answered !== text) await offer();
    const [first] = answered === text ? offered : [];
    if (!first) said.textContent = kind === "row" ? "A row is chosen by its number." : "No " + kind + " has these words.";
    else {
      input.value = first.number;
      return chosen(first.number, first.label);
    }
    return undefined;
  }

  return el("form", { class: "actions", onsubmit: (event) => { event.preventDefault(); accept(); } },
    el("span", { class: "quiet" }, title), input, list, el("button", { type: "submit", class: "small" }, action), said);
}
