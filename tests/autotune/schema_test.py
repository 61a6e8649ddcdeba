#!/usr/bin/env python3
"""Validates a report against its schema.

    schema_test.py REPORT.json SCHEMA.json [--spoil]

With --spoil the report, once found valid, is spoilt in several ways, each of which the schema has
to notice. Exit codes: 0 good; 1 not, each finding on a line; 77 skipped: no jsonschema module.
"""

import copy
import json
import sys


def spoilt(report: dict):
    """Pairs of what was done to a copy of the report, and the copy."""

    def change(what, edit):
        result = copy.deepcopy(report)
        edit(result)
        return what, result

    for key in report.keys() - {"complete"}:
        yield change(f"no {key}", lambda r, key=key: r.pop(key))
    for key in report["points"][0].keys() - {"notes", "command", "lost_share"}:
        if not key.endswith("_hot_us"):
            yield change(f"a point without {key}", lambda r, key=key: r["points"][0].pop(key))
    for key in report["points"][0]["problem"]:
        yield change(
            f"a problem without {key}", lambda r, key=key: r["points"][0]["problem"].pop(key)
        )
    yield change("an unknown schema", lambda r: r.update(schema="spiketune.report/0"))
    yield change("an unknown status", lambda r: r["points"][0].update(status="fine"))
    yield change(
        "skipped without a reason", lambda r: r["points"][0].update(status="skipped", reason=None)
    )
    yield change("a time as text", lambda r: r["points"][0]["total_us"].update(median="12"))
    yield change("a hot time that is cold", lambda r: r["points"][0]["total_hot_us"].update(mode="cold"))
    yield change("a density of 5", lambda r: r["points"][0]["problem"].update(density=5))
    yield change("a type that is not one", lambda r: r["points"][0]["problem"].update(weights="f64"))


def main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument != "--spoil"]
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        print("skipped: no module jsonschema >= 4.0 (Debian, Ubuntu: python3-jsonschema)")
        return 77
    with open(arguments[0], encoding="utf-8") as file:
        report = json.load(file)
    with open(arguments[1], encoding="utf-8") as file:
        schema = json.load(file)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    errors = list(validator.iter_errors(report))
    for error in errors[:20]:
        print(f"{error.json_path}: {error.message[:300]}")
    if errors:
        print(f"{arguments[0]}: {len(errors)} findings against {arguments[1]}")
        return 1
    unnoticed = []
    if "--spoil" in sys.argv:
        unnoticed = [what for what, report in spoilt(report) if validator.is_valid(report)]
        for what in unnoticed:
            print(f"not noticed: {what}")
    print(f"{arguments[0]}: valid, {len(report['points'])} points")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
