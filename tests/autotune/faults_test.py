#!/usr/bin/env python3
"""Candidates that crash, hang, abort and take all memory cost their own points and nothing else.

    faults_test.py PROGRAM FAULTY_PLUGIN
"""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = ""
PLUGIN = ""
WORDS = {
    "segfault": "SIGSEGV",
    "abort": "SIGABRT",
    "exit": "exit code 7",
    "hang": "did not answer within",
    "memory": "",  # refused by the allocator, or killed by the system: both are fine
}


class FaultsTest(unittest.TestCase):
    def sweep(self, *extra):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "report.json"
            result = subprocess.run(
                [PROGRAM, "sweep", "--shape", "64x48x16", "--density", "0.1,0.3", "--backend", "host",
                 "--threads", "1", "--max-samples", "3", "--max-seconds-per-candidate", "0.05",
                 "--plugin", PLUGIN, "--deadline", "3", "--out", str(out), *extra],
                capture_output=True, text=True, timeout=600)
            self.assertTrue(out.exists(), result.stderr)
            self.assertFalse(Path(str(out) + ".journal").exists())
            return result, json.loads(out.read_text())

    def test_each_fault_is_a_failed_point_and_the_rest_is_measured(self):
        result, report = self.sweep("--formats", "csr,bitmap,segfault*,abort*,exit*,hang*")
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertTrue(report["complete"])
        problems = {point["problem"]["density"] for point in report["points"]}
        self.assertEqual(problems, {0.1, 0.3})
        for point in report["points"]:
            how = point["format"].split("_")[0]
            if how in WORDS:
                self.assertEqual(point["status"], "failed", point)
                self.assertIn(WORDS[how], point["reason"])
            else:
                self.assertEqual(point["status"], "ok", point)
                self.assertEqual(len(point["total_us"]["samples"]), 3)
        failed = sum(point["status"] == "failed" for point in report["points"])
        self.assertEqual(failed, 2 * 10)

    def test_memory(self):
        result, report = self.sweep("--formats", "csr,memory*")
        self.assertEqual(result.returncode, 3, result.stderr)
        for point in report["points"]:
            expected = "failed" if point["format"].startswith("memory") else "ok"
            self.assertEqual(point["status"], expected, point["reason"])

    def test_a_worker_that_cannot_start_is_one_sentence(self):
        result = subprocess.run([PROGRAM, "worker", "--backend", "host"], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1)


if __name__ == "__main__":
    PROGRAM, PLUGIN = sys.argv[1:3]
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
