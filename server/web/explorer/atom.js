// One atom: first what it is made of and how far to trust it, then when it fires, its neighbors and the vector itself.

import { at, fetched, forget, get, labels, maybe, once, Problem, put, server } from "./ask.js";
import { bars, histogram, plot, strip } from "./charts.js";
import { missing } from "./commands.js";
import { copyable, el, known, later, num, panel, percent, plural, quiet, save, sentence, shown, tile, word } from "./dom.js";
import { adder } from "./lists.js";
import { heat, rowMedia, thumb, tokenText } from "./media.js";
import { picture, shapeChooser, shapeOf } from "./picture.js";

const SOURCES = { file: "from a file of labels", rows: "the rows on which it is strongest", trace: "the rows of its trace",
  archetypes: "the labels of its points", set: "a user of this server" };
const CLOSE = 0.7; // from where on two directions are called the same

const named = (label, otherwise) => (known(label) && label !== "" ? label : otherwise);

// ---- what it is made of ----------------------------------------------------------------------------------------------

function made(context, atom) {
  const points = atom.archetypes;
  if (!points || !points.length) return panel("made", "What it is made of", missing("archetypes"));
  const { share } = atom.relaxation || {};
  const told = points.every((point) => known(point.contribution));
  const total = told ? points.reduce((sum, point) => sum + point.contribution, 0) : null;
  const left = told && known(share) ? 1 - total - share : null;
  const count = sentence(word(points.length)) + (points.length === 1 ? " real point" : " real points");
  const lead = !told ? count + ". How much of the atom each accounts for is unknown; the bars are the weights of the mixture."
    : count + (points.length === 1 ? " accounts for " : " account for ") + percent(total) + " of this atom"
      + (known(share) ? ", its own correction (the relaxation) for " + percent(share) : "")
      + (known(left) && Math.abs(left) > 0.005 ? ", points that the file leaves out for " + percent(left) : "") + ".";
  const rows = points.map((point, i) => ({ name: named(point.label, "point " + point.point), href: context.address("point", point.point),
    value: told ? point.contribution : point.weight, said: percent(told ? point.contribution : point.weight),
    kind: !told || point.contribution >= 0 ? "s" + Math.min(i, 7) : "minus", more: [thumb(context.info, point, named(point.label, "the point")),
      el("span", { "data-point": point.point }, told ? "weight " + num(point.weight) : "")] }));
  if (told && known(share)) rows.push({ name: "the relaxation", value: share, said: percent(share), kind: share < 0 ? "minus" : "rest",
    more: "no point accounts for it" });
  if (known(left) && left > 0.005) rows.push({ name: "points not listed", value: left, said: percent(left), kind: "rest" });
  const list = bars(rows, { label: "What the atom is made of" });
  others(context, atom, list);
  return panel("made", "What it is made of", el("p", {}, lead),
    told && strip(rows.map((row) => ({ share: row.value, kind: row.kind, name: row.name }))), list,
    known(atom.hull_share) ? quiet("Its cosine with the mixture of its points is " + num(atom.hull_share) + "."
      + (atom.coverage < 0.995 ? " The points listed carry " + percent(atom.coverage) + " of the mixture's weight." : "")) : null);
}

// Below each point the rows of data nearest to it, and the other atoms that it is in.
async function others(context, atom, list) {
  const names = await labels(context.info).catch(() => null);
  await Promise.all([...list.querySelectorAll("[data-point]")].map(async (place) => {
    try {
      const point = await once(context.info, "point " + place.dataset.point, () => get(at(context.d, "/points/" + place.dataset.point)));
      const rest = (point.atoms || []).filter((use) => use.atom !== atom.atom);
      place.append(place.textContent ? ", " : "", rest.length ? "also in " : "in no other atom");
      rest.slice(0, 3).forEach((use, i) => place.append(i ? ", " : "", el("a", { href: context.address("atom", use.atom) },
        named(names && names[use.atom], "atom " + use.atom))));
      const near = (point.rows || []).filter((row) => known(row.label) && row.label !== point.label).slice(0, 4);
      if (rest.length > 3) place.append(" and ", el("a", { href: context.address("point", place.dataset.point) }, plural(rest.length - 3, "more atom").replace("more atoms", "more")));
      if (near.length) place.append("; nearest rows: " + near.map((row) => row.label).join(", "));
    } catch { /* the bar says enough */ }
  }));
}

