#!/usr/bin/env python3
"""Runs the spiketune program the way its users do.

    cli_test.py PROGRAM SOURCE_DIR [TEST ...]

Exit code 0 when all went well, 1 otherwise. Needs Python's standard library only; with the module
jsonschema reports are validated too.
"""

import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

PROGRAM = ""
SOURCE = Path()
SMALL = ["--shape", "64x48x16", "--timesteps", "2", "--backend", "host", "--threads", "1",
         "--max-samples", "3", "--max-seconds-per-candidate", "0.05"]


def run(*arguments, cwd=None):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=300, cwd=cwd)


class CliTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        os.environ["XDG_CACHE_HOME"] = str(self.path / "xdg")  # not the user's

    def tearDown(self):
        self.folder.cleanup()

    def ok(self, *arguments):
        result = run(*arguments, cwd=self.path)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def fails(self, code, message, *arguments):
        result = run(*arguments, cwd=self.path)
        self.assertEqual(result.returncode, code, result.stderr)
        lines = result.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, result.stderr)
        self.assertTrue(lines[0].startswith("spiketune: "), lines[0])
        self.assertIn(message, lines[0])

    def report(self, name="report.json", schema="report"):
        with open(self.path / name, encoding="utf-8") as file:
            report = json.load(file)
        try:
            from jsonschema import Draft202012Validator
        except ImportError:
            return report
        with open(SOURCE / f"results/schema/{schema}.schema.json", encoding="utf-8") as file:
            errors = list(Draft202012Validator(json.load(file)).iter_errors(report))
        self.assertEqual([error.message for error in errors[:3]], [])
        return report

    def test_a_search_on_a_recording_is_a_report(self):
        recording = str(SOURCE / "results/h200/foundation.json")
        self.ok("tune", "--replay", recording, "--formats", "csr,dense,bitmap", "--out", "report.json")
        report = self.report()
        self.assertTrue(report["complete"])
        self.assertEqual(report["search"]["method"], "successive halving")
        self.assertEqual({point["format"] for point in report["points"]}, {"csr", "dense", "bitmap"})
        self.assertEqual([point["index"] for point in report["points"]], list(range(len(report["points"]))))
        self.fails(2, "--replay", "tune", "--replay", recording, "--density", "0.1")
        self.fails(1, "nosuch", "plan", "--from", "nosuch.json", "--evaluate")

    def test_an_interrupted_sweep_resumes(self):
        self.ok("sweep", *SMALL, "--density", "0.1", "--formats", "csr,dense", "--out", "report.json")
        whole = self.report()
        journal = self.path / "report.json.journal"
        self.assertFalse(journal.exists())
        # What a killed run leaves: the header and some points, the last line torn.
        head = {"schema": "spiketune.journal/1", "plan": whole["plan"]["hash"] + " 1/1",
                "gpu": whole["environment"]["gpu"], "cpu": whole["environment"]["cpu"],
                "version": self.ok("--version").split()[-1], "git": whole["git"] or ""}
        first = whole["points"][0]
        journal.write_text(json.dumps(head) + "\n" + json.dumps(first) + "\n" + json.dumps(whole["points"][1])[:50])
        command = ["sweep", *SMALL, "--density", "0.1", "--formats", "csr,dense", "--out", "report.json"]
        self.fails(1, "--resume", *command)
        self.ok(*command, "--resume")
        resumed = self.report()
        self.assertEqual(resumed["points"][0], first)
        self.assertEqual(len(resumed["points"]), len(whole["points"]))
        self.assertFalse(journal.exists())
        journal.write_text(json.dumps({**head, "plan": "another"}) + "\n" + json.dumps(first) + "\n")
        self.fails(1, "another sweep", *command, "--resume")
        self.fails(2, "--out", "sweep", *SMALL, "--density", "0.1", "--resume")

    def test_shards_merge(self):
        for part in ("1/2", "2/2"):
            self.ok("sweep", *SMALL, "--density", "0.1,0.2,0.3", "--formats", "csr,dense", "--shard", part, "--out",
                    f"part-{part[0]}.json")
        self.ok("merge", "part-2.json", "part-1.json", "--out", "report.json")
        report = self.report()
        self.assertEqual([point["index"] for point in report["points"]], list(range(len(report["points"]))))
        self.assertEqual(len(report["shards"]), 2)
        self.fails(1, "part 2 of 2 is missing", "merge", "part-1.json", "--out", "report.json")
        self.fails(1, "is no shard", "sweep", *SMALL, "--density", "0.1", "--shard", "3/2")

    def test_plans(self):
        recording = str(SOURCE / "results/h200/foundation.json")
        shape = ["--shape", "8192x2048x1024", "--timesteps", "4", "--weights", "f16"]
        text = self.ok("explain", "--from", recording, *shape, "--density", "0.005,0.2")
        self.assertIn("gathered (nnz·N)", text)
        ranked = re.findall(r"^ ?(\d+)  (\w+) ", text, re.MULTILINE)  # the first, and dense where it is another
        self.assertEqual([name for _, name in ranked[1:]], ["dense", "dense"])
        self.assertEqual((ranked[0][0], ranked[2][0]), ("1", "1"))
        for shares in text.split(" to ")[1:]:
            self.assertAlmostEqual(sum(int(share) for share in re.findall(r" (\d+) %", shares.split(" sum,")[0])), 100, delta=4)
        problems = json.loads(self.ok("plan", "--from", recording, *shape, "--density", "0.005,0.2", "--json"))
        self.assertEqual([problem["problem"]["density"] for problem in problems], [0.005, 0.2])
        self.assertNotEqual(problems[0]["plans"][0]["format"], "dense")
        self.assertEqual(problems[1]["plans"][0]["format"], "dense")
        for problem in problems:
            for plan in problem["plans"]:
                self.assertLessEqual(plan["low_us"], plan["total_us"])
                self.assertLessEqual(plan["total_us"], plan["high_us"])
        self.fails(1, "no points of these types", "plan", "--from", recording, *shape[:4], "--weights", "bf16")
        suite = str(SOURCE / "datasets/suites/compute.json")  # with limits, which plan has no use for
        self.assertEqual(len(json.loads(self.ok("plan", "--from", recording, "--suite", suite, "--json"))), 36)
        judged = self.ok("plan", "--from", recording, "--evaluate")
        self.assertRegex(judged, r"\n\d+ problems judged: regret")
        self.assertRegex(judged, r"\n5 recordings among them judged: regret")
        both = self.ok("plan", "--from", recording, str(SOURCE / "results/h200/compute.json"), *shape, "--density", "0.2")
        self.assertIn("foundation.json, ", both)
        Path(self.path / "other.json").write_text(json.dumps({"schema": "spiketune.report/1", "environment": {"gpu": "NVIDIA H100"}, "points": []}))
        self.fails(1, "another device (NVIDIA H100)", "plan", "--from", recording, "other.json", *shape)

    def test_tuned_points_are_kept(self):
        shape = ["--shape", "64x48x16", "--timesteps", "2"]
        self.fails(1, "nothing was tuned for", "plan", "--for", "nobody", *shape)
        self.ok("sweep", *SMALL, "--density", "0.1,0.3", "--formats", "csr,dense", "--no-baselines", "--out", "report.json")
        self.assertIn(" 4 of ", self.ok("cache", "import", "report.json").replace("points; ", ""))
        shown = json.loads(self.ok("cache", "show", "--json"))
        self.assertEqual([(entry["points"], entry["this_build"]) for entry in shown[:1]], [(4, True)])
        name = shown[0]["device"]
        # The sweep ran on one thread: only the name finds it where this machine has more.
        plans = json.loads(self.ok("plan", "--for", name, *shape, "--density", "0.2", "--json"))
        self.assertEqual({plan["format"] for plan in plans[0]["plans"]}, {"csr", "dense"})
        self.ok("cache", "export", "--for", name, "--out", "export.json")
        time.sleep(2)  # reports count whole seconds
        self.assertIn("removed 4 points", self.ok("cache", "prune", "--older-than", "0.00001"))
        self.ok("cache", "import", "export.json")
        cached = next((self.path / "xdg/spiketune").glob("*.json"))
        text = cached.read_text()
        cached.write_text(text[:len(text) // 2])
        result = run("plan", "--for", name, *shape, cwd=self.path)
        self.assertEqual(result.returncode, 1)
        self.assertIn(".corrupt-1", result.stderr)
        self.assertIn("nothing was tuned", result.stderr)
        report = self.report()
        report["environment"]["versions"]["spiketune_source"] = "another"
        (self.path / "report.json").write_text(json.dumps(report))
        self.fails(1, "another build", "cache", "import", "report.json")
        self.fails(1, "neither a report nor", "cache", "import", str(SOURCE / "datasets/suites/quick.json"))
        self.fails(2, "--older-than", "cache", "prune")

    def test_h200_comes_tuned(self):
        result = run("plan", "--for", "h200", "--shape", "8192x2048x1024", "--timesteps", "4", "--weights", "f16",
                     "--density", "0.005", cwd=self.path)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("learning from the points shipped with spiketune", result.stdout)
        self.assertIn("assumes independent spikes at this density", result.stdout)
        self.ok("sweep", *SMALL, "--density", "0.1", "--formats", "dense", "--no-baselines", "--out", "report.json")
        mine = self.report()["environment"]["versions"]["spiketune_source"]
        shipped = json.loads((SOURCE / "results/h200/plans.json").read_text())["source"]
        self.assertEqual("kernels may have changed" in result.stderr, mine != shipped)

    def test_help_has_an_example_everywhere(self):
        self.assertIn("Exit codes", self.ok("--help"))
        for command in ["sweep", "plan", "cache", "report", "compare", "info", "generate", "inspect", "encode", "decode"]:
            text = self.ok(command, "--help")
            self.assertIn("Example", text, command)
            self.assertIn("Exit codes", text, command)
        self.assertTrue(self.ok("--version").startswith("spiketune "))

    def test_wrong_usage(self):
        self.fails(2, "subcommand")
        self.fails(2, "--bogus", "sweep", "--bogus")
        self.fails(2, "one of --suite", "sweep")
        self.fails(2, "--density", "sweep", "--suite", "x.json", "--density", "0.1")
        self.fails(2, "--tile", "sweep", "--shape", "4x4x4", "--tile", "2")
        self.fails(2, "JSON", "sweep", *SMALL, "--config", "{")

    def test_errors_are_one_sentence(self):
        self.fails(1, "is not a shape", "sweep", "--shape", "64x48")
        self.fails(1, "crs", "sweep", *SMALL, "--formats", "crs")
        self.fails(1, "bernoulli", "sweep", *SMALL, "--pattern", "nope")
        self.fails(1, "nope.json", "sweep", "--suite", "nope.json")
        self.fails(1, "nope.so", "sweep", *SMALL, "--plugin", "nope.so")
        self.fails(1, "nope.json", "report", "nope.json")
        self.fails(1, "nope.npy", "inspect", "nope.npy")
        (self.path / "bad.json").write_text("{}", encoding="utf-8")
        self.fails(1, "bad.json", "report", "bad.json")
        self.fails(1, "bad.json", "compare", "bad.json", "bad.json")
        self.fails(1, "cannot write", "sweep", *SMALL, "--out", "/nonexistent/report.json")

    def test_no_file_is_written_over_another(self):
        self.ok("sweep", *SMALL, "--density", "0.1", "--out", "report.json")
        before = (self.path / "report.json").read_bytes()
        self.fails(1, "would write", "sweep", *SMALL, "--out", "a.json", "--html", "a.json")
        self.fails(1, "would write", "report", "report.json", "--format", "md", "--out", "report.json")
        self.assertEqual((self.path / "report.json").read_bytes(), before)
        self.ok("generate", "--shape", "8x32", "--density", "0.2", "--out", "spikes.npy")
        before = (self.path / "spikes.npy").read_bytes()
        self.fails(1, "would write", "encode", "spikes.npy", "--format", "csr", "--out", "spikes.npy")
        self.assertEqual((self.path / "spikes.npy").read_bytes(), before)

    def test_links_and_devices_stay_what_they_are(self):
        (self.path / "link.json").symlink_to("target.json")
        (self.path / "target.json").write_text("old", encoding="utf-8")
        self.ok("sweep", *SMALL, "--density", "0.1", "--out", "link.json")
        self.assertTrue((self.path / "link.json").is_symlink())
        self.assertIn('"schema"', (self.path / "target.json").read_text(encoding="utf-8"))
        self.ok("report", "link.json")
        (self.path / "full").symlink_to("/dev/full")
        self.fails(1, "cannot write", "report", "link.json", "--format", "md", "--out", "full")
        self.assertTrue(os.path.exists("/dev/full") and not os.path.isfile("/dev/full"))
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([PROGRAM, "report", "link.json"], cwd=self.path, stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write to standard output", done.stderr)

    def test_sweep_and_report(self):
        output = self.ok("sweep", *SMALL, "--density", "0.02,0.3", "--out", "report.json")
        self.assertIn("synthetic 64×48×16", output)
        report = self.report()
        self.assertTrue(report["complete"])
        self.assertEqual({point["status"] for point in report["points"]} - {"ok", "skipped"}, set())
        self.assertEqual(len(report["winners"]), 2)
        self.assertIn("--density", report["argv"])
        self.assertIn("64×48×16", self.ok("report", "report.json"))
        self.ok("report", "report.json", "--markdown", "report.md", "--t4", "t4.json")
        self.assertEqual(len(self.report("t4.json", "t4")["results"]), len(self.report()["points"]))
        self.assertIn("# spiketune report", (self.path / "report.md").read_text(encoding="utf-8"))
        self.assertEqual([], list(self.path.glob("*.tmp")))

    def compared_reports(self):
        """The recorded report, and the same with one kernel's products and totals 5 % slower."""
        base = SOURCE / "results/h200/foundation.json"
        report = json.loads(base.read_text(encoding="utf-8"))
        for point in report["points"]:
            if point["format"] != "sell" or point["status"] != "ok":
                continue
            for key in ["compute_us", "compute_hot_us", "total_us", "total_hot_us"]:
                point[key]["samples"] = [1.05 * sample for sample in point[key]["samples"]]
        (self.path / "slow.json").write_text(json.dumps(report), encoding="utf-8")
        return str(base), "slow.json"

    def test_compare_finds_the_slower_kernel(self):
        base, slow = self.compared_reports()
        text = self.ok("compare", base, slow)
        self.assertIn("sell (row_gather)", text)
        self.assertLessEqual(max(len(line) for line in text.splitlines()), 100)
        self.assertEqual(
            run("compare", base, slow, "--fail-on", "kernel-slower", cwd=self.path).returncode, 3)
        self.ok("compare", slow, base, "--fail-on", "all-slower")  # faster
        self.ok("compare", base, slow, "--fail-on", "all-slower", "--min-effect", "10%")
        self.ok("compare", base, slow, "--fail-on", "slower", "--drift", "0.2")
        markdown = self.ok("compare", base, slow, "--format", "md")
        self.assertIn("| sell (row_gather) |", markdown)
        comparison = json.loads(self.ok("compare", base, slow, "--format", "json"))
        self.assertEqual(comparison["schema"], "spiketune.comparison/1")
        slower = {kernel["name"] for family in comparison["families"]
                  for kernel in family["kernels"] if kernel["verdict"] == "slower"}
        self.assertEqual(slower, {"sell (row_gather)"})
        both = json.loads(self.ok("compare", base, slow, base, "--format", "json"))
        self.assertEqual([one["new"]["file"] for one in both], [slow, base])
        self.assertGreater(len(self.ok("compare", base, slow, "--all")), 10 * len(text))

    def test_compare_refuses(self):
        base, _ = self.compared_reports()
        self.ok("sweep", *SMALL, "--density", "0.1", "--out", "host.json", "--quiet")
        self.fails(1, "no point in common", "compare", base, "host.json")
        self.ok("sweep", *SMALL, "--density", "0.1", "--seed", "2", "--out", "seed.json", "--quiet")
        self.fails(1, "seed 1 and 2", "compare", "host.json", "seed.json")
        self.fails(1, "nope.json", "compare", base, "nope.json")
        self.fails(2, "reports", "compare", base)
        for share in ["2x", "-1%", "%", "nan", "101%"]:
            self.fails(2, "is not a share", "compare", base, base, f"--min-effect={share}")

    def test_a_point_can_be_measured_again(self):
        self.ok("sweep", *SMALL, "--density", "0.1", "--out", "report.json", "--quiet")
        point = next(p for p in self.report()["points"] if p["format"] == "csr")
        command = shlex.split(point["command"])[1:]
        self.assertEqual("", self.ok(*command, "--max-samples", "3", "--out", "again.json", "--quiet"))
        again = self.report("again.json")["points"]
        self.assertEqual(len(again), 1)
        for key in ["problem", "format", "kernel", "config", "nnz"]:
            self.assertEqual(again[0][key], point[key])

    def test_suite_with_a_missing_file(self):
        suite = {"schema": "spiketune.suite/1", "limits": {"max_samples": 3},
                 "entries": [{"workload": "a", "shapes": ["32x32x8"], "densities": 0.1,
                              "weights": "f32"},
                             {"workload": "b", "file": "gone.npz", "n": 8}]}
        (self.path / "suite.json").write_text(json.dumps(suite), encoding="utf-8")
        self.ok("sweep", "--suite", "suite.json", "--backend", "host", "--out", "report.json",
                "--max-seconds-per-candidate", "0.05")
        missing = [p for p in self.report()["points"] if p["problem"]["workload"] == "b"]
        self.assertGreater(len(missing), 3)
        for point in missing:
            self.assertEqual(point["status"], "skipped")
            self.assertIn("gone.npz", point["reason"])

    def test_generate_inspect_encode_decode(self):
        self.ok("generate", "--out", "spikes.npz", "--shape", "64x48", "--timesteps", "2",
                "--density", "0.2", "--seed", "5")
        found = json.loads(self.ok("inspect", "spikes.npz", "--json"))
        self.assertEqual([found["timesteps"], found["rows"], found["k"]], [2, 32, 48])
        self.assertGreater(found["nnz"], 0)
        self.assertIn("csr", [entry["format"] for entry in found["formats"]])
        self.assertIn("bytes by format", self.ok("inspect", "spikes.npz"))
        for kind in ["coo", "csr", "csc", "bsr"]:
            self.ok("encode", "spikes.npz", "--format", kind, "--out", "encoded.npz")
            self.ok("decode", "encoded.npz", "--out", f"{kind}.npz")
            decoded = json.loads(self.ok("inspect", f"{kind}.npz", "--json"))
            self.assertEqual(decoded, found, kind)
        self.ok("sweep", "--file", "spikes.npz", "--n", "8", "--backend", "host", "--out",
                "report.json", "--max-samples", "3", "--max-seconds-per-candidate", "0.05")
        problem = self.report()["points"][0]["problem"]
        self.assertEqual([problem["timesteps"], problem["rows"], problem["k"]], [2, 32, 48])
        self.assertAlmostEqual(problem["density"], found["density"])

    def test_a_recording_is_imitated(self):
        params = {"sigma": 0.6, "silent_share": 0.25, "silent_neurons": 0.4, "correlation": 0.5}
        self.ok("generate", "--out", "secret.npz", "--shape", "8192x96", "--timesteps", "16",
                "--density", "0.08", "--pattern", "layer", "--pattern-params", json.dumps(params))
        self.fails(1, "--n", "inspect", "secret.npz", "--as-workload", "like.json")
        self.ok("inspect", "secret.npz", "--as-workload", "like.json", "--n", "24")
        text = (self.path / "like.json").read_text(encoding="utf-8")
        self.assertNotIn("secret", text)
        entry = json.loads(text)["entries"][0]
        self.assertEqual([entry["timesteps"], entry["positions"], entry["layers"]],
                         [16, 512, ["96x24"]])
        self.ok("generate", "--out", "like.npz", "--shape", "8192x96", "--timesteps", "16",
                "--density", str(entry["densities"][0]), "--pattern", entry["pattern"],
                "--pattern-params", json.dumps(entry["pattern_params"]), "--seed", "7")
        secret, like = (json.loads(self.ok("inspect", name, "--json"))
                        for name in ["secret.npz", "like.npz"])
        for feature, tolerance in {"density": 0.004, "persistence": 0.02, "silent_neurons": 0.02,
                                   "silent_channels": 0.02, "channel_deviation": 0.015}.items():
            self.assertAlmostEqual(secret[feature], like[feature], delta=tolerance, msg=feature)
        self.ok("sweep", "--suite", "like.json", "--backend", "host", "--formats", "csr", "--out",
                "report.json", "--max-samples", "3", "--max-seconds-per-candidate", "0.05")
        self.assertEqual(self.report()["points"][0]["problem"]["pattern_params"],
                         entry["pattern_params"])

    def test_info(self):
        text = self.ok("info")
        self.assertIn("csr (host)", text)
        installation = json.loads(self.ok("info", "--json"))
        self.assertIn("missing", installation)

    def start_long_sweep(self, **options):
        return subprocess.Popen(
            [PROGRAM, "sweep", "--shape", "256x256x64", "--density", "0.1,0.2,0.3", "--backend",
             "host", "--threads", "1", "--max-samples", "1000000", "--max-seconds-per-candidate",
             "60", "--out", str(self.path / "report.json")], **options)

    def test_interrupt_leaves_a_valid_report(self):
        sweep = self.start_long_sweep(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(2)
        sweep.send_signal(signal.SIGINT)
        _, messages = sweep.communicate(timeout=120)
        self.assertEqual(sweep.returncode, 130, messages)
        self.assertFalse(self.report()["complete"])

    def test_a_finished_report_stays_until_the_next_is_finished(self):
        command = ["sweep", *SMALL, "--formats", "csr", "--out", "report.json"]
        self.ok(*command, "--density", "0.1")
        finished = (self.path / "report.json").read_bytes()
        sweep = self.start_long_sweep(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(2)
        sweep.send_signal(signal.SIGINT)
        said, messages = sweep.communicate(timeout=120)
        self.assertEqual(sweep.returncode, 130, messages)
        self.assertIn("kept the finished", said)
        self.assertEqual((self.path / "report.json").read_bytes(), finished)
        self.assertTrue((self.path / "report.json.journal").exists())
        (self.path / "report.json.journal").unlink()
        self.ok(*command, "--density", "0.2")
        self.assertNotEqual((self.path / "report.json").read_bytes(), finished)

    def test_flags_without_sense_are_named(self):
        self.fails(2, "--density", "sweep", *SMALL, "--density", "")
        self.fails(2, "'0' is not more than 0", "sweep", *SMALL, "--max-samples", "0")
        self.fails(2, "--devices names CUDA devices", "sweep", *SMALL, "--devices", "foo")
        (self.path / "points.json").write_text('{"schema": "spiketune.report/1", "points": 3}')
        self.fails(1, "points.json has no list of points", "report", "points.json")
        (self.path / "other.json").write_text('{"schema": "spiketune.plans/1"}')
        self.fails(1, "its schema is spiketune.plans/1", "report", "other.json")

    def test_progress_bar_on_a_terminal(self):
        terminal, child = pty.openpty()
        sweep = self.start_long_sweep(stdout=subprocess.DEVNULL, stderr=child)
        os.close(child)
        seen = b""
        until = time.monotonic() + 60
        while b" left" not in seen and time.monotonic() < until:
            if select.select([terminal], [], [], 1)[0]:
                seen += os.read(terminal, 4096)
        sweep.send_signal(signal.SIGINT)
        sweep.send_signal(signal.SIGINT)
        # A terminal that nobody reads would block the program.
        while sweep.poll() is None and time.monotonic() < until + 60:
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    os.read(terminal, 4096)
                except OSError:
                    break
        sweep.wait(timeout=60)
        os.close(terminal)
        self.assertIn(b"\r", seen)
        self.assertIn(" left · 1/3".encode(), seen)
        self.assertEqual(sweep.returncode, 130)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    PROGRAM = os.path.abspath(sys.argv[1])
    SOURCE = Path(sys.argv[2])
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
