"use strict";
// Which charts a report has, and what is in them: Vega specifications for a theme and a width.
// Nothing here touches the document, so that figures are made from it without a browser.

const views = (() => {
  const { data, state, view, timesOf, curveOf, sourceOf, kernelName, totalOf, problems, encodeOnly, encodeRate } = model;

  // ---- winner map ----

  function mapTip(problem) {
    const { point, winner, other } = problem;
    const lines = [`${kernelName(point)}, ${charts.density(problem.d)}`, curveOf(point).label, `total ${charts.time(totalOf(point))}`];
    if (point.f !== "dense" && winner.over_dense != null) lines.push(`${charts.ratio(winner.over_dense)} the speed of the best dense`);
    if (point.f === "dense" && other) lines.push(`the best other format, ${other.f}, takes ${charts.ratio(totalOf(other) / totalOf(point))} as long`);
    if (winner.ties.length) lines.push(`within the noise of ${winner.ties.join(", ")}`);
    return lines.join("\n");
  }
  function mapCells() {
    return problems().map((problem) => {
      const p = problem.point;
      return {
        c: p.c, d: p.d, i: p.i, format: p.f, color: charts.styleOf(p.f)[0], speedup: p.f === "dense" ? 1 : problem.winner.over_dense,
        other: problem.other && totalOf(problem.other), total: totalOf(p), tie: problem.winner.ties.length > 0, tip: mapTip(problem),
      };
    });
  }
  // The specifications, of at most `most` rows each; none where nothing won.
  function map({ theme, width, most = Infinity }) {
    const cells = mapCells();
    const won = new Set(cells.map((cell) => cell.c));
    const rows = data.curves.map((curve, c) => ({ c, label: curve.label, workload: curve.workload })).filter((row) => won.has(row.c));
    const columns = charts.mapColumns(cells.map((cell) => cell.d), rows.length);
    const parts = [];
    for (let k = 0; k < rows.length; k += most) parts.push(rows.slice(k, k + most));
    return parts.map((part) => {
      const shown = new Set(part.map((row) => row.c));
      return charts.winnerMap({ cells: cells.filter((cell) => shown.has(cell.c)), rows: part, columns, theme, width });
    });
  }

  // ---- floors ----

  // Each kernel's best configuration on each problem, over the floor of its part.
  function floorRows(part, floorKey) {
    const best = new Map();
    for (const p of data.points) {
      const t = p.s === "ok" && timesOf(p)[part];
      const floor = (p.floor || {})[floorKey];
      if (!t || !floor) continue;
      const name = part === 0 ? p.f : kernelName(p);
      const key = [name, p.c, p.d].join("|");
      const times = t[0] / floor;
      if (best.has(key) && best.get(key).times <= times) continue;
      best.set(key, { i: p.i, times, name, p, tip: `${name}, ${charts.density(p.d)}\n${curveOf(p).label}\n${charts.time(t[0])}, ${charts.ratio(times)} its floor of ${charts.time(floor)}` });
    }
    const rows = new Map();
    for (const { p, name, ...at } of best.values()) {
      if (!rows.has(name)) {
        const [color, shape] = charts.styleOf(p.f);
        rows.set(name, { name, color, shape, library: p.baseline, lossy: p.lossy, at: [] });
      }
      rows.get(name).at.push(at);
    }
    return [...rows.values()];
  }
  function floors(shared) {
    const list = [
      { name: "products", title: "Products", rows: floorRows(1, "compute"), axis: "time of the product over its floor" },
      { name: "encoders", title: "Encoders", rows: floorRows(0, "encode").filter((row) => row.name !== "dense"), axis: "time to encode over its floor" },
    ];
    return list.filter(({ rows }) => rows.length)
      .map(({ name, title, rows, axis }) => ({ name, title, spec: charts.floors({ ...shared, rows, title: axis }) }));
  }

  // ---- one workload ----

  const series = charts.allSeries(data.points);
  const pointsOfCurve = data.curves.map(() => []);
  for (const point of data.points) if (pointsOfCurve[point.c]) pointsOfCurve[point.c].push(point);

  // Without products: bytes a second, the fastest configuration of each encoder.
  function encoderSeries(points) {
    const copy = (sourceOf(points[0]).environment || {}).copy_gbps;
    return series.map((s) => {
      const best = new Map();
      for (const p of points) {
        const rate = charts.seriesKey(p) === s.key && p.s === "ok" ? encodeRate(p) : null;
        if (rate == null || (best.has(p.d) && best.get(p.d).gbps >= rate)) continue;
        const share = copy ? `, ${Math.round(100 * rate / copy)} % of a copy` : "";
        best.set(p.d, { d: p.d, i: p.i, gbps: rate, tip: `${s.label}, ${charts.density(p.d)}\n${charts.time(timesOf(p)[0][0])}\n${charts.significant(rate)} GB/s${share}` });
      }
      return { ...s, at: [...best.values()].sort((a, b) => a.d - b.d) };
    }).filter((s) => s.at.length);
  }

  // The series of a workload in the current mode.
  function linesOf(index) {
    const points = pointsOfCurve[index];
    if (encodeOnly) return points.length ? encoderSeries(points) : [];
    return charts.curveSeries(series, points, state.mode, data.curves[index].amortise);
  }
  // A logarithmic axis has no place for no spikes at all, unless there is nothing else.
  function positive(lines) {
    const result = lines.map((s) => ({ ...s, at: s.at.filter((p) => p.d > 0) })).filter((s) => s.at.length);
    return result.length ? result : lines;
  }
  const densitiesOf = (lines) => new Set(lines.flatMap((s) => s.at.map((p) => p.d)));

  // The charts of a workload: { name, title, spec, parts }, where `parts` asks for the legend of
  // encode and compute.
  function curve(index, lines, { theme, width }) {
    if (encodeOnly) {
      const copy = (sourceOf(pointsOfCurve[index][0]).environment || {}).copy_gbps;
      return [{ name: "encoders", title: "", spec: charts.encoders({ series: lines, copy, theme, width }) }];
    }
    // Where the noise leaves any density, there is no place to mark.
    const crossings = view().crossovers.filter((c) => c.c === index && c.b === "dense" && !(c.low_open && c.high_open) &&
      lines.some((s) => s.format === c.a && !s.lossy));
    const shared = { series: lines, crossings, theme, width, amortise: data.curves[index].amortise };
    const densities = densitiesOf(lines);
    if (densities.size > 1) {
      return [
        { name: "cost", title: "", spec: charts.overview(shared) },
        { name: "parts", title: "Encode and compute", spec: charts.parts(shared), parts: true },
      ];
    }
    return [{ name: "parts", title: `At ${charts.density([...densities][0])} density`, spec: charts.ranking(shared), parts: true }];
  }

  return { series, pointsOfCurve, linesOf, positive, densitiesOf, map, floors, curve };
})();
