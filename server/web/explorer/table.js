// All atoms as a table: the server finds and sorts, the browser draws the rows that are in sight.

import { at, columns, fetched, get, labels } from "./ask.js";
import { el, failure, known, num, percent, plural, save } from "./dom.js";
import { chooser } from "./choose.js";
import { adder } from "./lists.js";

const ROW = 34;
const PAGE = 500;
const COLUMNS = [ // name, title, how it is said, what it needs
  ["energy", "energy", num, "has_statistics"], ["frequency", "frequency", percent, "has_statistics"],
  ["max", "largest", num, "has_statistics"], ["norm", "length", num], ["relaxation", "relaxation", num, "has_relaxation"],
  ["hull_share", "hull share", num, "archetype_count"], ["trace_cosine", "trace", num, "has_trace"],
  ["agreement", "agreement", percent, "agreement"],
];

const MEANING = { energy: "How much it contributes to reconstructions on average", frequency: "The share of rows in which it is active",
  max: "The largest value on the data", norm: "The length of the atom", relaxation: "The length of its relaxation",
  hull_share: "Its cosine with the mixture of its points", trace_cosine: "Its cosine with the rows it is traced to",
  agreement: "The share of other runs that find it" };

export async function show(place, context) {
  const { d, info, options, signal } = context;
  const shownColumns = COLUMNS.filter(([, , , needs]) => !needs || info[needs]);
  const state = { q: options.get("q") || "", sort: options.get("sort") || (info.has_statistics ? "energy" : "index"),
    order: options.get("order") || "", dead: options.get("dead") || "", min: options.get("min_frequency") || "",
    point: options.get("point") || "" };
  if (!state.order) state.order = state.sort === "index" ? "asc" : "desc";
  const [values, names] = await Promise.all([columns(info, ["index", ...shownColumns.map(([name]) => name)]), labels(info)]);

  let pages = new Map(), total = 0, asked = new AbortController();
  const body = el("div", { class: "body", role: "rowgroup" });
  const said = el("span", { class: "quiet", role: "status" });
  const headline = el("div", { class: "headline", role: "rowgroup" });
  const grid = el("div", { class: "atoms", role: "table", "aria-label": "Atoms", tabindex: "0" }, headline, body);
  grid.style.setProperty("--columns", shownColumns.length);

  const query = (more) => {
    const wanted = new URLSearchParams({ sort: state.sort, order: state.order, ...more });
    if (state.q) wanted.set("q", state.q);
    if (state.dead) wanted.set("dead", state.dead);
    if (state.min) wanted.set("min_frequency", Number(state.min) / 100);
    if (state.point) wanted.set("point", state.point);
    return "/atoms?" + wanted;
  };

  async function page(number) {
    if (pages.has(number)) return;
    const mine = asked;
    pages.set(number, null);
    try {
      const reply = await get(at(d, query({ fields: "label", offset: number * PAGE, limit: PAGE })), mine.signal);
      if (mine !== asked) return;
      pages.set(number, reply.atoms);
      if (total !== reply.total || number === 0) {
        total = reply.total;
        body.style.height = Math.max(total * ROW, 1) + "px";
        grid.setAttribute("aria-rowcount", total + 1);
        said.textContent = total === info.atom_count ? plural(total, "atom") : plural(total, "atom") + " of " + num(info.atom_count);
      }
      if (number === 0) grid.removeAttribute("aria-busy");
      draw();
    } catch (error) {
      if (error.name === "AbortError") return;
      pages.delete(number);
      said.replaceChildren(failure(error));
    }
  }

  const cell = (text, unknown) => el("span", { role: "cell", class: unknown && "empty" }, text);

  function line(i, one) {
    const atom = one?.atom;
    const row = el("div", { role: "row", "aria-rowindex": i + 2 }, one
      ? [el("span", { role: "cell" }, String(atom)),
        el("span", { role: "cell", class: "text" }, el("a", { href: context.address("atom", atom) }, one.label || names?.[atom] || "no label"),
          one.matched && one.matched !== "label" && el("small", {}, "  found in its " + one.matched)),
        shownColumns.map(([name, , say]) => cell(known(values[name][atom]) ? say(values[name][atom]) : "–", !known(values[name][atom])))]
      : [el("span", { role: "cell" }, "…")]);
    row.style.top = i * ROW + "px";
    return row;
  }

  function draw() {
    const first = Math.max(Math.floor((grid.scrollTop - 40) / ROW) - 6, 0);
    const last = Math.min(first + Math.ceil(grid.clientHeight / ROW) + 14, total);
    for (let p = Math.floor(first / PAGE); p <= Math.floor(Math.max(last - 1, 0) / PAGE); p++) page(p);
    const focused = body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    body.replaceChildren(...Array.from({ length: Math.max(last - first, 0) }, (_, i) =>
      line(first + i, pages.get(Math.floor((first + i) / PAGE))?.[(first + i) % PAGE])));
    if (focused) body.querySelector('a[href="' + CSS.escape(focused).replaceAll("\\/", "/") + '"]')?.focus({ preventScroll: true });
  }

  function drawHead() {
    const head = (name, title, text) => el("span", { role: "columnheader", class: text && "text", title: MEANING[name],
      "aria-sort": state.sort === name ? (state.order === "asc" ? "ascending" : "descending") : undefined },
    el("button", { type: "button", onclick: () => {
      state.order = state.sort === name ? (state.order === "asc" ? "desc" : "asc") : name === "index" ? "asc" : "desc";
      state.sort = name;
      again();
    } }, title + (state.sort === name ? (state.order === "asc" ? " ↑" : " ↓") : "")));
    headline.replaceChildren(el("div", { role: "row", "aria-rowindex": "1" }, head("index", "atom"),
      el("span", { role: "columnheader", class: "text" }, el("button", { type: "button", disabled: true }, "label")),
      shownColumns.map(([name, title]) => head(name, title))));
  }

  function again() {
    asked.abort();
    asked = new AbortController();
    pages = new Map();
    total = 0;
    grid.setAttribute("aria-busy", "true"); // the rows are those of the query before
    grid.scrollTop = 0;
    context.remember({ q: state.q, sort: state.sort, order: state.order, dead: state.dead, min_frequency: state.min, point: state.point });
    drawPoint();
    drawHead();
    page(0);
  }

  // The point that the atoms are made of, if one was chosen.
  const chip = el("span");
  let pointLabel = null;
  async function drawPoint() {
    const { point } = state;
    if (point && pointLabel === null) pointLabel = (await get(at(d, "/points/" + point), signal).catch(() => null))?.label || "";
    if (point !== state.point) return;
    chip.replaceChildren(...(point ? [el("a", { class: "chip", href: context.address("point", point) }, "made of " + (pointLabel || "point " + point)),
      el("button", { type: "button", class: "small", "aria-label": "Atoms of any point", onclick: () => { state.point = ""; again(); } }, "×")] : []));
  }

  let waiting;
  const later = (set) => (event) => {
    set(event.target.value);
    clearTimeout(waiting);
    waiting = setTimeout(again, 150);
  };
  const listed = () => [...pages.values()].filter(Boolean).flat().map((one) => one.atom);

  place.append(el("h1", { class: "hidden" }, "Atoms of " + d), el("div", { class: "tools" },
    el("input", { type: "search", id: "filter", value: state.q, placeholder: "Words in labels, points or rows", "aria-label": "Filter by words", size: 28,
      oninput: later((value) => { state.q = value.trim(); }) }),
    info.has_statistics && el("label", { class: "field" }, "at least", el("input", { type: "number", min: 0, max: 100, step: "any", value: state.min,
      size: 4, class: "small", "aria-label": "Least frequency in percent", oninput: later((value) => { state.min = value; }) }), "% of rows"),
    info.has_statistics && el("select", { "aria-label": "Dead or alive", onchange: later((value) => { state.dead = value; }) },
      [["", "dead and alive"], ["false", "alive"], ["true", "dead"]].map(([value, text]) => el("option", { value, selected: state.dead === value }, text))),
    info.archetype_count > 0 && chooser(context, "point", { title: "made of point", action: "Filter", chosen: (point, label) => {
      state.point = point === null ? "" : String(point);
      pointLabel = label;
      again();
    } }), chip,
    said,
    el("button", { type: "button", class: "small", onclick: async () => {
      try { save(d + ".csv", await (await fetched(at(d, "/table?format=csv"))).blob()); } catch (error) { said.replaceChildren(failure(error)); }
    } }, "All as CSV"),
    adder(d, listed, "Add those listed")), grid);
  grid.addEventListener("scroll", () => requestAnimationFrame(draw));
  grid.addEventListener("keydown", (event) => {
    const steps = { ArrowDown: ROW, ArrowUp: -ROW };
    if (event.target === grid && steps[event.key]) { grid.scrollTop += steps[event.key]; event.preventDefault(); }
  });
  addEventListener("resize", draw, { signal });
  signal.addEventListener("abort", () => asked.abort());
  drawHead();
  drawPoint();
  await page(0);
}
