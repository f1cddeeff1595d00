// Two dictionaries of the same data. The server matches those of one shape one to one; of others, and of large ones, the page
// looks up the nearest atom of the other for each atom. Few runs agree in all atoms; those that both have say something
// about the data.

import { at, dictionaries, dictionary, fetched, labels, npy, once, post, Problem } from "./ask.js";
import { readMatrix } from "./arrays.js";
import { bins, histogram } from "./charts.js";
import { contrastPanels } from "./contrast.js";
import { copyable, el, known, later, num, panel, percent, plural, quiet, save, tile } from "./dom.js";

const MATCHED = 4096;    // atoms that the server matches
const CHUNK = 2048;      // atoms in a request
const MOST = 4e7;        // numbers that a page may move
const SAME = 0.7;
const FILE = " file";    // no name of a dictionary

async function atomsOf(info, signal) {
  return npy(await (await fetched(at(info.name, "/dictionary?format=npy"), { signal })).arrayBuffer()).values;
}

// For each row of `values` the nearest atom of a dictionary.
async function nearest(values, to, signal) {
  const width = to.dimensions, count = values.length / width;
  const partner = new Int32Array(count).fill(-1), score = new Float32Array(count).fill(NaN);
  const rows = Math.max(Math.min(CHUNK, Math.floor(4e6 / width)), 1);
  for (let first = 0; first < count; first += rows) {
    const some = Math.min(rows, count - first);
    const response = await fetched(at(to.name, "/search?k=1&metric=cosine"), { method: "POST", signal,
      headers: { "Content-Type": "application/octet-stream", "X-Tensor-Shape": some + ", " + width, "X-Tensor-Dtype": "f32" },
      body: Float32Array.from(values.subarray(first * width, (first + some) * width)) });
    const { results } = await response.json();
    results.forEach(([best], i) => {
      if (!best) return;
      partner[first + i] = best.atom;
      score[first + i] = best.score;
    });
  }
  return { partner, score };
}

// ---- one to one, by the server --------------------------------------------------------------------------------------------

// Another comparison may be under way; then this one waits for it.
async function matched(info, other, signal) {
  for (let tries = 0; ; tries++) {
    try {
      return await post(at(info.name, "/compare"), { with: other.name }, signal);
    } catch (error) {
      if (error.status !== 503 || tries === 20) throw error;
      await new Promise((done) => setTimeout(done, 500));
    }
  }
}

function points(found) {
  if (!known(found.shared_points)) return "Not both files hold their points, so what they share of them is unknown.";
  const any = found.shared_points_in_any_order;
  return any === 0 ? "They have no candidate point in common." : num(any) + " of " + plural(found.points, "candidate point") + (any === 1 ? " is" : " are") + " the same"
    + (found.shared_points === any ? "." : ", " + num(found.shared_points) + " of them at the same number.");
}

function figures(found, other) {
  const said = (value) => (known(value) ? value.toFixed(3) : null);
  return [
    el("div", { class: "tiles" },
      tile(said(found.stability_without_flips), "stability", "mean cosine of matched atoms; 1: the same dictionary"),
      tile(said(found.stability_with_flips), "with flips", "where an opposite atom counts, too"),
      tile(said(found.stability_centered), "centered", "of the atoms minus their mean"),
      tile(percent(found.share_over_70), "found again", "matched at " + SAME + " or more"),
      tile(percent(found.share_over_90), "nearly the same", "matched at 0.9 or more")),
    el("p", {}, points(found) + (known(found.shared_points) && found.shared_points_in_any_order > 0.5 * found.points
      ? " Runs that start on the same points resemble each other for that reason, too; the centered figure says how much is left." : "")),
    histogram(bins(found.match_cosine, 40), { unit: "atoms", marker: SAME, said: String(SAME), label: "Histogram of the cosines of matched atoms" }),
    quiet("Each atom has a partner of its own in " + other.name + ": the match with the largest sum of cosines, as rasae compare makes it.")];
}

// ---- by search -------------------------------------------------------------------------------------------------------------

