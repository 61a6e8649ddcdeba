"use strict";
// The charts of a report as SVG for print: light, on white, each with its own legend. Runs in Node
// and in a browser alike; report_figures.cpp puts the report and the style sheet into the globals
// that it reads, and calls `makeFigures`.

async function makeFigures(style) {
  const WIDTH = 720;  // 190 mm at 96 dpi
  const FONT = "'Liberation Sans', Helvetica, Arial, sans-serif";
  const light = style.slice(0, style.indexOf("}"));
  const color = (name) => new RegExp(`--${name}: *([^;]+);`).exec(light)[1].trim();
  const theme = { series: {}, font: FONT, page: "#ffffff" };
  for (const name of ["dense", "blue", "sky", "green", "orange", "red", "purple", "other"]) theme.series[name] = color("series-" + name);
  for (const name of ["ink", "muted", "line", "grid", "encode", "compute"]) theme[name] = color(name);

  // Without a document Vega takes a letter for 0.8 of its height, which is half as much again as it
  // is: axis titles move outwards, and texts would be cut too early.
  const measured = typeof document !== "undefined";
  function withoutEarlyCuts(part) {
    if (measured || part === null || typeof part !== "object") return part;
    if (Array.isArray(part)) return part.map(withoutEarlyCuts);
    const longer = (limit) => (typeof limit === "number" ? 1.45 * limit : "value" in limit ? { value: 1.45 * limit.value } : { ...limit, mult: 1.45 });
    return Object.fromEntries(Object.entries(part).map(([key, value]) => {
      if (key === "data") return [key, value];
      return [key, key === "limit" || key === "labelLimit" ? longer(value) : withoutEarlyCuts(value)];
    }));
  }

  // `entries`: { label, fill, stroke, shape, dash }, laid out in rows under the chart.
  function withLegend(spec, entries) {
    const pad = { ...spec.padding };
    if (!measured && pad.left < 100) pad.left += 20;
    const room = spec.width + pad.left + pad.right - 8;
    let [x, y] = [4 - pad.left, spec.height + pad.bottom + 12];
    const placed = entries.map((entry) => {
      const wide = 46 + 6.2 * entry.label.length;
      if (x > 4 - pad.left && x + pad.left + wide > room) [x, y] = [4 - pad.left, y + 17];
      const result = { ...entry, x, y, end: x + 24, middle: x + 12, text: x + 30 };
      x += wide;
      return result;
    });
    const under = placed.length ? y - spec.height + 10 : pad.bottom;
    return {
      ...spec, padding: { ...pad, bottom: under }, background: "white", data: [...(spec.data || []), { name: "legend", values: placed }],
      marks: [...spec.marks,
        {
          type: "rule", from: { data: "legend" },
          encode: { enter: { x: { field: "x" }, x2: { field: "end" }, y: { field: "y" }, stroke: { field: "stroke" }, strokeDash: { field: "dash" }, strokeWidth: { field: "line" } } },
        },
        {
          type: "symbol", from: { data: "legend" },
          encode: { enter: { x: { field: "middle" }, y: { field: "y" }, shape: { field: "shape" }, size: { value: 58 }, fill: { field: "fill" }, stroke: { field: "stroke" }, strokeWidth: { value: 1.4 } } },
        },
        { type: "text", from: { data: "legend" }, encode: { enter: { x: { field: "text" }, y: { field: "y" }, baseline: { value: "middle" }, text: { field: "label" } } } },
      ],
    };
  }

  const entryOf = (s) => ({
    label: s.label, shape: s.shape, stroke: theme.series[s.color], fill: s.library || s.lossy ? "#ffffff" : theme.series[s.color], line: 1.8,
    dash: s.library ? [6, 4] : s.lossy ? [1.5, 3] : [],
  });
  const box = (label, fill, stroke, dash) => ({ label, fill, stroke: stroke || fill, shape: "square", dash: dash || [], line: 0 });
  const denseEntry = { label: "best dense", fill: "transparent", stroke: theme.ink, shape: "M0,0", dash: [4, 3], line: 1.4 };
  const partEntries = [box("encode", theme.encode), box("compute", theme.compute), denseEntry];
  const slug = (text) => text.toLowerCase().replaceAll("×", "x").replace(/[^a-z0-9.]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 60);

  const list = [];
  async function add(name, spec, entries) {
    const view = new vega.View(vega.parse(withLegend(withoutEarlyCuts(spec), entries)), { renderer: "none" });
    list.push({ name, svg: await view.toSVG() });
    view.finalize();
  }

  const shared = { theme, width: WIDTH };
  for (const map of views.map(shared)) await add("winner-map", map, []);
  for (const { name, spec } of views.floors(shared)) await add("floors-" + name, spec, []);
  for (const [index, curve] of model.data.curves.entries()) {
    const lines = views.positive(views.linesOf(index));
    if (!lines.length) continue;
    const number = String(index + 1).padStart(2, "0");
    for (const { name, spec, parts } of views.curve(index, lines, shared)) {
      await add([number, slug(curve.label), name].join("-"), spec, parts ? partEntries : lines.map(entryOf));
    }
  }
  return list;
}
