// The dictionary as a whole: its settings, how dense and how trustworthy its atoms are, its spectrum, and the file.

import { at, columns, contrasts, fetched, get, npy, once, post } from "./ask.js";
import { bins, histogram, line } from "./charts.js";
import { missing } from "./commands.js";
import { bytes, el, facts, failure, known, later, num, panel, percent, plural, quiet, tick, tile } from "./dom.js";
import { singularValues } from "./spectrum.js";

function median(values) {
  const sorted = Float64Array.from(values.filter(Number.isFinite)).sort();
  return sorted.length ? sorted[Math.floor((sorted.length - 1) / 2)] : null;
}

const count = (values, test) => values.reduce((sum, value) => sum + (test(value) ? 1 : 0), 0);

function density(context, all) {
  if (!context.info.has_statistics) return panel("density", "How often atoms are active", missing("statistics"));
  const alive = Array.from(all.frequency).filter((value) => value > 0);
  const dead = all.frequency.length - alive.length, often = count(alive, (value) => value > 0.1);
  return panel("density", "How often atoms are active",
    el("p", {}, el("a", { href: context.address("table", undefined, { dead: "true", sort: "index" }) }, plural(dead, "atom")), dead === 1 ? " is" : " are",
      " dead (", percent(dead / all.frequency.length), "); ", plural(often, "atom"), " active in more than a tenth of the rows."),
    alive.length ? histogram(bins(alive.map(Math.log10), 40), { axis: (value) => tick(Number((100 * 10 ** value).toPrecision(2))) + " %", unit: "atoms",
      marker: Math.log10(median(alive)), said: "median", label: "Histogram of the frequencies of living atoms, on a logarithmic scale" }) : null);
}

function spread(name, title, values, text, options) {
  const found = bins(values, 40);
  if (!found) return null;
  const middle = median(values);
  return panel(name, title, text && el("p", {}, text), histogram(found, { unit: "atoms", marker: middle, said: "median " + num(middle), label: title, ...options }));
}

// Small ones at once, others when asked: the work grows with the cube of the dimensions.
function spectrum(context) {
  const { info, d } = context;
  const small = Math.min(info.atom_count, info.dimensions), numbers = info.atom_count * info.dimensions;
  const place = el("div");
  if (small > 2048 || numbers > 3e7)
    return panel("spectrum", "Spectrum", quiet("The dictionary is too large to be taken apart in a browser; `rasae eval` prints its rank.".replaceAll("`", "")));
  const compute = () => later(place, (async () => {
    const array = npy(await (await fetched(at(d, "/dictionary?format=npy"), { signal: context.signal })).arrayBuffer());
    await new Promise((done) => setTimeout(done, 30));
    return singularValues(Float64Array.from(array.values), info.atom_count, info.dimensions);
  })(), (values) => {
    const total = values.reduce((sum, value) => sum + value * value, 0);
    let at90 = 0;
    for (let sum = 0; at90 < values.length && sum < 0.9 * total; at90++) sum += values[at90] ** 2;
    return [el("p", {}, "Its stable rank, the sum of the squares by the largest, is " + num(total / values[0] ** 2) + "; "
      + num(at90) + " of " + num(values.length) + " directions carry 90 % of the squares."),
    line(values, { label: "Singular values of the dictionary, largest first", from: "1", to: num(values.length) })];
  });
  if (small <= 512 && numbers <= 4e6) compute();
  else place.append(el("button", { type: "button", onclick: compute }, "Compute it here (some seconds)"));
  return panel("spectrum", "Spectrum: the singular values of D", place);
}

const CURVES = [ // name, title, how a value is said, options of its chart
  ["loss", "loss", num, { log: true }], ["r2", "R², the variance explained", num, { low: null }],
  ["l0", "L0, latents active per row", num, {}], ["dead", "dead latents", percent, { axis: percent }],
];

// The course of the training, which the file keeps.
function training(context) {
  const { info, d, signal } = context;
  const title = "Training";
  if (info.has_training === undefined) return null; // an older server
  if (!info.has_training) return panel("training", title, missing("training"));
  const place = el("div");
  later(place, once(info, "training", () => get(at(d, "/training?columns=step," + CURVES.map(([name]) => name).join()), signal)), ({ columns: all }) => {
    const steps = all.step, last = steps.length - 1;
    return [el("p", {}, "After " + plural(steps[last], "step") + ": " + CURVES.map(([name, , say]) => (name === "r2" ? "R²" : name === "l0" ? "L0"
      : name === "dead" ? "dead" : name) + " " + say(all[name][last])).join(", ") + "."),
    el("div", { class: "curves" }, CURVES.map(([name, text, say, options]) => el("figure", {}, el("figcaption", {}, text),
      line(all[name].map((value) => value ?? NaN), { ...options, label: text + " by step", places: steps, from: num(steps[0]), to: num(steps[last]) + " steps",
        say: (i) => "step " + num(steps[i]) + ": " + say(all[name][i]) }))))];
  });
  return panel("training", title, place);
}

