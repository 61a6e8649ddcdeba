"use strict";
// From the points of a report to Vega specifications. No DOM here: report_page.js draws.

const charts = (() => {
  // Colour and shape of each format; formats of plug-ins share the grey and differ by shape.
  const STYLES = {
    dense: ["dense", "circle"],
    csr: ["blue", "circle"],
    coo: ["blue", "cross"],
    csc: ["blue", "triangle-down"],
    ell: ["green", "square"],
    sell: ["green", "triangle-up"],
    hyb: ["green", "diamond"],
    bsr: ["red", "square"],
    cvs: ["red", "triangle-up"],
    two_four: ["purple", "diamond"],
    vnm: ["purple", "triangle-down"],
    bitmap: ["orange", "square"],
    bytes: ["sky", "triangle-up"],
  };
  const OTHER_SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"];
  const FORMATS = Object.keys(STYLES);

  // ---- numbers as people read them ----

  function significant(value) {
    return value === 0 ? "0" : Math.abs(value) >= 99.95 ? String(Math.round(value)) : value.toPrecision(3);
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
    return point.baseline && point.k !== "none" ? point.k.split(".")[0] : "";
  }
  function seriesKey(point) {
    return [point.f, libraryOf(point), point.lossy ? "lossy" : ""].join("|");
  }
  // Formats that are not of the library, in order of appearance.
  const others = [];
  function styleOf(format) {
    if (STYLES[format]) return STYLES[format];
    if (!others.includes(format)) others.push(format);
    return ["other", OTHER_SHAPES[others.indexOf(format) % OTHER_SHAPES.length]];
  }

  // Every series of a report, formats first in the order of STYLES, then baselines.
  function allSeries(points) {
    const found = new Map();
    for (const point of points) {
      const key = seriesKey(point);
      if (point.s !== "ok" || found.has(key)) continue;
      const library = libraryOf(point);
      const [color, shape] = styleOf(point.f);
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
          i: point.i,
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

  return {
    allSeries, curveSeries, seriesKey, styleOf, overview, time, density, ratio, significant,
    // For the other files of charts.
    common: {
      config, labelled, densityScale, densityAxis, logScale, logTicks, envelope, denseEnvelope, tip, standing,
      TIME_LABEL, DENSITY_LABEL,
    },
  };
})();