function relaxation(info, atom) {
  if (!atom.relaxation || !known(atom.relaxation.norm)) return panel("relaxation", "Relaxation", missing("relaxation"));
  const { norm, share } = atom.relaxation;
  const limit = info.settings?.delta;
  const factor = known(limit) && limit > 0 ? norm / limit : null;
  const text = "The atom leaves the mixture of its points by a length of " + num(norm) + (info.settings?.use_multiplier
    ? ", before the dictionary was scaled. " : ". ")
    + (known(factor) ? "Training allowed " + num(limit) + " (delta): it uses " + percent(factor) + " of that."
      : "The file does not say how much training allowed (delta).");
  return panel("relaxation", "Relaxation", el("p", {}, text),
    bars([{ name: "its length", value: norm, said: num(norm) },
      known(limit) && { name: "delta, the limit", value: limit, said: num(limit), kind: "rest" }].filter(Boolean),
    { label: "Length of the relaxation" }),
    quiet("Its share of the atom is " + percent(share) + "."));
}

function trace(context, atom) {
  const { info } = context;
  if (!atom.trace) return panel("trace", "Traced to real rows", missing("trace"));
  const { rows, cosine } = atom.trace;
  const missed = known(cosine) ? Math.sqrt(Math.max(0, 1 - cosine * cosine)) : null;
  return panel("trace", "Traced to real rows", el("p", {}, known(cosine)
    ? "The best mixture of these rows has a cosine of " + num(cosine) + " with the atom: it misses " + percent(missed) + " of the atom's length."
    : "The cosine of the atom with these rows is unknown."),
  bars(rows.map((row) => ({ name: named(row.label, "row " + row.row), href: explained(context, row), value: row.contribution, said: percent(row.contribution),
    more: [thumb(info, row, named(row.label, "row " + row.row)), "row " + num(row.row) + ", weight " + num(row.weight)] })),
  { label: "Rows of data in the atom" }));
}

function agreement(info, atom) {
  if (!atom.agreement) return panel("agreement", "Found again by other runs?", missing("agreement"));
  const { runs, share, cosine } = atom.agreement;
  const found = Math.round(share * runs);
  const level = info.agreement?.level;
  const text = (found === runs ? (runs === 1 ? "The one other run finds" : "All " + word(runs) + " other runs find") : found === 0
    ? (runs === 1 ? "The one other run does not find" : "None of " + word(runs) + " other runs finds")
    : word(found) + " of " + word(runs) + " other runs " + (found === 1 ? "finds" : "find")) + " this atom"
    + (known(level) ? " at a cosine of " + num(level) + " or more" : "") + "; the mean cosine is " + num(cosine) + ". "
    + (share >= 0.75 ? "It says something about the data." : share >= 0.4 ? "Read it with care." : "It may say more about this run than about the data.");
  return panel("agreement", "Found again by other runs?", el("p", {}, sentence(text)));
}

// ---- when it fires ------------------------------------------------------------------------------------------------------

function fires(atom) {
  const measured = atom.statistics;
  if (!measured) return panel("fires", "When it fires", missing("statistics"));
  if (!measured.count) return panel("fires", "When it fires", el("p", {}, "It is dead: active in none of " + plural(measured.rows, "row") + "."));
  return panel("fires", "When it fires",
    el("div", { class: "tiles" }, tile(percent(measured.frequency), "of the rows", num(measured.count) + " of " + num(measured.rows)),
      tile(num(measured.mean), "mean value"), tile(num(measured.max), "largest value"), tile(num(measured.energy), "energy")),
    histogram(measured.histogram, { marker: measured.mean, said: "mean", label: "Histogram of its active values, from "
      + num(measured.histogram.low) + " to " + num(measured.max) }));
}

const rowName = (row) => named(row.label, "row " + num(row.row));

// With the token that the row is, where it is of a text.
const rowTitle = (row) => (known(row.token) ? [el("span", { class: "token", title: "position " + num(row.position) + " of item " + num(row.item) },
  tokenText(row.token)), known(row.label) && row.label !== "" && " in " + row.label] : rowName(row));

// Where the server shows the data, a row leads to its explanation.
const explained = (context, row) => (row.row < (context.info.row_count || 0) ? context.address("input", undefined, { row: row.row }) : null);

function top(context, atom) {
  const { info } = context;
  const measured = atom.statistics;
  if (!measured) return null;
  if (!measured.top.length) return panel("rows", "Strongest rows", quiet("There is none."));
  const media = measured.top.map((row) => rowMedia(info, row, rowName(row)));
  if (media.some(Boolean)) return panel("rows", "Strongest rows", el("div", { class: "gallery" }, measured.top.map((row, i) =>
    el("figure", { title: "row " + row.row }, media[i], el("figcaption", {}, explained(context, row) ? el("a", { href: explained(context, row) }, rowName(row)) : rowName(row), ", " + num(row.value))))));
  return panel("rows", "Strongest rows", el("ul", { class: "rows" }, measured.top.map((row) =>
    el("li", { title: "row " + row.row }, el(explained(context, row) ? "a" : "span", { href: explained(context, row) }, rowTitle(row)), el("small", {}, num(row.value))))));
}

