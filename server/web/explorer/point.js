// A candidate point: the atoms that are made of it, and the rows of data near it.

import { at, get, labels } from "./ask.js";
import { bars, plot } from "./charts.js";
import { missing } from "./commands.js";
import { el, known, num, panel, percent, plural, quiet } from "./dom.js";
import { thumb } from "./media.js";
import { picture, shapeChooser, shapeOf } from "./picture.js";

export async function show(place, context) {
  const { d, info } = context;
  const [point, names] = await Promise.all([get(at(d, "/points/" + encodeURIComponent(context.argument ?? 0)), context.signal), labels(info)]);
  const shape = shapeOf(info);
  const uses = point.atoms;
  place.append(
    el("div", { class: "head" }, el("div", {}, el("h1", {}, point.label || "Point " + point.point),
      quiet("Point " + point.point + " of " + num(info.point_count) + ": a real place in the data that atoms may be made of.")),
    el("div", { class: "actions" }, known(point.vector) && el("a", { class: "button", href: context.address("input", undefined, { point: point.point }) },
      "Explain it as an input"))),
    el("div", { class: "columns" },
      el("div", {}, panel("uses", "The atoms made of it", !uses ? missing("archetypes") : !uses.length ? quiet("No atom is made of it.")
        : [el("p", {}, "It is in " + plural(uses.length, "atom") + "; the bars are its weights in their mixtures. ",
          el("a", { href: context.address("table", undefined, { point: point.point }) }, "As a table")),
          bars(uses.slice(0, 200).map((use) => ({ name: names?.[use.atom] || "atom " + use.atom, href: context.address("atom", use.atom),
            value: use.weight, said: percent(use.weight) })), { most: 1, label: "Weights in atoms" })])),
      el("div", {},
        panel("near", "The rows nearest to it", !point.rows ? quiet("The file does not say.") : el("ul", { class: "rows single" }, point.rows.map((row) =>
          el("li", {}, el("span", {}, thumb(info, row, row.label || "row " + row.row), row.label || "row " + num(row.row)), el("small", {}, "row " + num(row.row) + ", distance " + num(row.distance)))))),
        panel("vector", "The vector", !point.vector ? missing("points") : [shapeChooser(info, context.again),
          shape && el("div", { class: "pictures" }, picture(point.location || point.vector, shape, "the point")),
          plot(point.vector, { label: "The numbers of the point, by dimension" })]))));
}
