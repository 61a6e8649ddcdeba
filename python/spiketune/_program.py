"""The program `spiketune`, which is part of the package, and calls of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ._core import Error
from ._report import Report

PROGRAM = Path(__file__).parent / "spiketune"


def main() -> None:
    """Becomes the program: the command `spiketune` of this environment."""
    os.execv(PROGRAM, ["spiketune", *sys.argv[1:]])


def _run(*arguments: str) -> str:
    result = subprocess.run([str(PROGRAM), *arguments], capture_output=True, text=True)
    if result.returncode != 0:
        raise Error(result.stderr.strip().splitlines()[-1].removeprefix("spiketune: ") if result.stderr else "spiketune failed")
    return result.stdout


def _arguments(options: dict[str, Any]) -> list[str]:
    """density=[0.1, 0.2] becomes --density 0.1,0.2; baselines=False becomes --no-baselines."""
    result: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None:
            continue
        if isinstance(value, bool):
            result.append(flag if value else "--no-" + flag[2:])
        elif isinstance(value, (list, tuple)):
            result += [flag, ",".join(str(item) for item in value)]
        elif isinstance(value, dict):
            result += [flag, json.dumps(value)]
        else:
            result += [flag, str(value)]
    return result


def _measure(command: str, options: dict[str, Any]) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        path = options.pop("out", None) or str(Path(folder) / "report.json")
        _run(command, *_arguments(options), "--out", str(path))
        return Report(path)


def sweep(**options: Any) -> Report:
    """Measures formats as `spiketune sweep` does; options are its, with _ for -.

    >>> spiketune.sweep(shape="4096x1024x1024", density=[0.01, 0.1], weights="f16")
    """
    return _measure("sweep", options)


def tune(**options: Any) -> Report:
    """Searches for the fastest format, kernel and config as `spiketune tune` does."""
    return _measure("tune", options)


def plan(**options: Any) -> list[dict[str, Any]]:
    """Predicts the fastest as `spiketune plan --json` does: for each problem its ranked plans. `from_` is
    --from, `for_` is --for."""
    named = {name.rstrip("_"): value for name, value in options.items()}
    return json.loads(_run("plan", *_arguments(named), "--json"))
