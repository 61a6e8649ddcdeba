"use strict";
// Draws the page: switches, and the charts that report_views.js describes.

(() => {
  const { root, data, state, byId, element, view, bytes, plain, command, encodeOnly } = model;

  // ---- theme ----

  function theme() {
    const style = getComputedStyle(root);
    const color = (name) => style.getPropertyValue("--" + name).trim();
    const series = {};
    for (const name of ["dense", "blue", "sky", "green", "orange", "red", "purple", "other"]) {
      series[name] = color("series-" + name);
    }
    const result = { series, font: getComputedStyle(document.body).fontFamily };
    for (const name of ["page", "ink", "muted", "line", "grid", "encode", "compute"]) {
      result[name] = color(name);
    }
    return result;
  }

  // ---- tooltip ----

  const tooltip = byId("tooltip");
  function placeTooltip(text, left, top, right) {
    tooltip.textContent = text;
    tooltip.hidden = false;
    const box = tooltip.getBoundingClientRect();
    const x = right + 14 + box.width > innerWidth ? left - box.width - 14 : right + 14;
    tooltip.style.left = Math.max(8, x) + "px";
    tooltip.style.top = Math.max(8, Math.min(top + 14, innerHeight - box.height - 8)) + "px";
  }
  function showTooltip(handler, event, item, value) {
    if (value == null || value === "") tooltip.hidden = true;
    else placeTooltip(String(value), event.clientX, event.clientY, event.clientX);
  }

  // ---- drawing ----

  // Marks of points can be clicked, and walked through with the arrow keys: one stop of Tab each
  // chart, Enter opens.
  function makeWalkable(host, open) {
    const marks = [...host.querySelectorAll("[class*=datum-] > path")].filter((node) => node.__data__ && node.__data__.datum && node.__data__.datum.i != null);
    if (!marks.length) return;
    const datum = (node) => node.__data__.datum;
    marks.forEach((node, k) => {
      node.setAttribute("tabindex", k ? "-1" : "0");
      node.setAttribute("role", "button");
      node.setAttribute("aria-label", String(datum(node).tip || "").replaceAll("\n", ", "));
    });
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    host.addEventListener("keydown", (event) => {
      const at = marks.indexOf(event.target);
      if (at < 0) return;
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        open(datum(event.target));
      } else if (step[event.key]) {
        event.preventDefault();
        const next = marks[(at + step[event.key] + marks.length) % marks.length];
        event.target.setAttribute("tabindex", "-1");
        next.setAttribute("tabindex", "0");
        next.focus();
      }
    });
    host.addEventListener("focusin", (event) => {
      if (!marks.includes(event.target) || !event.target.matches(":focus-visible")) return;
      const box = event.target.getBoundingClientRect();
      placeTooltip(String(datum(event.target).tip || ""), box.left, box.bottom, box.right);
    });
    host.addEventListener("focusout", () => { tooltip.hidden = true; });
  }

  const openPoint = (datum) => tables.showPoint(datum.i);
  async function draw(host, spec, open = openPoint) {
    const vegaView = new vega.View(vega.parse(spec), { renderer: "svg", container: host, hover: false });
    vegaView.addEventListener("click", (event, item) => {
      if (item && item.datum && item.datum.i != null) open(item.datum);
    });
    await vegaView.tooltip(showTooltip).runAsync();
    makeWalkable(host, open);
    return vegaView;
  }

  // Something that draws itself into `body` when it is in sight, or when there is time.
  const panels = [];
  function addPanel(node, body, paint) {
    panels.push({ node, body, paint, dirty: true, views: [], marks: 0, charts: 0, expected: 0 });
  }
  // Waits for promises only, not for timers, so that it ends before a page is printed.
  async function drawPanel(panel) {
    panel.dirty = false;
    for (const old of panel.views) old.finalize();
    Object.assign(panel, { views: [], charts: 0, marks: 0, expected: 0 });
    // The height stays while the content changes, so that the page does not jump.
    panel.body.style.minHeight = panel.body.offsetHeight + "px";
    panel.body.replaceChildren();
    const drawn = [];
    panel.paint((title, spec, { legend = null, open } = {}) => {
      const host = element("div", { class: "chart" });
      panel.body.append(element("div", { class: "figure" }, title ? element("h4", {}, title) : "", legend, host));
      drawn.push(draw(host, spec, open));
      panel.charts += 1;
      panel.expected = 1;
    }, panel.body);
    panel.views = await Promise.all(drawn);
    panel.marks = panel.body.querySelectorAll("[class*=datum-] > *").length;
    panel.body.style.minHeight = "";
  }

  // What a test reads: charts drawn, data marks in them, charts that came out empty, and after how
  // many milliseconds everything in sight was there.
  function publish(done) {
    const sum = (key) => panels.reduce((total, panel) => total + panel[key], 0);
    root.dataset.charts = String(sum("charts"));
    root.dataset.marks = String(sum("marks"));
    root.dataset.empty = String(panels.filter((p) => !p.dirty && p.expected && !p.marks).length);
    root.dataset.ready = String(done);
  }
  function inSight(panel) {
    const box = panel.node.getBoundingClientRect();
    return box.bottom > -200 && box.top < innerHeight + 400;
  }

  // One panel at a time, those in sight first, so that the page answers meanwhile.
  let scheduled = false;
  function schedule() {
    if (scheduled) return;
    scheduled = true;
    setTimeout(async () => {
      const waiting = panels.filter((panel) => panel.dirty);
      const next = waiting.find(inSight);
      if (!next && root.dataset.opened == null) root.dataset.opened = String(Math.round(performance.now()));
      if (!waiting.length) {
        scheduled = false;
        return publish(true);
      }
      try {
        await drawPanel(next || waiting[0]);
      } catch (error) {
        reportError(error);
      }
      publish(false);
      scheduled = false;
      schedule();
    }, 0);
  }
  function redraw() {
    for (const panel of panels) panel.dirty = true;
    root.dataset.ready = "false";
    schedule();
  }

  // ---- winner map ----

  function shadeLegend() {
    const box = (speedup, words) => element("span", {}, element("i", { style: `background: color-mix(in srgb, var(--series-blue) ${Math.round(100 * charts.shadeOf(speedup))}%, var(--page))` }), words);
    return element("p", { class: "part-legend" }, box(1, "as fast as dense"), box(2, "2×"), box(4, "4×"), box(8, "8× or more"), element("span", {}, "grey: dense wins, in brackets the best other format"), element("span", {}, "dashed edge: within the noise of another format"));
  }
  function buildMap() {
    const body = byId("winner-map");
    addPanel(body, body, (add, host) => {
      // A drawing is not broken between sheets: on paper the map is in parts.
      const maps = views.map({ theme: theme(), width: state.width, most: root.classList.contains("printing") ? 24 : Infinity });
      if (!maps.length) {
        host.append(element("p", { class: "note" }, "No product was measured and found correct."));
        return;
      }
      const open = (datum) => {
        finder.choose(datum.c, datum.d);
        byId("find").scrollIntoView({ block: "start" });
      };
      maps.forEach((map, k) => add("", map, { legend: k ? null : shadeLegend(), open }));
    });
  }

  // ---- floors ----

  function buildFloors() {
    const body = byId("floor-charts");
    addPanel(body, body, (add, host) => {
      const floors = views.floors({ theme: theme(), width: state.width });
      for (const { title, spec } of floors) add(title, spec);
      if (!floors.length) host.append(element("p", { class: "note" }, "The report has no floors."));
    });
  }

  // ---- charts of one workload ----

  function statusWords(points) {
    const counts = {};
    for (const p of points) counts[p.s] = (counts[p.s] || 0) + 1;
    return Object.entries(counts).map(([status, n]) => `${n} ${status}`).join(", ");
  }

  function crossoverList(list) {
    const limit = (value, open) => charts.density(value) + (open ? " or beyond" : "");
    const items = [...list].sort((a, b) => a.density - b.density).map((c) => element("li", {},
      element("b", {}, `${c.a} = ${c.b} at ${charts.density(c.density)}`),
      c.low_open && c.high_open ? " (within the noise at any density)" : ` (${limit(c.low, c.low_open)} to ${limit(c.high, c.high_open)}), cheaper below: ${c.faster_below}`));
    return element("ul", { class: "crossovers" }, ...items);
  }

  function partLegend() {
    const swatch = (name, text) =>
      element("span", {}, element("i", { style: `background: var(--${name})` }), text);
    return element("p", { class: "part-legend" }, swatch("encode", "encode"), swatch("compute", "compute"),
      element("span", {}, "╋ total as measured, 5th–95th percentile"), element("span", {}, "┅ best dense"),
      element("span", {}, "▴ ▸ continues beyond the axis"));
  }

  function paintCurve(index, add, body) {
    const points = views.pointsOfCurve[index];
    const measured = views.linesOf(index);
    const lines = views.positive(measured.filter((s) => !state.hidden.has(s.key)));
    if (lines.length === 0) {
      const reason = measured.length ? "Every format of this chart is hidden." : `Nothing to draw (${statusWords(points)}); the table of points says why.`;
      body.append(element("p", { class: "note" }, reason));
      return;
    }
    for (const { title, spec, parts } of views.curve(index, lines, { theme: theme(), width: state.width })) {
      add(title, spec, { legend: parts ? partLegend() : null });
    }
    const crossings = view().crossovers.filter((c) => c.c === index);
    if (crossings.length && views.densitiesOf(lines).size > 1) {
      body.append(element("h4", {}, "Crossovers, and the interval that the noise leaves"), crossoverList(crossings));
    }
  }

  function buildCurves() {
    const nodes = data.curves.map((curve, index) => {
      const body = element("div", { class: "panel-body" });
      const node = element("article", { class: "panel", "aria-label": curve.label },
        element("h3", {}, curve.label), element("p", { class: "detail" }, curve.detail), body);
      addPanel(node, body, (add) => paintCurve(index, add, body));
      return node;
    });
    byId("panels").append(...nodes);
    if (!nodes.length) byId("panels").append(element("p", { class: "note" }, "The report has no points."));
    return nodes;
  }

  // ---- legend ----

  const SHAPES = {
    circle: "M8 3a5 5 0 1 0 .01 0Z",
    square: "M3.5 3.5h9v9h-9Z",
    "triangle-up": "M8 3l5.4 9.6H2.6Z",
    "triangle-down": "M8 13L2.6 3.4h10.8Z",
    diamond: "M8 2.2L13 8l-5 5.8L3 8Z",
    cross: "M6 3h4v3h3v4h-3v3H6v-3H3V6h3Z",
  };
  function swatch(s) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [k, v] of Object.entries({ width: 28, height: 16, viewBox: "-6 0 28 16", "aria-hidden": "true" })) svg.setAttribute(k, v);
    const add = (d, look) => {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", d);
      path.setAttribute("style", look);
      svg.append(path);
    };
    const color = `var(--series-${s.color})`;
    const hollow = s.library || s.lossy;
    add("M-6 8H22", `stroke:${color};stroke-width:2;stroke-dasharray:${s.library ? "4 3" : s.lossy ? "1.5 2.5" : "none"}`);
    add(SHAPES[s.shape] || SHAPES.circle, `fill:${hollow ? "var(--raised)" : color};stroke:${color};stroke-width:1.6`);
    return svg;
  }
  function buildLegend() {
    for (const s of views.series) {
      const button = element("button", { type: "button", "aria-pressed": "true" }, swatch(s), s.label);
      button.addEventListener("click", () => {
        if (!state.hidden.delete(s.key)) state.hidden.add(s.key);
        button.setAttribute("aria-pressed", String(!state.hidden.has(s.key)));
        redraw();
      });
      byId("legend").append(button);
    }
  }

  // With many charts, a way to one of them.
  function buildJump(nodes) {
    if (nodes.length < 4) return;
    const select = element("select", { "aria-label": "Go to workload" }, element("option", { value: "" }, "Go to workload …"),
      ...data.curves.map((curve, c) => element("option", { value: String(c) }, curve.label)));
    select.addEventListener("change", () => {
      if (select.value !== "") nodes[Number(select.value)].scrollIntoView({ block: "start" });
    });
    byId("legend").after(element("div", { class: "controls" }, select));
  }

  // ---- the rest of the page ----

  const NAMES = { gpu: "GPU", sms: "multiprocessors", l2_bytes: "L2 cache", driver: "driver", cuda: "CUDA", clocks: "clocks", copy_gbps: "copy bandwidth", cpu: "CPU", threads: "threads", versions: "versions" };
  function sourceNode(source) {
    const list = element("dl", { class: "environment" });
    const add = (name, value) => list.append(element("dt", {}, name), element("dd", {}, value));
    add("measured", plain(source.created) + (source.complete === false ? " (interrupted: not all that was planned)" : ""));
    add("revision", plain(source.git));
    for (const [key, value] of Object.entries(source.environment || {})) {
      add(NAMES[key] || key.replaceAll("_", " "), value == null ? "–" : /_bytes$/.test(key) ? bytes(value) : key === "copy_gbps" ? `${charts.significant(value)} GB/s` : plain(value));
    }
    const argv = Array.isArray(source.argv) ? source.argv.map(plain) : [];
    const quote = (word) => /^[\w@%+=:,./-]+$/.test(word) ? word : "'" + word.replace(/'/g, "'\\''") + "'";
    return [list, element("h3", {}, "Command of this sweep"),
      argv.length ? command(argv.map(quote).join(" ")) : element("p", { class: "note" }, "Not recorded.")];
  }
  // One report's environment is shown; of several each can be opened.
  function environment() {
    const host = byId("environments");
    if (data.sources.length === 1) return host.append(...sourceNode(data.sources[0]));
    for (const source of data.sources) {
      const gpu = (source.environment || {}).gpu || (source.environment || {}).cpu;
      const title = [plain(source.name), plain(gpu), plain(source.created)].join(" · ");
      host.append(element("details", { class: "source" }, element("summary", {}, title), ...sourceNode(source)));
    }
  }

  function buildSwitch(onChange) {
    for (const input of document.querySelectorAll("#mode-switch input")) {
      input.checked = input.value === state.mode;
      input.disabled = !data.views[input.value];
      if (input.disabled) input.parentElement.title = "Not measured in this report";
      input.addEventListener("change", () => { state.mode = input.value; onChange(); });
    }
  }

  const measure = () => Math.max(280, Math.floor(byId("panels").clientWidth));
  function followWidth() {
    state.width = measure();
    let timer = 0;
    addEventListener("resize", () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (root.classList.contains("printing") || measure() === state.width) return;
        state.width = measure();
        redraw();
      }, 150);
    });
  }

  // On paper everything is light, drawn, and scaled to the width of the sheet.
  const PAPER = 940;
  function followPrinting() {
    addEventListener("beforeprint", () => {
      root.classList.add("printing");
      state.width = PAPER;
      for (const details of document.querySelectorAll("#summary details, details.source")) details.open = true;
      panels.forEach(drawPanel);
    });
    addEventListener("afterprint", () => {
      root.classList.remove("printing");
      state.width = measure();
      redraw();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  followWidth();
  finder.load();
  buildMap();
  const nodes = buildCurves();
  buildFloors();
  const loads = [finder.load, tables.winnerTable(), tables.pointTable()];
  tables.leftOutTable();
  buildLegend();
  buildJump(nodes);
  environment();
  if (encodeOnly) {
    for (const id of ["map", "winners"]) byId(id).hidden = true;
    for (const node of document.querySelectorAll(".bar a[href='#map'], .bar a[href='#winners'], .with-products")) node.hidden = true;
    byId("question").textContent = "How fast are spikes encoded?";
    byId("charts-title").textContent = "Speed of encoders against density";
    byId("chart-note").textContent = "The fastest configuration of each encoder: bytes of spikes read and of the format written, by the time to encode. Click a mark for its samples and its command.";
  }
  buildSwitch(() => {
    for (const block of document.querySelectorAll("#summary > [data-mode]")) block.hidden = block.dataset.mode !== state.mode;
    for (const load of loads) load();
    redraw();
  });
  followPrinting();
  publish(false);
  schedule();
})();
