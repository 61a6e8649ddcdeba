#!/usr/bin/env python3
"""What repeatability.py says of two sweeps.

    repeatability_test.py SCRIPT REPORT.json
"""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = ""
REPORT = ""


def point(name, median, spread=1.0, status="ok", density=0.1):
    return {"format": name, "kernel": "rows", "config": {}, "backend": "cuda", "status": status,
            "problem": {"workload": "square", "density": density},
            "total_us": {"median": median, "p05": median - spread, "p95": median + spread}}


class RepeatabilityTest(unittest.TestCase):
    def run_script(self, base, new, *extra):
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / "base.json", Path(folder) / "next.json"]
            for path, points in zip(paths, (base, new)):
                path.write_text(json.dumps({"points": points}))
            return subprocess.run([sys.executable, SCRIPT, *map(str, paths), *extra],
                                  capture_output=True, text=True, timeout=60)

    def test_a_report_is_like_itself(self):
        result = subprocess.run([sys.executable, SCRIPT, REPORT, REPORT], capture_output=True,
                                text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("(100.0 %)", result.stdout)
        self.assertIn("0 winners changed", result.stdout)

    def test_medians_that_moved_are_counted(self):
        result = self.run_script([point("csr", 100), point("ell", 200)],
                                 [point("csr", 102), point("ell", 208)])
        self.assertEqual(result.returncode, 3)
        self.assertIn("1 of 2 medians (50.0 %)", result.stdout)
        self.assertEqual(self.run_script([point("csr", 100), point("ell", 200)],
                                         [point("csr", 102), point("ell", 208)],
                                         "--within", "5%").returncode, 0)

    def test_a_tie_may_change_its_winner(self):
        result = self.run_script([point("csr", 100), point("ell", 101)],
                                 [point("csr", 101), point("ell", 100)])
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("1 winners changed, 0 of them", result.stdout)

    def test_a_winner_that_lost_clearly_is_named(self):
        result = self.run_script([point("csr", 100), point("ell", 102, 0.5)],
                                 [point("csr", 102, 0.5), point("ell", 100, 0.5)])
        self.assertEqual(result.returncode, 3)
        self.assertIn("csr rows {} cuda -> ell rows {} cuda", result.stdout)

    def test_nothing_in_common_is_an_error(self):
        self.assertEqual(self.run_script([point("csr", 1)], [point("csr", 1, density=0.2)]).returncode, 1)
        self.assertEqual(self.run_script([point("csr", 1)], [point("csr", 1, status="failed")]).returncode, 1)


if __name__ == "__main__":
    SCRIPT, REPORT = sys.argv[1:3]
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
