// Requests to the server: with the reader's key, failures as sentences, and what was asked before from memory while the
// dictionary stays the same. Addresses are relative, so that they hold behind a proxy's prefix.

export class Problem extends Error {
  constructor(sentence, status, code) {
    super(sentence);
    this.name = "Problem";
    this.status = status;
    this.code = code;
  }
}

const KEY = "rasaed-key";
let memory = null; // where the browser forbids sessionStorage

export function key() {
  try { return sessionStorage.getItem(KEY) || ""; } catch { return memory || ""; }
}

export function keepKey(value) {
  memory = value;
  kept.clear();
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch { /* then it lasts as long as the page */ }
}

function headersOf(more) {
  const headers = { ...more };
  if (key()) headers.Authorization = "Bearer " + key();
  return headers;
}

async function fail(response) {
  let problem = {};
  try { problem = await response.json(); } catch { /* some proxies answer with HTML */ }
  let text = problem.detail || problem.error;
  if (response.status === 401) {
    document.dispatchEvent(new CustomEvent("key-wanted"));
    text = key() ? "The server does not know this key. Enter another one above." : "This server asks for a key. Enter it above.";
  } else if (response.status === 403) text = "This key may not do that: " + (text || "an admin key is required");
  else if (!text) text = "The server answered with status " + response.status;
  throw new Problem(/[.!?]$/.test(text) ? text : text + ".", response.status, problem.code);
}

export async function fetched(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: headersOf(options.headers) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server does not answer. Is it running, and is it this address?", 0, "unreachable");
  }
  if (!response.ok) await fail(response);
  return response;
}

export const get = async (path, signal) => (await fetched(path, { signal })).json();

const send = async (method, path, body, signal) => (await fetched(path, {
  method, signal, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body || {}),
})).json();
export const post = (path, body, signal) => send("POST", path, body, signal);
export const put = (path, body, signal) => send("PUT", path, body, signal);

export const at = (d, rest = "") => "v1/dictionaries/" + encodeURIComponent(d) + rest;

// null where the server or the dictionary does not have it: an older server says 404, a file without the data 409.
export async function maybe(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.status === 404 || error.status === 409 || error.status === 400 || error.status === 405) return null;
    throw error;
  }
}

// ---- the dictionaries -----------------------------------------------------------------------------------------------

// What the server is and what the reader's key may do.
export const server = () => once({ name: "", revision: key() }, "server", () => get("v1"));
export const dictionaries = async (signal) => (await get("v1/dictionaries?limit=1000", signal)).dictionaries;
export const dictionary = (d, signal) => get(at(d), signal);

const kept = new Map(); // what was asked, by dictionary and revision

// After a change.
export const forget = () => kept.clear();

export function once(info, name, make) {
  const id = info.name + "/" + info.revision + "/" + name;
  if (!kept.has(id)) {
    const promise = make();
    kept.set(id, promise);
    promise.catch(() => kept.delete(id));
  }
  return kept.get(id);
}

// ---- numbers as npy ---------------------------------------------------------------------------------------------------

const KINDS = { "<f4": Float32Array, "<f8": Float64Array, "<i4": Int32Array, "<i8": BigInt64Array, "<u4": Uint32Array,
  "|u1": Uint8Array, "|i1": Int8Array, "|b1": Uint8Array, "<i2": Int16Array, "<u2": Uint16Array, "<u8": BigUint64Array };

// One array of .npy that begins at `start`: {values, shape, end}.
export function npy(buffer, start = 0) {
  const view = new DataView(buffer, start);
  const letters = new Uint8Array(buffer, start);
  if (letters.length < 12 || String.fromCharCode(...letters.subarray(1, 6)) !== "NUMPY")
    throw new Problem("This is no .npy file: it does not begin with NUMPY.");
  const wide = letters[6] > 1;
  const size = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const from = (wide ? 12 : 10) + size;
  const head = new TextDecoder("latin1").decode(letters.subarray(wide ? 12 : 10, from));
  const kind = /'descr':\s*'([^']+)'/.exec(head)?.[1];
  const shape = (/'shape':\s*\(([^)]*)\)/.exec(head)?.[1] || "").split(",").filter((part) => part.trim()).map(Number);
  if (/'fortran_order':\s*True/.test(head) && shape.length > 1)
    throw new Problem("This .npy file is in Fortran order. Save it with numpy.ascontiguousarray.");
  const count = shape.reduce((product, n) => product * n, 1);
  if (kind === "<f2") {
    const halves = new Uint16Array(buffer.slice(start + from, start + from + 2 * count));
    return { values: Float32Array.from(halves, half), shape, end: start + from + 2 * count };
  }
  const Kind = KINDS[kind];
  if (!Kind) throw new Problem("The page does not read .npy files of type " + kind + "; save it as float32.");
  const end = start + from + Kind.BYTES_PER_ELEMENT * count;
  if (end > buffer.byteLength) throw new Problem("The .npy file ends before its numbers do.");
  let values = new Kind(buffer.slice(start + from, end));
  if (values instanceof BigInt64Array || values instanceof BigUint64Array) values = Float64Array.from(values, Number);
  return { values, shape, end };
}

export function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * fraction / 1024);
}

// ---- the table of all atoms -------------------------------------------------------------------------------------------

// The contrasts of a dictionary: what its latents do on one set of data against another. An older server has none.
export async function contrasts(info) {
  if (!("keeps_changes" in await server())) return [];
  return once(info, "contrasts", async () => (await get(at(info.name, "/contrasts"))).contrasts);
}

// {energy: Float32Array, ...}; what is unknown is NaN.
export function columns(info, names) {
  return once(info, "columns " + names.join(), async () => {
    const response = await fetched(at(info.name, "/table?format=npy&columns=" + names.join(",")));
    const buffer = await response.arrayBuffer();
    const found = {};
    let from = 0;
    for (const name of names) {
      const array = npy(buffer, from);
      found[name] = array.values;
      from = array.end;
    }
    return found;
  });
}

// One label for each atom; null: none. More of them than this would only fill memory: then the page asks for each.
const MOST_LABELS = 200000;
export async function labels(info) {
  if (info.atom_count > MOST_LABELS) return null;
  if (!info.has_atom_labels && !(await server()).keeps_changes) return null; // what was set is a label, too
  return once(info, "labels", async () => (await get(at(info.name, "/table?columns=label"))).columns.label);
}
