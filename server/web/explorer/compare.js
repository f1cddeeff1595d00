// Two dictionaries of the same data: for each atom of one, the nearest atom of the other. Few runs agree in all atoms; those
// that both have say something about the data.

import { at, dictionaries, dictionary, fetched, labels, npy } from "./ask.js";
import { bins, histogram } from "./charts.js";
import { el, later, num, panel, percent, quiet, tile } from "./dom.js";

const CHUNK = 2048;      // atoms in a request
const MOST = 4e7;        // numbers that a page may move
const SAME = 0.7;

async function nearest(from, to, signal) {
  const { values } = npy(await (await fetched(at(from.name, "/dictionary?format=npy"), { signal })).arrayBuffer());
  const width = from.dimensions, partner = new Int32Array(from.atom_count).fill(-1), score = new Float32Array(from.atom_count).fill(NaN);
  const rows = Math.max(Math.min(CHUNK, Math.floor(4e6 / width)), 1);
  for (let first = 0; first < from.atom_count; first += rows) {
    const count = Math.min(rows, from.atom_count - first);
    const response = await fetched(at(to.name, "/search?k=1&metric=cosine"), { method: "POST", signal,
      headers: { "Content-Type": "application/octet-stream", "X-Tensor-Shape": count + ", " + width, "X-Tensor-Dtype": "f32" },
      body: Float32Array.from(values.subarray(first * width, (first + count) * width)) });
    const { results } = await response.json();
    results.forEach((list, i) => {
      const best = (list)[0];
      if (!best) return;
      partner[first + i] = best.atom;
      score[first + i] = best.score;
    });
  }
  return { partner, score };
}

export async function show(place, context) {
  const { info, options, signal } = context;
  const all = await dictionaries(signal);
  const others = all.filter((one) => one.name !== info.name && one.state === "loaded" && one.dimensions === info.dimensions);
  place.append(el("div", { class: "head" }, el("div", {}, el("h1", {}, "Compare " + info.name),
    quiet("For each of its atoms, the nearest atom of another dictionary of as many dimensions."))));
  if (!others.length) {
    place.append(quiet("This server holds no other dictionary of " + num(info.dimensions) + " dimensions. Train a second one on the same data with another --seed and serve both."));
    return;
  }
  const result = el("div", { class: "stack" });
  const chooser = el("select", { id: "other", "aria-label": "The other dictionary", onchange: () => { context.remember({ with: chooser.value }); compare(); } },
    others.map((one) => el("option", { value: one.name, selected: options.get("with") === one.name }, one.name)));

  function compare() {
    return later(result, (async () => {
      const other = await dictionary(chooser.value, signal);
      if (info.atom_count * info.dimensions > MOST || other.atom_count * other.dimensions > MOST) return null;
      const [there, back, mine, theirs] = await Promise.all([nearest(info, other, signal), nearest(other, info, signal), labels(info), labels(other)]);
      return { other, there, back, mine, theirs };
    })(), (found) => {
      if (!found) return quiet("They are too large to be compared in a browser. `rasae compare A B` does it.".replaceAll("`", ""));
      const { other, there, back, mine, theirs } = found;
      const scores = Array.from(there.score).filter((value) => !Number.isNaN(value));
      const mutual = Array.from(there.partner).filter((to, i) => to >= 0 && back.partner[to] === i).length;
      const above = (level) => scores.filter((value) => value >= level).length;
      const order = Array.from(there.score.keys()).filter((i) => there.partner[i] >= 0).sort((a, b) => there.score[b] - there.score[a]);
      const row = (i) => el("tr", {}, el("td", {}, el("a", { href: context.address("atom", i) }, mine?.[i] || "atom " + i)),
        el("td", {}, el("a", { href: "#/d/" + encodeURIComponent(other.name) + "/atom/" + there.partner[i] }, theirs?.[there.partner[i]] || "atom " + there.partner[i])),
        el("td", { class: "n" }, there.score[i].toFixed(3)), el("td", {}, back.partner[there.partner[i]] === i ? "each other's" : "one way"));
      const table = (title, rows) => el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, el("table", { class: "plain" },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, info.name), el("th", { scope: "col" }, other.name), el("th", { scope: "col", class: "n" }, "cosine"),
          el("th", { scope: "col" }, "nearest"))), el("tbody", {}, rows.map(row))));
      return [
        panel("alike", "How alike they are", el("div", { class: "tiles" },
          tile(percent(above(SAME) / scores.length), "found again", "at a cosine of " + SAME + " or more"), tile(percent(above(0.9) / scores.length), "nearly the same", "at 0.9 or more"),
          tile(percent(mutual / scores.length), "each other's nearest"), tile((scores.reduce((sum, value) => sum + value, 0) / scores.length).toFixed(3), "mean cosine", "with the nearest atom")),
        histogram(bins(scores, 40), { unit: "atoms", marker: SAME, said: String(SAME), label: "Histogram of the cosines with the nearest atom of " + other.name }),
        (info.standardized || other.standardized) && quiet("Atoms are compared as the files hold them, in standardized units."),
        quiet("The nearest atom may be the same for several atoms. rasae compare matches them one to one.")),
        el("div", { class: "pair" }, panel("both", "Most alike", table("Most alike", order.slice(0, 25))),
          panel("own", "Least alike", table("Least alike", order.slice(-25).reverse())))];
    });
  }

  place.append(el("div", { class: "tools" }, el("label", { class: "field" }, "with", chooser)), result);
  await compare();
}
