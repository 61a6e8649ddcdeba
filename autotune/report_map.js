"use strict";
// Charts over many workloads: who wins where, how far kernels are from their floors, how fast
// encoders are.

(() => {
  const { time, density } = charts;
  const { config, labelled, densityScale, densityAxis } = charts.common;

  // ---- winner map ----

  const EXACT_COLUMNS = 12;
  const EXACT_FILL = 0.5;
  const EDGES = [0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];

  // One column a density while they are few and most cells are taken, else the ranges between 1, 2
  // and 5 times powers of ten.
  function mapColumns(densities, rows) {
    const rounded = (d) => Number(d.toPrecision(2));
    const exact = [...new Set(densities.map(rounded))].sort((a, b) => a - b);
    const full = densities.length >= EXACT_FILL * rows * exact.length;
    if (exact.length <= 3 || (exact.length <= EXACT_COLUMNS && full)) {
      return { exact: true, labels: exact.map(density), of: (d) => exact.indexOf(rounded(d)) };
    }
    const bin = (d) => Math.max(0, EDGES.findIndex((edge, k) => k > 0 && d <= edge) - 1);
    const used = [...new Set(densities.map(bin))].sort((a, b) => a - b);
    const label = (k) => k === 0 ? "≤ 0.1 %" : `${density(EDGES[k]).replace(" %", "")}–${density(EDGES[k + 1])}`;
    return { labels: used.map(label), of: (d) => used.indexOf(bin(d)) };
  }

  function channels(color) {
    const hex = color.replace("#", "");
    return [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
  }
  function blended(over, under, opacity) {
    const below = channels(under);
    return channels(over).map((v, k) => v * opacity + below[k] * (1 - opacity));
  }
  const toHex = (rgb) => "#" + rgb.map((v) => Math.round(v * 255).toString(16).padStart(2, "0")).join("");
  // Black or white, whichever reads better on a colour (WCAG's relative luminance).
  function inkOn(rgb) {
    const [r, g, b] = rgb.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.19 ? "#101214" : "#ffffff";
  }
  // Full colour at eight times the speed of dense.
  const shadeOf = (speedup) => 0.16 + 0.74 * Math.min(1, Math.max(0, Math.log2(speedup ?? 1) / 3));

  // What a cell says under the name of its format.
  function cellWords(cell) {
    const times = (value) => (value >= 99.5 ? value.toFixed(0) : value.toPrecision(value < 1 ? 2 : 3)) + "×";
    if (cell.format !== "dense") return cell.speedup == null ? time(cell.total) : times(cell.speedup);
    return cell.other == null ? time(cell.total) : `(${times(cell.total / cell.other)})`;
  }

  // What tells workloads apart is often last: a long label loses its middle.
  function shortened(label, letters) {
    if (label.length <= letters) return label;
    const tail = Math.floor(letters / 2);
    return label.slice(0, letters - tail - 1).trimEnd() + "…" + label.slice(-tail).trimStart();
  }

  // `cells`: { c, d, i, format, color, speedup, other, total, tie, tip }; `rows`: { c, label, workload },
  // the label beginning with the workload; `columns`: of mapColumns.
  function winnerMap({ cells, rows, columns, theme, width }) {
    const narrow = width < 640;
    const margin = { left: narrow ? 4 : 292, right: 4, top: narrow ? 40 : 26, bottom: 4 };
    const inner = width - margin.left - margin.right;
    const pitchX = inner / columns.labels.length;
    const high = 36;
    const pitchY = narrow ? high + 22 : high + 4;
    const rowOf = new Map(rows.map((row, k) => [row.c, k]));
    const groups = new Map();
    for (const cell of cells) {
      const key = rowOf.get(cell.c) + "/" + columns.of(cell.d);
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(cell);
    }
    const placed = [...groups].flatMap(([key, group]) => {
      const [row, column] = key.split("/").map(Number);
      const wide = (pitchX - 4) / group.length;
      return group.sort((a, b) => a.d - b.d).map((cell, k) => {
        const rgb = blended(theme.series[cell.color], theme.page, cell.format === "dense" ? 0.09 : shadeOf(cell.speedup));
        return {
          ...cell, x: column * pitchX + 2 + k * wide, y: row * pitchY + (narrow ? 20 : 0), w: wide - (group.length > 1 ? 1 : 0),
          fill: toHex(rgb), ink: inkOn(rgb), stroke: theme.series[cell.color], dash: cell.tie ? [3, 2] : [],
          name: wide >= 34 ? cell.format : "", words: wide < 34 ? "" : columns.exact || wide < 84 ? cellWords(cell) : `${cellWords(cell)} at ${density(cell.d)}`, room: wide - (narrow ? 1 : 4),
        };
      });
    });
    // Beside its cells, two lines high, a row has room for its workload and for the rest of its label.
    const lines = rows.flatMap((row, k) => {
      const line = (text, letters, dy, fill) => ({ text: shortened(text, letters), y: k * pitchY + dy, fill });
      if (narrow) return [line(row.label, Math.floor(inner / 7), 10, theme.ink)];
      const rest = row.label.slice(row.workload.length).trim();
      if (!row.workload || !rest) return [line(row.label, 44, high / 2, theme.ink)];
      return [line(row.workload, 44, 11, theme.ink), line(rest, 44, 26, theme.muted)];
    });
    const text = (field, dy, size, weight) => ({
      type: "text", interactive: false, from: { data: "cells" },
      encode: {
        enter: {
          x: { signal: "datum.x + datum.w / 2" }, y: { field: "y", offset: dy }, align: { value: "center" }, baseline: { value: "middle" },
          text: { field }, fill: { field: "ink" }, fontSize: { value: size }, fontWeight: { value: weight }, limit: { field: "room" },
        },
      },
    });
    return {
      $schema: "https://vega.github.io/schema/vega/v5.json",
      description: "Winning format by workload and density, darker the faster it is than dense",
      width: inner, height: pitchY * rows.length, autosize: "none", padding: margin, config: config(theme),
      data: [
        { name: "cells", values: placed },
        { name: "rows", values: lines },
        { name: "columns", values: columns.labels.map((label, k) => ({ label: narrow ? label.replace(" %", "") : label, x: (k + 0.5) * pitchX })) },
      ],
      marks: [
        {
          type: "text", interactive: false, from: { data: "columns" },
          encode: { enter: { x: { field: "x" }, y: { value: -10 }, align: { value: "center" }, text: { field: "label" }, fill: { value: theme.muted }, limit: { value: pitchX } } },
        },
        {
          type: "text", interactive: false,
          encode: { enter: { x: { value: 2 }, y: { value: -26 }, text: { value: narrow ? "density in %" : "" }, fill: { value: theme.muted } } },
        },
        {
          type: "text", interactive: false, from: { data: "rows" },
          encode: {
            enter: {
              x: { value: narrow ? 2 : -10 }, y: { field: "y" }, align: { value: narrow ? "left" : "right" }, baseline: { value: "middle" },
              text: { field: "text" }, limit: { value: narrow ? inner : margin.left - 14 }, fontSize: { value: 12 }, fill: { field: "fill" },
            },
          },
        },
        {
          type: "rect", name: "datum-cell", from: { data: "cells" },
          encode: {
            enter: {
              x: { field: "x" }, y: { field: "y" }, width: { field: "w" }, height: { value: high }, cornerRadius: { value: 3 },
              fill: { field: "fill" }, stroke: { field: "stroke" }, strokeWidth: { value: 1.2 }, strokeDash: { field: "dash" },
              tooltip: { field: "tip" }, cursor: { value: "pointer" },
            },
          },
        },
        text("name", 12, narrow ? 9 : 11.5, 600),
        text("words", 26, narrow ? 9 : 10.5, 400),
      ],
    };
  }

  // ---- floors ----

  // `rows`: { name, color, shape, library, lossy, at: [{ i, times, tip }] }, `times`: over the floor.
  function floors({ rows, theme, width, title }) {
    const margin = { left: Math.min(200, width * 0.38), right: 16, top: 22, bottom: 40 };
    const inner = width - margin.left - margin.right;
    const step = 19;
    const letters = Math.floor((margin.left - 8) / 6.4);
    const short = rows.map((row) => shortened(row.name, letters));
    const distinct = new Set(short).size === rows.length;
    const sorted = rows.map((row, k) => {
      const times = row.at.map((p) => p.times).sort((a, b) => a - b);
      return { ...row, name: distinct ? short[k] : row.name, median: times[Math.floor(times.length / 2)] };
    }).sort((a, b) => a.median - b.median);
    const dots = sorted.flatMap((row) => row.at.map((p) => ({
      ...p, name: row.name, shape: row.shape, stroke: theme.series[row.color],
      fill: row.library || row.lossy ? theme.page : theme.series[row.color],
    })));
    const all = dots.map((p) => p.times);
    const domain = [Math.min(0.9, ...all) * 0.95, Math.max(2, ...all) * 1.1];
    const ticks = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10000].filter((t) => t <= domain[1]);
    const height = step * sorted.length;
    const row = (offset) => ({ scale: "row", field: "name", band: 0.5, offset });
    return {
      $schema: "https://vega.github.io/schema/vega/v5.json",
      description: "Time over the floor that memory and arithmetic set, one row for each kernel",
      width: inner, height, autosize: "none", padding: margin, config: config(theme),
      data: [{ name: "dots", values: dots }, { name: "rows", values: sorted.map(({ name, median }) => ({ name, median })) }],
      scales: [
        { name: "x", type: "log", domain, range: [0, inner], zero: false },
        { name: "row", type: "band", domain: sorted.map((r) => r.name), range: [0, height] },
      ],
      axes: [
        { scale: "x", orient: "bottom", grid: true, values: ticks, encode: labelled("format(datum.value, '~r') + '×'"), labelOverlap: "greedy", labelSeparation: 6, title },
        { scale: "row", orient: "left", ticks: false, domain: false, labelLimit: margin.left - 8, labelColor: theme.ink },
      ],
      marks: [
        {
          type: "rule", interactive: false,
          encode: { enter: { x: { scale: "x", value: 1 }, y: { value: -4 }, y2: { value: height }, stroke: { value: theme.ink }, strokeWidth: { value: 1.6 } } },
        },
        {
          type: "text", interactive: false,
          encode: { enter: { x: { scale: "x", value: 1 }, y: { value: -8 }, text: { value: "floor" }, align: { value: "center" }, fontWeight: { value: 600 } } },
        },
        {
          type: "symbol", name: "datum-floor", from: { data: "dots" },
          encode: {
            enter: {
              x: { scale: "x", field: "times" }, y: row(0), shape: { field: "shape" }, size: { value: 36 }, fill: { field: "fill" },
              stroke: { field: "stroke" }, opacity: { value: 0.72 }, tooltip: { field: "tip" }, cursor: { value: "pointer" },
            },
          },
        },
        {
          type: "rule", interactive: false, from: { data: "rows" },
          encode: { enter: { x: { scale: "x", field: "median" }, y: row(-7), y2: row(7), stroke: { value: theme.ink }, strokeWidth: { value: 2 } } },
        },
      ],
    };
  }

  // ---- encoders alone ----

  // `series`: as of curveSeries, with { d, i, gbps, tip } in `at`; `copy`: GB/s of a copy, or null.
  function encoders({ series, copy, theme, width }) {
    const margin = { left: 62, right: 14, top: 12, bottom: 42 };
    const inner = width - margin.left - margin.right;
    const height = width < 560 ? 240 : 300;
    const densities = [...new Set(series.flatMap((s) => s.at.map((p) => p.d)))].sort((a, b) => a - b);
    const most = Math.max(copy ?? 0, ...series.flatMap((s) => s.at.map((p) => p.gbps))) * 1.06;
    const dots = series.flatMap((s) => s.at.map((p) => ({ ...p, shape: s.shape, stroke: theme.series[s.color], fill: s.lossy ? theme.page : theme.series[s.color] })));
    return {
      $schema: "https://vega.github.io/schema/vega/v5.json",
      description: "Bytes read and written a second against density, one line for each encoder",
      width: inner, height, autosize: "none", padding: margin, config: config(theme),
      data: [{ name: "dots", values: dots }, ...series.map((s, k) => ({ name: "line" + k, values: s.at }))],
      scales: [densityScale(densities, [0, inner]), { name: "y", type: "linear", domain: [0, most], range: [height, 0] }],
      axes: [
        densityAxis(densities, { title: "density (share of nonzeros)" }),
        { scale: "y", orient: "left", grid: true, tickCount: 6, title: "GB/s read and written", encode: labelled("format(datum.value, '~r')") },
      ],
      marks: [
        ...(copy == null ? [] : [
          { type: "rule", interactive: false, encode: { enter: { x: { value: 0 }, x2: { value: inner }, y: { scale: "y", value: copy }, stroke: { value: theme.ink }, strokeDash: { value: [4, 3] } } } },
          { type: "text", interactive: false, encode: { enter: { x: { value: inner }, y: { scale: "y", value: copy, offset: 13 }, align: { value: "right" }, text: { value: "a copy" } } } },
        ]),
        ...series.map((s, k) => ({
          type: "line", name: "datum-line-" + k, interactive: false, from: { data: "line" + k },
          encode: { enter: { x: { scale: "x", field: "d" }, y: { scale: "y", field: "gbps" }, stroke: { value: theme.series[s.color] }, strokeWidth: { value: 1.8 } } },
        })),
        {
          type: "symbol", name: "datum-dot", from: { data: "dots" },
          encode: {
            enter: {
              x: { scale: "x", field: "d" }, y: { scale: "y", field: "gbps" }, shape: { field: "shape" }, size: { value: 62 }, fill: { field: "fill" },
              stroke: { field: "stroke" }, strokeWidth: { value: 1.6 }, tooltip: { field: "tip" }, cursor: { value: "pointer" },
            },
          },
        },
      ],
    };
  }

  Object.assign(charts, { mapColumns, winnerMap, floors, encoders, shadeOf });
})();
