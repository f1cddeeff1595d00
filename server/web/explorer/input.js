// An input explained: what the dictionary sees in it, what it leaves, and what becomes of it when codes are changed.

import { at, get, post, Problem } from "./ask.js";
import { isArray, readMatrix } from "./arrays.js";
import { plot } from "./charts.js";
import { chooser } from "./choose.js";
import { missing } from "./commands.js";
import { copyable, el, failure, known, num, panel, percent, plural, quiet, save, tile } from "./dom.js";
import { picture, shapeChooser, shapeOf } from "./picture.js";

const MOST = 64; // concepts that have a slider

// Numbers as JSON (a list, or {"inputs":[[…]]}), or with commas, spaces or lines between. The first row counts.
export function numbers(text) {
  let values;
  const trimmed = text.trim();
  if (!trimmed) throw new Problem("There are no numbers yet.");
  if (/^[[{]/.test(trimmed)) {
    try { values = JSON.parse(trimmed); } catch (error) { throw new Problem("This is no JSON: " + error.message + "."); }
    if (!Array.isArray(values)) values = values.inputs || values.vector || values.vectors || values.outputs || values.reconstructions || [];
    while (Array.isArray(values[0])) values = values[0];
  } else {
    const lines = trimmed.split(/\r?\n/).map((one) => one.split(/[\s,;]+/).filter(Boolean));
    const row = lines.find((one) => one.length > 1 && one.every((part) => part !== "" && Number.isFinite(Number(part))));
    values = (row || lines.flat()).map(Number); // one row, or a number on each line
  }
  const bad = values.findIndex((value) => typeof value !== "number" || !Number.isFinite(value));
  if (bad >= 0) throw new Problem("Number " + (bad + 1) + " of them is none.");
  return values;
}

const length = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
const minus = (a, b) => a.map((value, i) => value - b[i]);

export async function show(place, context) {
  const { d, info, options, signal } = context;
  place.append(el("div", { class: "head" }, el("div", {}, el("h1", {}, "Explain an input"),
    quiet("A row of activations, " + num(info.dimensions) + " numbers in the units of the data."))));
  if (!info.has_encoder) {
    place.append(missing("encoder"));
    return;
  }
  const shape = shapeOf(info);
  const area = el("textarea", { id: "numbers", spellcheck: "false", "aria-label": "The numbers of the input",
    placeholder: "Paste numbers: JSON, or with commas or spaces between. Or drop a file: .npy, .npz, .safetensors, .json, .csv" });
  const said = el("span", { role: "status" });
  const result = el("div", { class: "stack" });
  const file = el("input", { type: "file", class: "hidden", id: "file", accept: ".npy,.npz,.safetensors,.json,.csv,.txt", onchange: () => file.files[0] && read(file.files[0]) });
  const row = el("input", { type: "number", min: 0, value: 0, "aria-label": "Row of the file", onchange: () => take(Number(row.value)) });
  const rowField = el("span", { class: "field", hidden: true }, "row ", row);
  let matrix = null;

  const setArea = (values) => { area.value = "[" + Array.from(values, (value) => Number(value.toPrecision(7))).join(", ") + "]"; };

  // A row of the file that was opened.
  function take(number) {
    const { values, rows, width } = matrix, chosen = Math.min(Math.max(Math.round(number) || 0, 0), rows - 1);
    row.value = chosen;
    setArea(values.subarray(chosen * width, (chosen + 1) * width));
    return explain();
  }

  async function read(chosen) {
    try {
      matrix = null;
      rowField.hidden = true;
      if (isArray(chosen.name)) {
        matrix = await readMatrix(chosen, info.dimensions);
        matrix.values = Float64Array.from(matrix.values);
        rowField.hidden = matrix.rows < 2;
        row.max = matrix.rows - 1;
        said.textContent = chosen.name + (matrix.name ? ", " + matrix.name : "") + ": " + plural(matrix.rows, "row");
        await take(0);
      } else {
        area.value = (await chosen.text()).slice(0, 4e6);
        said.textContent = chosen.name;
        await explain();
      }
    } catch (error) { said.replaceChildren(failure(error)); }
  }

  async function choose(kind, number) {
    try {
      const reply = kind === "row" ? (await get(at(d, "/rows?limit=1&offset=" + number), signal)).rows[0]
        : await get(at(d, "/" + kind + "s/" + number + (kind === "atom" ? "?fields=direction,label" : "")), signal);
      if (!reply) throw new Problem("There is no row " + number + ": the data have " + num(info.row_count) + ".");
      const values = kind === "row" ? reply.vector : kind === "atom" ? reply.direction : reply.location || reply.vector;
      if (!values) throw new Problem("The file does not hold the vectors of its points.");
      setArea(values);
      said.textContent = kind + " " + number + (reply.label ? ": " + reply.label : "");
      context.remember({ [kind]: number });
      await explain();
    } catch (error) { if (error.name !== "AbortError") said.replaceChildren(failure(error)); }
  }

  async function explain() {
    try {
      const input = numbers(area.value);
      if (input.length !== info.dimensions)
        throw new Problem("An input has " + num(info.dimensions) + " numbers; these are " + num(input.length) + ".");
      const reply = await post(at(d, "/explain?fields=label"), { inputs: [input] }, signal);
      await draw(input, (reply.explanations || reply.results || Object.values(reply)[0])[0]);
    } catch (error) {
      if (error.name !== "AbortError") result.replaceChildren(failure(error));
    }
  }

  const decode = async (codes) => (await post(at(d, "/reconstruct"), { latents: { indices: [codes.map((one) => one[0])],
    values: [codes.map((one) => one[1])] } }, signal)).reconstructions[0];

  async function draw(input, told) {
    const concepts = told.concepts;
    const codes = new Map(concepts.map((one) => [one.atom, one.code]));
    const original = new Map(codes);
    const names = new Map(concepts.map((one) => [one.atom, one.label]));
    const base = await decode([...codes]);
    const edited = el("div", { class: "stack" }), list = el("ol", { class: "edits" });
    let keep = true, running = 0, waiting;

    // The codes that differ from those of the encoder, as POST .../edit takes them.
    const edits = () => [...codes].filter(([atom, code]) => code !== (original.get(atom) || 0)).map(([atom, code]) =>
      (code ? { atom, op: "set", value: code } : { atom, op: "ablate" }));

    // What becomes of the input, and what the encoder makes of that.
    async function change() {
      const mine = ++running, set = edits();
      try {
        const output = set.length ? (await post(at(d, "/edit"), { inputs: [input], set, keep_error: keep }, signal)).outputs[0] : keep ? input : base;
        const moved = keep ? output.map((value, i) => base[i] + value - input[i]) : output;
        const again = await post(at(d, "/encode"), { inputs: [output] }, signal);
        if (mine !== running) return;
        const seen = new Map(again.indices[0].map((index, i) => [index, again.values[0][i]]));
        const rows = [...new Set([...codes.keys(), ...seen.keys()])].map((index) => ({ index, asked: codes.get(index) || 0, found: seen.get(index) || 0 }))
          .filter((one) => one.asked || one.found).sort((a, b) => Math.abs(b.found) - Math.abs(a.found) || b.asked - a.asked);
        const still = 1e-6 * length(input), moving = (value) => num(value < still ? 0 : value); // below it: what rounding moves
        edited.replaceChildren(...[
          el("div", { class: "tiles" }, tile(moving(length(minus(moved, base))), "moved, |x̂′ − x̂|"), tile(moving(length(minus(output, input))), "from the input"),
            tile(num(length(output)), "length of the result")),
          shape && el("div", { class: "pictures" }, ...pictures(output, moved)),
          el("p", {}, el("label", { class: "field" }, el("input", { type: "checkbox", checked: keep, onchange: (event) => { keep = event.target.checked; change(); } }),
            "keep what the dictionary cannot express: x + (x̂′ − x̂)")),
          el("h3", {}, "The codes that the encoder gives the result"),
          el("div", { class: "scroll" }, el("table", { class: "plain" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "atom"),
            el("th", { scope: "col", class: "n" }, "asked for"), el("th", { scope: "col", class: "n" }, "found"))),
          el("tbody", {}, rows.slice(0, 24).map((one) => el("tr", {}, el("td", {}, el("a", { href: context.address("atom", one.index) }, names.get(one.index) || "atom " + one.index)),
            el("td", { class: "n" }, num(one.asked)), el("td", { class: "n" }, num(one.found))))))),
          el("p", {}, el("button", { type: "button", class: "small", onclick: () => save(d + ".edited.json", JSON.stringify({ inputs: [output] }), "application/json") },
            "Save the result as JSON")),
          set.length ? [el("h3", {}, "The same in a shell"), copyable("curl -s '" + new URL(at(d, "/edit?set=" + set.map((one) => one.atom + ":" + one.op + ("value" in one ? ":" + Number(one.value.toPrecision(6)) : ""))
            + "&keep_error=" + keep), document.baseURI).href + "' -H 'Content-Type: application/x-npy' --data-binary @x.npy", "the command")] : null].flat().filter(Boolean));
      } catch (error) { if (error.name !== "AbortError") edited.replaceChildren(failure(error)); }
    }

    const scale = Math.max(...input.map(Math.abs));
    const signed = input.some((value) => value < 0);
    const pictures = (output, moved) => [picture(output, shape, "the result", scale, signed), picture(moved, shape, "x̂′, decoded", scale, signed)];
    const later = () => { clearTimeout(waiting); waiting = setTimeout(change, 60); };

    // least: how far it goes at least, for a latent that is not active.
    function slider(one, least = 0) {
      const first = original.get(one.atom) || 0, most = Math.max(Math.abs(first) * 3, least, 1e-6);
      const value = el("span", { class: "value" }, num(codes.get(one.atom)));
      const range = el("input", { type: "range", min: 0, max: most, step: most / 300, value: codes.get(one.atom), "aria-label": "Code of " + (one.label || "atom " + one.atom),
        oninput: () => set(Number(range.value)) });
      const button = el("button", { type: "button", class: "small", onclick: () => set(codes.get(one.atom) ? 0 : first) }, first ? "Ablate" : "Restore");
      const share = el("span", { class: "bar" + (one.contribution < 0 ? " minus" : "") });
      const largest = Math.max(...concepts.map((other) => Math.abs(other.contribution || 0)), 1e-9);
      share.style.width = Math.abs(one.contribution || 0) / largest * 100 + "%";
      const item = el("li", { "data-atom": one.atom }, el("a", { class: "name", href: context.address("atom", one.atom), title: one.label || "" }, one.label || "atom " + one.atom),
        el("span", { class: "value" }, known(one.contribution) ? percent(one.contribution) : "–"), el("span", { class: "track" }, share), range, value, button);
      function set(code) {
        codes.set(one.atom, code);
        range.value = code;
        value.textContent = num(code);
        button.textContent = code ? "Ablate" : "Restore";
        item.classList.toggle("off", !code && first !== 0);
        later();
      }
      return item;
    }

    list.replaceChildren(...concepts.slice(0, MOST).map((one) => slider(one)));
    const strongest = Math.max(...concepts.map((one) => Math.abs(one.code)), 1e-6);
    const another = chooser(context, "atom", { title: "Another atom", action: "Add it", chosen: (number, label) => {
      if (number === null || list.querySelector("[data-atom='" + number + "']")) return;
      names.set(number, label);
      codes.set(number, 0);
      list.append(slider({ atom: number, label, contribution: null }, strongest));
    } });
    result.replaceChildren(...[
      panel("explained", "What it is made of",
        el("div", { class: "tiles" }, tile(known(told.r2) ? told.r2.toFixed(3) : null, "R²"), tile(num(told.active), "latents active"),
          tile(num(told.input_norm), "length"), tile(num(told.residual_norm), "left over", known(told.input_norm) && told.input_norm > 0
            ? percent((told.residual_norm / told.input_norm) ** 2) + " of its square" : null)),
        shape && el("div", { class: "pictures" }, picture(input, shape, "the input", scale, signed), picture(base, shape, "x̂, the reconstruction", scale, signed),
          picture(minus(input, base), shape, "what is left", scale, true))),
      el("div", { class: "columns" },
        el("div", {}, panel("edit", "Its concepts, to change", concepts.length
          ? [quiet("Each with its share of the input along it; move a code, or ablate it."), list,
            concepts.length > MOST && quiet("and " + plural(concepts.length - MOST, "weaker one")), another] : [quiet("No latent is active in it."), list, another])),
        el("div", {}, panel("edited", "After the change", edited),
          panel("numbers", "The input", plot(input, { label: "The numbers of the input, by dimension" }))))].filter(Boolean));
    await change();
  }

  const drop = el("div", { class: "drop" }, area);
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files[0]) read(event.dataTransfer.files[0]);
  });
  const pick = (kind, title) => chooser(context, kind, { title, action: "Take it", value: options.get(kind) || "",
    chosen: (number) => number !== null && choose(kind, number) });
  place.append(el("div", { class: "stack" }, panel("input", "The numbers", drop,
    el("div", { class: "tools" }, el("button", { type: "button", class: "strong", id: "explain", onclick: explain }, "Explain"),
      el("label", { class: "button", for: "file" }, "Open a file"), file, rowField, said, shapeChooser(info, context.again)),
    el("div", { class: "tools" }, info.row_count > 0 && pick("row", "or a row of the data"), info.has_point_vectors && pick("point", "or a point"), pick("atom", "or an atom"))), result));
  area.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) explain(); });
  const from = ["row", "point", "atom"].find((kind) => options.get(kind));
  if (from) await choose(from, options.get(from));
}
