// What the latents do on one set of data against another: the largest differences, with their intervals.

import { at, contrasts, get } from "./ask.js";
import { missing } from "./commands.js";
import { el, known, num, panel, percent } from "./dom.js";

const SHOWN = 6; // atoms on each side

export async function contrastPanels(context) {
  const { info, d, signal } = context;
  const all = await contrasts(info);
  if (!all.length) return [panel("contrasts", "Contrast of two sets of data", missing("contrast"))];
  return Promise.all(all.map(async (one) => {
    const path = at(d, "/contrasts/" + encodeURIComponent(one.name) + "?sort=energy&limit=" + SHOWN + "&order=");
    const [more, less] = await Promise.all([get(path + "desc", signal), get(path + "asc", signal)]);
    const name = (side, otherwise) => one[side]?.name || otherwise;
    const rows = (reply, above) => reply.atoms.filter((atom) => (atom.energy.difference > 0) === above).map((atom) => el("tr", {},
      el("td", {}, el("a", { href: context.address("atom", atom.atom) }, atom.label || "atom " + atom.atom)),
      [atom.energy.a, atom.energy.b, atom.energy.difference].map((value) => el("td", { class: "n" }, num(value))),
      el("td", { class: "n" }, known(atom.energy.low) ? num(atom.energy.low) + " to " + num(atom.energy.high) : "unknown")));
    return panel("contrast-" + one.name, name("a", "A") + " against " + name("b", "B"),
      el("p", {}, num(one.a?.rows) + " rows against " + num(one.b?.rows) + ". ",
        el("a", { href: context.address("map", undefined, { color: "contrast:" + one.name }) }, "On the map")),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Largest differences" }, el("table", { class: "plain" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "energy"),
        [name("a", "A"), name("b", "B"), "difference", known(one.confidence) ? percent(one.confidence) + " interval" : "interval"].map((title) => el("th", { scope: "col", class: "n" }, title)))),
      el("tbody", {}, rows(more, true), rows(less, false).reverse()))));
  }));
}
