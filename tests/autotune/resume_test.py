#!/usr/bin/env python3
"""A sweep that is killed at any instant and resumed ends in the same report as one that was not.

    resume_test.py PROGRAM RECORDING [KILLS]

The sweep replays a recording, so that times can be compared too.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def report_of(path):
    report = json.loads(path.read_text())
    for key in ("created", "argv"):
        report.pop(key)
    return report


def main():
    program, recording = sys.argv[1:3]
    kills = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    generator = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        # Enough work that a sweep outlives several kills.
        points = json.loads(Path(recording).read_text())
        copies = []
        for copy in range(2):
            for point in points["points"]:
                moved = json.loads(json.dumps(point))
                moved["problem"]["workload"] += f" {copy}"
                copies.append(moved)
        points["points"] = copies
        large = folder / "recording.json"
        large.write_text(json.dumps(points))

        def command(out, *extra):
            return [program, "tune", "--replay", str(large), "--out", str(out), "--quiet", *extra]

        begin = time.monotonic()
        subprocess.run(command(folder / "whole.json"), check=True, timeout=300)
        seconds = time.monotonic() - begin
        whole = report_of(folder / "whole.json")
        killed = rounds = resumed_points = 0
        while killed < kills:
            rounds += 1
            out = folder / f"killed-{rounds}.json"
            journal = Path(str(out) + ".journal")
            while True:
                process = subprocess.Popen(command(out, "--resume"), stderr=subprocess.PIPE, text=True)
                try:
                    process.wait(timeout=generator.uniform(0.02, 0.9) * seconds)
                except subprocess.TimeoutExpired:
                    process.kill()
                _, errors = process.communicate()
                if process.returncode == -9:
                    killed += 1
                    before = resumed_points
                    lines = journal.read_text().count("\n") if journal.exists() else 0
                    resumed_points = max(before, lines)
                    continue
                assert process.returncode == 0, errors
                break
            assert report_of(out) == whole, f"after {killed} kills the report is another one"
            assert not journal.exists(), "the journal of a finished sweep is left behind"
            out.unlink()
        assert resumed_points > 10, "no kill came in the middle of anything"
        print(f"{killed} kills in {rounds} sweeps of {seconds:.2f} s: nothing lost, nothing doubled")


if __name__ == "__main__":
    main()
