// Small charts as SVG, and bars as lists that a screen reader reads line by line.

import { el, known, num, percent, svg, tick } from "./dom.js";

// rows: [{name, href, value, said, kind, more}]; a bar is value / most.
export function bars(rows, { most, label } = {}) {
  const largest = most || Math.max(...rows.map((row) => Math.abs(row.value || 0)), 1e-30);
  return el("ol", { class: "bars", "aria-label": label }, rows.map((row) => {
    const bar = el("span", { class: "bar " + (row.kind || (row.value < 0 ? "minus" : "")) });
    bar.style.width = Math.min(Math.abs(row.value || 0) / largest, 1) * 100 + "%";
    return el("li", {}, row.href ? el("a", { class: "name", href: row.href, title: row.name }, row.name)
      : el("span", { class: "name", title: row.name }, row.name),
      el("span", { class: "track" }, bar), el("span", { class: "value" }, row.said ?? num(row.value)),
      row.more && el("span", { class: "more" }, row.more));
  }));
}

// One strip whose parts add up to 1: [{share, kind, name}]. The bars below say the same, so it is hidden from readers of screens.
export function strip(parts) {
  return el("div", { class: "strip", "aria-hidden": "true" }, parts.filter((part) => part.share > 0).map((part) => {
    const node = el("span", { class: part.kind, title: part.name + ": " + percent(part.share) });
    node.style.flex = part.share + " 1 0";
    return node;
  }));
}

const FRAME = { width: 560, left: 50, right: 10, top: 8, bottom: 22 };

function chart(height, label, ...children) {
  return svg("svg", { class: "chart", viewBox: "0 0 " + FRAME.width + " " + height, role: "img", "aria-label": label }, ...children);
}

// {low, high, counts}, with a marker at a value, and another text for the axis.
export function histogram({ low, high, counts }, { marker, label, axis = tick, unit = "rows", height = 170, said } = {}) {
  const { width, left, right, top, bottom } = FRAME;
  // The empty end of the range says nothing.
  let last = counts.length;
  while (last > 8 && !counts[last - 1] && !(marker > low + (high - low) * (last - 1) / counts.length)) last--;
  const shownHigh = low + (high - low) * last / counts.length;
  const most = Math.max(...counts, 1), inner = width - left - right, tall = height - top - bottom;
  const x = (value) => left + (value - low) / (shownHigh - low) * inner;
  const step = inner / last;
  return chart(height, label,
    [0, 0.5, 1].map((share) => [
      svg("line", { class: "axis", x1: left, x2: width - right, y1: top + tall * (1 - share), y2: top + tall * (1 - share) }),
      (share !== 0.5 || most > 1) && svg("text", { x: left - 6, y: top + tall * (1 - share) + 4, "text-anchor": "end" }, tick(most * share))]),
    counts.slice(0, last).map((count, i) => count > 0 && svg("rect", { class: "mark", x: left + i * step + 0.5,
      y: top + tall * (1 - count / most), width: Math.max(step - 1, 0.8), height: Math.max(tall * count / most, 1) },
      svg("title", {}, axis(low + (high - low) * i / counts.length) + " to " + axis(low + (high - low) * (i + 1) / counts.length) + ": " + num(count) + " " + unit))),
    [0, 0.25, 0.5, 0.75, 1].map((share) => svg("text", { x: left + inner * share, y: height - 6,
      "text-anchor": share === 0 ? "start" : share === 1 ? "end" : "middle" }, axis(low + (shownHigh - low) * share))),
    known(marker) && marker >= low && marker <= shownHigh && [
      svg("line", { class: "marker", x1: x(marker), x2: x(marker), y1: top, y2: top + tall }),
      said && svg("text", { class: "marked", x: x(marker) + (x(marker) > width * 0.75 ? -5 : 5), y: top + 10,
        "text-anchor": x(marker) > width * 0.75 ? "end" : "start" }, said)]);
}

// Counts of values in equal bins.
export function bins(values, count = 40, low = Infinity, high = -Infinity) {
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(high > low)) { low -= 0.5; high = low + 1; }
  if (!Number.isFinite(low)) return null;
  const counts = new Array(count).fill(0);
  for (const value of values)
    if (Number.isFinite(value)) counts[Math.min(Math.floor((value - low) / (high - low) * count), count - 1)]++;
  return { low, high, counts };
}

