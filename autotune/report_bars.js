"use strict";
// Charts of bars: encode and compute stacked, against the best dense.

(() => {
  const { time, ratio } = charts;
  const { config, labelled, densityScale, densityAxis, logScale, envelope, denseEnvelope, tip, standing, TIME_LABEL } = charts.common;

  // The two parts of a bar, or its total where the parts were not measured.
  function partsOf(p, limit, theme) {
    const cut = (v) => Math.min(v, limit);
    if (p.encode == null || p.compute == null) {
      return [{ from: 0, to: cut(p.total), fill: theme.series.other }];
    }
    return [
      { from: 0, to: cut(p.encode), fill: theme.encode },
      { from: cut(p.encode), to: cut(p.encode + p.compute), fill: theme.compute },
    ];
  }

  // Baselines are outlined with dashes over a paler fill.
  function barLook(s, part) {
    return {
      fill: part.fill,
      fillOpacity: s.library ? 0.38 : s.lossy ? 0.55 : 1,
      stroke: s.library || s.lossy ? part.fill : null,
      dash: s.library ? [3, 2] : s.lossy ? [1, 2] : [],
    };
  }

  // Bars beyond this are cut: slow formats must not flatten the ones that matter.
  function barLimit(series, factor) {
    const dense = denseEnvelope(series);
    const reference = dense.size ? dense : envelope(series, () => true);
    const most = Math.max(...series.flatMap((s) => s.at.map((p) => Math.max(p.high, p.total))));
    return Math.min(most, factor * Math.max(...reference.values())) * 1.04;
  }

  function cell(s, place, shared) {
    const { theme, limit, dense, densities, barWidth, amortise, cw, ch } = shared;
    const crossings = s.library || s.lossy ? [] : shared.crossings.filter((c) => c.a === s.format);
    const bars = s.at.flatMap((p) => partsOf(p, limit, theme).map((part) => ({
      d: p.d, i: p.i, ...part, ...barLook(s, part), tip: tip(s, p, dense, amortise),
    })));
    const totals = s.at.filter((p) => p.total <= limit).map((p) => ({ ...p, high: Math.min(p.high, limit) }));
    const cutOff = s.at.filter((p) => p.total > limit).map((p) => ({ d: p.d, i: p.i, tip: tip(s, p, dense, amortise) }));
    const denseLine = [...dense].map(([d, total]) => ({ d, total: Math.min(total, limit) })).sort((a, b) => a.d - b.d);
    const at = (field, offset = 0) => ({ scale: "x", field, offset });
    const up = (field) => ({ scale: "y", field });
    const label = (y, text, look) => ({
      type: "text",
      interactive: false,
      encode: { enter: { x: { value: 0 }, y: { value: y }, text: { value: text }, limit: { value: cw }, ...look } },
    });
    return {
      type: "group",
      encode: { enter: { x: { value: place.x }, y: { value: place.y }, width: { value: cw }, height: { value: ch } } },
      // An axis takes its length from these.
      signals: [{ name: "width", value: cw }, { name: "height", value: ch }],
      data: [
        { name: "bars", values: bars },
        { name: "totals", values: totals },
        { name: "cut", values: cutOff },
        { name: "dense", values: denseLine },
        { name: "crossings", values: crossings },
      ],
      axes: [
        densityAxis(densities, { labelFontSize: 10 }),
        {
          scale: "y",
          orient: "left",
          grid: true,
          ticks: false,
          domain: false,
          tickCount: 3,
          labels: place.first,
          encode: labelled(TIME_LABEL),
        },
      ],
      marks: [
        label(-22, s.label, { fontWeight: { value: 600 } }),
        label(-8, standing(s, dense, crossings), { fill: { value: theme.muted }, fontSize: { value: 10.5 } }),
        {
          type: "rect",
          interactive: false,
          from: { data: "crossings" },
          encode: { enter: { x: at("low"), x2: at("high"), y: { value: 0 }, y2: { value: ch }, fill: { value: theme.ink }, fillOpacity: { value: 0.08 } } },
        },
        {
          type: "rule",
          interactive: false,
          from: { data: "crossings" },
          encode: { enter: { x: at("density"), y: { value: 0 }, y2: { value: ch }, stroke: { value: theme.muted }, strokeDash: { value: [2, 3] } } },
        },
        {
          type: "rect",
          name: "datum-bar",
          from: { data: "bars" },
          encode: {
            enter: {
              xc: at("d"), width: { value: barWidth }, y: up("from"), y2: up("to"), fill: { field: "fill" },
              fillOpacity: { field: "fillOpacity" }, stroke: { field: "stroke" }, strokeDash: { field: "dash" },
              tooltip: { field: "tip" },
            },
          },
        },
        {
          type: "line",
          interactive: false,
          from: { data: "dense" },
          encode: { enter: { x: at("d"), y: up("total"), stroke: { value: theme.ink }, strokeWidth: { value: 1.3 }, strokeDash: { value: [4, 3] } } },
        },
        {
          type: "rule",
          interactive: false,
          from: { data: "totals" },
          encode: { enter: { x: at("d"), y: up("low"), y2: up("high"), stroke: { value: theme.ink } } },
        },
        {
          type: "rule",
          interactive: false,
          from: { data: "totals" },
          encode: {
            enter: {
              x: at("d", -barWidth / 2 - 2), x2: at("d", barWidth / 2 + 2), y: up("total"),
              stroke: { value: theme.ink }, strokeWidth: { value: 1.6 },
            },
          },
        },
        {
          type: "symbol",
          from: { data: "cut" },
          encode: { enter: { x: at("d"), y: { value: -1 }, shape: { value: "triangle-up" }, size: { value: 36 }, fill: { value: theme.ink }, tooltip: { field: "tip" } } },
        },
      ],
    };
  }

  // One small chart per series: encode and compute stacked, against the best dense.
  function parts({ series, crossings, theme, width, amortise }) {
    const margin = { left: 58, right: 6, top: 36, bottom: 22 };
    const inner = width - margin.left - margin.right;
    const columns = Math.max(1, Math.min(5, series.length, Math.floor((inner + 18) / 148)));
    const cw = (inner - 18 * (columns - 1)) / columns;
    const ch = 124;
    const pitch = ch + 72;
    const densities = [...new Set(series.flatMap((s) => s.at.map((p) => p.d)))].sort((a, b) => a - b);
    const x = densityScale(densities, [0, cw]);
    const scale = logScale(x.domain, cw);
    const gaps = densities.slice(1).map((d, i) => scale(d) - scale(densities[i]));
    const barWidth = Math.max(2.5, Math.min(16, 0.7 * Math.min(...gaps)));
    // Room for half a bar at both ends.
    x.range = [barWidth / 2 + 2, cw - barWidth / 2 - 2];
    const limit = barLimit(series, 2.5);
    const shared = { theme, limit, crossings, dense: denseEnvelope(series), densities, barWidth, amortise, cw, ch };
    return {
      $schema: "https://vega.github.io/schema/vega/v5.json",
      description: "Encode and compute time against density, one small chart for each format",
      width: inner,
      height: pitch * Math.ceil(series.length / columns) - (pitch - ch),
      autosize: "none",
      padding: margin,
      config: config(theme),
      scales: [x, { name: "y", type: "linear", domain: [0, limit], range: [ch, 0] }],
      marks: series.map((s, i) => {
        const column = i % columns;
        return cell(s, { x: column * (cw + 18), y: pitch * Math.floor(i / columns), first: column === 0 }, shared);
      }),
    };
  }

  // Where there is one density only: the series in order, encode and compute stacked.
  function ranking({ series, theme, width, amortise }) {
    const narrow = width < 560;
    const margin = { left: narrow ? 112 : 180, right: 138, top: 6, bottom: 40 };
    const inner = width - margin.left - margin.right;
    const step = 26;
    const limit = barLimit(series, 4);
    const dense = denseEnvelope(series);
    const rows = series.map((s) => ({ s, p: s.at[0] })).sort((a, b) => a.p.total - b.p.total);
    const height = step * rows.length;
    const bars = rows.flatMap(({ s, p }) => partsOf(p, limit, theme).map((part) => ({
      label: s.label, i: p.i, ...part, ...barLook(s, part), tip: tip(s, p, dense, amortise),
    })));
    const totals = rows.map(({ s, p }) => ({
      label: s.label,
      total: Math.min(p.total, limit),
      low: Math.min(p.low, limit),
      high: Math.min(p.high, limit),
      text: (p.total > limit ? "▸ " : "") + time(p.total),
      speed: dense.has(p.d) ? ratio(dense.get(p.d) / p.total) : "",
    }));
    const along = (field) => ({ scale: "x", field });
    const row = (offset) => ({ scale: "row", field: "label", band: 0.5, offset });
    return {
      $schema: "https://vega.github.io/schema/vega/v5.json",
      description: "Encode and compute time of each format, cheapest first",
      width: inner,
      height,
      autosize: "none",
      padding: margin,
      config: config(theme),
      data: [{ name: "bars", values: bars }, { name: "totals", values: totals },
        { name: "dense", values: [...dense.values()].filter((v) => v <= limit).map((total) => ({ total })) }],
      scales: [
        { name: "x", type: "linear", domain: [0, limit], range: [0, inner] },
        { name: "row", type: "band", domain: rows.map(({ s }) => s.label), range: [0, height] },
      ],
      axes: [
        { scale: "x", orient: "bottom", grid: true, tickCount: narrow ? 3 : 6, labelOverlap: "greedy", labelSeparation: 6, encode: labelled(TIME_LABEL), title: narrow ? "" : "right of the bars: total, and speed relative to the best dense" },
        { scale: "row", orient: "left", ticks: false, domain: false, labelLimit: margin.left - 8, labelColor: theme.ink },
      ],
      marks: [
        {
          type: "rect",
          name: "datum-bar",
          from: { data: "bars" },
          encode: {
            enter: {
              x: along("from"), x2: along("to"), yc: row(0), height: { value: 15 }, fill: { field: "fill" },
              fillOpacity: { field: "fillOpacity" }, stroke: { field: "stroke" }, strokeDash: { field: "dash" }, tooltip: { field: "tip" },
            },
          },
        },
        {
          type: "rule",
          interactive: false,
          from: { data: "dense" },
          encode: { enter: { x: along("total"), y: { value: 0 }, y2: { value: height }, stroke: { value: theme.ink }, strokeDash: { value: [4, 3] }, strokeWidth: { value: 1.3 } } },
        },
        {
          type: "rule",
          interactive: false,
          from: { data: "totals" },
          encode: { enter: { x: along("low"), x2: along("high"), y: row(0), stroke: { value: theme.ink } } },
        },
        {
          type: "rule",
          interactive: false,
          from: { data: "totals" },
          encode: { enter: { x: along("total"), y: row(-9), y2: row(9), stroke: { value: theme.ink }, strokeWidth: { value: 1.6 } } },
        },
        {
          type: "text",
          interactive: false,
          from: { data: "totals" },
          encode: { enter: { x: { value: inner + 72 }, y: row(0), align: { value: "right" }, baseline: { value: "middle" }, text: { field: "text" } } },
        },
        {
          type: "text",
          interactive: false,
          from: { data: "totals" },
          encode: { enter: { x: { value: inner + 134 }, y: row(0), align: { value: "right" }, baseline: { value: "middle" }, text: { field: "speed" }, fill: { value: theme.muted } } },
        },
      ],
    };
  }

  Object.assign(charts, { parts, ranking });
})();
