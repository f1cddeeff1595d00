// The frame: which view the address names, the dictionary, the key, the theme and the search field.
//
// Addresses are #/d/NAME/VIEW/ARGUMENT?options and #/VIEW for what concerns the whole server. A view is a module with
// show(place, context); its context has `signal`, which ends with the view.

import { at, dictionaries, dictionary, get, key, keepKey, labels, Problem } from "./ask.js";
import { el, failure, quiet, shown } from "./dom.js";

const byId = (id) => document.getElementById(id);
const VIEWS = { // of a dictionary: its title and module
  map: ["Map", "./map.js"], table: ["Table", "./table.js"], atom: ["Atom", "./atom.js"], point: [null, "./point.js"],
  input: ["Input", "./input.js"], lists: ["Lists", "./lists.js"], dictionary: ["Dictionary", "./dictionary.js"],
  compare: ["Compare", "./compare.js"],
};
const SERVER_VIEWS = { service: ["Service", "./service.js"] };

let known = [];            // the dictionaries that the server lists
let current = null;        // the dictionary of the present view
let lastAtom = 0;
let leaving = new AbortController();

// ---- addresses --------------------------------------------------------------------------------------------------------

function parse() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  const options = new URLSearchParams(query || "");
  if (parts[0] === "d") return { d: parts[1], view: parts[2] || "map", argument: parts[3], options };
  return { view: parts[0] || "", options };
}

export const address = (d, view, argument, options) => "#/d/" + encodeURIComponent(d) + "/" + view
  + (argument === undefined ? "" : "/" + encodeURIComponent(argument))
  + (options && String(new URLSearchParams(options)) ? "?" + new URLSearchParams(options) : "");

// Keeps options in the address without a new step in the history.
function remember(options) {
  const { d, view, argument } = parse();
  const kept = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== "" && value !== null && value !== undefined));
  history.replaceState(null, "", location.pathname + location.search + address(d, view, argument, kept));
}

// ---- the frame --------------------------------------------------------------------------------------------------------

function drawFrame(now) {
  const several = known.length > 0;
  const chooser = byId("dictionary");
  chooser.hidden = !several;
  chooser.replaceChildren(...known.map((one) => el("option", { value: one.name, selected: one.name === now.d },
    one.name + (one.state === "loaded" ? "" : " (" + one.state + ")"))));
  const name = now.d || known[0]?.name;
  const views = byId("views");
  views.hidden = !several;
  views.replaceChildren(...(name ? Object.entries(VIEWS) : []).filter(([, [title]]) => title).map(([view, [title]]) =>
    el("a", { href: address(name, view, view === "atom" ? lastAtom : undefined),
      "aria-current": now.view === view && "page" }, title)),
    el("a", { href: "#/service", "aria-current": now.view === "service" && "page" }, "Service"));
  views.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  byId("find").hidden = !name;
}

async function route() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const main = byId("main");
  delete main.dataset.shown;
  let now = parse();
  closeFound();
  try {
    known = await dictionaries(signal);
    if (signal.aborted) return;
    if (!now.view && known.length) {
      const first = known.find((one) => one.state === "loaded") || known[0];
      now = { d: first.name, view: first.has_layout ? "map" : "table", options: now.options };
      history.replaceState(null, "", location.pathname + location.search + address(now.d, now.view));
    }
    drawFrame(now);
    if (!known.length) {
      main.replaceChildren(el("h1", {}, "No dictionary"), quiet("This server holds no dictionary yet."));
      return;
    }
    const found = now.d ? VIEWS[now.view] : SERVER_VIEWS[now.view];
    if (!found) throw new Problem("The page has no view '" + now.view + "'.");
    let info = null;
    if (now.d) {
      const listed = known.find((one) => one.name === now.d);
      if (!listed) throw new Problem("The server has no dictionary '" + now.d + "'.");
      if (listed.state !== "loaded") throw new Problem("Dictionary " + now.d + " is " + listed.state
        + (listed.reason ? ": " + listed.reason : "."));
      info = await dictionary(now.d, signal);
    }
    const module = await import(found[1]);
    if (signal.aborted) return;
    current = info;
    if (now.view === "atom") lastAtom = Number(now.argument) || 0;
    const context = { info, d: now.d, argument: now.argument, options: now.options, signal, remember,
      address: (view, argument, options) => address(now.d, view, argument, options),
      go: (view, argument, options) => { location.hash = address(now.d, view, argument, options); },
      again: route };
    document.title = (found[0] || "Point") + (now.argument ? " " + now.argument : "") + (now.d ? " · " + now.d : "") + " · rasaed";
    const place = el("div", { class: "view" });
    main.setAttribute("aria-busy", "true");
    main.replaceChildren(place);
    await module.show(place, context);
    main.removeAttribute("aria-busy");
    if (!signal.aborted) main.dataset.shown = now.view;
  } catch (error) {
    if (error.name === "AbortError") return;
    main.removeAttribute("aria-busy");
    if (!known.length) drawFrame(now);
    main.replaceChildren(failure(error));
    main.dataset.shown = "failure";
  }
}