function looked(there, back, why) {
  const scores = Array.from(there.score).filter((value) => !Number.isNaN(value));
  const above = (level) => scores.filter((value) => value >= level).length / scores.length;
  const mutual = back && Array.from(there.partner).filter((to, i) => to >= 0 && back.partner[to] === i).length;
  return [
    el("div", { class: "tiles" },
      tile(percent(above(SAME)), "found again", "at a cosine of " + SAME + " or more"), tile(percent(above(0.9)), "nearly the same", "at 0.9 or more"),
      back && tile(percent(mutual / scores.length), "each other's nearest"),
      tile((scores.reduce((sum, value) => sum + value, 0) / scores.length).toFixed(3), "mean cosine", "with the nearest atom")),
    histogram(bins(scores, 40), { unit: "atoms", marker: SAME, said: String(SAME), label: "Histogram of the cosines with the nearest atom" }),
    quiet(why + " So this is the nearest atom of the other for each atom, which may be the same for several of them.")];
}

// ---- the view ----------------------------------------------------------------------------------------------------------------

const quoted = (text) => (/[",\r\n]/.test(text || "") ? '"' + text.replaceAll('"', '""') + '"' : text || "");

export async function show(place, context) {
  const { info, options, signal } = context;
  const all = await dictionaries(signal);
  const others = all.filter((one) => one.name !== info.name && one.state === "loaded" && one.dimensions === info.dimensions);
  const result = el("div", { class: "stack" });
  const file = el("input", { type: "file", class: "hidden", id: "other-file", accept: ".npy,.npz,.safetensors", onchange: () => file.files[0] && compare(() => withFile(file.files[0])) });

  function lists(title, rows, scores, partner, both) {
    const row = (i) => el("tr", {}, el("td", {}, el("a", { href: context.address("atom", i) }, rows.mine?.[i] || "atom " + i)),
      el("td", {}, rows.link ? el("a", { href: rows.link(partner[i]) }, rows.theirs?.[partner[i]] || "atom " + partner[i]) : "atom " + partner[i]),
      el("td", { class: "n" }, scores[i].toFixed(3)), both && el("td", {}, both(i) ? "each other's" : "one way"));
    const table = (name, which) => el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, el("table", { class: "plain" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, info.name), el("th", { scope: "col" }, rows.name), el("th", { scope: "col", class: "n" }, "cosine"),
        both && el("th", { scope: "col" }, "nearest"))), el("tbody", {}, which.map(row))));
    const order = Array.from(scores.keys()).filter((i) => partner[i] >= 0).sort((a, b) => scores[b] - scores[a]);
    return [el("div", { class: "pair" }, panel("both", title + ", most alike", table("Most alike", order.slice(0, 25))),
      panel("own", title + ", least alike", table("Least alike", order.slice(-25).reverse()))),
    el("p", { class: "actions" }, el("button", { type: "button", class: "small", onclick: () => save(info.name + ".compare.csv",
      ["atom,label,partner,partner_label,cosine"].concat(order.sort((a, b) => a - b).map((i) => [i, quoted(rows.mine?.[i]), partner[i], quoted(rows.theirs?.[partner[i]]),
        scores[i]].join())).join("\r\n") + "\r\n", "text/csv") }, "All pairs as CSV"))];
  }

  async function withServed(name) {
    const other = await dictionary(name, signal);
    const [mine, theirs] = await Promise.all([labels(info), labels(other)]);
    const rows = { mine, theirs, name, link: (i) => "#/d/" + encodeURIComponent(name) + "/atom/" + i };
    const units = (info.standardized || other.standardized) && quiet("Atoms are compared as the files hold them, in standardized units.");
    const alike = info.digest === other.digest ? el("p", {}, "Both have the same numbers.") : null;
    if (info.atom_count === other.atom_count && info.atom_count <= MATCHED) {
      const found = await once(info, "compare " + name + " " + other.revision, () => matched(info, other, signal));
      return [panel("alike", "How alike they are", alike, figures(found, other), units),
        lists("Matched", rows, Float32Array.from(found.match_cosine), found.match)];
    }
    if (Math.max(info.atom_count, other.atom_count) * info.dimensions > MOST)
      return [panel("alike", "How alike they are", quiet("They are too large to be compared in a browser. This compares their files:"), copyable("rasae compare A B", "the command"))];
    const [a, b] = await Promise.all([atomsOf(info, signal), atomsOf(other, signal)]);
    const [there, back] = await Promise.all([nearest(a, other, signal), nearest(b, info, signal)]);
    const why = info.atom_count !== other.atom_count ? "They have different numbers of atoms, " + num(info.atom_count) + " and " + num(other.atom_count) + ", and cannot be matched one to one."
      : "The server matches at most " + num(MATCHED) + " atoms one to one; rasae compare A B matches the files.";
    return [panel("alike", "How alike they are", alike, looked(there, back, why), units),
      lists("Nearest", rows, there.score, there.partner, (i) => back.partner[there.partner[i]] === i)];
  }

  // Atoms of a file that the server does not have, such as an earlier generation: for each of its atoms the nearest that is served.
  async function withFile(chosen) {
    const held = await readMatrix(chosen, info.dimensions, "dictionary");
    if (held.values.length > MOST) throw new Problem(chosen.name + " is too large to be compared in a browser. rasae compare A B does it.");
    const [there, mine] = await Promise.all([nearest(held.values, info, signal), labels(info)]);
    const order = Array.from(there.score.keys()).filter((i) => there.partner[i] >= 0).sort((x, y) => there.score[y] - there.score[x]);
    const table = (which) => el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": chosen.name }, el("table", { class: "plain" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, chosen.name), el("th", { scope: "col" }, info.name), el("th", { scope: "col", class: "n" }, "cosine"))),
      el("tbody", {}, which.map((i) => el("tr", {}, el("td", {}, "atom " + i), el("td", {}, el("a", { href: context.address("atom", there.partner[i]) },
        mine?.[there.partner[i]] || "atom " + there.partner[i])), el("td", { class: "n" }, there.score[i].toFixed(3)))))));
    return [panel("alike", "How alike they are", looked(there, null, chosen.name + ", " + plural(held.rows, "atom") + ", is in this browser alone.")),
      el("div", { class: "pair" }, panel("both", "Nearest, most alike", table(order.slice(0, 25))), panel("own", "Nearest, least alike", table(order.slice(-25).reverse())))];
  }

  const compare = (how) => later(result, how(), (parts) => parts);
  const chooser = el("select", { id: "other", "aria-label": "The other dictionary", onchange: () => {
    context.remember({ with: chooser.value });
    compare(() => withServed(chooser.value));
  } }, others.map((one) => el("option", { value: one.name, selected: options.get("with") === one.name }, one.name)));

  place.append(el("div", { class: "head" }, el("div", {}, el("h1", {}, "Compare " + info.name),
    quiet("With another dictionary of " + num(info.dimensions) + " dimensions, or with an earlier generation of the same one."))),
  el("div", { class: "tools" }, others.length ? el("label", { class: "field" }, "with", chooser)
    : quiet("This server holds no other dictionary of " + num(info.dimensions) + " dimensions. Train a second one on the same data with another --seed and serve both."),
  el("label", { class: "button", for: "other-file" }, "with a file"), file), result);
  const generations = panel("generations", "Two generations of " + info.name,
    el("p", {}, "The server answers with generation " + num(info.generation) + " alone: a reload takes the place of the one before. To compare with an earlier one, serve its file under another name, or open it above, as .safetensors or .npy."),
    copyable("rasaed --dictionary " + info.name + "=NEW --dictionary " + info.name + "-before=OLD", "the command"),
    info.source === "artifact" ? el("p", {}, "To have this generation later, ", el("a", { href: at(info.name, "/artifact"), onclick: async (event) => {
      event.preventDefault();
      try {
        save(info.name + "." + info.generation + ".safetensors", await (await fetched(at(info.name, "/artifact"))).blob());
      } catch (error) { event.target.after(" " + error.message); }
    } }, "download its file"), " before you reload.") : null);
  place.append(el("div", { class: "stack apart" }, el("div", { class: "grid" }, await contrastPanels(context), generations)));
  if (others.length) await compare(() => withServed(chooser.value));
}
