// Lists of atoms that the reader keeps in this browser, to export and to bring back.

import { labels } from "./ask.js";
import { el, num, panel, plural, quiet, save } from "./dom.js";

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

const quoted = (text) => (/[",\r\n]/.test(text || "") ? '"' + text.replaceAll('"', '""') + '"' : text || "");

export async function show(place, context) {
  const { d, info } = context;
  const names = await labels(info);
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
        el("div", {}, atoms.slice(0, 500).map((atom) => el("a", { class: "chip", href: context.address("atom", atom) },
          atom + (names && names[atom] ? " " + names[atom] : "")))),
        atoms.length > 500 && quiet("and " + num(atoms.length - 500) + " more"),
        el("p", { class: "actions" },
          el("a", { class: "button small", href: context.address("map", undefined, { list: name }) }, "Show on the map"), " ",
          el("button", { type: "button", class: "small", onclick: () => { change(d, (lists) => { delete lists[name]; }); draw(); } },
            "Remove this list"))))
        : quiet("There is no list yet. An atom's page, the table and the lasso of the map add atoms to one.")));
  };
  draw();
}
