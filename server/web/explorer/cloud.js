// Many points on a plane, moved and scaled by pointer, wheel and keys at the speed of the screen.
//
// The points are written into the pixels of one canvas, as small antialiased discs that are made beforehand for each
// radius and quarter of a pixel: 32,000 of them take a few milliseconds on one core, with or without a graphics card, and
// look the same everywhere. A second canvas above has what few things have: labels, rings, lines, the lasso.

import { css, paper } from "./colors.js";
import { el } from "./dom.js";

const MARGIN = 32;        // pixels around the canvas, so that discs at the edge need no clipping
const PHASES = 4;         // positions within a pixel, along each axis
const MOST_RADIUS = 28;   // in pixels of the screen

// The pixels that a disc covers, and how much of each (0..256).
function disc(radius, dx, dy, width) {
  const offsets = [], shares = [], reach = Math.ceil(radius + 1);
  for (let y = -reach; y <= reach; y++)
    for (let x = -reach; x <= reach; x++) {
      const share = Math.min(Math.max(radius + 0.5 - Math.hypot(x + 0.5 - dx, y + 0.5 - dy), 0), 1);
      if (share <= 0.02) continue;
      offsets.push(y * width + x);
      shares.push(Math.round(share * 256));
    }
  return { offsets: Int32Array.from(offsets), shares: Uint16Array.from(shares) };
}

export class Cloud {
  // hooks: hover(i or -1), open(i), lassoed(indices), moved()
  constructor(place, hooks) {
    this.place = place;
    this.hooks = hooks;
    this.points = el("canvas", { "aria-hidden": "true" });
    this.above = el("canvas", { tabindex: "0", role: "application", "aria-roledescription": "map" });
    place.append(this.points, this.above);
    this.scale = 1;
    this.center = [0, 0];
    this.lasso = null;
    this.lassoing = false;
    this.selected = -1;
    this.hovered = -1;
    this.lines = [];
    this.frame = 0;
    this.frames = 0;
    this.listen();
  }

  // data: {x, y, label(i)}, Float32Arrays within [-1, 1]; a point without a place is NaN
  set(data) {
    this.data = data;
    this.count = data.x.length;
    this.colors = new Uint32Array(this.count).fill(0xff888888);
    this.factors = new Float32Array(this.count).fill(1);
    this.order = Uint32Array.from({ length: this.count }, (_, i) => i);
    this.importance = this.order;
    this.grid();
    this.fit();
  }

  // colors: one [r, g, b] for each point; factors: of its radius; order: drawn first to last; importance: labels, first to last
  paint({ colors, factors, order, importance }) {
    for (let i = 0; i < this.count; i++) {
      const [r, g, b] = colors(i);
      this.colors[i] = (0xff000000 | b << 16 | g << 8 | r) >>> 0;
      this.factors[i] = factors(i);
    }
    this.order = order;
    this.importance = importance;
    this.refresh();
  }

  // ---- where things are

  // A grid of cells, to find what is near a place.
  grid() {
    const side = this.side = Math.max(1, Math.min(512, Math.round(Math.sqrt(this.count))));
    const cells = new Map(), { x, y } = this.data;
    for (let i = 0; i < this.count; i++) {
      if (Number.isNaN(x[i])) continue;
      const id = this.cell(x[i]) * side + this.cell(y[i]);
      if (cells.has(id)) cells.get(id).push(i);
      else cells.set(id, [i]);
    }
    this.cells = cells;
  }

  cell(value) { return Math.min(Math.max(Math.floor((value + 1) / 2 * this.side), 0), this.side - 1); }

  toScreen(i) {
    return [(this.data.x[i] - this.center[0]) * this.unit + this.width / 2, this.height / 2 - (this.data.y[i] - this.center[1]) * this.unit];
  }

  toPlane(px, py) {
    return [(px - this.width / 2) / this.unit + this.center[0], this.center[1] - (py - this.height / 2) / this.unit];
  }

  get unit() { return this.base * this.scale; } // CSS pixels of one unit of the plane

  radius() { return Math.min(this.dot * Math.sqrt(this.scale), 9); }