function quantiles(info, atom) {
  const list = atom.quantiles;
  if (!atom.statistics) return null;
  if (!list) return panel("quantiles", "Rows from all over its range", missing("quantiles"));
  return panel("quantiles", "Rows from all over its range", el("div", { class: "scroll" }, el("table", { class: "plain" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "values"), el("th", { scope: "col" }, "rows"))),
    el("tbody", {}, [...list].reverse().map((one) => el("tr", {}, el("td", {}, num(one.low) + " to " + num(one.high)),
      el("td", {}, one.rows.length ? one.rows.map((row, i) => thumb(info, row, rowName(row)) || [i > 0 && ", ", rowTitle(row)]) : "none")))))));
}

// All codes of the items in which it is strongest.
function items(context, atom) {
  if (!context.info.item_count || !shown("items") || !(context.info.item_shape?.rows > 1)) return null; // of one row: the rows above
  const place = el("div");
  later(place, maybe(get(at(context.d, "/atoms/" + atom.atom + "/items?k=8"), context.signal)), (reply) => {
    if (!reply || !reply.items.length) return quiet("There is none.");
    const most = Math.max(...reply.items.map((item) => item.value), 1e-30);
    return el("div", { class: reply.shape.width ? "gallery" : "" }, reply.items.map((item) => heat(reply.shape, item, most)));
  });
  return panel("items", "Strongest items, with a code for each part", place);
}

// ---- what is like it ------------------------------------------------------------------------------------------------------

function neighbors(context, atom) {
  if (!shown("neighbors")) return null;
  const place = el("div");
  later(place, get(at(context.d, "/atoms/" + atom.atom + "/neighbors?k=10"), context.signal), (reply) =>
    bars(reply.neighbors.map((one) => ({ name: named(one.label, "atom " + one.atom), href: context.address("atom", one.atom),
      value: one.score, said: num(one.score) })), { most: 1, label: "Atoms of the nearest direction" }));
  return panel("neighbors", "Nearest direction", quiet("by the cosine of the atoms"), place);
}

const MEASURES = { pmi: "more often than by chance", count: "most often", correlation: "with codes that vary together" };

function cofiring(context, atom) {
  if (!shown("cofiring")) return null;
  if (context.info.has_cofiring === false) return panel("cofiring", "Active together", missing("cofiring"));
  const place = el("div");
  const draw = (measure) => later(place, maybe(get(at(context.d, "/atoms/" + atom.atom + "/cofiring?k=10&measure=" + measure), context.signal)),
    (reply) => {
      if (!reply) return missing("cofiring");
      if (!reply.partners.length) return quiet("No latent is active together with it in " + num(reply.least) + " rows or more.");
      return bars(reply.partners.map((one) => ({ name: named(one.label, "atom " + one.atom), href: context.address("atom", one.atom), value: one[measure],
        more: measure === "pmi" && known(one.lift) ? num(one.lift) + " times as often as by chance" : null })), { label: "Latents active together with it" });
    });
  const chooser = el("select", { class: "small", "aria-label": "Measure", onchange: () => draw(chooser.value) },
    Object.entries(MEASURES).map(([name, text]) => el("option", { value: name }, text)));
  if (atom.statistics && "quantiles" in atom) draw("pmi"); // a server that sends the one has the other
  else place.replaceChildren(missing("cofiring"));
  return panel("cofiring", "Active together", el("p", {}, chooser), place);
}

// ---- the vector -----------------------------------------------------------------------------------------------------------

// What the encoder listens to, beside what the decoder writes.
function encoder(context, atom) {
  if (!shown("encoder")) return null;
  if (!context.info.has_encoder) return panel("encoder", "Encoder and decoder", missing("encoder"));
  const place = el("div");
  if (!("encoder" in atom)) return panel("encoder", "Encoder and decoder", quiet("This server does not send the rows of the encoder, so the angle between encoder and decoder is unknown."));
  if (!atom.encoder) return panel("encoder", "Encoder and decoder", missing("encoder"));
  const { vector: row, cosine } = atom.encoder;
  place.append(el("p", {}, "The cosine between what its latent looks for and the atom is " + num(cosine) + ". ",
    known(cosine) && (cosine >= CLOSE ? "It fires on what it writes." : "It fires on more than what it writes, or on something else.")),
  plot(row, { label: "The encoder's weights for this latent" }));
  return panel("encoder", "Encoder and decoder", place);
}

