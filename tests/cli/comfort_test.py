#!/usr/bin/env python3
"""What makes the program pleasant: completions, manual, colour, tables that fit, many reports.

    comfort_test.py PROGRAM SOURCE_DIR
"""

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import unittest
from pathlib import Path

PROGRAM = ""
SOURCE = Path()
ESCAPE = "\033["


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=120, check=False)


def on_terminal(*arguments, columns=100, **environment):
    """What the program writes to a terminal of so many columns."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    settings = {**os.environ, "TERM": "xterm", **environment}
    process = subprocess.Popen([PROGRAM, *arguments], stdin=follower, stdout=follower, stderr=follower, env=settings)
    os.close(follower)
    written = b""
    while True:
        try:
            part = os.read(leader, 1 << 16)
        except OSError:  # the other end was closed
            break
        if not part:
            break
        written += part
    process.wait()
    os.close(leader)
    return written.decode()


def commands_and_flags(*path):
    """Of --help: names of commands, and of long flags."""
    text = run(*path, "--help").stdout
    commands = text.partition("Subcommands:\n")[2].partition("\n\n")[0]
    names = re.findall(r"^  ([a-z]+) ", commands, re.MULTILINE)
    return names, set(re.findall(r"^  (?:-\w,)?(--[a-z0-9-]+)", text, re.MULTILINE))


class ComfortTest(unittest.TestCase):
    def complete(self, *words):
        """What bash offers for the last of the words."""
        script = ('source <("$1" completion bash); shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _spiketune; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        result = subprocess.run(["bash", "-c", script, "bash", PROGRAM, "spiketune", *words], capture_output=True, text=True, check=False)
        return result.stdout.split()

    @unittest.skipUnless(shutil.which("bash"), "no bash")
    def test_bash_completes_every_command_and_flag(self):
        commands, _ = commands_and_flags()
        self.assertIn("sweep", commands)
        self.assertEqual(set(self.complete("")), set(commands))
        self.assertEqual(self.complete("swe"), ["sweep"])
        for command in commands:
            _, flags = commands_and_flags(command)
            self.assertLessEqual(flags, set(self.complete(command, "--")), command)
        self.assertEqual(set(self.complete("cache", "")), set(commands_and_flags("cache")[0]))
        self.assertEqual(self.complete("sweep", "--configs", ""), ["default", "all"])
        self.assertEqual(self.complete("report", "--html", ""), [])  # files: bash's own
        self.assertEqual(self.complete("completion", ""), ["bash", "zsh", "fish"])

    @unittest.skipUnless(shutil.which("fish"), "no fish")
    def test_fish_completes(self):
        script = f"'{PROGRAM}' completion fish | source; complete -C '{{}}'"
        offered = lambda line: subprocess.run(["fish", "-c", script.format(line)], capture_output=True, text=True, check=True).stdout
        self.assertIn("sweep\tmeasure formats", offered("spiketune sw"))
        self.assertIn("--figures\t", offered("spiketune report --fi"))
        self.assertEqual([line.split("\t")[0] for line in offered("spiketune report --format ").splitlines()], ["html", "md", "text"])

    @unittest.skipUnless(shutil.which("zsh"), "no zsh")
    def test_zsh_takes_the_script(self):
        script = f"autoload -U compinit; compinit -u -D; source <('{PROGRAM}' completion zsh); whence -w _spiketune_cache_import"
        result = subprocess.run(["zsh", "-f", "-c", script], capture_output=True, text=True, check=False)
        self.assertEqual(result.stdout.strip(), "_spiketune_cache_import: function", result.stderr)
        self.assertEqual(result.stderr, "")

    def test_another_shell_is_refused(self):
        result = run("completion", "csh")
        self.assertEqual(result.returncode, 2)
        self.assertIn("bash", result.stderr)

    def test_the_manual_names_every_command_and_flag(self):
        manual = run("manual").stdout.replace("\\-", "-")
        for command in commands_and_flags()[0]:
            for flag in commands_and_flags(command)[1] - {"--help"}:
                self.assertIn(f"\\fB{flag}\\fR", manual)
        self.assertIn('.SS "cache import"', manual)
        self.assertNotIn('.SS "worker"', manual)  # not for people

    @unittest.skipUnless(shutil.which("man"), "no man")
    def test_man_reads_it_without_complaint(self):
        with tempfile.NamedTemporaryFile("w", suffix=".1", encoding="utf-8") as page:
            page.write(run("manual").stdout)
            page.flush()
            result = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", page.name], capture_output=True, text=True,
                                    env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"}, check=False)
        if "has been minimized" in result.stdout:
            self.skipTest("man is a stand-in here, of a system without manual pages")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("EXIT STATUS", result.stdout)

    def test_colour_is_for_terminals_that_want_it(self):
        missing = ("report", "/nowhere/report.json")
        self.assertIn(ESCAPE, on_terminal(*missing, NO_COLOR=""))
        self.assertNotIn(ESCAPE, on_terminal(*missing, NO_COLOR="1"))
        self.assertNotIn(ESCAPE, on_terminal(*missing, TERM="dumb"))
        self.assertNotIn(ESCAPE, run(*missing).stderr)

    def test_tables_fit_the_terminal(self):
        report = str(SOURCE / "results/h200/compute.json")
        for columns in (60, 80, 140):
            lines = on_terminal("report", report, columns=columns, NO_COLOR="1").splitlines()
            self.assertGreater(len(lines), 30)
            self.assertLessEqual(max(map(len, lines)), columns)
        coloured = on_terminal("report", report, columns=80, NO_COLOR="")
        self.assertTrue(coloured.startswith(ESCAPE + "1mworkload"), coloured[:40])

    def test_many_reports_are_shown_as_one(self):
        reports = [str(SOURCE / f"results/h200/{name}.json") for name in ("compute", "quantised")]
        text = run("report", *reports, "--format", "md").stdout
        self.assertEqual(text.count("## Environment of "), 2)
        self.assertIn("weights s4", text)
        one = run("report", reports[0]).stdout
        both = run("report", *reports).stdout
        self.assertGreater(len(both.splitlines()), len(one.splitlines()))

    def test_the_format_goes_where_it_should(self):
        report = str(SOURCE / "tests/autotune/fixture_report.json")
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            for form, start in (("md", "# spiketune report"), ("text", "workload")):
                result = run("report", report, "--format", form, "--out", str(out))
                self.assertEqual((result.returncode, result.stdout), (0, ""), result.stderr)
                self.assertTrue(out.read_text(encoding="utf-8").startswith(start))
            t4 = Path(folder) / "t4.json"
            self.assertEqual(run("report", report, report, "--t4", str(t4)).returncode, 0)
            with t4.open(encoding="utf-8") as file:
                self.assertEqual(len(json.load(file)["results"]), 78)
        self.assertEqual(run("report", report, "--format", "pdf").returncode, 2)


if __name__ == "__main__":
    PROGRAM = str(Path(sys.argv[1]).resolve())
    SOURCE = Path(sys.argv[2]).resolve()
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
