#!/usr/bin/env python3
"""Validates suites against their schema, and the schema against spoilt suites.

    suite_schema_test.py SCHEMA.json SUITE.json...

Exit codes: 0 good; 1 not, each finding on a line; 77 skipped: no jsonschema module.
"""

import copy
import json
import sys

GOOD = {"schema": "spiketune.suite/1", "limits": {"max_samples": 5}, "entries": [
    {"workload": "w", "source": "a paper", "timesteps": 4, "positions": 9, "batch": [1, 2],
     "layers": ["16x4"], "densities": [0.1], "pattern": "layer",
     "pattern_params": {"sigma": 0.5, "correlation": -0.1}, "weights": ["f16", "bf16"]}]}


def spoilt():
    """Pairs of what was done to a copy of a good suite, and the copy."""

    def change(what, edit):
        suite = copy.deepcopy(GOOD)
        edit(suite)
        return what, suite

    def entry(what, **fields):
        return change(what, lambda suite: suite["entries"][0].update(fields))

    yield change("no schema", lambda suite: suite.pop("schema"))
    yield change("no entries", lambda suite: suite.update(entries=[]))
    yield change("an unknown key", lambda suite: suite.update(entry=[]))
    yield change("no densities", lambda suite: suite["entries"][0].pop("densities"))
    yield change("no layers", lambda suite: suite["entries"][0].pop("layers"))
    yield entry("an unknown field", densty=0.1)
    yield entry("a layer of three sizes", layers=["1x2x3"])
    yield entry("layers and shapes", shapes=["8x16x4"])
    yield entry("layers and a file", file="spikes.npz")
    yield change("a density for a file",
                 lambda suite: suite.update(entries=[{"file": "a.npz", "densities": [0.1]}]))
    yield entry("no batch", batch=[])
    yield entry("half a batch", batch=0.5)
    yield entry("a density of percents", densities=[16.5])
    yield entry("an unknown pattern", pattern="poisson")
    yield entry("an unknown parameter", pattern_params={"simga": 1})
    yield entry("an impossible correlation", pattern_params={"correlation": 2})
    yield entry("weights of bits", weights=["bit"])


def main():
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        print("skipped: Python has no module jsonschema")
        return 77
    schema, *suites = sys.argv[1:]
    with open(schema, encoding="utf-8") as file:
        document = json.load(file)
    Draft202012Validator.check_schema(document)
    validator = Draft202012Validator(document)
    findings = [f"the good suite: {error.message}" for error in validator.iter_errors(GOOD)]
    for path in suites:
        with open(path, encoding="utf-8") as file:
            errors = list(validator.iter_errors(json.load(file)))
        findings += [f"{path}: {error.json_path}: {error.message}" for error in errors]
    findings += [f"not noticed: {what}" for what, suite in spoilt() if validator.is_valid(suite)]
    print("\n".join(findings))
    return 1 if findings or not suites else 0


if __name__ == "__main__":
    sys.exit(main())
