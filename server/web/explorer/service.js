// The server while it works: requests a second and how long they take, from /metrics, and what it allows.

import { fetched, get } from "./ask.js";
import { line } from "./charts.js";
import { bytes, el, facts, failure, num, panel, percent, quiet, tile } from "./dom.js";

const EVERY = 2000; // milliseconds
const KEPT = 60;    // readings in the chart

// [{name, labels, value}] of the Prometheus text.
export function parse(text) {
  const found = [];
  for (const one of text.split("\n")) {
    const match = /^(\w+)(?:\{(.*)\})? ([^ ]+)/.exec(one);
    if (!match || one.startsWith("#")) continue;
    const labels = {};
    for (const [, name, value] of (match[2] || "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[name] = value;
    found.push({ name: match[1], labels, value: match[3] === "+Inf" ? Infinity : Number(match[3]) });
  }
  return found;
}

// By route: requests, failures, seconds, and counts by bucket.
function byRoute(lines) {
  const routes = new Map();
  const of = (name) => {
    if (!routes.has(name)) routes.set(name, { requests: 0, failures: 0, seconds: 0, buckets: [] });
    return routes.get(name);
  };
  for (const { name, labels, value } of lines) {
    if (name === "rasaed_requests_total") {
      of(labels.route).requests += value;
      if (labels.status >= "500") of(labels.route).failures += value;
    } else if (name === "rasaed_request_duration_seconds_sum") of(labels.route).seconds += value;
    else if (name === "rasaed_request_duration_seconds_bucket") of(labels.route).buckets.push([labels.le === "+Inf" ? Infinity : Number(labels.le), value]);
  }
  return routes;
}

// Below which this share of the requests stayed: the bound of a bucket.
function quantile(buckets, share) {
  const sorted = [...buckets].sort((a, b) => a[0] - b[0]), total = sorted.at(-1)?.[1];
  if (!total) return null;
  return sorted.find(([, count]) => count >= share * total)[0];
}

const time = (seconds) => (seconds === null || seconds === undefined || Number.isNaN(seconds) ? "–" : seconds === Infinity ? "over 10 s"
  : seconds < 1e-3 ? num(seconds * 1e6, 2) + " µs" : seconds < 1 ? num(seconds * 1e3, 2) + " ms" : num(seconds, 2) + " s");

export async function show(place, context) {
  const { signal } = context;
  const server = await get("v1", signal);
  const tiles = el("div", { class: "tiles" }), chart = el("div"), body = el("tbody");
  const rates = [];
  let before = null;
  const said = el("p", { class: "quiet", role: "status" }, "Reading …");

  async function read() {
    let text;
    try {
      text = await (await fetched("metrics", { signal })).text();
    } catch (error) {
      if (error.name !== "AbortError") said.replaceChildren(failure(error));
      return;
    }
    if (signal.aborted) return;
    const lines = parse(text), now = { at: performance.now(), routes: byRoute(lines) };
    const value = (name) => lines.filter((one) => one.name === name).reduce((sum, one) => sum + one.value, 0);
    const sum = (of, name) => [...of.values()].reduce((total, one) => total + one[name], 0);
    // This page asks for the metrics itself, and that is no work of others.
    const others = new Map([...now.routes].filter(([name]) => name !== "metrics"));
    let rate = null, mean = null;
    if (before) {
      const seconds = (now.at - before.at) / 1000, requests = sum(others, "requests") - sum(before.others, "requests");
      rate = requests / seconds;
      mean = requests > 0 ? (sum(others, "seconds") - sum(before.others, "seconds")) / requests : null;
      rates.push(rate);
      if (rates.length > KEPT) rates.shift();
    }
    tiles.replaceChildren(tile(rate === null ? "…" : num(rate), "requests a second"), tile(mean === null ? "–" : time(mean), "mean time", "since the last reading"),
      tile(num(sum(others, "requests")), "requests since the start"), tile(num(sum(others, "failures")), "failed", "with a status of 500 or more"),
      tile(bytes(value("process_resident_memory_bytes")), "memory"), tile(num(Math.round((Date.now() / 1000 - value("process_start_time_seconds")) / 60)), "minutes since the start"));
    chart.replaceChildren(line(rates.length ? rates : [0], { label: "Requests a second over the last two minutes", from: rates.length > 1 ? num((rates.length - 1) * EVERY / 1000) + " s ago" : "", to: "now" }));
    body.replaceChildren(...[...now.routes].filter(([, one]) => one.requests > 0).sort((a, b) => b[1].requests - a[1].requests).map(([name, one]) => {
      const last = before?.routes.get(name);
      return el("tr", {}, el("th", { scope: "row" }, name), [num(one.requests), before ? num((one.requests - (last?.requests || 0)) / ((now.at - before.at) / 1000), 2) : "…",
        time(one.seconds / one.requests), time(quantile(one.buckets, 0.5)), time(quantile(one.buckets, 0.99)), percent(one.failures / one.requests)]
        .map((text) => el("td", { class: "n" }, text)));
    }));
    before = { ...now, others };
    said.textContent = "Read every two seconds from /metrics, whose buckets are the bounds of the median and of the 99th of a hundred.";
  }

  place.append(el("div", { class: "head" }, el("div", {}, el("h1", {}, "Service"), quiet(server.name + " " + server.version + ", access: " + server.access
    + (server.key_name ? " with the key " + server.key_name : "") + "."))), el("div", { class: "stack" },
    panel("load", "Load", tiles, chart, said),
    panel("routes", "By route", el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "By route" }, el("table", { class: "plain" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "route"),
      ["requests", "a second", "mean", "half below", "99 % below", "failed"].map((title) => el("th", { scope: "col", class: "n" }, title)))), body))),
    panel("limits", "Limits", facts(Object.entries(server.limits).map(([name, value]) => [name.replaceAll("_", " "), name.endsWith("bytes") ? bytes(value) : num(value)])))));
  await read();
  const clock = setInterval(read, EVERY);
  signal.addEventListener("abort", () => clearInterval(clock));
}
