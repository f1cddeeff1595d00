// All atoms at their places on the map, colored and sized by what is known of them.

import { at, columns, contrasts, get, labels, maybe, once } from "./ask.js";
import { Cloud } from "./cloud.js";
import { around, css, none, quantity } from "./colors.js";
import { missing } from "./commands.js";
import { el, failure, known, num, panel, percent, plural, quiet } from "./dom.js";
import { adder, listsOf } from "./lists.js";

// name: [title, how a value is said, what the dictionary must have, whether the scale is logarithmic, whether it is around zero]
const MEASURES = {
  energy: ["energy", num, "has_statistics", true], frequency: ["frequency", percent, "has_statistics", true],
  max: ["largest value", num, "has_statistics", false], relaxation: ["relaxation", num, "has_relaxation", false],
  hull_share: ["hull share", num, "archetype_count", false], trace_cosine: ["cosine with the trace", num, "has_trace", false],
  agreement: ["agreement", percent, "agreement", false], norm: ["length", num, null, false],
};

// The same far to both sides of zero.
function balanced(values) {
  const sorted = Float64Array.from(values.filter(Number.isFinite), Math.abs).sort();
  if (!sorted.length) return null;
  const most = sorted[Math.ceil(0.98 * (sorted.length - 1))] || 1;
  return { low: -most, high: most, share: (value) => (Math.min(Math.max(value / most, -1), 1) + 1) / 2 };
}

// From the 2nd to the 98th of a hundred parts, so that a few extremes do not take all colors.
function range(values, log) {
  const sorted = Float64Array.from(values.filter((value) => Number.isFinite(value) && (!log || value > 0))).sort();
  if (!sorted.length) return null;
  const low = sorted[Math.floor(0.02 * (sorted.length - 1))], high = sorted[Math.ceil(0.98 * (sorted.length - 1))];
  const shift = log ? Math.log : (value) => value;
  return { low, high, share: (value) => (high > low ? Math.min(Math.max((shift(value) - shift(low)) / (shift(high) - shift(low)), 0), 1) : 0.5) };
}

async function sharing(context, atom) {
  const { archetypes } = await get(at(context.d, "/atoms/" + atom + "?fields=archetypes"), context.signal);
  const weights = new Map();
  await Promise.all((archetypes || []).map(async ({ point, weight }) => {
    const { atoms } = await once(context.info, "point " + point, () => get(at(context.d, "/points/" + point)));
    for (const use of (atoms || []).slice(0, 40)) if (use.atom !== atom) weights.set(use.atom, (weights.get(use.atom) || 0) + Math.min(weight, use.weight));
  }));
  return [...weights].sort((a, b) => b[1] - a[1]).slice(0, 24);
}

const LINES = {
  points: ["atoms that share points", "archetype_count", sharing],
  neighbors: ["nearest directions", null, async (context, atom) =>
    (await get(at(context.d, "/atoms/" + atom + "/neighbors?k=10"), context.signal)).neighbors.map((one) => [one.atom, one.score])],
  cofiring: ["atoms active together", "has_cofiring", async (context, atom) => ((await maybe(
    get(at(context.d, "/atoms/" + atom + "/cofiring?k=10&measure=correlation"), context.signal)))?.partners || []).map((one) => [one.atom, one.correlation])],
};

