#!/usr/bin/env python3
"""Candidates that leave a GPU unusable, hang it or exhaust it cost their own points and nothing else.

    faults_gpu_test.py PROGRAM FAULTY_GPU_PLUGIN

Exit code 77: there is no GPU.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = ""
PLUGIN = ""
FAULTS = ("illegal", "trap", "spin", "memory", "abort")
WORDS = {"spin": "did not answer within", "abort": "SIGABRT"}


class GpuFaultsTest(unittest.TestCase):
    def test_each_fault_is_a_failed_point_and_the_rest_is_measured(self):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "report.json"
            result = subprocess.run(
                [PROGRAM, "sweep", "--shape", "512x256x64", "--density", "0.1", "--weights", "f16",
                 "--backend", "cuda", "--max-samples", "3", "--max-seconds-per-candidate", "0.05",
                 "--plugin", PLUGIN, "--deadline", "5", "--out", str(out),
                 "--formats", ",".join(["csr", "bitmap", *(how + "_*" for how in FAULTS)])],
                capture_output=True, text=True, timeout=600)
            self.assertTrue(out.exists(), result.stderr)
            report = json.loads(out.read_text())
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertTrue(report["complete"])
        failed, measured = set(), set()
        for point in report["points"]:
            how = point["format"].split("_")[0]
            if point["status"] == "skipped":  # a config that the product cannot have
                continue
            if how in FAULTS:
                self.assertEqual(point["status"], "failed", point)
                self.assertIn(WORDS.get(how, ""), point["reason"])
                self.assertTrue(point["reason"])
                failed.add(point["format"])
            else:
                self.assertEqual(point["status"], "ok", point)
                measured.add(point["format"])
        self.assertEqual(failed, {how + where for how in FAULTS for where in ("_encode", "_spmm")})
        self.assertEqual(measured, {"csr", "bitmap"})


if __name__ == "__main__":
    PROGRAM, PLUGIN = sys.argv[1:3]
    if not shutil.which("nvidia-smi") or subprocess.run(["nvidia-smi", "-L"], capture_output=True,
                                                        check=False).returncode != 0:
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
