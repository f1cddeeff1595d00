// What rows of data were made of: pictures, sounds and texts at the addresses that the server gives, and the codes of whole
// items as heat maps over them.

import { fetched, key } from "./ask.js";
import { css, quantity } from "./colors.js";
import { el, known, num } from "./dom.js";

const PICTURE = /\.(png|jpe?g|webp|gif|avif|bmp)$/i;
const SOUND = /\.(mp3|wav|ogg|oga|flac|m4a|opus)$/i;

// An element cannot send a key, so with one the page asks for the file itself.
function load(node, address) {
  if (!key() || new URL(address, document.baseURI).origin !== location.origin) {
    node.src = address;
    return node;
  }
  fetched(address).then((response) => response.blob()).then((blob) => { node.src = URL.createObjectURL(blob); })
    .catch((error) => { node.alt = error.message; });
  return node;
}

// null when it is not what a page shows.
export function show(address, name) {
  const path = (address || "").split("?")[0];
  if (PICTURE.test(path)) return load(el("img", { class: "media", alt: name, loading: "lazy" }), address);
  if (SOUND.test(path)) return load(el("audio", { controls: true, preload: "none", "aria-label": name }), address);
  return address ? el("a", { href: address }, name) : null;
}

// Where a row is in its item: a frame over the patch.
function frame(shape, position) {
  if (!shape?.width || !shape.height || !known(position) || position < shape.skip) return null;
  const patch = position - shape.skip, node = el("span", { class: "patch", "aria-hidden": "true" });
  node.style.left = patch % shape.width / shape.width * 100 + "%";
  node.style.top = Math.floor(patch / shape.width) / shape.height * 100 + "%";
  node.style.width = 100 / shape.width + "%";
  node.style.height = 100 / shape.height + "%";
  return node;
}

// A strong row with its picture, the patch marked; null when there is no media.
export function rowMedia(info, row, name) {
  const node = show(row.media, name);
  if (!node) return null;
  return node.tagName === "IMG" ? el("span", { class: "framed" }, node, frame(info.item_shape, row.position)) : node;
}

// The same as large as a word, for pictures and sounds alone.
export function thumb(info, row, name) {
  const node = row && rowMedia(info, row, name);
  return node && node.tagName !== "A" ? el("span", { class: "thumb" }, node) : null;
}

// A token as one sees it: line ends and tabs have signs, and so has an empty one.
export const tokenText = (token) => (token === "" ? "\u2205" : token.replace(/\n/g, "\u21b5").replace(/\r/g, "\u240d").replace(/\t/g, "\u21e5"));

// The tokens of a text, one after the other, each with its code; without their words, by their positions. Where no token has a
// blank of its own (" cat", or the signs of tokenizers), they get one between them.
function text(shape, item, share, name) {
  const words = item.tokens?.slice(shape.skip);
  const apart = !words || !words.some((word) => known(word) && /[\s\u2581\u0120]/.test(word));
  return el("figure", { class: words ? "tokens text" : "tokens" }, el("p", {}, item.codes.slice(shape.skip).map((code, i) => {
    const position = i + shape.skip, word = words && known(words[i]) ? words[i] : null;
    const token = el("span", { class: "token", title: "position " + position + ": " + num(code) },
      word === null ? String(position) : word === "" ? "" : tokenText(word));
    if (code) token.style.backgroundColor = css(quantity(share(code)), 0.55);
    return [token, word !== null && /\n/.test(word) && el("br"), apart && " "];
  })), el("figcaption", {}, name + ", at most " + num(item.value)));
}

// An item with a code on each of its rows: patches as a grid over the picture, tokens one after the other.
export function heat(shape, item, most) {
  const name = known(item.label) ? item.label : "item " + num(item.item);
  const codes = item.codes.slice(shape.skip);
  const share = (code) => Math.min(Math.max(code / most, 0), 1);
  if (!shape.width || !shape.height) return text(shape, item, share, name);
  const canvas = el("canvas", { class: "heat", width: shape.width, height: shape.height, role: "img",
    "aria-label": "Codes on the patches of " + name + ", the largest " + num(item.value) });
  const image = show(item.media, name);
  const pen = canvas.getContext("2d"), pixels = pen.createImageData(shape.width, shape.height);
  const over = image?.tagName === "IMG";
  codes.forEach((code, i) => pixels.data.set([...quantity(share(code)), over ? Math.round(200 * share(code)) : 255], 4 * i));
  pen.putImageData(pixels, 0, 0);
  return el("figure", { class: "item" }, el("div", { class: "framed" }, over && image, canvas),
    el("figcaption", {}, !over && image ? image : name, ", " + num(item.value)));
}
