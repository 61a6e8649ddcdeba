#!/usr/bin/env python3
"""Writes the tables of docs/findings.md from the reports in results/h200, so that no figure there
is older than its report.

usage: scripts/findings.py [--check]     --check changes nothing and fails where a table is stale

A table stands between <!-- table NAME --> and <!-- end -->.
"""

import gzip
import json
import math
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results" / "h200"
PAGE = ROOT / "docs" / "findings.md"


def report_of(name):
    """A report, packed or not."""
    for path, opened in ((RESULTS / f"{name}.json", open), (RESULTS / f"{name}.json.gz", gzip.open)):
        if path.exists():
            with opened(path, "rt") as file:
                return json.load(file)
    sys.exit(f"results/h200 has no report {name}")


def right_points(report):
    """Those that were measured and found right."""
    return [point for point in report["points"] if point["status"] == "ok"]


def points_of(name):
    return right_points(report_of(name))


def rows_of(problem):
    return problem["rows"] * problem["timesteps"]


def shape_of(problem):
    return f"{rows_of(problem)}·{problem['k']}·{problem['n']}"


def median(point, what):
    return point[what]["median"]


def encode_words(point):
    """The encode in µs; 0 where nothing is enqueued, which reports of before measured as two events in a row."""
    return "0" if point["floor_us"]["encode"] == 0 else f"{median(point, 'encode_us'):.1f}"


def is_dense(point):
    return point["format"] == "dense"


def label(point):
    return f"{point['format']}, `{point['kernel']}`"


def problems_of(points):
    """The points of each problem, in order: W's type is not part of it, nor are quantised W."""
    groups = {}
    for point in points:
        problem = {key: value for key, value in point["problem"].items() if key != "weights"}
        groups.setdefault(json.dumps(problem, sort_keys=True), []).append(point)
    return list(groups.values())


def of_weights(points, kinds):
    return [point for point in points if point["problem"]["weights"] in kinds and not point["lossy"]]


def ours(points):
    return [point for point in points if not point["baseline"] and not is_dense(point)]


def fastest(points, what="total_us"):
    return min(points, key=lambda point: median(point, what), default=None)


def mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else float("nan")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def compute_table():
    """Best of all formats, encode from bytes included, over dense with its cast."""
    points = [point for point in points_of("compute") if point["problem"]["weights"] == "f16"]
    shapes, densities, over_cast, over_dense = {}, [], [], []
    for problem in problems_of(points):
        density = problem[0]["problem"]["density"]
        if density not in densities:
            densities.append(density)
        dense = fastest([point for point in problem if is_dense(point)])
        bare = fastest([point for point in problem if is_dense(point)], "compute_us")
        best = fastest(of_weights(ours(problem), ("f16",)))
        gain = median(dense, "total_us") / median(best, "total_us")
        over_cast.append(max(gain, 1))
        over_dense.append(max(median(bare, "compute_us") / median(best, "total_us"), 1))
        name = f"**{gain:.2f}**" if gain >= 1.005 else f"{gain:.2f}"
        shapes.setdefault(shape_of(problem[0]["problem"]), {})[density] = f"{name} {best['format']}"
    densities.sort()
    rows = [[shape] + [cells.get(density, "") for density in densities] for shape, cells in shapes.items()]
    text = table(["shape M·K·N"] + [f"{100 * density:g} %" for density in densities], rows)
    return text + (
        f"\n\nGeometric mean of the best of all, dense included: {mean(over_cast):.2f} over dense with its cast, "
        f"{mean(over_dense):.2f} over the product of dense alone, as if f16 spikes were given."
    )


def campaign_table(name):
    rows = []
    for problem in problems_of(points_of(name)):
        first = problem[0]["problem"]
        exact = of_weights(problem, ("f16",))
        dense = fastest([point for point in exact if is_dense(point)])
        best = fastest(ours(exact))
        if dense is None or best is None:
            continue
        gain = median(dense, "total_us") / median(best, "total_us")
        cells = [
            first["workload"],
            shape_of(first),
            f"{100 * first['density']:.3g} %",
            f"{median(dense, 'total_us'):.1f}",
            label(best),
            f"{encode_words(best)} + {median(best, 'compute_us'):.1f}",
            f"**{gain:.2f}**" if gain >= 1.005 else f"{gain:.2f}",
        ]
        for kind in ("s8", "s4"):
            cells.append(" · ".join(f"{gain:.2f}" for gain in quantised_gains(problem, dense, kind)))
        rows.append(cells)
    head = ["workload", "M·K·N", "density", "dense, µs", "best exact", "encode + product, µs", "gain", "s8", "s4"]
    return table(head, rows)


