#!/usr/bin/env python3
"""`report --figures` writes well-formed SVG with the marks and names of the report, and PNG beside.

    report_figures_test.py PROGRAM REPORT.json

Exit codes: 0 good, 1 bad, 77 skipped: nothing here can draw.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NODES = ("node", "nodejs")
PNG_START = b"\x89PNG\r\n\x1a\n"


def installed(names):
    return [path for path in map(shutil.which, names) if path]


def figures(program, report, directory, path):
    result = subprocess.run([program, "report", report, "--figures", directory], capture_output=True, text=True,
                            env={**os.environ, "PATH": path}, check=False, timeout=600)
    return result.returncode, result.stderr, sorted(Path(directory).glob("*.svg")), sorted(Path(directory).glob("*.png"))


def check_svg(files):
    names = [file.stem for file in files]
    assert "winner-map" in names and any(name.startswith("floors-") for name in names), names
    for file in files:
        root = xml.fromstring(file.read_text(encoding="utf-8"))
        assert root.tag.endswith("svg") and float(root.get("width")) > 600, file
        assert len(root.findall(".//{*}path")) > 5, f"{file} is empty"
        assert "NaN" not in file.read_text(encoding="utf-8"), file
    cost = next(file for file in files if file.stem.endswith("-cost"))
    assert re.search(r">csr<", cost.read_text(encoding="utf-8")), "no legend"
    return names


def main():
    program, report = sys.argv[1:3]
    tools = {"node": installed(NODES), "browser": installed(BROWSERS), "rsvg": installed(("rsvg-convert",))}
    if not tools["node"] and not tools["browser"]:
        print("skipped: neither Node.js nor Chromium is installed")
        return 77
    # Beside the current directory: Chromium as a snap may not read /tmp.
    with tempfile.TemporaryDirectory(prefix="figures_", dir=".") as scratch:
        folder = Path(scratch).resolve()
        code, errors, svg, png = figures(program, report, folder / "all", os.environ["PATH"])
        if "no Vega" in errors:
            print("skipped: " + errors.strip())
            return 77
        assert code == 0, errors
        names = check_svg(svg)
        if tools["browser"] or tools["rsvg"]:
            assert [file.stem for file in png] == names, errors
            assert all(file.read_bytes().startswith(PNG_START) for file in png)
        assert not [file for file in (folder / "all").iterdir() if file.suffix not in (".svg", ".png")], "left something behind"
        # Node alone draws, and says why there is no PNG.
        if tools["node"]:
            only = folder / "only_node"
            only.mkdir()
            (only / "node").symlink_to(Path(tools["node"][0]).resolve())
            code, errors, svg, png = figures(program, report, folder / "node", str(only))
            assert code == 0 and not png and "no PNG: install rsvg-convert" in errors, errors
            check_svg(svg)
        code, errors, svg, png = figures(program, report, folder / "none", str(folder / "nothing"))
        assert code == 1 and "install nodejs or chromium" in errors and not svg, errors
    print(f"{len(names)} figures: {', '.join(names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