// The numbers of a vector side by side; the pointer says which is which.
export function plot(values, { label, height = 130 } = {}) {
  const { width, left, right, top, bottom } = FRAME;
  const inner = width - left - right, tall = height - top - bottom;
  let most = 0, least = 0;
  for (const value of values) { most = Math.max(most, value); least = Math.min(least, value); }
  most = Math.max(most, -least) || 1;
  const span = least < 0 ? tall / 2 : tall, zero = top + span, step = inner / values.length;
  let up = "", down = "";
  for (let i = 0; i < values.length; i++) {
    const piece = "M" + (left + (i + 0.5) * step).toFixed(2) + " " + zero.toFixed(2) + "v" + (-values[i] / most * span).toFixed(2);
    if (values[i] < 0) down += piece;
    else up += piece;
  }
  const said = svg("text", { x: width - right, y: top + 2, "text-anchor": "end" });
  const cursor = svg("line", { class: "marker", y1: top, y2: top + tall, visibility: "hidden" });
  const stroke = Math.max(step * 0.8, 0.6).toFixed(2);
  const node = chart(height, label,
    svg("line", { class: "axis", x1: left, x2: width - right, y1: zero, y2: zero }),
    svg("path", { d: up || "M0 0", "stroke-width": stroke, stroke: "var(--bar)", fill: "none" }),
    svg("path", { d: down || "M0 0", "stroke-width": stroke, stroke: "var(--minus)", fill: "none" }),
    svg("text", { x: left - 6, y: top + 8, "text-anchor": "end" }, tick(most)),
    svg("text", { x: left - 6, y: top + tall, "text-anchor": "end" }, least < 0 ? tick(-most) : "0"),
    svg("text", { x: left, y: height - 6 }, "0"),
    svg("text", { x: width - right, y: height - 6, "text-anchor": "end" }, num(values.length - 1)), cursor, said);
  node.addEventListener("pointermove", (event) => {
    const box = node.getBoundingClientRect();
    const i = Math.floor(((event.clientX - box.left) / box.width * width - left) / step);
    if (i < 0 || i >= values.length) return;
    said.textContent = i + ": " + num(values[i], 4);
    cursor.setAttribute("x1", left + (i + 0.5) * step);
    cursor.setAttribute("x2", left + (i + 0.5) * step);
    cursor.setAttribute("visibility", "visible");
  });
  node.addEventListener("pointerleave", () => { said.textContent = ""; cursor.setAttribute("visibility", "hidden"); });
  return node;
}

// A line from the left to the right; the pointer says which value is where. places: where on the axis each value is, rising;
// without it they are as far from each other. low: where the axis begins; null: below the values, but for the few lowest. log: for
// values above zero.
export function line(values, { label, height = 130, low = 0, log = false, places = null, axis = tick, from = "", to = "", say } = {}) {
  const { width, right, top, bottom } = FRAME;
  const good = Array.from(values).filter((value) => Number.isFinite(value) && (!log || value > 0)).sort((a, b) => a - b);
  const turn = log ? Math.log : (value) => value, back = log ? Math.exp : (value) => value;
  let least = low === null || log ? turn(good[log ? 0 : Math.floor(0.03 * good.length)] ?? 1) : low;
  let most = good.length ? Math.max(turn(good.at(-1)), least) : least;
  if (most === least) { most += low === null ? Math.abs(most) / 2 || 1 : 1; if (low === null) least -= Math.abs(least) / 2 || 1; }
  const marks = [0, 0.5, 1].map((share) => axis(back(least + (most - least) * share)));
  const left = Math.max(FRAME.left, 12 + 7.5 * Math.max(...marks.map((mark) => mark.length)));
  const inner = width - left - right, tall = height - top - bottom;
  const first = places ? places[0] : 0, last = places ? places.at(-1) : values.length - 1;
  const x = (i) => left + inner * (last > first ? ((places ? places[i] : i) - first) / (last - first) : 0.5);
  const y = (value) => top + tall * (1 - Math.max((turn(value) - least) / (most - least), 0));
  let path = "", open = false;
  values.forEach((value, i) => {
    if (!Number.isFinite(value) || (log && !(value > 0))) { open = false; return; }
    path += (open ? "L" : "M") + x(i).toFixed(1) + " " + y(value).toFixed(1);
    open = true;
  });
  const said = svg("text", { class: "marked", x: width - right, y: top + 4, "text-anchor": "end" });
  const cursor = svg("line", { class: "marker", y1: top, y2: top + tall, visibility: "hidden" });
  const node = chart(height, label,
    marks.map((mark, i) => [
      svg("line", { class: "axis", x1: left, x2: width - right, y1: top + tall * (1 - i / 2), y2: top + tall * (1 - i / 2) }),
      svg("text", { x: left - 6, y: top + tall * (1 - i / 2) + 4, "text-anchor": "end" }, mark)]),
    svg("path", { class: "line", d: path || "M0 0" }),
    svg("text", { x: left, y: height - 6 }, from), svg("text", { x: width - right, y: height - 6, "text-anchor": "end" }, to), cursor, said);
  if (!say) return node;
  node.addEventListener("pointermove", (event) => {
    const box = node.getBoundingClientRect(), wanted = (event.clientX - box.left) / box.width * width;
    let i = 0;
    for (let step = 1 << 12; step; step >>= 1) if (i + step < values.length && x(i + step) <= wanted) i += step;
    if (i + 1 < values.length && x(i + 1) - wanted < wanted - x(i)) i++;
    said.textContent = say(i);
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, x(i));
    cursor.setAttribute("visibility", "visible");
  });
  node.addEventListener("pointerleave", () => { said.textContent = ""; cursor.setAttribute("visibility", "hidden"); });
  return node;
}