  nearest(px, py, reach = 14) {
    const [x, y] = this.toPlane(px, py), far = reach / this.unit;
    let best = -1, least = far * far;
    for (let a = this.cell(x - far); a <= this.cell(x + far); a++)
      for (let b = this.cell(y - far); b <= this.cell(y + far); b++)
        for (const i of this.cells.get(a * this.side + b) || []) {
          const distance = (this.data.x[i] - x) ** 2 + (this.data.y[i] - y) ** 2;
          if (distance < least) { least = distance; best = i; }
        }
    return best;
  }

  // ---- moving

  size() {
    const box = this.place.getBoundingClientRect();
    this.width = Math.max(box.width, 50);
    this.height = Math.max(box.height, 50);
    const ratio = this.ratio = Math.min(devicePixelRatio || 1, 2);
    for (const canvas of [this.points, this.above]) {
      canvas.width = Math.round(this.width * ratio);
      canvas.height = Math.round(this.height * ratio);
    }
    this.base = Math.min(this.width, this.height) / 2.16;
    this.dot = Math.min(Math.max(Math.sqrt(this.width * this.height / (this.count || 1)) / 7, 1.3), 5.5);
    this.row = this.points.width + 2 * MARGIN;
    this.image = new ImageData(this.row, this.points.height + 2 * MARGIN);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.discs = new Map();
  }

