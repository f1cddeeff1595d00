// The page of the contract: renders openapi.json, with a form to try each route. It uses no library and loads nothing
// from elsewhere. Every text of the document enters the page as text, never as HTML.
"use strict";

let contract;                 // the document
let firstDictionary = "";     // the default in forms

// ---- small tools ------------------------------------------------------------------------------------------

// el("a", {href: "#x", class: "y"}, "text", another)
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child || child === 0));
  return node;
}

function follow(item) {
  while (item && item.$ref) item = item.$ref.slice(2).split("/").reduce((at, name) => at[name], contract);
  return item;
}

const nameOf = (reference) => reference.slice(reference.lastIndexOf("/") + 1);

// The document's prose: paragraphs, lists of lines that begin with a dash, and code between backticks.
function prose(text) {
  return (text || "").split(/\n\n+/).filter(Boolean).map((paragraph) => paragraph.startsWith("- ")
    ? el("ul", {}, ...paragraph.slice(2).split("\n- ").map((line) => el("li", {}, inline(line))))
    : el("p", {}, inline(paragraph)));
}

function inline(text) {
  return text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));
}

function pathOf(path) {
  return path.split(/(\{\w+\})/).map((part) => (part.startsWith("{") ? el("b", {}, part) : part));
}

function section(title, ...children) {
  return [el("h3", {}, title), ...children];
}

// ---- schemas ----------------------------------------------------------------------------------------------

function typeOf(schema) {
  if (!schema || !Object.keys(schema).length) return "bytes";
  if (schema.$ref) return el("a", { href: "#schema-" + nameOf(schema.$ref) }, nameOf(schema.$ref));
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.oneOf || schema.anyOf)
    return (schema.oneOf || schema.anyOf).flatMap((one, i) => (i ? [" or ", typeOf(one)] : [typeOf(one)]));
  if (schema.type === "array") return ["[", typeOf(schema.items), ", …]"];
  if (Array.isArray(schema.type)) return schema.type.join(" or ");
  return schema.type || "anything";
}

function limits(schema) {
  const said = [];
  if (schema.minimum !== undefined && schema.format !== "float") said.push("from " + schema.minimum);
  if (schema.maximum !== undefined && schema.format !== "float") said.push("to " + schema.maximum);
  if (schema.minItems) said.push("at least " + schema.minItems);
  if (schema.maxItems) said.push("at most " + schema.maxItems);
  if (schema.pattern) said.push(schema.pattern);
  if (schema.default !== undefined) said.push("default " + schema.default);
  return said.length ? el("span", { class: "quiet" }, " ", said.join(", ")) : null;
}

// The members of a schema, one level deep; references are links.
function members(schema) {
  const inner = schema.type === "array" && schema.items && !schema.items.$ref ? schema.items : schema;
  if (!inner.properties) return null;
  const required = inner.required || [];
  return el("ul", { class: "members" }, Object.entries(inner.properties).map(([name, property]) =>
    el("li", {}, el("code", {}, name), " ", el("span", { class: "type" }, typeOf(property)), limits(property),
      inner.additionalProperties === false && required.includes(name)
        ? el("span", { class: "must" }, " required") : null,
      property.deprecated ? el("span", { class: "quiet" }, " deprecated") : null,
      property.description ? [" ", el("span", { class: "quiet" }, inline(property.description))] : null,
      members(property))));
}

function renderSchema([name, schema]) {
  return el("details", { class: "operation", id: "schema-" + name, "data-words": name.toLowerCase() },
    el("summary", {}, el("span", { class: "method" }, "{ }"), el("span", { class: "path" }, name),
      el("span", { class: "summary" }, inline((schema.description || "").split("\n")[0]))),
    el("div", { class: "inside" }, prose(schema.description),
      el("p", {}, el("span", { class: "type" }, typeOf(schema)), limits(schema)), members(schema)));
}

// ---- operations -------------------------------------------------------------------------------------------

