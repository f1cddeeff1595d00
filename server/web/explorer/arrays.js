// Matrices in files that the reader drops: .npy, .npz and .safetensors. Of several arrays in a file, the first whose rows have
// the width that is wanted.

import { half, npy, Problem } from "./ask.js";
import { num } from "./dom.js";

// {name, values, rows, width} as it is; a list of numbers is one row.
function matrix(name, { values, shape }) {
  const width = shape.length > 1 ? shape.at(-1) : values.length;
  return { name, values, width, rows: width ? values.length / width : 0 };
}

// ---- .npz: a zip archive of .npy ----------------------------------------------------------------------------------------

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).arrayBuffer();
}

async function unzip(buffer) {
  const view = new DataView(buffer), found = [];
  let end = buffer.byteLength - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) throw new Problem("This is no .npz file: it has no directory at its end.");
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left; left--) {
    if (view.getUint32(at, true) !== 0x02014b50) throw new Problem("The directory of the .npz file is damaged.");
    const method = view.getUint16(at + 10, true), size = view.getUint32(at + 20, true), place = view.getUint32(at + 42, true);
    const letters = view.getUint16(at + 28, true);
    const name = new TextDecoder().decode(new Uint8Array(buffer, at + 46, letters));
    if (size === 0xffffffff || place === 0xffffffff) throw new Problem("The page reads .npz files below 4 GB. Save the rows as .npy.");
    const from = place + 30 + view.getUint16(place + 26, true) + view.getUint16(place + 28, true);
    if (name.endsWith(".npy")) {
      const part = buffer.slice(from, from + size);
      found.push(matrix(name.slice(0, -4), npy(method ? await inflate(part) : part)));
    }
    at += 46 + letters + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return found;
}

// ---- .safetensors ---------------------------------------------------------------------------------------------------------

const bfloat = (bits) => { const view = new DataView(new ArrayBuffer(4)); view.setUint16(0, bits); return view.getFloat32(0); };

const NUMBERS = { F32: (part) => new Float32Array(part), F64: (part) => Float32Array.from(new Float64Array(part)),
  F16: (part) => Float32Array.from(new Uint16Array(part), half), BF16: (part) => Float32Array.from(new Uint16Array(part), bfloat) };

function tensors(buffer) {
  const size = buffer.byteLength > 8 ? Number(new DataView(buffer).getBigUint64(0, true)) : Infinity;
  if (size > buffer.byteLength - 8) throw new Problem("This is no .safetensors file: its header is longer than the file.");
  let header;
  try { header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, size))); } catch { throw new Problem("This is no .safetensors file: its header is no JSON."); }
  return Object.entries(header).filter(([, one]) => NUMBERS[one.dtype] && one.shape?.length === 2).map(([name, one]) => {
    const [from, to] = one.data_offsets;
    return { name, width: one.shape[1], rows: one.shape[0], get values() { return NUMBERS[one.dtype](buffer.slice(8 + size + from, 8 + size + to)); } };
  });
}

// ---- any of them ------------------------------------------------------------------------------------------------------------

export const isArray = (name) => /\.(npy|npz|safetensors)$/i.test(name);

// name: of the tensor that is preferred, if any.
export async function readMatrix(file, width, preferred) {
  const buffer = await file.arrayBuffer();
  const all = /\.npz$/i.test(file.name) ? await unzip(buffer) : /\.safetensors$/i.test(file.name) ? tensors(buffer)
    : [matrix("", npy(buffer))];
  const good = all.filter((one) => one.width === width && one.rows > 0);
  const found = good.find((one) => one.name === preferred) || good[0];
  if (!found) throw new Problem("Rows of " + num(width) + " numbers are needed; " + file.name + " has " + (all.length
    ? all.slice(0, 4).map((one) => (one.name ? one.name + ", " : "") + num(one.rows) + " x " + num(one.width)).join("; ") : "no matrix") + ".");
  return { name: found.name, values: found.values, rows: found.rows, width };
}