  fit() {
    this.size();
    const { x, y } = this.data;
    let left = Infinity, right = -Infinity, low = Infinity, high = -Infinity;
    for (let i = 0; i < this.count; i++) {
      if (Number.isNaN(x[i])) continue;
      left = Math.min(left, x[i]); right = Math.max(right, x[i]);
      low = Math.min(low, y[i]); high = Math.max(high, y[i]);
    }
    if (!(right >= left)) { left = low = -1; right = high = 1; }
    this.center = [(left + right) / 2, (low + high) / 2];
    const need = Math.min(this.width / Math.max(right - left, 0.05), this.height / Math.max(high - low, 0.05)) / 1.1;
    this.scale = this.home = need / this.base;
    this.refresh();
  }

  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const before = this.toPlane(px, py);
    this.scale = Math.min(Math.max(this.scale * factor, this.home / 2), this.home * 400);
    const after = this.toPlane(px, py);
    this.center = [this.center[0] + before[0] - after[0], this.center[1] + before[1] - after[1]];
    this.refresh();
  }

  pan(dx, dy) {
    this.center = [this.center[0] - dx / this.unit, this.center[1] + dy / this.unit];
    this.refresh();
  }

  // Brings a point into sight.
  lookAt(i, scale) {
    if (Number.isNaN(this.data.x[i])) return;
    this.center = [this.data.x[i], this.data.y[i]];
    if (scale) this.scale = Math.max(this.scale, this.home * scale);
    this.refresh();
  }

  // ---- drawing

  refresh() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.frames++;
      this.drawPoints();
      this.drawAbove();
    });
  }

  stamp(radius, phase) {
    const id = radius * PHASES * PHASES + phase;
    let found = this.discs.get(id);
    if (!found) {
      found = disc(radius / 2, (phase % PHASES + 0.5) / PHASES, (Math.floor(phase / PHASES) + 0.5) / PHASES, this.row);
      this.discs.set(id, found);
    }
    return found;
  }

  drawPoints() {
    const { pixels, row, order, colors, factors, ratio } = this, { x, y } = this.data;
    const [r, g, b] = paper();
    pixels.fill((0xff000000 | b << 16 | g << 8 | r) >>> 0);
    const unit = this.unit * ratio, wide = this.points.width, tall = this.points.height;
    const left = wide / 2 - this.center[0] * unit, high = tall / 2 + this.center[1] * unit;
    const radius = this.radius() * ratio * 2, edge = MARGIN - 2;
    for (let k = 0; k < order.length; k++) {
      const i = order[k];
      const px = left + x[i] * unit, py = high - y[i] * unit;
      if (!(px > -edge && py > -edge && px < wide + edge && py < tall + edge)) continue;
      const ix = Math.floor(px), iy = Math.floor(py);
      const { offsets, shares } = this.stamp(Math.min(Math.max(Math.round(radius * factors[i]), 2), 2 * MOST_RADIUS),
        Math.floor((px - ix) * PHASES) + PHASES * Math.floor((py - iy) * PHASES));
      const at = (iy + MARGIN) * row + ix + MARGIN, color = colors[i], red = color & 0xff00ff, green = color & 0xff00;
      for (let j = 0; j < offsets.length; j++) {
        const to = at + offsets[j], share = shares[j];
        if (share === 256) { pixels[to] = color; continue; }
        const old = pixels[to], oldRed = old & 0xff00ff, oldGreen = old & 0xff00;
        pixels[to] = (oldRed + (Math.imul(red - oldRed, share) >>> 8) & 0xff00ff)
          | (oldGreen + (Math.imul(green - oldGreen, share) >>> 8) & 0xff00) | 0xff000000;
      }
    }
    this.points.getContext("2d", { alpha: false }).putImageData(this.image, -MARGIN, -MARGIN);
  }

  drawAbove() {
    const pen = this.above.getContext("2d"), style = getComputedStyle(this.place);
    const ink = style.getPropertyValue("--ink"), accent = style.getPropertyValue("--marker");
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    pen.lineCap = "round";
    for (const { from, to, share } of this.lines) {
      const [ax, ay] = this.toScreen(from), [bx, by] = this.toScreen(to);
      pen.strokeStyle = accent;
      pen.globalAlpha = 0.35 + 0.65 * share;
      pen.lineWidth = 1 + 2.5 * share;
      pen.beginPath();
      pen.moveTo(ax, ay);
      pen.lineTo(bx, by);
      pen.stroke();
    }
    pen.globalAlpha = 1;
    this.drawLabels(pen, ink);
    for (const [i, color] of [[this.hovered, ink], [this.selected, accent]]) {
      if (i < 0 || Number.isNaN(this.data.x[i])) continue;
      const [px, py] = this.toScreen(i);
      pen.strokeStyle = color;
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(px, py, this.radius() * this.factors[i] + 3, 0, 2 * Math.PI);
      pen.stroke();
    }
    if (this.lasso) {
      pen.beginPath();
      this.lasso.forEach(([px, py], k) => (k ? pen.lineTo(px, py) : pen.moveTo(px, py)));
      pen.closePath();
      pen.fillStyle = accent;
      pen.globalAlpha = 0.12;
      pen.fill();
      pen.globalAlpha = 1;
      pen.strokeStyle = accent;
      pen.lineWidth = 1.5;
      pen.setLineDash([5, 4]);
      pen.stroke();
      pen.setLineDash([]);
    }
  }

  // The most important points in sight have their labels, as long as none lies on another.
  drawLabels(pen, ink) {
    const taken = [], most = Math.max(Math.floor(this.width * this.height / 24000), 6), halo = css(paper(), 0.9);
    pen.fillStyle = ink;
    pen.strokeStyle = halo;
    pen.lineWidth = 3.5;
    pen.lineJoin = "round";
    pen.font = "12px " + getComputedStyle(document.body).fontFamily;
    pen.textBaseline = "middle";
    const place = (i, strong) => {
      const text = this.data.label(i);
      if (!text) return false;
      const [px, py] = this.toScreen(i);
      if (!(px > 0 && py > 0 && px < this.width && py < this.height)) return false;
      const short = text.length > 32 ? text.slice(0, 31) + "…" : text;
      const wide = pen.measureText(short).width + 8, gap = this.radius() * this.factors[i] + 4;
      const x = px + gap + wide > this.width ? px - gap - wide : px + gap, y = py - 9;
      if (!strong && taken.some((box) => x < box[2] && x + wide > box[0] && y < box[3] && y + 18 > box[1])) return false;
      taken.push([x, y, x + wide, y + 18]);
      pen.strokeText(short, x + 4, py + 0.5);
      pen.fillText(short, x + 4, py + 0.5);
      return true;
    };
    const first = new Set([this.hovered, this.selected].filter((i) => i >= 0)), ends = this.lines.map((line) => line.to);
    for (const i of first) place(i, true);
    for (const i of ends) if (!first.has(i)) place(i);
    const done = new Set([...first, ...ends]);
    let placed = 0;
    for (let k = 0; k < this.importance.length && k < 4000 && placed < most; k++)
      if (!done.has(this.importance[k]) && place(this.importance[k])) placed++;
  }

  // ---- pointer and keys

  listen() {
    const down = new Map();
    let moved = 0, spread = 0;
    const where = (event) => {
      const box = this.above.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    this.above.addEventListener("pointerdown", (event) => {
      this.above.setPointerCapture(event.pointerId);
      down.set(event.pointerId, where(event));
      moved = 0;
      spread = 0;
      if ((this.lassoing || event.shiftKey) && down.size === 1) this.lasso = [where(event)];
    });
    this.above.addEventListener("pointermove", (event) => {
      const at = where(event), before = down.get(event.pointerId);
      if (!before) return this.hover(this.nearest(...at));
      moved += Math.hypot(at[0] - before[0], at[1] - before[1]);
      down.set(event.pointerId, at);
      if (this.lasso) {
        this.lasso.push(at);
        return this.refresh();
      }
      if (down.size === 2) {
        const [a, b] = [...down.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
        if (spread) this.zoom(now / spread, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
        spread = now;
        return undefined;
      }
      return this.pan(at[0] - before[0], at[1] - before[1]);
    });
    const up = (event) => {
      if (!down.delete(event.pointerId)) return;
      if (this.lasso) {
        const chosen = this.lasso.length > 3 ? this.within(this.lasso) : [];
        this.lasso = null;
        this.refresh();
        this.hooks.lassoed(chosen);
      } else if (event.type === "pointerup" && moved < 4 && down.size === 0) {
        const i = this.nearest(...where(event));
        if (i >= 0) this.hooks.open(i);
      }
    };
    this.above.addEventListener("pointerup", up);
    this.above.addEventListener("pointercancel", up);
    this.above.addEventListener("pointerleave", () => this.hover(-1));
    this.above.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...where(event));
    }, { passive: false });
    this.above.addEventListener("keydown", (event) => this.onKey(event));
  }

  hover(i) {
    if (i === this.hovered) return;
    this.hovered = i;
    this.above.style.cursor = this.lassoing ? "crosshair" : i >= 0 ? "pointer" : "grab";
    this.hooks.hover(i);
    this.refresh();
  }

  select(i) {
    this.selected = i;
    if (i >= 0) {
      const [px, py] = this.toScreen(i);
      if (!(px > 20 && py > 20 && px < this.width - 20 && py < this.height - 20)) this.lookAt(i);
    }
    this.hooks.hover(i);
    this.refresh();
  }

  // Arrows walk from point to point; with Shift they move the map.
  onKey(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const way = ways[event.key];
    if (way && event.shiftKey) this.pan(-way[0] * 60, way[1] * 60);
    else if (way) this.select(this.selected < 0 ? this.nearestToCenter() : this.toward(this.selected, way));
    else if (event.key === "+" || event.key === "=") this.zoom(1.4);
    else if (event.key === "-") this.zoom(1 / 1.4);
    else if (event.key === "0") this.fit();
    else if (event.key === "Enter" && this.selected >= 0) this.hooks.open(this.selected);
    else if (event.key === "Escape") { this.lasso = null; this.select(-1); } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  nearestToCenter() {
    for (let reach = 20; reach < 1e5; reach *= 2) {
      const i = this.nearest(this.width / 2, this.height / 2, reach);
      if (i >= 0) return i;
    }
    return -1;
  }

  // The nearest point in a direction: what lies aside counts as farther.
  toward(from, [wx, wy]) {
    const { x, y } = this.data;
    let best = from, least = Infinity;
    for (let i = 0; i < this.count; i++) {
      const along = (x[i] - x[from]) * wx + (y[i] - y[from]) * wy;
      if (!(along > 1e-9)) continue;
      const aside = Math.abs((x[i] - x[from]) * wy) + Math.abs((y[i] - y[from]) * wx);
      const cost = along + 3 * aside;
      if (cost < least) { least = cost; best = i; }
    }
    return best;
  }

  within(path) {
    const corners = path.map(([px, py]) => this.toPlane(px, py)), { x, y } = this.data, chosen = [];
    for (let i = 0; i < this.count; i++) {
      let inside = false;
      for (let a = 0, b = corners.length - 1; a < corners.length; b = a++) {
        const [ax, ay] = corners[a], [bx, by] = corners[b];
        if (ay > y[i] !== by > y[i] && x[i] < (bx - ax) * (y[i] - ay) / (by - ay) + ax) inside = !inside;
      }
      if (inside) chosen.push(i);
    }
    return chosen;
  }
}
