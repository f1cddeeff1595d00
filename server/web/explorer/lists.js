// Lists of atoms that the reader keeps in this browser, to export and to bring back.

import { at, fetched, get, labels, server } from "./ask.js";
import { el, failure, num, panel, plural, quiet, save } from "./dom.js";

const KEY = "rasaed-lists";
let memory = {};

function all() {
  try { return JSON.parse(localStorage.getItem(KEY)) || memory; } catch { return memory; }
}

function write(lists) {
  memory = lists;
  try { localStorage.setItem(KEY, JSON.stringify(lists)); } catch { /* then they last as long as the page */ }
}

export const listsOf = (d) => all()[d] || {};

export function addTo(d, name, atoms) {
  const lists = all();
  const mine = lists[d] = lists[d] || {};
  mine[name] = [...new Set([...(mine[name] || []), ...atoms])];
  write(lists);
  return mine[name].length;
}

function change(d, edit) {
  const lists = all();
  lists[d] = lists[d] || {};
  edit(lists[d]);
  write(lists);
}

// A name and a button that adds the atoms that `atoms()` gives.
export function adder(d, atoms, text = "Add to list") {
  const id = "lists-" + Math.random().toString(36).slice(2);
  const said = el("small", { role: "status" });
  const input = el("input", { list: id, value: Object.keys(listsOf(d))[0] || "My list", "aria-label": "Name of the list", size: 10 });
  return el("form", { class: "actions", onsubmit: (event) => {
    event.preventDefault();
    const name = input.value.trim() || "My list";
    const chosen = atoms();
    said.textContent = chosen.length ? "\u2713 " + plural(addTo(d, name, chosen), "atom") : "No atoms chosen.";
  } }, input, el("datalist", { id }, Object.keys(listsOf(d)).map((name) => el("option", { value: name }))),
  el("button", { type: "submit" }, text), said);
}

// A list of the same name on the server is replaced only if nobody changed it since it was read here.
async function publish(d, title, atoms, tags) {
  const name = title.replace(/[^\w.-]+/g, "-").slice(0, 64); // a name there has no other characters
  await fetched(at(d, "/lists/" + encodeURIComponent(name)), { method: "PUT", body: JSON.stringify({ atoms }),
    headers: { "Content-Type": "application/json", ...(tags.has(name) ? { "If-Match": tags.get(name) } : { "If-None-Match": "*" }) } });
}

const quoted = (text) => (/[",\r\n]/.test(text || "") ? '"' + text.replaceAll('"', '""') + '"' : text || "");

export async function show(place, context) {
  const { d, info } = context;
  const [names, { keeps_changes: keeps, access }] = await Promise.all([labels(info), server()]);
  const tags = new Map(); // of the lists on the server
  let shared = [];
  const readShared = async () => {
    if (!keeps) return;
    shared = await Promise.all((await get(at(d, "/lists"), context.signal)).lists.map(async ({ name }) => {
      const response = await fetched(at(d, "/lists/" + encodeURIComponent(name)), { signal: context.signal });
      tags.set(name, response.headers.get("ETag"));
      return response.json();
    }));
  };
  await readShared();
  const chips = (atoms) => el("div", {}, atoms.slice(0, 500).map((atom) => el("a", { class: "chip", href: context.address("atom", atom) },
    atom + (names && names[atom] ? " " + names[atom] : ""))));
  const draw = () => {
    const mine = Object.entries(listsOf(d));
    const file = el("input", { type: "file", accept: ".json", class: "hidden", id: "import", onchange: async () => {
      try {
        const read = JSON.parse(await file.files[0].text());
        for (const list of read.lists) addTo(d, String(list.name), list.atoms.map((one) => one.atom ?? one).filter((atom) => atom < info.atom_count));
        draw();
      } catch {
        said.textContent = "This file is no export of lists: it needs {\"lists\":[{\"name\":…,\"atoms\":[…]}]}.";
      }
    } });
    const said = el("span", { class: "quiet", role: "status" });
    place.replaceChildren(
      el("div", { class: "head" }, el("div", {}, el("h1", {}, "Lists"),
        quiet("They are kept in this browser, for dictionary " + d + ".")),
      el("div", { class: "actions" },
        el("button", { type: "button", disabled: !mine.length, onclick: () => save(d + ".lists.json", JSON.stringify({
          dictionary: d, digest: info.digest, lists: mine.map(([name, atoms]) => ({ name,
            atoms: atoms.map((atom) => ({ atom, label: names ? names[atom] : null })) })) }, null, 1), "application/json") }, "Export as JSON"),
        el("button", { type: "button", disabled: !mine.length, onclick: () => save(d + ".lists.csv", ["list,atom,label"].concat(
          mine.flatMap(([name, atoms]) => atoms.map((atom) => quoted(name) + "," + atom + "," + quoted(names && names[atom])))).join("\r\n") + "\r\n",
        "text/csv") }, "Export as CSV"),
        el("label", { class: "button", for: "import" }, "Import"), file, said)),
      el("div", { class: "grid" }, mine.length ? mine.map(([name, atoms], i) => panel("list-" + i, name + ", " + plural(atoms.length, "atom"),
        chips(atoms),
        atoms.length > 500 && quiet("and " + num(atoms.length - 500) + " more"),
        el("p", { class: "actions" },
          el("a", { class: "button small", href: context.address("map", undefined, { list: name }) }, "Show on the map"), " ",
          keeps && access === "admin" && [el("button", { type: "button", class: "small", onclick: async () => {
            try {
              await publish(d, name, atoms, tags);
              await readShared();
              draw();
            } catch (error) { said.replaceChildren(failure(error)); }
          } }, "Save on the server"), " "],
          el("button", { type: "button", class: "small", onclick: () => { change(d, (lists) => { delete lists[name]; }); draw(); } },
            "Remove this list"))))
        : quiet("There is no list yet. An atom's page, the table and the lasso of the map add atoms to one.")),
      shared.length ? el("h2", { class: "apart" }, "On the server") : "",
      el("div", { class: "grid" }, shared.map((list, i) => panel("shared-" + i, list.name + ", " + plural(list.atom_count, "atom"),
        list.description && el("p", {}, list.description), chips(list.atoms),
        el("p", { class: "actions" }, el("button", { type: "button", class: "small", onclick: () => { addTo(d, list.name, list.atoms); draw(); } }, "Copy to this browser"))))));
  };
  draw();
}
