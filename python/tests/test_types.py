"""Type hints, as a type checker reads them in the installed package."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import spiketune
from spiketune import _core

STUB = Path(spiketune.__file__).parent / "_core.pyi"

PROGRAM = """
import numpy as np
import spiketune

spikes = (np.random.rand(4, 64, 512) < 0.05).astype("uint8")
csr: spiketune.Encoded = spiketune.encode(spikes, "csr", kind="binary", row_order="token-major")
steps, rows, k = csr.shape
count: int = steps * rows * k + csr.nnz
w8: spiketune.QuantisedWeights = spiketune.quantize(np.ones((512, 128), np.float32), 8)
lost: float = w8.relative_error
y = spiketune.spmm(csr, w8)
report: spiketune.Report = spiketune.sweep(shape="256x512x128", density=[0.01])
try:
    csr.check()
except spiketune.Error as error:
    print(str(error), report.winners[0]["format"], count, lost, y)
"""


def check(path, program):
    path.write_text(program)
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={path.parent / 'cache'}", path.name]
    return subprocess.run(command, cwd=path.parent, capture_output=True, text=True)


def test_a_program_is_checked(tmp_path):
    pytest.importorskip("mypy")
    result = check(tmp_path / "right.py", PROGRAM)
    assert result.returncode == 0, result.stdout
    for right, wrong in (('kind="binary"', 'kind="ternary"'), ("float32), 8)", "float32), 5)"), ("count: int", "count: str"), ("lost: float", "lost: str")):
        assert right in PROGRAM
        result = check(tmp_path / "wrong.py", PROGRAM.replace(right, wrong))
        assert result.returncode == 1 and "Found 1 error" in result.stdout, result.stdout


def public(names):
    return {name for name in names if not name.startswith("_")}


def test_the_stub_has_what_the_module_has():
    named = [node for node in ast.parse(STUB.read_text()).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert public(node.name for node in named) == public(vars(_core))
    for node in named:
        if isinstance(node, ast.ClassDef) and node.name != "Error":
            assert public(member.name for member in node.body if isinstance(member, ast.FunctionDef)) == public(vars(getattr(_core, node.name)))