function renderParameters(operation) {
  const parameters = (operation.parameters || []).map(follow);
  if (!parameters.length) return null;
  return section("Parameters", el("table", {}, parameters.map((one) =>
    el("tr", {}, el("td", {}, el("code", {}, one.name), " ", el("span", { class: "quiet" }, one.in)),
      el("td", {}, el("span", { class: "type" }, typeOf(one.schema)), limits(follow(one.schema)),
        prose(one.description))))));
}

function renderContent(content) {
  return Object.entries(content || {}).map(([type, media]) => [
    el("p", {}, el("code", {}, type), " ",
      media.schema ? el("span", { class: "type" }, typeOf(media.schema)) : null),
    media.schema && !media.schema.$ref ? members(media.schema) : null,
    media.example !== undefined ? el("pre", {}, el("code", {}, written(media.example))) : null]);
}

function renderBody(operation) {
  const body = follow(operation.requestBody);
  return body ? section("Body", prose(body.description), renderContent(body.content)) : null;
}

function renderResponses(operation) {
  return section("Responses", el("table", {}, Object.entries(operation.responses).map(([status, reference]) => {
    const response = follow(reference);
    const good = status < 400;
    const names = Object.keys(response.headers || {}).filter((name) => name !== "X-Request-Id");
    return el("tr", {}, el("td", { class: "status " + (good ? "good" : "bad") }, status),
      el("td", {}, prose(response.description), good ? renderContent(response.content) : null,
        names.length ? el("p", { class: "quiet" }, "Headers: ", names.flatMap((name, i) => [i ? ", " : "",
          el("code", { title: follow(response.headers[name]).description }, name)])) : null));
  })));
}

function badge(operation) {
  const security = operation.security;
  const admin = security && security.length && "admin" in security[0];
  return admin ? el("span", { class: "badge" }, "admin key") : null;
}

function renderOperation(path, method, operation) {
  const inside = el("div", { class: "inside" });
  const node = el("details", { class: "operation", id: operation.operationId,
    "data-words": `${method} ${path} ${operation.operationId} ${operation.summary}`.toLowerCase() },
  el("summary", {}, el("span", { class: "method " + method }, method.toUpperCase()),
    el("span", { class: "path" }, pathOf(path)),
    el("span", { class: "summary" }, operation.summary)), inside);
  node.addEventListener("toggle", () => {
    if (!node.open || inside.firstChild) return;
    inside.append(...[prose(operation.description), badge(operation), renderParameters(operation),
      renderBody(operation), section("Try it", renderForm(path, method, operation)),
      renderResponses(operation)].flat(Infinity).filter(Boolean));
  });
  return node;
}

// ---- forms ------------------------------------------------------------------------------------------------

function onOneLine(value) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(onOneLine).join(", ")}]`;
  const members = Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${onOneLine(one)}`);
  return `{${members.join(", ")}}`;
}

// JSON with short values on one line, so that numbers are side by side.
function written(value, indent = "") {
  const flat = onOneLine(value);
  if (value === null || typeof value !== "object" || flat.length + indent.length < 96) return flat;
  const deeper = indent + "  ";
  if (Array.isArray(value) && value.every((one) => typeof one !== "object")) return flat;
  const parts = Array.isArray(value) ? value.map((one) => written(one, deeper))
    : Object.entries(value).map(([name, one]) => JSON.stringify(name) + ": " + written(one, deeper));
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return `${open}\n${deeper}${parts.join(",\n" + deeper)}\n${indent}${close}`;
}

// Rows of the examples have three numbers, which rarely fits the dictionary; the vector of one of its atoms does.
async function fitting(example, dictionary) {
  const member = ["inputs", "vectors"].find((name) => example && name in example);
  if (!member || !dictionary) return example;
  const reply = await call("GET", `v1/dictionaries/${encodeURIComponent(dictionary)}/atoms/0?fields=vector`);
  if (!reply.ok) return example;
  return { ...example, [member]: [(await reply.json()).vector] };
}

function call(method, target, body) {
  const key = document.getElementById("key").value;
  const headers = key ? { Authorization: "Bearer " + key } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return fetch(target, { method, headers, body, cache: "no-store" });
}

