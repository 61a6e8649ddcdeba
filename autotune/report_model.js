"use strict";
// What the page holds: the report's data, the state of its switches, and small helpers. Whatever
// comes from the report enters the document as text, never as markup.

const model = (() => {
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const state = { mode: data.mode, hidden: new Set(), width: 0 };
  const byId = (id) => document.getElementById(id);
  data.points.forEach((point, i) => { point.i = i; });

  function element(name, attributes, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key === "class") node.className = value;
      else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (value != null && value !== false) node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child != null && child !== ""));
    return node;
  }
  function drawing(name, attributes, ...children) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  const view = () => data.views[state.mode] || { winners: [], crossovers: [] };
  const timesOf = (point) => point.t[state.mode] || [null, null, null];
  const curveOf = (point) => data.curves[point.c] || { label: "?", shape: "?", detail: "", amortise: 1 };
  const sourceOf = (point) => data.sources[point.src || 0] || data.sources[0];
  const kernelName = (p) => (!p.k || p.k === "none" ? p.f : p.k === p.f || p.k.startsWith(p.f + ".") ? p.k : `${p.f} (${p.k})`);
  const productsOf = (point) => curveOf(point).amortise;

  // Samples are most of a page's bytes, and few of them are looked at: parsed when first asked for.
  let samples = null;
  function samplesOf(point) {
    samples = samples || JSON.parse(byId("report-samples").textContent);
    return samples[point.i] || {};
  }

  // Candidates for a win: correct, lossless and timed.
  const isCandidate = (p) => p.s === "ok" && !p.lossy && timesOf(p)[2];
  const totalOf = (p) => timesOf(p)[2][0];

  // The problems of the current mode: curve and density, its winner, and the best point of each
  // format, cheapest first.
  const known = {};
  function problems() {
    return (known[state.mode] = known[state.mode] || findProblems());
  }
  function findProblems() {
    const found = new Map();
    for (const p of data.points) {
      if (p.c == null || !isCandidate(p)) continue;
      const key = p.c + "/" + p.d;
      if (!found.has(key)) found.set(key, { c: p.c, d: p.d, best: new Map() });
      const best = found.get(key).best;
      if (!best.has(p.f) || totalOf(p) < totalOf(best.get(p.f))) best.set(p.f, p);
    }
    for (const winner of view().winners) {
      const p = data.points[winner.point];
      const problem = found.get(p.c + "/" + p.d);
      if (problem) Object.assign(problem, { winner, point: p });
    }
    const list = [...found.values()].filter((problem) => problem.point);
    for (const problem of list) {
      problem.ranking = [...problem.best.values()].sort((a, b) => totalOf(a) - totalOf(b));
      problem.other = problem.ranking.find((p) => p.f !== "dense");
    }
    return list;
  }

  const bytes = (n) => n == null ? "–" : n >= 1e9 ? (n / 1e9).toPrecision(3) + " GB" : n >= 1e6 ? (n / 1e6).toPrecision(3) + " MB" : n >= 1e3 ? (n / 1e3).toPrecision(3) + " kB" : n + " B";
  const plain = (value) => value == null ? "–" : typeof value === "string" ? value : typeof value !== "object" ? String(value)
    : Object.entries(value).map(([k, v]) => Array.isArray(value) ? plain(v) : `${k} ${plain(v)}`).join(", ") || "–";

  function command(text) {
    const code = element("code", {}, text);
    const copy = element("button", { type: "button" }, "Copy");
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        copy.textContent = "Copied";
        setTimeout(() => { copy.textContent = "Copy"; }, 1500);
      } catch {
        getSelection().selectAllChildren(code);  // no clipboard for a local file: leave it marked
      }
    });
    return element("div", { class: "command" }, element("pre", {}, code), copy);
  }

  // Encoders by problem where products were not measured.
  const encodeOnly = data.points.length > 0 && !data.points.some((p) => Object.values(p.t).some((t) => t[2])) &&
    data.points.some((p) => Object.values(p.t).some((t) => t[0]));
  function movedBytes(p) {
    const b = p.bytes || {};
    return b.input == null || b.encoded == null ? null : b.input + b.encoded;
  }
  function encodeRate(p) {
    const t = timesOf(p)[0];
    const moved = movedBytes(p);
    const none = p.floor && p.floor.encode === 0;  // it uses the spikes where they are
    return t && moved != null && !none ? moved / t[0] / 1e3 : null;
  }

  return {
    root, data, state, byId, element, drawing, view, timesOf, curveOf, sourceOf, kernelName, productsOf, samplesOf, isCandidate,
    totalOf, problems, bytes, plain, command, encodeOnly, encodeRate,
  };
})();