function contrasted(context, all) {
  return all.length ? panel("contrasts", "Contrasts of sets of data", el("ul", {}, all.map((one) => el("li", {}, (one.a?.name || "A") + " against " + (one.b?.name || "B") + ": ",
    el("a", { href: context.address("compare") }, "the largest differences"), ", ",
    el("a", { href: context.address("map", undefined, { color: "contrast:" + one.name }) }, "on the map"))))) : null;
}

function file(context) {
  const { info, d } = context;
  const said = el("span", { role: "status" });
  const reload = el("button", { type: "button", onclick: async () => {
    reload.disabled = true;
    said.textContent = "Reloading …";
    try {
      const reply = await post(at(d, "/reload"));
      said.textContent = reply.generation === info.generation ? "The file has not changed." : "Generation " + reply.generation + " is served.";
      if (reply.generation !== info.generation) setTimeout(context.again, 800);
    } catch (error) { said.replaceChildren(failure(error)); }
    reload.disabled = false;
  } }, "Reload the file");
  return panel("file", "The file", facts([["digest", el("code", {}, info.digest)], ["revision", el("code", {}, info.revision)], ["generation", num(info.generation)],
    ["loaded", new Date(info.loaded_at).toLocaleString()], ["size", bytes(info.bytes)], ["type of numbers", info.dtype], ["device", info.device],
    ["read from", info.source], ["network", info.model], ["place in it", info.hook], ["requests since the start", num(info.requests)]]),
  el("p", { class: "actions" }, reload, el("a", { class: "button", href: at(d, "/dictionary?format=safetensors"), download: d + ".dictionary.safetensors", onclick: async (event) => {
    event.preventDefault();
    try {
      const { save } = await import("./dom.js");
      save(d + ".dictionary.safetensors", await (await fetched(at(d, "/dictionary?format=safetensors"))).blob());
    } catch (error) { said.replaceChildren(failure(error)); }
  } }, "Download the atoms"), said));
}

export async function show(place, context) {
  const { info, d } = context;
  const settings = Object.entries(info.settings || {}).filter(([, value]) => known(value));
  const wanted = ["norm", info.has_statistics && "frequency", info.has_statistics && "energy", info.has_relaxation && "relaxation",
    known(info.hull_share) && "hull_share", info.has_trace && "trace_cosine", info.agreement && "agreement"].filter(Boolean);
  const all = await columns(info, wanted);
  const delta = info.settings?.delta;
  place.append(el("div", { class: "head" }, el("div", {}, el("h1", {}, d),
    quiet(num(info.atom_count) + " atoms of " + num(info.dimensions) + " dimensions" + (known(info.point_count) ? " on " + num(info.point_count) + " points" : "")
      + (info.model ? ", of " + info.model + (info.hook ? " at " + info.hook : "") : "") + "."))),
  el("div", { class: "stack" }, panel("overview", "In short", el("div", { class: "tiles" }, tile(num(info.atom_count), "atoms"), tile(num(info.dimensions), "dimensions"),
    tile(known(info.point_count) ? num(info.point_count) : null, "points"),
    tile(info.has_statistics ? num(count(all.frequency, (value) => value === 0)) : null, "dead atoms"),
    tile(known(info.hull_share) ? num(info.hull_share) : null, "hull share", "cosine of the median atom with its points"),
    tile(known(info.trace_cosine) ? num(info.trace_cosine) : null, "trace", "cosine of the median atom with real rows"),
    tile(info.agreement ? percent(info.agreement.share) : null, "agreement", info.agreement ? "of " + plural(info.agreement.runs, "other run") : "with other runs"))),
  el("div", { class: "grid" },
    panel("settings", "Settings", facts([["activation", info.sae], ["encoder", info.encoder], ["standardized", info.standardized ? "yes" : "no"],
      ...settings.filter(([name]) => name !== "sae" && name !== "encoder").map(([name, value]) => [name, typeof value === "number" ? num(value) : String(value)])])),
    file(context), density(context, all), training(context), spectrum(context),
    all.hull_share && spread("hull", "Within their points: cosine of atoms with their mixtures", all.hull_share),
    all.relaxation ? spread("relaxations", "Lengths of the relaxations", all.relaxation, known(delta) ? "Training allowed " + num(delta) + " (delta)." : null)
      : panel("relaxations", "Lengths of the relaxations", missing("relaxation")),
    all.trace_cosine ? spread("traces", "Cosine of atoms with the rows they are traced to", all.trace_cosine) : panel("traces", "Traces", missing("trace")),
    all.agreement ? spread("agreements", "Share of other runs that find an atom", all.agreement) : panel("agreements", "Agreement with other runs", missing("agreement")),
    all.energy && panel("energies", "Energy of the atoms, strongest first", line(Array.from(all.energy).sort((a, b) => b - a),
      { label: "Energy by rank", from: "1", to: num(info.atom_count) })),
    spread("norms", "Lengths of the atoms", all.norm)), contrasted(context, await contrasts(info))));
}