function fieldOf(parameter) {
  const schema = follow(parameter.schema);
  const value = parameter.name === "dictionary" || parameter.name === "model" ? firstDictionary
    : parameter.in === "path" ? parameter.example ?? "" : "";
  const attributes = { name: parameter.name, "data-in": parameter.in, required: parameter.in === "path" };
  const input = schema.enum
    ? el("select", attributes, parameter.in === "query" ? el("option", { value: "" }, "") : null,
      schema.enum.map((one) => el("option", {}, one)))
    : el("input", { ...attributes, value, spellcheck: "false", autocomplete: "off",
      placeholder: schema.default !== undefined ? String(schema.default) : "" });
  return el("label", { class: "field" }, el("code", {}, parameter.name), input);
}

function targetOf(form, path) {
  const query = new URLSearchParams();
  for (const input of form.querySelectorAll("[data-in]")) {
    if (input.dataset.in === "path") path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
    else if (input.dataset.in === "query" && input.value !== "") query.set(input.name, input.value);
  }
  return path.slice(1) + (query.size ? "?" + query.toString().replace(/%2C/g, ",") : "");
}

const quoted = (text) => "'" + text.replace(/'/g, "'\\''") + "'";

function curlOf(method, target, body) {
  const parts = ["curl", quoted(new URL(target, document.baseURI).href)];
  if (method !== "GET") parts.splice(1, 0, "-X", method);
  if (document.getElementById("key").value) parts.push("-H", quoted("Authorization: Bearer KEY"));
  if (body) parts.push("--json", quoted(body.length > 160 ? body.slice(0, 160) + "…" : body));
  return parts.join(" ");
}

async function show(answer, method, target, body) {
  const start = performance.now();
  answer.replaceChildren(el("p", { class: "quiet" }, "…"));
  try {
    const reply = await call(method, target, body);
    const data = await reply.blob();
    const took = (performance.now() - start).toFixed(1);
    const type = reply.headers.get("Content-Type") || "";
    const nodes = [el("p", {},
      el("span", { class: "status " + (reply.ok ? "good" : "bad") }, reply.status), " ",
      el("span", { class: "quiet" }, `${type}, ${data.size} bytes, ${took} ms`))];
    if (/json|text|yaml/.test(type)) {
      let text = await data.text();
      if (type.includes("json")) try { text = written(JSON.parse(text)); } catch { /* shown as it is */ }
      if (text.length > 40000) text = text.slice(0, 40000) + "\n…";
      nodes.push(el("pre", { tabindex: "0" }, el("code", {}, text)));
    } else if (data.size) {
      const [dtype, shape] = ["Dtype", "Shape"].map((one) => reply.headers.get("X-Tensor-" + one));
      const name = target.split("?")[0].split("/").pop();
      nodes.push(el("p", {}, dtype ? `${dtype} [${shape}] ` : "",
        el("a", { href: URL.createObjectURL(data), download: name }, "download")));
    }
    nodes.push(el("details", {}, el("summary", { class: "quiet" }, "headers"),
      el("pre", {}, [...reply.headers].map(([name, value]) => `${name}: ${value}`).join("\n"))));
    answer.replaceChildren(...nodes);
  } catch (error) {
    answer.replaceChildren(el("p", { class: "status bad" }, String(error)));
  }
}

function renderForm(path, method, operation) {
  const parameters = (operation.parameters || []).map(follow).filter((one) => one.in !== "header");
  const content = operation.requestBody ? follow(operation.requestBody).content : {};
  const example = content["application/json"] && content["application/json"].example;
  const answer = el("div", { class: "answer", "aria-live": "polite" });
  const area = { spellcheck: "false", "aria-label": "Body", rows: "6" };
  const body = operation.requestBody ? el("textarea", area, example ? written(example) : "") : null;
  const curl = el("code", { class: "quiet" });
  const form = el("form", {}, parameters.map(fieldOf), body,
    el("div", { class: "actions" }, el("button", { class: "send", type: "submit" }, "Send"),
      el("span", { class: "quiet" }, body ? "or press Ctrl+Enter" : "")),
    el("div", {}, curl), answer);
  const sent = () => (body && body.value.trim() ? body.value : undefined);
  const refresh = () => { curl.textContent = curlOf(method.toUpperCase(), targetOf(form, path), sent()); };
  form.addEventListener("input", refresh);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    refresh();
    show(answer, method.toUpperCase(), targetOf(form, path), sent());
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  refresh();
  const fit = async () => {
    const better = await fitting(example, firstDictionary);
    if (better === example) return;
    body.value = written(better);
    refresh();
  };
  if (body) fit();
  return form;
}

// ---- the page ---------------------------------------------------------------------------------------------

function render() {
  const operations = Object.entries(contract.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation })));
  const main = document.getElementById("main"), nav = document.getElementById("nav");
  main.replaceChildren(el("div", { class: "intro" },
    el("p", {}, el("strong", {}, contract.info.summary), ". ",
      el("span", { class: "quiet" }, `Version ${contract.info.version}. The document: `),
      el("a", { href: "openapi.json" }, "openapi.json"), "."),
    prose(contract.info.description)));
  for (const tag of contract.tags) {
    const own = operations.filter(({ operation }) => operation.tags.includes(tag.name));
    if (!own.length) continue;
    main.append(el("section", { class: "group" }, el("h2", { id: "group-" + tag.name }, tag.name),
      prose(tag.description),
      own.map(({ path, method, operation }) => renderOperation(path, method, operation))));
    nav.append(el("section", {}, el("h2", {}, tag.name), own.map(({ method, operation }) =>
      el("a", { href: "#" + operation.operationId, "data-words": operation.operationId },
        el("span", { class: "method " + method }, method.toUpperCase()), " ",
        operation.operationId.replace(/_/g, " ")))));
  }
  main.append(el("section", { class: "group" }, el("h2", { id: "schemas" }, "schemas"),
    Object.entries(contract.components.schemas).map(renderSchema)));
  nav.append(el("section", {}, el("h2", {}, "schemas"), el("a", { href: "#schemas" }, "all of them")));
}