export async function show(place, context) {
  const { d, info, options, signal } = context;
  if (!info.has_layout) {
    place.append(el("h1", {}, "Map"), missing("layout"), el("p", {}, "Until then, the ", el("a", { href: context.address("table") }, "table"), " has all atoms."));
    return;
  }
  for (const { name, a, b } of await contrasts(info)) // name: the difference of energy between two sets of data
    MEASURES["contrast:" + name] = ["energy on " + (a.name || "A") + " against " + (b.name || "B"), num, "contrast of " + d, false, true];
  const has = (needs) => !needs || info[needs] || needs === "contrast of " + d;
  const measured = Object.keys(MEASURES).filter((name) => has(MEASURES[name][2]));
  const state = { color: options.get("color") || (info.has_statistics ? "energy" : measured[0]),
    size: options.get("size") || (info.has_statistics ? "frequency" : ""), lines: options.get("lines") || "points", q: options.get("q") || "",
    list: options.get("list") || "", atom: options.get("atom") || "" };
  if (!measured.includes(state.color) && state.color !== "match") state.color = measured[0];
  if (!measured.includes(state.size)) state.size = "";

  let values = await columns(info, ["x", "y", ...new Set([state.color, state.size].filter((name) => MEASURES[name]))]);
  if (signal.aborted) return;
  let names = null, matched = null;
  let chosen = state.list ? new Set(listsOf(d)[state.list] || []) : null;
  const sentence = (i) => "Atom " + i + (names?.[i] ? ": " + names[i] : "")
    + [state.color, state.size].filter((name, k, all) => MEASURES[name] && all.indexOf(name) === k)
      .map((name) => ", " + MEASURES[name][0] + " " + (known(values[name][i]) ? MEASURES[name][1](values[name][i]) : "unknown")).join("");

  const said = el("p", { class: "said", role: "status", hidden: true });
  const frame = el("div", { class: "cloud" });
  const selection = el("div", { class: "stack" });
  let resting;
  const cloud = new Cloud(frame, {
    hover: (i) => {
      const one = i >= 0 ? i : cloud.selected;
      said.hidden = one < 0;
      said.textContent = one < 0 ? "" : sentence(one);
      clearTimeout(resting);
      if (one < 0) cloud.lines = [];
      else resting = setTimeout(() => connect(one), 120);
    },
    open: (i) => context.go("atom", i),
    lassoed: (found) => { chosen = found.length ? new Set(found) : null; state.list = ""; paint(); tell(found); },
  });

  async function connect(i) {
    const kind = LINES[state.lines];
    if (!kind || signal.aborted) return;
    try {
      const found = await once(info, "lines " + state.lines + " " + i, () => kind[2](context, i));
      if ((cloud.hovered >= 0 ? cloud.hovered : cloud.selected) !== i) return;
      const most = Math.max(...found.map((one) => Math.abs(one[1])), 1e-9);
      cloud.lines = found.filter(([to]) => !Number.isNaN(values.x[to])).map(([to, weight]) => ({ from: i, to, share: Math.abs(weight) / most }));
      cloud.refresh();
    } catch { /* a map without lines is a map */ }
  }

  const scale = el("canvas", { width: 140, height: 1, "aria-hidden": "true" });
  const legend = el("span", { class: "scale" });

  function paint() {
    const signed = MEASURES[state.color]?.[4];
    const of = MEASURES[state.color] && (signed ? balanced(values[state.color]) : range(values[state.color], MEASURES[state.color][3]));
    const sizes = MEASURES[state.size] && range(values[state.size], MEASURES[state.size][3]);
    const palette = Array.from({ length: 64 }, (_, k) => (signed ? around(k / 31.5 - 1) : quantity(k / 63))), nothing = none();
    const shareOf = (i) => (of && known(values[state.color][i]) ? of.share(values[state.color][i]) : null);
    const lit = (i) => (!matched || matched.has(i)) && (!chosen || chosen.has(i));
    const shares = new Float32Array(cloud.count);
    for (let i = 0; i < cloud.count; i++) shares[i] = lit(i) ? 1 + (shareOf(i) ?? 0) : 0;
    const order = Uint32Array.from(shares.keys()).sort((a, b) => shares[a] - shares[b]);
    const weight = values.energy || values.frequency || values[state.color];
    const byWeight = weight ? Uint32Array.from(order).sort((a, b) => Math.sign(shares[b]) - Math.sign(shares[a]) || (weight[b] || 0) - (weight[a] || 0)) : order;
    const important = matched || chosen ? byWeight.filter(lit) : byWeight;
    cloud.paint({
      colors: (i) => {
        if (!lit(i)) return nothing;
        if (state.color === "match") return palette[matched ? 63 : 20];
        const share = shareOf(i);
        return share === null ? nothing : palette[Math.round(share * 63)];
      },
      factors: (i) => (lit(i) ? 1 : 0.6) * (sizes && known(values[state.size][i]) ? 0.65 + 1.15 * sizes.share(values[state.size][i]) : 1),
      order, importance: important,
    });
    const pen = scale.getContext("2d");
    for (let x = 0; x < 140; x++) {
      pen.fillStyle = css(palette[Math.round(x / 139 * 63)]);
      pen.fillRect(x, 0, 1, 1);
    }
    const say = MEASURES[state.color]?.[1];
    legend.replaceChildren(...(of ? [say(of.low), scale, say(of.high)] : state.color === "match" ? [] : ["unknown for all atoms"]));
    cloud.above.setAttribute("aria-label", "Map of " + plural(cloud.count, "atom") + ". Arrow keys go from atom to atom, Enter opens one, plus and minus zoom, "
      + "Shift with arrow keys moves the map. The table has the same atoms.");
  }

  function tell(found) {
    selection.replaceChildren(...(found.length ? [panel("chosen", plural(found.length, "atom") + " chosen",
      el("div", { class: "tools" }, adder(d, () => found, "Add to list"), el("button", { type: "button", class: "small", onclick: () => {
        chosen = null;
        tell([]);
        paint();
      } }, "Choose none")),
      el("div", {}, found.slice(0, 60).map((atom) => el("a", { class: "chip", href: context.address("atom", atom) }, names?.[atom] || "atom " + atom)),
        found.length > 60 && quiet("and " + num(found.length - 60) + " more")))] : []));
  }

  const remember = () => context.remember({ color: state.color, size: state.size, lines: state.lines === "points" ? "" : state.lines, q: state.q, list: state.list });

  async function need() {
    const wanted = [state.color, state.size].filter((name) => MEASURES[name] && !values[name]);
    if (wanted.length) values = { ...values, ...await columns(info, wanted) };
    paint();
    remember();
  }

  const count = el("span", { class: "quiet", role: "status" });
  async function match() {
    if (!state.q) { matched = null; count.textContent = ""; return; }
    const found = [];
    for (let total = 1; found.length < total && found.length < 10000;) {
      const reply = await get(at(d, "/atoms?fields=label&limit=1000&offset=" + found.length + "&q=" + encodeURIComponent(state.q)), signal);
      total = reply.total;
      if (!reply.atoms.length) break;
      found.push(...reply.atoms.map((one) => one.atom));
    }
    matched = new Set(found);
    count.textContent = plural(found.length, "atom");
  }

  const choose = (name, title, entries) => el("label", { class: "field" }, title, el("select", { id: "map-" + name, onchange: async (event) => {
    state[name] = event.target.value;
    cloud.lines = [];
    await need();
  } }, entries.map(([value, text]) => el("option", { value, selected: state[name] === value }, text))));
  let waiting;
  const lasso = el("button", { type: "button", id: "lasso", "aria-pressed": "false", title: "Draw around atoms (or hold Shift)", onclick: () => {
    cloud.lassoing = !cloud.lassoing;
    lasso.setAttribute("aria-pressed", String(cloud.lassoing));
    lasso.classList.toggle("strong", cloud.lassoing);
    cloud.above.style.cursor = cloud.lassoing ? "crosshair" : "grab";
  } }, "Lasso");
  const button = (text, label, act) => el("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
  frame.append(said, el("div", { class: "zoom" }, button("+", "Zoom in", () => cloud.zoom(1.6)), button("−", "Zoom out", () => cloud.zoom(1 / 1.6)),
    button("⤢", "Show all", () => cloud.fit())));
  place.append(el("h1", { class: "hidden" }, "Map of " + d), el("div", { class: "tools" },
    choose("color", "Color", [...measured.map((name) => [name, MEASURES[name][0]]), ["match", "match of words"]]), legend,
    choose("size", "Size", [["", "all the same"], ...measured.map((name) => [name, MEASURES[name][0]])]),
    choose("lines", "Lines to", [["none", "none"], ...Object.entries(LINES).filter(([, [, needs]]) => !needs || info[needs]).map(([name, [title]]) => [name, title])]),
    el("input", { type: "search", id: "match", size: 18, value: state.q, placeholder: "Light up words", "aria-label": "Light up atoms with these words", oninput: (event) => {
      clearTimeout(waiting);
      waiting = setTimeout(async () => {
        state.q = event.target.value.trim();
        try { await match(); paint(); remember(); } catch (error) { if (error.name !== "AbortError") count.replaceChildren(failure(error)); }
      }, 150);
    } }), count, lasso), frame, selection);
  cloud.set({ x: values.x, y: values.y, label: (i) => names?.[i] });
  if (state.q) await match();
  paint();
  const start = state.atom === "" ? NaN : Number(state.atom);
  if (start >= 0 && start < cloud.count) { cloud.lookAt(start, 4); cloud.select(start); }
  frame.dataset.drawn = "points";
  labels(info).then((found) => { names = found; cloud.refresh(); if (chosen) tell([...chosen]); if (cloud.selected >= 0) cloud.hooks.hover(cloud.selected); }).catch(() => {});
  const watch = new ResizeObserver(() => { cloud.size(); cloud.refresh(); });
  watch.observe(frame);
  signal.addEventListener("abort", () => watch.disconnect());
  document.addEventListener("theme", paint, { signal });
  frame.cloud = cloud; // for tests and for the curious
}
