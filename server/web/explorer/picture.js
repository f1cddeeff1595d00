// Vectors that are images, drawn as such: in gray when nothing is below zero, else blue above it and orange below.

import { balance, isDark } from "./colors.js";
import { el, known, num } from "./dom.js";

const keyOf = (d) => "rasaed-shape-" + d;
const fits = (shape, size) => shape && shape.length >= 2 && shape.length <= 3 && shape.every((n) => n > 0)
  && shape.reduce((product, n) => product * n, 1) === size;
const parse = (text) => (text || "").split(/[^\d]+/).filter(Boolean).map(Number);

// [height, width] or [height, width, 3] as the dictionary says or the reader chose; null: not an image.
export function shapeOf(info) {
  const told = typeof info.shape === "string" ? parse(info.shape) : info.shape;
  if (fits(told, info.dimensions)) return told;
  let kept = null;
  try { kept = parse(localStorage.getItem(keyOf(info.name))); } catch { /* none */ }
  return fits(kept, info.dimensions) ? kept : null;
}

// Asks for the shape where the file does not tell it and the dimensions could be those of a picture.
export function shapeChooser(info, again) {
  if (info.shape) return null;
  const shape = shapeOf(info);
  const side = Math.sqrt(info.dimensions), side3 = Math.sqrt(info.dimensions / 3);
  const likely = Number.isInteger(side) ? side + "x" + side : Number.isInteger(side3) ? side3 + "x" + side3 + "x3" : "";
  if (!shape && !likely) return null;
  const input = el("input", { value: shape ? shape.join("x") : likely, size: 7, "aria-label": "Height x width", disabled: Boolean(shape) });
  const box = el("input", { type: "checkbox", checked: Boolean(shape), onchange: () => {
    const chosen = parse(input.value);
    if (box.checked && !fits(chosen, info.dimensions)) {
      box.checked = false;
      input.setCustomValidity("The sides must multiply to " + info.dimensions);
      input.reportValidity();
      return;
    }
    try {
      if (box.checked) localStorage.setItem(keyOf(info.name), chosen.join("x"));
      else localStorage.removeItem(keyOf(info.name));
    } catch { /* then it is not kept */ }
    again();
  } });
  return el("span", { class: "field" }, el("label", { class: "field" }, box, "Draw vectors as pictures of"), " ", input);
}

// most: what is drawn darkest, so that pictures side by side compare. signed: whether values below zero are drawn as such;
// without it, they decide.
export function picture(values, shape, caption, most, signed) {
  const [height, width, channels = 1] = shape;
  const canvas = el("canvas", { class: "picture", width, height, role: "img", "aria-label": (caption || "picture") + ", " + height + " by " + width });
  let low = 0, high = 0;
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  const size = most || Math.max(-low, high) || 1;
  signed = signed ?? low < -1e-6 * size;
  const pen = canvas.getContext("2d"), image = pen.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    let color;
    if (channels === 3) color = [0, 1, 2].map((c) => 255 * Math.min(Math.max(values[3 * i + c] / size, 0), 1));
    else if (signed) color = balance(values[i] / size);
    else {
      const gray = 255 * Math.min(Math.max(values[i] / size, 0), 1);
      color = isDark() ? [gray, gray, gray] : [255 - gray, 255 - gray, 255 - gray];
    }
    image.data.set([...color, 255], 4 * i);
  }
  pen.putImageData(image, 0, 0);
  return el("figure", { title: "from " + num(low) + " to " + num(high) }, canvas, known(caption) && el("figcaption", {}, caption));
}