// A link to an operation or a schema opens it.
function openTarget() {
  const node = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!node || !node.matches("details")) return;
  node.open = true;
  node.scrollIntoView();
  node.querySelector("summary").focus({ preventScroll: true });
}

function filter() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const node of document.querySelectorAll("main .operation"))
    node.hidden = !words.every((word) => node.dataset.words.includes(word));
  for (const group of document.querySelectorAll("main .group"))
    group.hidden = !group.querySelector(".operation:not([hidden])");
  for (const link of document.querySelectorAll("nav a[data-words]")) {
    const node = document.getElementById(link.dataset.words);
    link.hidden = node && node.hidden;
  }
}

function theme(next) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
  const chosen = next || (now === "dark" ? "light" : "dark");
  document.documentElement.dataset.theme = chosen;
  try { localStorage.setItem("rasaed-theme", chosen); } catch { /* then it is not kept */ }
}

// The name that forms start with. Where a key is required and not given yet, they start empty.
async function findDictionary() {
  try {
    const listed = await (await call("GET", "v1/dictionaries")).json();
    firstDictionary = listed.dictionaries[0].name;
  } catch { return; }
  for (const input of document.querySelectorAll("input[name=dictionary], input[name=model]"))
    input.value = input.value || firstDictionary;
}

async function start() {
  let kept = null;
  try { kept = localStorage.getItem("rasaed-theme"); } catch { /* then there is none */ }
  if (kept) theme(kept);
  document.getElementById("theme").addEventListener("click", () => theme());
  document.getElementById("filter").addEventListener("input", filter);
  document.addEventListener("keydown", (event) => {
    const field = document.getElementById("filter");
    const writing = event.target.matches("input, textarea, select");
    if (event.key === "/" && !writing) { event.preventDefault(); field.focus(); }
    if (event.key === "Escape" && event.target === field) { field.value = ""; filter(); field.blur(); }
  });
  addEventListener("hashchange", openTarget);
  try {
    contract = await (await fetch("openapi.json")).json();
  } catch (error) {
    document.getElementById("state").textContent = "openapi.json could not be loaded: " + error;
    return;
  }
  await findDictionary();
  document.getElementById("key").addEventListener("change", findDictionary);
  render();
  openTarget();
}

start();
