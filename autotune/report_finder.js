"use strict";
// "Which format for this layer?": one problem, its winner, and why.

const finder = (() => {
  const { data, byId, element, timesOf, curveOf, kernelName, productsOf, totalOf, problems, bytes, plain, command } = model;
  const { time, density, ratio } = charts;
  const chosen = { c: null, d: null };

  const partsOf = (p) => {
    const [encode, compute] = timesOf(p);
    return { encode: encode && encode[0], compute: compute && compute[0] * productsOf(p), total: totalOf(p) };
  };

  function costWords(p) {
    const { encode, compute, total } = partsOf(p);
    const products = productsOf(p) > 1 ? `${productsOf(p)} products` : "product";
    if (encode === 0) return `${time(total)} in all: the product of the spikes where they lie`;
    return encode == null || compute == null ? `${time(total)} in all` : `${time(total)} in all: encode ${time(encode)}, ${products} ${time(compute)}`;
  }

  function againstDense(problem) {
    const { point, other } = problem;
    const dense = problem.best.get("dense");
    if (!dense) return "Dense was not measured here.";
    if (point.f === "dense") {
      if (!other) return "";
      const s = partsOf(other);
      const d = partsOf(dense);
      const start = `The best other format, ${kernelName(other)}, takes ${ratio(s.total / d.total)} as long (${costWords(other)})`;
      if (s.encode == null || s.compute == null || s.encode === 0) return start + ".";
      return s.compute < d.total ? `${start}: its product alone would win, its encoding loses it.` : `${start}: its product alone is slower than all of dense.`;
    }
    const w = partsOf(point);
    const d = partsOf(dense);
    const start = `Dense takes ${ratio(d.total / w.total)} as long: ${time(d.total)} with ${kernelName(dense)}.`;
    if (w.encode == null || d.compute == null || w.compute == null) return start;
    if (w.encode === 0) return `${start} Nothing is encoded, and the product takes ${time(w.compute)} instead of ${time(d.compute)}.`;
    return `${start} The encoding costs ${time(w.encode)}, and the product then takes ${time(w.compute)} instead of ${time(d.compute)}.`;
  }

  function nextWords(problem) {
    // Where dense wins, the best other format has been told of.
    const told = problem.point.f === "dense" ? problem.other : null;
    const others = problem.ranking.filter((p) => p.f !== problem.point.f && p !== told).slice(0, 2);
    const ties = problem.winner.ties;
    const tie = ties.length ? ` The noise does not separate it from ${ties.join(", ")}.` : "";
    if (!others.length) return told ? tie.trim() : "No other format was measured here." + tie;
    return `Next: ${others.map((p) => `${kernelName(p)} ${time(totalOf(p))} (${ratio(totalOf(p) / totalOf(problem.point))})`).join(", ")}.${tie}`;
  }

  function floorWords(p) {
    const floor = (p.floor || {}).compute;
    const compute = timesOf(p)[1];
    if (floor == null || !compute) return "";
    const b = p.bytes || {};
    const encoded = b.encoded != null && b.input && b.encoded !== b.input ? ` It reads ${bytes(b.encoded)} of spikes instead of ${bytes(b.input)}.` : "";
    return `The product with ${kernelName(p)} takes ${ratio(compute[0] / floor)} its floor of ${time(floor)}, which memory and arithmetic set.${p.f === "dense" ? "" : encoded}`;
  }

  function zeroWords(p) {
    if (!p.zeros || p.f === "dense") return "";
    return `${kernelName(p)} multiplies zeros too, as dense does: the gain is in ${p.f === "bytes" ? "taking the bytes as they are" : "fewer bytes to encode and read"}, not in sparsity.`;
  }

  function crossoverWords(problem) {
    const near = model.view().crossovers.filter((c) => c.c === problem.c && c.b === "dense" && !(c.low_open && c.high_open) && (c.a === problem.point.f || (problem.point.f === "dense" && problem.other && c.a === problem.other.f)));
    if (!near.length) return "";
    return near.map((c) => `${c.faster_below === "dense" ? c.a : "Dense"} takes over from ${c.faster_below} at ${density(c.density)} (noise: ${density(c.low)} to ${density(c.high)}).`).join(" ");
  }

  // The same layer and density with W of another type.
  function otherWeights(problem) {
    const { layer } = data.curves[problem.c];
    const twins = problems().filter((twin) => twin.c !== problem.c && twin.d === problem.d && data.curves[twin.c].layer === layer);
    if (!twins.length) return null;
    const buttons = twins.map((twin) => {
      const gain = twin.point.f !== "dense" && twin.winner.over_dense != null ? `, ${ratio(twin.winner.over_dense)} over dense` : "";
      return element("button", { type: "button", onclick: () => choose(twin.c, twin.d) }, `${data.curves[twin.c].weights}: ${kernelName(twin.point)} ${time(totalOf(twin.point))}${gain}`);
    });
    return element("p", { class: "twins" }, `This is with W in ${data.curves[problem.c].weights}. In`, ...buttons);
  }

  function answer(problem) {
    const { point } = problem;
    const reasons = [againstDense(problem), zeroWords(point), nextWords(problem), floorWords(point), crossoverWords(problem)].filter(Boolean);
    const open = element("button", { type: "button", onclick: () => tables.showPoint(point.i) }, "Samples and features");
    const chart = element("button", { type: "button", onclick: () => byId("panels").children[problem.c].scrollIntoView({ block: "start" }) }, "Chart of all formats");
    const setting = point.config ? ` Configuration: ${plain(point.config)}.` : "";
    return element("div", {}, element("p", { class: "verdict" }, "Use ", element("b", {}, kernelName(point)), `: ${costWords(point)}.`),
      element("ul", { class: "why-list" }, ...reasons.map((words) => element("li", {}, words))), otherWeights(problem),
      element("p", { class: "note" }, `${curveOf(point).detail}.${setting} `), element("p", { class: "buttons" }, open, chart),
      ...(point.command ? [command(plain(point.command))] : []));
  }

  // ---- the two choices ----

  const select = (name) => element("select", { "aria-label": name });
  const workload = select("Workload");
  const share = select("Density");
  const words = element("input", { type: "search", placeholder: "Find: words of its name, density", "aria-label": "Find a workload" });
  const found = element("span", { class: "count", role: "status" });
  const result = element("div", { "aria-live": "polite" });

  const ofCurve = (c) => problems().filter((problem) => problem.c === c).sort((a, b) => a.d - b.d);
  const current = () => ofCurve(chosen.c).find((problem) => problem.d === chosen.d);

  function fillDensities() {
    const list = ofCurve(chosen.c);
    if (!list.some((problem) => problem.d === chosen.d)) chosen.d = list.length ? list[Math.floor((list.length - 1) / 2)].d : null;
    share.replaceChildren(...list.map((problem) => element("option", { value: String(problem.d) }, density(problem.d))));
    share.value = String(chosen.d);
  }
  function show() {
    const problem = current();
    result.replaceChildren(problem ? answer(problem) : element("p", { class: "note" }, "Nothing was measured and found correct here."));
  }
  // ".13", "0.13", "13%" and "13 %" mean a density within 5 %, besides the digits in a name.
  function densityNear(word, list) {
    const number = /^\d*\.?\d+%?$/.test(word) ? parseFloat(word) / (word.endsWith("%") ? 100 : 1) : NaN;
    return list.find((d) => Math.abs(d / number - 1) < 0.05);
  }
  const wantedWords = () => words.value.toLowerCase().replace(/(\d) %/g, "$1%").split(/\s+/).filter(Boolean);
  // The workloads that have all the words, in their names or as densities.
  function fillWorkloads() {
    const wanted = wantedWords();
    const curves = [...new Set(problems().map((problem) => problem.c))];
    const matching = curves.filter((c) => {
      const densities = ofCurve(c).map((problem) => problem.d);
      return wanted.every((word) => data.curves[c].label.toLowerCase().includes(word) || densityNear(word, densities) != null);
    });
    const shown = matching.length ? matching : curves;
    workload.replaceChildren(...shown.map((c) => element("option", { value: String(c) }, data.curves[c].label)));
    found.textContent = !wanted.length ? "" : matching.length ? `${matching.length} of ${curves.length} workloads` : "None has these words: all are listed.";
    return shown;
  }
  words.addEventListener("input", () => {
    const shown = fillWorkloads();
    const c = shown.includes(chosen.c) ? chosen.c : shown[0];
    const densities = ofCurve(c).map((problem) => problem.d);
    const near = wantedWords().map((word) => densityNear(word, densities)).find((d) => d != null);
    choose(c, near ?? chosen.d);
  });

  function choose(c, d) {
    chosen.c = c;
    chosen.d = d;
    workload.value = String(c);
    if (workload.value !== String(c)) {  // it was filtered away
      words.value = "";
      fillWorkloads();
      workload.value = String(c);
    }
    fillDensities();
    show();
  }

  // After a change of mode, too.
  function load() {
    const host = byId("finder");
    const list = problems();
    byId("find").hidden = list.length === 0;
    if (!list.length) return;
    const curves = fillWorkloads();
    // At first the problem with the largest gain, or the first one.
    const gain = (problem) => problem.winner.over_dense ?? 0;
    const start = list.reduce((a, b) => (gain(b) > gain(a) ? b : a));
    if (!curves.includes(chosen.c)) Object.assign(chosen, { c: start.c, d: start.d });
    choose(chosen.c, chosen.d);
    if (!host.childElementCount) {
      host.append(element("div", { class: "controls" }, ...(curves.length > 6 ? [words, found] : []), element("label", {}, "Workload ", workload), element("label", {}, "Density ", share)), result);
    }
  }
  workload.addEventListener("change", () => choose(Number(workload.value), chosen.d));
  share.addEventListener("change", () => choose(chosen.c, Number(share.value)));

  return { load, choose };
})();