function vector(context, atom) {
  const { d, info } = context;
  const path = at(d, "/atoms/" + atom.atom);
  const shape = shapeOf(info);
  const address = new URL(path, document.baseURI).href;
  const load = async (format, name) => {
    const response = await fetched(path + "?fields=vector" + (format === "npy" ? "&format=npy" : ""));
    save(name, await response.blob());
  };
  const key = info.needs_key ? " -H 'Authorization: Bearer KEY'" : "";
  return panel("vector", "The vector", el("div", { class: "tools" },
    el("button", { type: "button", class: "small", onclick: () => load("npy", d + "." + atom.atom + ".npy") }, "npy"),
    el("button", { type: "button", class: "small", onclick: () => load("json", d + "." + atom.atom + ".json") }, "JSON"),
    el("a", { class: "button small", href: context.address("input", undefined, { atom: atom.atom }) }, "Explain it as an input"),
    shapeChooser(info, context.again)),
  shape && el("div", { class: "pictures" }, picture(atom.vector, shape, "the atom")),
  plot(atom.vector, { label: "The numbers of the atom, by dimension" }),
  quiet(num(info.dimensions) + " numbers" + (known(atom.norm) ? " of length " + num(atom.norm) : "")
    + (info.standardized ? ", in standardized units" : "") + "."),
  el("h3", {}, "In a shell"), copyable("curl -s" + key + " '" + address + "?format=npy' -o atom.npy", "the command"),
  el("h3", {}, "In Python"), copyable("import rasae\n\nwith rasae.Client(\"" + new URL(".", document.baseURI).href.replace(/\/$/, "") + "\") as client:\n"
    + "    atom = client.dictionary(\"" + d + "\").atom(" + atom.atom + ")", "the program"));
}

// ---- its label ---------------------------------------------------------------------------------------------------------------

// Where the server keeps changes and the key may make them.
async function labelEditor(context, atom) {
  const { keeps_changes: keeps, access } = await server();
  if (!keeps || access !== "admin") return null;
  const said = el("small", { role: "status" });
  const input = el("input", { value: atom.label || "", "aria-label": "Label of the atom", size: 24 });
  const form = el("form", { class: "actions", hidden: true, onsubmit: async (event) => {
    event.preventDefault();
    try {
      await put(at(context.d, "/atoms/" + atom.atom + "/label"), { label: input.value.trim(), source: "explorer" });
      forget();
      context.again();
    } catch (error) { said.textContent = error.message; }
  } }, input, el("button", { type: "submit" }, "Save"), said);
  const button = el("button", { type: "button", class: "small", "aria-expanded": "false", onclick: () => {
    form.hidden = !form.hidden;
    button.setAttribute("aria-expanded", String(!form.hidden));
    if (!form.hidden) input.focus();
  } }, "Change the label");
  return el("div", { class: "actions" }, button, form);
}

// ---- all of it --------------------------------------------------------------------------------------------------------------

export async function show(place, context) {
  const { info } = context;
  const number = Number(context.argument ?? 0);
  if (!Number.isInteger(number) || number < 0 || number >= info.atom_count)
    throw new Problem("There is no atom " + context.argument + ": they are numbered from 0 to " + (info.atom_count - 1) + ".");
  const atom = await get(at(context.d, "/atoms/" + number + "?fields=all"), context.signal);
  const label = named(atom.label, null);
  const step = (to, text, symbol) => el("a", { class: "button", href: context.address("atom", to), "aria-label": text, title: text + " (" + symbol + ")" }, symbol);
  place.append(
    shown("head") ? el("div", { class: "head" },
      el("div", {}, el("h1", {}, label || "Atom " + number),
        quiet("Atom " + number + (label ? ", labeled by " + (SOURCES[atom.label_source] || atom.label_source) : ", which has no label")
          + (known(atom.norm) ? ", length " + num(atom.norm) : "") + "."),
        known(atom.explanation?.text) && el("p", { class: "lead" }, atom.explanation.text, known(atom.explanation.source) && el("small", {}, " (" + atom.explanation.source
          + (known(atom.explanation.score) ? ", score " + num(atom.explanation.score) : "") + ")")),
        await labelEditor(context, atom)),
      el("div", { class: "actions" }, step((number + info.atom_count - 1) % info.atom_count, "The atom before", "\u2190"),
        step((number + 1) % info.atom_count, "The next atom", "\u2192"),
        info.has_layout && el("a", { class: "button", href: context.address("map", undefined, { atom: number }) }, "On the map"),
        adder(context.d, () => [number]))) : "",
    el("div", { class: "columns" },
      el("div", {}, made(context, atom), trace(context, atom),
        el("div", { class: "pair" }, relaxation(info, atom), agreement(info, atom)), encoder(context, atom), vector(context, atom)),
      el("div", {}, fires(atom), top(context, atom), items(context, atom), el("div", { class: "pair" }, neighbors(context, atom), cofiring(context, atom)), quantiles(info, atom))));
  for (const empty of place.querySelectorAll(".pair:empty, .columns > div:empty")) empty.remove();
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) return;
    if (event.key === "ArrowLeft") context.go("atom", (number + info.atom_count - 1) % info.atom_count);
    if (event.key === "ArrowRight") context.go("atom", (number + 1) % info.atom_count);
  }, { signal: context.signal });
}
