"use strict";
// From the points of a report to Vega specifications. No DOM here: report_page.js draws.

const charts = (() => {
  // Colour and shape of each format; formats of plug-ins share the grey and differ by shape.
  const STYLES = {
    dense: ["dense", "circle"],
    csr: ["blue", "circle"],
    coo: ["blue", "cross"],
    csc: ["sky", "triangle-down"],
    ell: ["green", "square"],
    sell: ["green", "triangle-up"],
    hyb: ["green", "diamond"],
    bsr: ["red", "square"],
    cvs: ["red", "triangle-up"],
    two_four: ["purple", "diamond"],
    vnm: ["purple", "triangle-down"],
    bitmap: ["orange", "square"],
  };
  const OTHER_SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"];
  const FORMATS = Object.keys(STYLES);

  // ---- numbers as people read them ----

  function significant(value) {
    return Math.abs(value) >= 99.95 ? String(Math.round(value)) : value.toPrecision(3);
  }
  function time(us) {
    if (us == null) return "–";
    if (us >= 999.5e3) return significant(us / 1e6) + " s";
    if (us >= 999.5) return significant(us / 1e3) + " ms";
    return significant(us) + " µs";
  }
  function density(share) {
    return share == null ? "–" : String(Number(significant(share * 100))) + " %";
  }
  function ratio(value) {
    return value == null ? "–" : significant(value) + "×";
  }

  // ---- series ----

  function libraryOf(point) {
    return point.baseline ? point.k.split(".")[0] : "";
  }
  function seriesKey(point) {
    return [point.f, libraryOf(point), point.lossy ? "lossy" : ""].join("|");
  }
  function styleOf(format, others) {
    if (STYLES[format]) return STYLES[format];
    if (!others.includes(format)) others.push(format);
    return ["other", OTHER_SHAPES[others.indexOf(format) % OTHER_SHAPES.length]];
  }

  // Every series of a report, formats first in the order of STYLES, then baselines.
  function allSeries(points) {
    const found = new Map();
    const others = [];
    for (const point of points) {
      const key = seriesKey(point);
      if (point.s !== "ok" || found.has(key)) continue;
      const library = libraryOf(point);
      const [color, shape] = styleOf(point.f, others);
      const label = point.f + (library ? " · " + library : "") + (point.lossy ? " · lossy" : "");
      found.set(key, { key, format: point.f, library, lossy: !!point.lossy, label, color, shape });
    }
    const rank = (s) => {
      const at = FORMATS.indexOf(s.format);
      return (s.library ? 1000 : 0) + (at < 0 ? 100 : at) + (s.lossy ? 0.5 : 0);
    };
    return [...found.values()].sort((a, b) => rank(a) - rank(b));
  }

  // A curve's series in one mode: at each density the best kernel, ascending in density.
  function curveSeries(series, points, mode, amortise) {
    const best = new Map(series.map((s) => [s.key, new Map()]));
    for (const point of points) {
      const times = point.s === "ok" && point.t[mode];
      if (!times || !times[2]) continue;
      const at = best.get(seriesKey(point));
      const before = at.get(point.d);
      if (!before || times[2][0] < before.total) {
        at.set(point.d, {
          d: point.d,
          kernel: point.k,
          encode: times[0] && times[0][0],
          compute: times[1] && times[1][0] * amortise,
          total: times[2][0],
          low: times[2][1],
          high: times[2][2],
        });
      }
    }
    const result = series.map((s) => ({
      ...s,
      at: [...best.get(s.key).values()].sort((a, b) => a.d - b.d),
    }));
    return result.filter((s) => s.at.length > 0);
  }

  // The least total over the series that `wanted` names, by density.
  function envelope(series, wanted) {
    const least = new Map();
    for (const s of series) {
      if (!wanted(s)) continue;
      for (const p of s.at) least.set(p.d, Math.min(p.total, least.get(p.d) ?? Infinity));
    }
    return least;
  }
  const denseEnvelope = (series) => envelope(series, (s) => s.format === "dense" && !s.lossy);

  function tip(s, p, dense, amortise) {
    const products = amortise > 1 ? ` (${amortise} products)` : "";
    const lines = [
      `${s.label}, ${density(p.d)}`,
      p.kernel,
      `total ${time(p.total)}  [${time(p.low)} – ${time(p.high)}]`,
      `encode ${time(p.encode)}, compute ${time(p.compute)}${products}`,
    ];
    if (dense.has(p.d)) lines.push(`${ratio(dense.get(p.d) / p.total)} the speed of the best dense`);
    return lines.join("\n");
  }

  // How a series stands to the best dense one.
  function standing(s, dense, crossings) {
    if (s.lossy) return "lossy: never a winner";
    if (s.format === "dense") return s.library ? "baseline" : "";
    const shared = s.at.filter((p) => dense.has(p.d));
    if (!shared.length) return s.library ? "baseline" : "";
    const below = shared.filter((p) => p.total < dense.get(p.d)).length;
    if (below === shared.length) return "always below dense";
    if (below === 0) return "always above dense";
    if (!s.library && crossings.length) {
      return "meets dense at " + crossings.map((c) => density(c.density)).join(", ");
    }
    return `below dense at ${below} of ${shared.length}`;
  }

  // ---- Vega ----

  function config(theme) {
    const text = { labelFont: theme.font, titleFont: theme.font };
    return {
      background: null,
      text: { font: theme.font, fontSize: 11, fill: theme.ink },
      axis: {
        ...text,
        labelColor: theme.muted,
        titleColor: theme.muted,
        titleFontWeight: "normal",
        titleFontSize: 11.5,
        labelFontSize: 11,
        gridColor: theme.grid,
        domainColor: theme.line,
        tickColor: theme.line,
        tickSize: 4,
      },
    };
  }

  // Vega expressions for axis labels.
  const TIME_LABEL =
    "datum.value >= 1e6 ? format(datum.value / 1e6, '.3~r') + ' s' : " +
    "datum.value >= 1e3 ? format(datum.value / 1e3, '.3~r') + ' ms' : " +
    "format(datum.value, '.3~r') + ' µs'";
  const DENSITY_LABEL = "format(datum.value * 100, '.3~r') + ' %'";
  const labelled = (expression) => ({ labels: { update: { text: { signal: expression } } } });

  function densityScale(densities, range) {
    const least = Math.min(...densities);
    const most = Math.max(...densities);
    const pad = Math.max((most / least) ** 0.06, 1.02);
    return { name: "x", type: "log", domain: [least / pad, most * pad], range, zero: false };
  }

  function densityAxis(densities, extra) {
    return {
      scale: "x",
      orient: "bottom",
      values: densities,
      labelOverlap: "greedy",
      labelSeparation: 4,
      encode: labelled(DENSITY_LABEL),
      ...extra,
    };
  }

  // 1, 2 and 5 times the powers of ten in [low, high]: fewer words than every digit.
  function logTicks(low, high) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); ++power) {
      for (const digit of [1, 2, 5]) ticks.push(digit * 10 ** power);
    }
    return ticks.filter((tick) => tick >= low && tick <= high);
  }

  function dashOf(s) {
    return s.library ? [6, 4] : s.lossy ? [1.5, 3] : [];
  }

  // Labels of crossovers go above the plot, each in the first row where it fits.
  function placeLabels(crossings, scale, width) {
    const rows = [];
    return [...crossings].sort((a, b) => a.density - b.density).map((c) => {
      const text = `${c.a} = dense  ${density(c.density)}`;
      const half = text.length * 3.1;
      const x = Math.min(Math.max(scale(c.density), half), width - half);
      let row = rows.findIndex((end) => end + 10 < x - half);
      if (row < 0) row = rows.length;
      rows[row] = x + half;
      return { ...c, text, labelX: x, row };
    });
  }

  function logScale([low, high], width) {
    return (value) => (width * Math.log(value / low)) / Math.log(high / low);
  }

  // Total against density, both logarithmic, one line per series.
  function overview({ series, crossings, theme, width, amortise }) {
    const margin = { left: 62, right: 14, bottom: 42 };
    const inner = width - margin.left - margin.right;
    const height = width < 560 ? 260 : 340;
    const densities = [...new Set(series.flatMap((s) => s.at.map((p) => p.d)))].sort((a, b) => a - b);
    const x = densityScale(densities, [0, inner]);
    const placed = placeLabels(crossings, logScale(x.domain, inner), inner);
    const band = 8 + 15 * (placed.length ? 1 + Math.max(...placed.map((c) => c.row)) : 0);
    const dense = denseEnvelope(series);
    const values = series.flatMap((s) => s.at.map((p) => [p.low, p.high])).flat().filter((v) => v > 0);
    const y = [Math.min(...values) * 0.88, Math.max(...values) * 1.12];
    const dots = series.flatMap((s) => s.at.map((p) => ({
      ...p,
      tip: tip(s, p, dense, amortise),
      shape: s.shape,
      stroke: theme.series[s.color],
      fill: s.library || s.lossy ? theme.page : theme.series[s.color],
    })));
    const at = (field) => ({ scale: "x", field });
    const up = (field) => ({ scale: "y", field });
    const lines = series.map((s, i) => ({
      type: "line",
      name: "datum-line-" + i,
      interactive: false,
      from: { data: "line" + i },
      encode: {
        enter: {
          x: at("d"),
          y: up("total"),
          stroke: { value: theme.series[s.color] },
          strokeWidth: { value: s.format === "dense" ? 2.6 : 1.8 },
          strokeDash: { value: dashOf(s) },
        },
      },
    }));
    return {
      $schema: "https://vega.github.io/schema/vega/v5.json",
      description: "Total time against density, one line for each format",
      width: inner,
      height,
      autosize: "none",
      padding: { ...margin, top: band },
      config: config(theme),
      data: [
        { name: "dots", values: dots },
        { name: "crossings", values: placed },
        ...series.map((s, i) => ({ name: "line" + i, values: s.at })),
      ],
      scales: [
        x,
        { name: "y", type: "log", domain: y, range: [height, 0], zero: false },
      ],
      axes: [
        densityAxis(densities, { title: "density (share of nonzeros)" }),
        {
          scale: "y",
          orient: "left",
          grid: true,
          title: "encode + compute, measured as one",
          values: logTicks(...y),
          labelOverlap: "greedy",
          labelSeparation: 6,
          encode: labelled(TIME_LABEL),
        },
      ],
      marks: [
        {
          type: "rect",
          interactive: false,
          from: { data: "crossings" },
          encode: {
            enter: {
              x: at("low"), x2: at("high"), y: { value: 0 }, y2: { value: height },
              fill: { value: theme.ink }, fillOpacity: { value: 0.07 },
            },
          },
        },
        {
          type: "rule",
          interactive: false,
          from: { data: "crossings" },
          encode: {
            enter: {
              x: at("density"), y: { value: 0 }, y2: { value: height },
              stroke: { value: theme.muted }, strokeDash: { value: [2, 3] },
            },
          },
        },
        {
          type: "rule",
          name: "datum-whisker",
          interactive: false,
          from: { data: "dots" },
          encode: { enter: { x: at("d"), y: up("low"), y2: up("high"), stroke: { field: "stroke" }, strokeWidth: { value: 1.2 } } },
        },
        ...lines,
        {
          type: "symbol",
          name: "datum-dot",
          from: { data: "dots" },
          encode: {
            enter: {
              x: at("d"), y: up("total"), shape: { field: "shape" }, size: { value: 62 },
              fill: { field: "fill" }, stroke: { field: "stroke" }, strokeWidth: { value: 1.6 },
              tooltip: { field: "tip" },
            },
          },
        },
        {
          type: "symbol",
          name: "crossing",
          interactive: false,
          from: { data: "crossings" },
          encode: {
            enter: {
              x: at("density"), y: up("total_us"), size: { value: 190 }, shape: { value: "circle" },
              stroke: { value: theme.ink }, strokeWidth: { value: 1.4 },
            },
          },
        },
        {
          type: "text",
          interactive: false,
          from: { data: "crossings" },
          encode: {
            enter: {
              x: { field: "labelX" }, y: { signal: "-6 - 15 * datum.row" }, align: { value: "center" },
              text: { field: "text" }, fill: { value: theme.ink },
            },
          },
        },
      ],
    };
  }

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
      d: p.d, ...part, ...barLook(s, part), tip: tip(s, p, dense, amortise),
    })));
    const totals = s.at.filter((p) => p.total <= limit).map((p) => ({ ...p, high: Math.min(p.high, limit) }));
    const cutOff = s.at.filter((p) => p.total > limit).map((p) => ({ d: p.d, tip: tip(s, p, dense, amortise) }));
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
    const margin = { left: narrow ? 112 : 180, right: 126, top: 6, bottom: 40 };
    const inner = width - margin.left - margin.right;
    const step = 26;
    const limit = barLimit(series, 4);
    const dense = denseEnvelope(series);
    const rows = series.map((s) => ({ s, p: s.at[0] })).sort((a, b) => a.p.total - b.p.total);
    const height = step * rows.length;
    const bars = rows.flatMap(({ s, p }) => partsOf(p, limit, theme).map((part) => ({
      label: s.label, ...part, ...barLook(s, part), tip: tip(s, p, dense, amortise),
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
          encode: { enter: { x: { value: inner + 122 }, y: row(0), align: { value: "right" }, baseline: { value: "middle" }, text: { field: "speed" }, fill: { value: theme.muted } } },
        },
      ],
    };
  }

  return { allSeries, curveSeries, overview, parts, ranking, time, density, ratio };
})();
