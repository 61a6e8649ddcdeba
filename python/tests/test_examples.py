"""The programs in examples/ that are in Python."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")


def test_a_whole_network_classifies_alike_by_every_format():
    program = Path(__file__).parents[2] / "examples" / "06_fashion_mnist.py"
    command = [sys.executable, program, "--data", "nowhere", "--formats", "all", "--device", "cpu"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "the 64 recorded images" in result.stdout and "100% of the recorded classes" in result.stdout
    assert result.stdout.count("accuracy 84.38%, 0 classes differ") >= 14