// ---- finding an atom -----------------------------------------------------------------------------------------------------

let finding = new AbortController(), choices = [], chosen = -1, answered = ""; // answered: the text that the choices are for

function closeFound() {
  byId("found").hidden = true;
  byId("query").setAttribute("aria-expanded", "false");
  byId("query").removeAttribute("aria-activedescendant");
  choices = [];
  chosen = -1;
  answered = "";
}

function leadTo(atom) {
  closeFound();
  byId("query").value = "";
  location.hash = address(current.name, "atom", atom);
}

function drawFound() {
  const list = byId("found");
  list.replaceChildren(...(choices.length ? choices : [null]).map((one, i) => one
    ? el("li", { id: "found-" + i, role: "option", "aria-selected": String(i === chosen), onmousedown: (event) => {
      event.preventDefault();
      leadTo(one.atom);
    } }, el("span", {}, one.label || "no label"), el("small", {}, "atom " + one.atom))
    : el("li", { role: "option", "aria-selected": "false", "aria-disabled": "true" }, "No atom has these words.")));
  list.hidden = false;
  byId("query").setAttribute("aria-expanded", "true");
  if (chosen >= 0) byId("query").setAttribute("aria-activedescendant", "found-" + chosen);
}

async function find() {
  finding.abort();
  finding = new AbortController();
  const text = byId("query").value.trim();
  if (!text || !current) return closeFound();
  try {
    if (/^\d+$/.test(text) && Number(text) < current.atom_count) {
      const names = await labels(current);
      choices = [{ atom: Number(text), label: names && names[Number(text)] }];
    } else {
      const reply = await get(at(current.name, "/atoms?fields=label&limit=8&q=" + encodeURIComponent(text)), finding.signal);
      choices = reply.atoms;
    }
    chosen = choices.length ? 0 : -1;
    answered = text;
    drawFound();
  } catch (error) {
    if (error.name !== "AbortError") closeFound();
  }
}

// Leads to the choice, or to the first for what was typed since.
async function accept() {
  if (answered !== byId("query").value.trim()) await find();
  if (answered === byId("query").value.trim() && choices[chosen]) leadTo(choices[chosen].atom);
}

function onFindKey(event) {
  if (event.key === "Escape") return closeFound();
  if (event.key === "Enter") return accept();
  if (!choices.length || (event.key !== "ArrowDown" && event.key !== "ArrowUp")) return undefined;
  event.preventDefault();
  chosen = (chosen + (event.key === "ArrowDown" ? 1 : choices.length - 1)) % choices.length;
  return drawFound();
}

// ---- theme, key, start ------------------------------------------------------------------------------------------------------

function theme(next) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
  const chosenTheme = next || (now === "dark" ? "light" : "dark");
  document.documentElement.dataset.theme = chosenTheme;
  try { localStorage.setItem("rasaed-theme", chosenTheme); } catch { /* then it is not kept */ }
  document.dispatchEvent(new CustomEvent("theme"));
}

function start() {
  const query = new URLSearchParams(location.search);
  if (query.get("embed") === "1" || !shown("frame")) document.body.classList.add("embedded");
  let kept = query.get("theme");
  try { kept = kept || localStorage.getItem("rasaed-theme"); } catch { /* then there is none */ }
  if (kept === "dark" || kept === "light") theme(kept);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new CustomEvent("theme")));
  byId("theme").addEventListener("click", () => theme());
  byId("key").value = key();
  byId("keys").addEventListener("submit", (event) => {
    event.preventDefault();
    keepKey(byId("key").value.trim());
    byId("keys").classList.remove("wanted");
    route();
  });
  byId("key").addEventListener("change", () => byId("keys").requestSubmit());
  document.addEventListener("key-wanted", () => {
    byId("keys").classList.add("wanted");
    byId("key").focus();
  });
  byId("dictionary").addEventListener("change", (event) => {
    const { view } = parse();
    const same = VIEWS[view] && view !== "atom" && view !== "point" ? view : view === "atom" ? "atom" : "map";
    location.hash = address(event.target.value, same, same === "atom" ? 0 : undefined);
  });
  let waiting;
  byId("query").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(find, 120); });
  byId("query").addEventListener("keydown", onFindKey);
  byId("query").addEventListener("blur", () => setTimeout(closeFound, 100));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) return;
    event.preventDefault();
    byId("query").focus();
  });
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("main").focus();
  });
  addEventListener("hashchange", () => { route(); scrollTo(0, 0); });
  route();
}

start();
