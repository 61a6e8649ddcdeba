"use strict";
// Tables that sort, filter and open rows, and the details of a point.

const tables = (() => {
  const { data, state, byId, element, drawing, view, timesOf, curveOf, sourceOf, kernelName, samplesOf, bytes, plain, command, encodeOnly, encodeRate } = model;

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

  // ---- details of a point ----

  function measurement(t, floor) {
    if (!t) return "–";
    const share = floor ? `, ${charts.ratio(t[0] / floor)} its floor of ${charts.time(floor)}` : "";
    return `${charts.time(t[0])}  [${charts.time(t[1])} – ${charts.time(t[2])}], ${t[3]} samples${share}`;
  }

  // Samples in the order in which they were taken; the line is their median.
  function sampleStrip(values, median) {
    const [width, height] = [300, 44];
    const low = Math.min(...values, median);
    const high = Math.max(...values, median);
    const y = (v) => (high > low ? 4 + (height - 8) * (high - v) / (high - low) : height / 2);
    const step = (width - 8) / Math.max(1, values.length - 1);
    return drawing("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${values.length} samples from ${charts.time(low)} to ${charts.time(high)}` },
      drawing("line", { x1: 0, x2: width, y1: y(median), y2: y(median), class: "sample-median" }),
      ...values.map((v, k) => drawing("circle", { cx: 4 + k * step, cy: y(v), r: 2, class: "sample" })));
  }
  function sampleBlocks(p) {
    const all = samplesOf(p);
    return ["cold", "hot"].flatMap((mode) => (all[mode] || []).map((values, k) => {
      const t = p.t[mode] && p.t[mode][k];
      if (!values || !values.length || !t) return null;
      const part = ["encode", "compute", "total"][k];
      const kept = values.length < t[3] ? `first ${values.length} of ${t[3]} samples` : `${values.length} samples`;
      return element("figure", { class: "samples" }, element("figcaption", {}, `${part}, ${mode}: ${kept}`), sampleStrip(values, t[0]),
        element("details", {}, element("summary", {}, "values in µs"), element("p", { class: "mono" }, values.join(" "))));
    })).filter(Boolean);
  }

  function factsOf(p) {
    const facts = [];
    if (p.config) facts.push(["config", plain(p.config)]);
    const floor = p.floor || {};
    for (const mode of ["cold", "hot"]) {
      const t = p.t[mode];
      if (!t) continue;
      facts.push([`encode, ${mode}`, measurement(t[0], floor.encode)]);
      if (t[1] || t[2]) facts.push([`compute, ${mode}`, measurement(t[1], floor.compute)], [`total, ${mode}`, measurement(t[2])]);
    }
    for (const [key, value] of Object.entries(p.bytes || {})) if (value != null) facts.push([key + " size", bytes(value)]);
    if (p.nnz != null) facts.push(["nonzeros", p.nnz.toLocaleString("en")]);
    for (const [key, value] of Object.entries(p.features || {})) facts.push([key.replaceAll("_", " "), typeof value === "number" ? String(Number(value.toPrecision(4))) : plain(value)]);
    if (p.lost_share != null) facts.push(["spikes lost", charts.density(p.lost_share)]);
    if (p.max_error != null) facts.push(["largest error", String(p.max_error)]);
    if (p.clocks) facts.push(["clocks", plain(p.clocks)]);
    if (p.reason) facts.push(["reason", plain(p.reason)]);
    for (const note of p.notes || []) facts.push(["note", plain(note)]);
    if (data.sources.length > 1) facts.push(["report", plain(sourceOf(p).name)]);
    return facts;
  }

  function detail(p) {
    const blocks = sampleBlocks(p);
    return element("div", {}, element("p", { class: "detail" }, `${kernelName(p)} on ${curveOf(p).detail} · density ${charts.density(p.d)}`),
      element("dl", { class: "facts" }, ...factsOf(p).map(([k, v]) => element("div", {}, element("dt", {}, k), element("dd", {}, v)))),
      ...(blocks.length ? [element("div", { class: "sample-blocks" }, ...blocks)] : []),
      element("p", { class: "detail" }, "Measure this point again:"),
      p.command ? command(plain(p.command)) : element("p", { class: "note" }, "The command for this point was not recorded; the sweep's is below."));
  }

  // A click on a mark opens the same details over the page; Escape closes them.
  const dialog = byId("point-dialog");
  function showPoint(i) {
    const p = data.points[i];
    if (!p) return;
    const close = element("button", { type: "button", class: "close", onclick: () => dialog.close() }, "Close");
    dialog.replaceChildren(element("div", { class: "dialog-head" },
      element("h2", { id: "dialog-title" }, `${kernelName(p)}, ${charts.density(p.d)}`), close),
    element("p", {}, curveOf(p).label), detail(p));
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  }
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  // ---- the page's tables ----

  const rateColumns = [
    { title: "GB/s", label: "GB/s", class: "num", value: encodeRate, text: () => "", cell: (p) => encodeRate(p) == null ? "–" : charts.significant(encodeRate(p)) },
    { title: "Of a copy", label: "of a copy", class: "num", value: copyShare, text: () => "", cell: (p) => copyShare(p) == null ? "–" : Math.round(100 * copyShare(p)) + " %" },
  ];
  // The floor of an encoder is the time in which a copy moves the same bytes.
  function copyShare(p) {
    const t = timesOf(p)[0];
    return t && p.floor && p.floor.encode != null ? p.floor.encode / t[0] : null;
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
    const chosen = { s: "", f: "", c: "" };
    const choice = (refresh, key, name, options) => {
      const select = element("select", { "aria-label": name }, ...options.map(([value, label]) => element("option", { value }, label)));
      select.addEventListener("change", () => { chosen[key] = select.value; refresh(); });
      return select;
    };
    const controls = (refresh) => {
      const formats = [...new Set(data.points.map((p) => p.f))].sort();
      return [
        choice(refresh, "s", "Status", [["", `every status (${data.points.length})`], ...Object.entries(counts).map(([s, n]) => [s, `${s} (${n})`])]),
        choice(refresh, "f", "Format", [["", "every format"], ...formats.map((f) => [f, f || "?"])]),
        ...(data.curves.length > 1 ? [choice(refresh, "c", "Workload", [["", "every workload"], ...data.curves.map((c, k) => [String(k), c.label])])] : []),
      ];
    };
    const keep = (p) => (!chosen.s || p.s === chosen.s) && (!chosen.f || p.f === chosen.f) && (!chosen.c || String(p.c) === chosen.c);
    return table(byId("point-table"), {
      name: "all points", rows: () => data.points, detail, controls, keep,
      columns: [
        { title: "Status", value: (p) => p.s, cell: (p) => element("span", { class: "status-" + (counts[p.s] && /^\w+$/.test(p.s) ? p.s : "failed") }, p.s || "?") },
        problemColumn, densityColumn,
        { title: "Format and kernel", value: (p) => kernelName(p) + (p.baseline ? " baseline" : "") + (p.lossy ? " lossy" : ""),
          cell: (p) => [element("span", { class: "mono" }, kernelName(p)), ...tags(p)].filter(Boolean) },
        timeColumn("Encode", 0, !encodeOnly), ...(encodeOnly ? rateColumns : [timeColumn("Compute", 1, true), timeColumn("Total", 2)]),
        { title: "Reason", class: "reason", value: (p) => p.reason, cell: (p) => p.reason ? plain(p.reason) : "" },
      ],
    });
  }

  // What has no time, by reason: which formats, how often.
  function leftOutTable() {
    const groups = new Map();
    for (const p of data.points) {
      if (p.s === "ok") continue;
      const reason = plain(p.reason);
      const key = p.s + "|" + reason;
      if (!groups.has(key)) groups.set(key, { s: p.s, reason, count: 0, kernels: new Set(), curves: new Set() });
      const group = groups.get(key);
      group.count += 1;
      group.kernels.add(kernelName(p));
      if (p.c != null) group.curves.add(p.c);
    }
    const names = (set) => [...set].slice(0, 6).join(", ") + (set.size > 6 ? ` and ${set.size - 6} more` : "");
    const rows = [...groups.values()].sort((a, b) => b.count - a.count);
    const host = byId("left-out-table");
    if (!rows.length) {
      host.append(element("p", { class: "note" }, "Nothing: every candidate was measured and found correct."));
      return;
    }
    const head = ["Status", "Points", "Why", "Kernels", "Workloads"].map((title) => element("th", { scope: "col" }, title));
    const line = (g) => element("tr", {}, element("td", { class: "status-" + (/^(skipped|failed|wrong)$/.test(g.s) ? g.s : "failed") }, g.s || "?"),
      element("td", { "data-label": "points" }, String(g.count)), element("td", { class: "why" }, g.reason), element("td", { class: "mono", "data-label": "kernels" }, names(g.kernels)),
      element("td", { "data-label": "workloads" }, g.curves.size === data.curves.length ? "all" : `${g.curves.size} of ${data.curves.length}`));
    const body = element("tbody", {}, ...rows.slice(0, PAGE).map(line));
    host.append(element("div", { class: "table-scroll plain" }, element("table", { "aria-label": "what was left out" }, element("thead", {}, element("tr", {}, ...head)), body)));
    if (rows.length > PAGE) host.append(element("p", { class: "note" }, `and ${rows.length - PAGE} more reasons; the table of points has them all.`));
  }

  return { winnerTable, pointTable, leftOutTable, showPoint, timeColumn };
})();
