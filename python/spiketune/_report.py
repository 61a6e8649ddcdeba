"""Reports of sweeps."""

from __future__ import annotations

import json
import os
from typing import Any, Union


class Report:
    """A report as `spiketune sweep` writes it. `json` has everything."""

    def __init__(self, path: Union[str, os.PathLike]):
        with open(path, encoding="utf-8") as file:
            self.json: dict[str, Any] = json.load(file)

    @property
    def winners(self) -> list[dict[str, Any]]:
        """The fastest exact format of each problem, against the best dense."""
        return self.json["winners"]

    def to_pandas(self) -> Any:
        """One row for each point: the fields of its problem, format, kernel, config, status, reason, and the
        medians of its times in µs (`encode_us`, `compute_us`, `total_us`, and hot)."""
        import pandas

        rows = []
        for point in self.json["points"]:
            row = dict(point["problem"])
            for name, value in point.items():
                if name == "problem":
                    continue
                row[name] = value["median"] if isinstance(value, dict) and "median" in value else value
            rows.append(row)
        return pandas.DataFrame(rows)

    def __repr__(self) -> str:
        return f"<spiketune.Report of {len(self.json['points'])} points>"
