#!/usr/bin/env python3
"""How well the planner chooses, as the table of docs/autotuning.md: `spiketune plan --evaluate` over reports.

    scripts/planner_table.py --spiketune build/spiketune results/h200/planning.json.gz ...

Prints Markdown: a row for each report and what was held out from the planner, one for all reports but the first as
one, and for the first also the mean and the worst of 16 random halves of its shapes.
"""

import argparse
import gzip
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile


def evaluate(spiketune, report, hold_out, seed=0):
    """(problems, mean, 95th percentile, slower than dense): numbers in percent. None: nothing to judge."""
    command = [spiketune, "plan", "--from", str(report), "--evaluate", "--hold-out", hold_out, "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"(\d+) problems judged: regret ([\d.]+) %.*?, ([\d.]+) %.*?at most ([\d.]+) %", done.stdout)
    if not found and "no problems to judge" not in done.stderr:
        sys.exit(done.stderr.strip() or f"{spiketune} plan --evaluate printed no verdict on {report}")
    return tuple(float(x) for x in found.groups()) if found else None


def print_row(name, held_out, result):
    problems, mean, p95, slower = result
    print(f"| {name} | {held_out} | {problems:.0f} | {mean:.1f} % | {p95:.1f} % | {slower:.1f} % |")


def read(path):
    opened = gzip.open(path) if str(path).endswith(".gz") else open(path, "rb")
    with opened as file:
        return json.load(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=pathlib.Path)
    parser.add_argument("--spiketune", default="spiketune", help="the program")
    flags = parser.parse_args()

    print("| report | held out | problems | geometric mean | 95th percentile | slower than dense by at most |")
    print("|---|---|---|---|---|---|")
    for report in flags.reports:
        for hold_out, name in (("densities", "densities"), ("shapes", "densities and shapes")):
            result = evaluate(flags.spiketune, report, hold_out)
            if result:
                print_row(f"`{report}`", name, result)
    if len(flags.reports) > 2:
        together = read(flags.reports[1])
        for report in flags.reports[2:]:
            together["points"] += read(report)["points"]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(together, file)
            file.flush()
            result = evaluate(flags.spiketune, file.name, "shapes")
            if result:
                print_row("all but the first as one", "densities and shapes", result)
    halves = [evaluate(flags.spiketune, flags.reports[0], "shapes", seed) for seed in range(1, 17)]
    halves = [half for half in halves if half]
    if halves:
        columns = list(zip(*halves))
        print_row(f"`{flags.reports[0]}`", "16 random halves of shapes, mean", [statistics.fmean(c) for c in columns])
        print_row(f"`{flags.reports[0]}`", "the worst of them", [max(c) for c in columns])


if __name__ == "__main__":
    main()
