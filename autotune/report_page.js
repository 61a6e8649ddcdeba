"use strict";
// Draws the page: tables, switches, and the charts of report_charts.js. Whatever comes from the
// report enters the document as text, never as markup.

(() => {
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const state = { mode: data.mode, hidden: new Set(), width: 0 };
  const byId = (id) => document.getElementById(id);

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

  const view = () => data.views[state.mode] || { winners: [], crossovers: [] };
  const timesOf = (point) => point.t[state.mode] || [null, null, null];
  const curveOf = (point) => data.curves[point.c] || { label: "?", shape: "?", detail: "", amortise: 1 };
  const kernelName = (p) => (p.k === p.f || p.k.startsWith(p.f + ".") || !p.k ? p.k || p.f : `${p.f} (${p.k})`);

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
  function showTooltip(handler, event, item, value) {
    if (value == null || value === "") {
      tooltip.hidden = true;
      return;
    }
    tooltip.textContent = String(value);
    tooltip.hidden = false;
    const box = tooltip.getBoundingClientRect();
    const x = event.clientX + 14 + box.width > innerWidth ? event.clientX - box.width - 14 : event.clientX + 14;
    tooltip.style.left = Math.max(8, x) + "px";
    tooltip.style.top = Math.min(event.clientY + 14, innerHeight - box.height - 8) + "px";
  }

  // ---- charts ----

  const series = charts.allSeries(data.points);
  const pointsOfCurve = data.curves.map(() => []);
  for (const point of data.points) if (pointsOfCurve[point.c]) pointsOfCurve[point.c].push(point);

  const panels = data.curves.map((curve, index) => {
    const body = element("div");
    const node = element("article", { class: "panel", "aria-label": curve.label },
      element("h3", {}, curve.label), element("p", { class: "detail" }, curve.detail), body);
    return { curve, index, node, body, dirty: true, views: [], marks: 0, charts: 0, expected: 0 };
  });

  function draw(host, spec) {
    const vegaView = new vega.View(vega.parse(spec), { renderer: "svg", container: host, hover: false });
    return vegaView.tooltip(showTooltip).runAsync();
  }

  function statusWords(points) {
    const counts = {};
    for (const p of points) counts[p.s] = (counts[p.s] || 0) + 1;
    return Object.entries(counts).map(([status, n]) => `${n} ${status}`).join(", ");
  }

  function crossoverList(list) {
    const limit = (value, open) => charts.density(value) + (open ? " or beyond" : "");
    const items = [...list].sort((a, b) => a.density - b.density).map((c) => element("li", {},
      element("b", {}, `${c.a} = ${c.b} at ${charts.density(c.density)}`),
      ` (${limit(c.low, c.low_open)} to ${limit(c.high, c.high_open)}), cheaper below: ${c.faster_below}`));
    return element("ul", { class: "crossovers" }, ...items);
  }

  function partLegend() {
    const swatch = (name, text) =>
      element("span", {}, element("i", { style: `background: var(--${name})` }), text);
    return element("p", { class: "part-legend" }, swatch("encode", "encode"), swatch("compute", "compute"),
      element("span", {}, "╋ total as measured, 5th–95th percentile"), element("span", {}, "┅ best dense"),
      element("span", {}, "▴ ▸ continues beyond the axis"));
  }

  async function drawCurve(panel, lines) {
    const crossings = view().crossovers.filter((c) => c.c === panel.index);
    const againstDense = crossings.filter((c) => c.b === "dense" &&
      lines.some((s) => s.format === c.a && !s.lossy));
    const shared = { series: lines, crossings: againstDense, theme: theme(), width: state.width, amortise: panel.curve.amortise };
    const densities = new Set(lines.flatMap((s) => s.at.map((p) => p.d)));
    const add = async (title, spec, legend) => {
      const host = element("div", { class: "chart" });
      panel.body.append(...(title ? [element("h4", {}, title)] : []), ...(legend ? [partLegend()] : []), host);
      panel.views.push(await draw(host, spec));
      panel.charts += 1;
    };
    if (densities.size > 1) {
      await add("", charts.overview(shared));
      await add("Encode and compute", charts.parts(shared), true);
      if (crossings.length) {
        panel.body.append(element("h4", {}, "Crossovers, and the interval that the noise leaves"), crossoverList(crossings));
      }
    } else {
      await add(`At ${charts.density([...densities][0])} density`, charts.ranking(shared), true);
    }
  }

  async function drawPanel(panel) {
    panel.dirty = false;
    for (const old of panel.views) old.finalize();
    Object.assign(panel, { views: [], charts: 0, marks: 0, expected: 0 });
    // The height stays while the content changes, so that the page does not jump.
    panel.body.style.minHeight = panel.body.offsetHeight + "px";
    panel.body.replaceChildren();
    const points = pointsOfCurve[panel.index];
    const measured = charts.curveSeries(series, points, state.mode, panel.curve.amortise);
    let lines = measured.filter((s) => !state.hidden.has(s.key));
    const positive = lines.map((s) => ({ ...s, at: s.at.filter((p) => p.d > 0) })).filter((s) => s.at.length);
    if (positive.length) lines = positive;
    if (lines.length === 0) {
      const reason = measured.length ? "Every format of this chart is hidden." : `Nothing to draw (${statusWords(points)}); the table of points says why.`;
      panel.body.append(element("p", { class: "note" }, reason));
    } else {
      panel.expected = 1;
      await drawCurve(panel, lines);
      panel.marks = panel.body.querySelectorAll("[class*=datum-] > *").length;
    }
    panel.body.style.minHeight = "";
  }

  // What a test reads: charts drawn, data marks in them, and charts that came out empty.
  function publish(done) {
    const sum = (key) => panels.reduce((total, panel) => total + panel[key], 0);
    root.dataset.charts = String(sum("charts"));
    root.dataset.marks = String(sum("marks"));
    root.dataset.empty = String(panels.filter((p) => !p.dirty && p.expected && !p.marks).length);
    root.dataset.ready = String(done);
  }

  // One panel at a time, those in sight first, so that the page answers meanwhile.
  let scheduled = false;
  function schedule() {
    if (scheduled) return;
    scheduled = true;
    setTimeout(async () => {
      const waiting = panels.filter((panel) => panel.dirty);
      if (!waiting.length) {
        scheduled = false;
        return publish(true);
      }
      const inSight = (panel) => {
        const box = panel.node.getBoundingClientRect();
        return box.bottom > -200 && box.top < innerHeight + 400;
      };
      try {
        await drawPanel(waiting.find(inSight) || waiting[0]);
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
    for (const s of series) {
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
  function buildJump() {
    if (panels.length < 4) return;
    const select = element("select", { "aria-label": "Go to workload" }, element("option", { value: "" }, "Go to workload …"),
      ...panels.map((panel) => element("option", { value: String(panel.index) }, panel.curve.label)));
    select.addEventListener("change", () => {
      if (select.value !== "") panels[Number(select.value)].node.scrollIntoView({ block: "start" });
    });
    byId("legend").after(element("div", { class: "controls" }, select));
  }

  // ---- tables ----

  const PAGE = 100;

  // A table that sorts, filters, opens rows, and never holds more rows than asked for.
  function table(host, { name, columns, rows, detail, controls, keep, sort }) {
    const own = { rows: [], matching: [], shown: PAGE, filter: "", sort: sort || null };
    const body = element("tbody");
    const count = element("span", { class: "count", role: "status" });
    const more = element("div", { class: "more" });
    const input = element("input", { type: "search", placeholder: "Filter: words, any order", "aria-label": "Filter " + name });
    input.addEventListener("input", () => { own.filter = input.value; own.shown = PAGE; refresh(); });
    const heads = columns.map((column, i) => {
      const button = element("button", { type: "button", onclick: () => sortBy(i) }, column.title);
      return element("th", { class: column.class || "", scope: "col" }, button);
    });

    function sortBy(i) {
      const descending = own.sort && own.sort.column === i ? !own.sort.descending : false;
      own.sort = { column: i, descending };
      refresh();
    }
    function compare(a, b) {
      const x = columns[own.sort.column].value(a.row);
      const y = columns[own.sort.column].value(b.row);
      if (x == null || y == null) return (x == null) - (y == null);  // what is missing goes last
      const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
      return own.sort.descending ? -order : order;
    }
    function openRow(line, row, button) {
      const open = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!open));
      button.textContent = open ? "▸" : "▾";
      if (open) line.nextSibling.remove();
      else line.after(element("tr", { class: "detail-row" }, element("td", { colspan: columns.length + 1 }, detail(row))));
    }
    function render(entry) {
      const button = element("button", { class: "open-row", type: "button", "aria-expanded": "false", "aria-label": "Details" }, "▸");
      const line = element("tr", {}, element("td", {}, button),
        ...columns.map((column) => element("td", { class: column.class || "", "data-label": column.label },
          ...[column.cell(entry.row)].flat())));
      button.addEventListener("click", () => openRow(line, entry.row, button));
      return line;
    }
    function refresh() {
      const words = own.filter.toLowerCase().split(/\s+/).filter(Boolean);
      own.matching = own.rows.filter((entry) => (!keep || keep(entry.row)) && words.every((word) => entry.text.includes(word)));
      if (own.sort) own.matching.sort(compare);
      heads.forEach((head, i) => head.setAttribute("aria-sort",
        own.sort && own.sort.column === i ? (own.sort.descending ? "descending" : "ascending") : "none"));
      const shown = own.matching.slice(0, own.shown);
      body.replaceChildren(...shown.map(render));
      count.textContent = own.matching.length === own.rows.length ? `${own.rows.length} rows` : `${own.matching.length} of ${own.rows.length} rows`;
      const left = own.matching.length - shown.length;
      const button = (text, to) => element("button", { type: "button", onclick: () => { own.shown = to; refresh(); } }, text);
      more.replaceChildren(...(left > 0 ? [button(`Show ${Math.min(left, PAGE)} more`, own.shown + PAGE)] : []),
        ...(left > PAGE && left < 2000 ? [button(`Show all ${own.matching.length}`, Infinity)] : []));
    }
    function load() {
      own.rows = rows().map((row) => ({ row, text: columns.map((c) => String(c.text ? c.text(row) : c.value(row) ?? "")).join(" ").toLowerCase() }));
      refresh();
    }

    host.append(element("div", { class: "controls" }, input, ...(controls ? controls(refresh) : []), count),
      element("div", { class: "table-scroll" }, element("table", { "aria-label": name },
        element("thead", {}, element("tr", {}, element("td", {}), ...heads)), body)), more);
    load();
    return load;
  }

  const timeColumn = (title, i, wide) => ({
    title,
    class: "num" + (wide ? " wide" : ""),
    value: (p) => timesOf(p)[i] && timesOf(p)[i][0],
    label: title.toLowerCase(),
    text: () => "",
    cell: (p) => charts.time(timesOf(p)[i] && timesOf(p)[i][0]),
  });
  const problemColumn = {
    title: "Workload, M×K×N",
    class: "name",
    value: (p) => curveOf(p).label,
    text: (p) => curveOf(p).label + " " + curveOf(p).detail,
    cell: (p) => curveOf(p).label,
  };
  const densityColumn = {
    title: "Density", class: "num", value: (p) => p.d, text: (p) => charts.density(p.d), cell: (p) => charts.density(p.d),
  };
  const tags = (p) => [p.baseline ? element("span", { class: "tag" }, "baseline") : "", p.lossy ? element("span", { class: "tag" }, "lossy") : ""];

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

  const bytes = (n) => n == null ? "–" : n >= 1e9 ? (n / 1e9).toPrecision(3) + " GB" : n >= 1e6 ? (n / 1e6).toPrecision(3) + " MB" : n >= 1e3 ? (n / 1e3).toPrecision(3) + " kB" : n + " B";
  const plain = (value) => value == null ? "–" : typeof value === "string" ? value : typeof value !== "object" ? String(value)
    : Object.entries(value).map(([k, v]) => Array.isArray(value) ? plain(v) : `${k} ${plain(v)}`).join(", ") || "–";

  function measurement(times, i, floor) {
    const t = times[i];
    if (!t) return "–";
    const share = floor ? `, ${charts.ratio(t[0] / floor)} its floor of ${charts.time(floor)}` : "";
    return `${charts.time(t[0])}  [${charts.time(t[1])} – ${charts.time(t[2])}], ${t[3]} samples${share}`;
  }

  function detail(p) {
    const facts = [];
    if (p.config) facts.push(["config", plain(p.config)]);
    for (const mode of ["cold", "hot"]) {
      const t = p.t[mode];
      if (!t) continue;
      const floor = p.floor || {};
      facts.push([`encode, ${mode}`, measurement(t, 0, floor.encode)], [`compute, ${mode}`, measurement(t, 1, floor.compute)], [`total, ${mode}`, measurement(t, 2)]);
    }
    for (const [key, value] of Object.entries(p.bytes || {})) if (value != null) facts.push([key + " size", bytes(value)]);
    if (p.nnz != null) facts.push(["nonzeros", p.nnz.toLocaleString("en")]);
    if (p.lost_share != null) facts.push(["spikes lost", charts.density(p.lost_share)]);
    if (p.max_error != null) facts.push(["largest error", String(p.max_error)]);
    if (p.clocks) facts.push(["clocks", plain(p.clocks)]);
    if (p.reason) facts.push(["reason", plain(p.reason)]);
    for (const note of p.notes || []) facts.push(["note", plain(note)]);
    return element("div", {}, element("p", { class: "detail" }, `${kernelName(p)} on ${curveOf(p).detail} · density ${charts.density(p.d)}`),
      element("dl", { class: "facts" }, ...facts.map(([k, v]) => element("div", {}, element("dt", {}, k), element("dd", {}, v)))),
      p.command ? command(plain(p.command)) : element("p", { class: "note" }, "The command for this point was not recorded; the sweep's is below."));
  }

  function winnerTable() {
    const rows = () => view().winners.map((w) => ({ ...data.points[w.point], winner: w }));
    const ratioColumn = (title, key, wide) => ({
      title, label: title.toLowerCase(), class: "num" + (wide ? " wide" : ""), value: (p) => p.winner[key], text: () => "", cell: (p) => charts.ratio(p.winner[key]),
    });
    return table(byId("winner-table"), {
      name: "winners", rows, detail,
      columns: [
        problemColumn, densityColumn,
        { title: "Winner", value: (p) => kernelName(p) + (p.baseline ? " baseline" : ""),
          cell: (p) => [element("span", { class: "mono" }, kernelName(p)), ...tags(p),
            p.winner.ties.length ? element("span", { class: "spread" }, " ≈ " + p.winner.ties.join(", ")) : ""].filter(Boolean) },
        timeColumn("Encode", 0, true), timeColumn("Compute", 1, true), timeColumn("Total", 2),
        ratioColumn("Over dense", "over_dense"), ratioColumn("Over best baseline", "over_baseline", true),
      ],
    });
  }

  function pointTable() {
    const counts = { ok: 0, skipped: 0, failed: 0, wrong: 0 };
    for (const p of data.points) counts[p.s] = (counts[p.s] || 0) + 1;
    let status = "";
    const controls = (refresh) => {
      const select = element("select", { "aria-label": "Status" }, element("option", { value: "" }, `every status (${data.points.length})`),
        ...Object.entries(counts).map(([s, n]) => element("option", { value: s }, `${s} (${n})`)));
      select.addEventListener("change", () => { status = select.value; refresh(); });
      return [select];
    };
    return table(byId("point-table"), {
      name: "all points", rows: () => data.points, detail, controls, keep: (p) => !status || p.s === status,
      columns: [
        { title: "Status", value: (p) => p.s, cell: (p) => element("span", { class: "status-" + (counts[p.s] && /^\w+$/.test(p.s) ? p.s : "failed") }, p.s || "?") },
        problemColumn, densityColumn,
        { title: "Format and kernel", value: (p) => kernelName(p) + (p.baseline ? " baseline" : "") + (p.lossy ? " lossy" : ""),
          cell: (p) => [element("span", { class: "mono" }, kernelName(p)), ...tags(p)].filter(Boolean) },
        timeColumn("Encode", 0, true), timeColumn("Compute", 1, true), timeColumn("Total", 2),
        { title: "Reason", class: "reason", value: (p) => p.reason, cell: (p) => p.reason ? plain(p.reason) : "" },
      ],
    });
  }

  // ---- the rest of the page ----

  const NAMES = { gpu: "GPU", sms: "multiprocessors", l2_bytes: "L2 cache", driver: "driver", cuda: "CUDA", clocks: "clocks", copy_gbps: "copy bandwidth", cpu: "CPU", threads: "threads", versions: "versions" };
  function environment() {
    const list = byId("environment");
    const add = (name, value) => list.append(element("dt", {}, name), element("dd", {}, value));
    add("measured", plain(data.created) + (data.complete === false ? " (interrupted: not all that was planned)" : ""));
    add("revision", plain(data.git));
    for (const [key, value] of Object.entries(data.environment || {})) {
      add(NAMES[key] || key, value == null ? "–" : key === "l2_bytes" ? bytes(value) : key === "copy_gbps" ? `${plain(value)} GB/s` : plain(value));
    }
    const argv = Array.isArray(data.argv) ? data.argv.map(plain) : [];
    const quote = (word) => /^[\w@%+=:,./-]+$/.test(word) ? word : "'" + word.replace(/'/g, "'\\''") + "'";
    byId("sweep-command").append(argv.length ? command(argv.map(quote).join(" ")) : element("p", { class: "note" }, "Not recorded."));
  }

  function buildSwitch(onChange) {
    for (const input of document.querySelectorAll("#mode-switch input")) {
      input.checked = input.value === state.mode;
      input.disabled = !data.views[input.value];
      if (input.disabled) input.parentElement.title = "Not measured in this report";
      input.addEventListener("change", () => { state.mode = input.value; onChange(); });
    }
  }

  function followWidth() {
    const measure = () => Math.max(280, Math.floor(byId("panels").clientWidth));
    state.width = measure();
    let timer = 0;
    addEventListener("resize", () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (measure() === state.width) return;
        state.width = measure();
        redraw();
      }, 150);
    });
  }

  // On paper everything is light, and drawn.
  function followPrinting() {
    const all = () => panels.forEach(drawPanel);
    addEventListener("beforeprint", () => { root.classList.add("printing"); all(); });
    addEventListener("afterprint", () => { root.classList.remove("printing"); redraw(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  byId("panels").append(...panels.map((panel) => panel.node));
  if (!panels.length) byId("panels").append(element("p", { class: "note" }, "The report has no points."));
  followWidth();
  const tables = [winnerTable(), pointTable()];
  buildLegend();
  buildJump();
  environment();
  buildSwitch(() => {
    for (const block of document.querySelectorAll("#summary > [data-mode]")) block.hidden = block.dataset.mode !== state.mode;
    for (const load of tables) load();
    redraw();
  });
  followPrinting();
  publish(false);
  schedule();
})();
