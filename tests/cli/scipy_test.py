#!/usr/bin/env python3
"""scipy as an outside oracle: what encode writes it must read as the same matrix, and what it writes
decode must read.

usage: scipy_test.py SPIKETUNE
"""
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import scipy.sparse as sparse
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

CASES = [
    ((1, 1), 1.0),
    ((7, 5), 0.0),
    ((64, 64), 0.07),
    ((33, 100), 1.0),
    ((48, 257), 0.07),
    ((16, 1), 0.5),
    ((1, 300), 0.07),
]
FORMATS = ["coo", "csr", "csc", "bsr"]


def run(*arguments):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"


def check(program, folder, dense, value):
    """`dense` through every format, both ways; `value` is binary, graded2 or graded."""
    source = folder / "spikes.npy"
    np.save(source, dense)
    storage = {np.dtype("u1"): "u8", np.dtype("f4"): "f32"}[dense.dtype]
    kind = ["--value", value, "--input", storage]
    weights = np.random.default_rng(5).integers(-4, 5, (dense.shape[1], 3))
    for name in FORMATS:
        encoded, decoded = folder / f"{name}.npz", folder / f"{name}.npy"
        run(program, "encode", source, "--format", name, "--block-size", 8, "--out", encoded, *kind)
        matrix = sparse.load_npz(encoded)
        assert matrix.format == name, (matrix.format, name)
        rows, columns = dense.shape
        if name == "bsr":  # whole blocks: the edge is padded with zeros
            padded = matrix.toarray()
            assert not padded[rows:].any() and not padded[:, columns:].any()
            matrix = sparse.csr_matrix(padded[:rows, :columns])
        assert matrix.shape == dense.shape, (name, matrix.shape, dense.shape)
        assert np.array_equal(matrix.toarray(), dense), (name, dense.shape)
        assert matrix.nnz == np.count_nonzero(dense), (name, matrix.nnz)
        assert np.array_equal(matrix.astype("f8") @ weights, dense.astype("f8") @ weights)

        if name == "bsr":
            if rows % 8 or columns % 8:
                continue
            theirs = sparse.bsr_matrix(dense, blocksize=(8, 8))
        else:
            theirs = sparse.csr_matrix(dense).asformat(name)
        sparse.save_npz(encoded, theirs)
        run(program, "decode", encoded, "--out", decoded, *kind)
        ours = np.load(decoded)
        assert np.array_equal(ours.reshape(dense.shape), dense), (name, ours.shape)


def main():
    random = np.random.default_rng(1)
    count = 0
    with tempfile.TemporaryDirectory() as name:
        for shape, density in CASES:
            mask = random.random(shape) < density
            check(sys.argv[1], pathlib.Path(name), mask.astype("u1"), "binary")
            graded2 = (mask * random.integers(1, 4, shape)).astype("u1")
            check(sys.argv[1], pathlib.Path(name), graded2, "graded2")
            graded = (mask * (random.integers(1, 64, shape) / 32 - 1.0)).astype("f4")
            check(sys.argv[1], pathlib.Path(name), graded, "graded")
            count += 3
    print(f"{count} matrices in {len(FORMATS)} formats agree with scipy")


if __name__ == "__main__":
    main()