def quantised_gains(problem, dense, kind):
    """Of the best with W of that kind: over dense in f16, and over the fastest dense that takes such W."""
    points = of_weights(problem, (kind,))
    best = fastest(ours(points))
    if best is None:
        return []
    rivals = [dense, fastest([point for point in points if is_dense(point)])]
    return [median(rival, "total_us") / median(best, "total_us") for rival in rivals if rival]


def summary_table():
    """How often something exact beats dense with its cast, by density."""
    bins = [(0, 0.02), (0.02, 0.05), (0.05, 0.1), (0.1, 0.2), (0.2, 0.4), (0.4, 1.01)]
    found = {edges: [] for edges in bins}
    for name in ("cnn", "transformers", "events"):
        for problem in problems_of(points_of(name)):
            exact = of_weights(problem, ("f16",))
            dense = fastest([point for point in exact if is_dense(point)])
            best = fastest(ours(exact))
            if dense is None or best is None:
                continue
            gains = [median(dense, "total_us") / median(best, "total_us"), best["format"]]
            gains += [quantised_gains(problem, dense, kind) for kind in ("s8", "s4")]
            edges = next(e for e in bins if e[0] <= problem[0]["problem"]["density"] < e[1])
            found[edges].append(gains)
    rows = []
    for (low, high), gains in found.items():
        if not gains:
            continue
        winners = {}
        for gain, name, *_ in gains:
            if gain > 1:
                winners[name] = winners.get(name, 0) + 1
        quantised = [[mean(of) for of in zip(*[gain[i] for gain in gains if gain[i]])] for i in (2, 3)]
        rows.append(
            [
                f"{100 * low:g} to {min(100 * high, 100):g} %",
                len(gains),
                sum(gain[0] > 1 for gain in gains),
                f"{mean([gain[0] for gain in gains]):.2f}",
                ", ".join(f"{name} {count}" for name, count in sorted(winners.items(), key=lambda w: -w[1])),
                *(" · ".join(f"{gain:.2f}" for gain in over) for over in quantised),
            ]
        )
    head = ["density", "problems", "exact wins", "mean gain", "by", "s8", "s4"]
    return table(head, rows)


def encode_table():
    report = report_of("encode")
    points = [p for p in right_points(report) if not p["baseline"] and not p["lossy"]]
    copy = report["environment"]["copy_gbps"]
    columns, rows = [], {}
    for point in points:
        problem = point["problem"]
        if rows_of(problem) * problem["k"] < 1 << 28:
            continue
        column = (problem["input"], problem["density"])
        if column not in columns:
            columns.append(column)
        moved = point["bytes"]["input"] + point["bytes"]["encoded"]
        share = moved / median(point, "encode_us") / 1e3 / copy
        params = ",".join(f"{value}" for value in point.get("params", {}).values())
        rows.setdefault(f"{point['format']} {params}".strip(), {})[column] = f"{share:.2f}"
    return table(
        ["format"] + [f"{kind} {100 * density:g} %" for kind, density in columns],
        [[name] + [cells.get(column, "") for column in columns] for name, cells in rows.items()],
    )


TABLES = {
    "compute": compute_table,
    "summary": summary_table,
    "cnn": lambda: campaign_table("cnn"),
    "transformers": lambda: campaign_table("transformers"),
    "events": lambda: campaign_table("events"),
    "encode": encode_table,
}


def main():
    if len(sys.argv) > 2 or sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__.strip())
    page = PAGE.read_text()
    fresh = re.sub(
        r"(<!-- table (\w+) -->\n).*?(\n<!-- end -->)",
        lambda match: match[1] + TABLES[match[2]]() + match[3],
        page,
        flags=re.DOTALL,
    )
    if sys.argv[1:] == ["--check"]:
        if fresh != page:
            sys.exit("docs/findings.md is older than the reports: run scripts/findings.py")
    else:
        PAGE.write_text(fresh)


if __name__ == "__main__":
    main()
