#!/usr/bin/env python3
"""How alike are two sweeps of one suite on one device?

    repeatability.py BASE.json NEXT.json [--within 3%] [--share 95%]

States the share of points whose medians (encode + compute) agree, and the problems whose fastest
candidate changed though the intervals (5th to 95th percentile) of the old and the new winner lie
apart in either sweep: such a change is not one that the sweeps themselves call a tie.
Exit codes: 0 alike; 1 nothing in common, or not a report; 3 not alike.
"""

import argparse
import gzip
import json
import sys
from pathlib import Path


def share(text: str) -> float:
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def read(path: Path) -> dict:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return json.load(file)


def totals(report: dict) -> dict:
    """Problem -> candidate -> total_us, of points that are ok."""
    result: dict = {}
    for point in report["points"]:
        if point["status"] != "ok" or not point.get("total_us"):
            continue
        problem = json.dumps(point["problem"], sort_keys=True)
        candidate = "{format} {kernel} {config} {backend}".format(**point)
        result.setdefault(problem, {})[candidate] = point["total_us"]
    return result


def apart(a: dict, b: dict) -> bool:
    return a["p95"] < b["p05"] or b["p95"] < a["p05"]


def compare(base: dict, new: dict, within: float):
    """(points that agree, points in common, winners that changed, of them outside intervals)"""
    agree = common = 0
    changed, outside = [], []
    for problem, old in base.items():
        both = old.keys() & new.get(problem, {}).keys()
        if not both:
            continue
        now = new[problem]
        common += len(both)
        agree += sum(abs(now[c]["median"] / old[c]["median"] - 1) <= within for c in both)
        first = min(both, key=lambda c: (old[c]["median"], c))
        second = min(both, key=lambda c: (now[c]["median"], c))
        if first == second:
            continue
        changed.append((problem, first, second))
        if apart(old[first], old[second]) or apart(now[first], now[second]):
            outside.append((problem, first, second))
    return agree, common, changed, outside


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("next", type=Path)
    parser.add_argument("--within", type=share, default=0.03, help="change of a median that counts as none (3%%)")
    parser.add_argument("--share", type=share, default=0.95, help="share of points that must agree (95%%)")
    flags = parser.parse_args()
    try:
        base, new = (totals(read(path)) for path in (flags.base, flags.next))
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"cannot read the reports: {error!r}", file=sys.stderr)
        return 1
    agree, common, changed, outside = compare(base, new, flags.within)
    if common == 0:
        print("the reports have no points in common", file=sys.stderr)
        return 1
    print(f"{agree} of {common} medians ({100 * agree / common:.1f} %) agree within {100 * flags.within:g} %; "
          f"{len(changed)} winners changed, {len(outside)} of them outside their intervals")
    for problem, first, second in outside:
        fields = json.loads(problem)
        print(f"  {fields['workload']}, density {fields['density']:g}: {first} -> {second}")
    return 0 if agree >= flags.share * common and not outside else 3


if __name__ == "__main__":
    sys.exit(main())
