#!/usr/bin/env python3
"""Files that other programs wrote, read by spiketune: every element must be where they put it.

usage: readers_test.py SPIKETUNE SOURCE_DIR
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy as np
    import scipy.io
    import scipy.sparse as sparse
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

import spike_files

PROGRAM = ""
SOURCE = pathlib.Path()
RANDOM = np.random.default_rng(3)


def run(*arguments):
    return subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=300)


def missing_modules(*names):
    for name in names:
        try:
            __import__(name)
        except ImportError as error:
            return str(error)
    return ""


def missing_reader(name):
    """Why this build does not read that kind, or an empty text."""
    readers = json.loads(run(PROGRAM, "info", "--json").stdout)["readers"]
    return next(reader["unavailable"] or "" for reader in readers if reader["name"] == name)


def random_events(count, width=16, height=12, start=0):
    times = np.sort(RANDOM.integers(0, 100_000, count)) + start
    return list(zip(times, RANDOM.integers(0, width, count), RANDOM.integers(0, height, count),
                    RANDOM.integers(0, 2, count).astype(bool)))


def binned(events, steps, width=16, height=12, window=None, most=1):
    """[T, 2 · height · width]; an independent way to do what docs/data.md says."""
    times = np.array([event[0] for event in events])
    start = times.min()
    window = window or -(-(times.max() + 1 - start) // steps)
    counts = np.zeros((steps, 2, height, width), int)
    for time, x, y, on in events:
        counts[(time - start) // window, int(on), y, x] += 1
    return np.minimum(counts, most).reshape(steps, -1)


class ReadersTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def file(self, name, content):
        (self.path / name).write_bytes(content)
        return self.path / name

    def need(self, reader, *modules):
        why = missing_modules(*modules) or missing_reader(reader)
        if why:
            self.skipTest(why)

    def read(self, path, *flags):
        """The spikes as a matrix [T · rows, K]."""
        out = self.path / "encoded.npz"
        done = run(PROGRAM, "encode", path, "--format", "csr", "--out", out, *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        return sparse.load_npz(out).toarray()

    def expect(self, path, expected, *flags):
        found = self.read(path, *flags)
        self.assertEqual(found.shape, expected.shape)
        self.assertTrue(np.array_equal(found, expected), f"{path} {flags}")

    def fails(self, message, path, *flags):
        done = run(PROGRAM, "inspect", path, *flags)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertIn(message, done.stderr)

    def test_matrix_market_of_scipy(self):
        mask = RANDOM.random((20, 30)) < 0.2
        values = (mask * RANDOM.integers(-8, 9, mask.shape) / 4).astype("f4")
        square = values[:20, :20]
        path = self.path / "m.mtx"
        graded = ["--value", "graded", "--input", "f32"]
        scipy.io.mmwrite(path, sparse.coo_matrix(mask), field="pattern")
        self.expect(path, mask)
        scipy.io.mmwrite(path, sparse.coo_matrix(values))
        self.expect(path, values, *graded)
        scipy.io.mmwrite(path, sparse.coo_matrix((values * 4).astype(int)))
        self.expect(path, values * 4, *graded)
        scipy.io.mmwrite(path, values)
        self.expect(path, values, *graded)
        for symmetric in (square + square.T, square - square.T):
            scipy.io.mmwrite(path, sparse.coo_matrix(symmetric))
            self.assertIn("symmetric", path.read_text().splitlines()[0])
            self.expect(path, symmetric, *graded)
            scipy.io.mmwrite(path, symmetric)
            self.expect(path, symmetric, *graded)

    def test_smtx(self):
        mask = RANDOM.random((64, 48)) < 0.1
        self.expect(self.file("m.smtx", spike_files.smtx(mask)), mask)

    def test_safetensors(self):
        mask = (RANDOM.random((4, 3, 10)) < 0.3)
        for dtype, stored in [("BOOL", mask), ("U8", mask.astype("u1")), ("I64", mask.astype("<i8")),
                              ("F16", mask.astype("f2")), ("F32", mask.astype("f4")),
                              ("F64", mask.astype("f8")), ("BF16", mask.astype("<u2") * 0x3F80)]:
            content = spike_files.safetensors({"other": ("U8", np.zeros(5, "u1")), "s": (dtype, stored)})
            path = self.file("t.safetensors", content)
            self.expect(f"{path}:s", mask.reshape(12, 10))
            self.expect(path, mask.reshape(12, 10), "--member", "s")

    def test_names_in_a_file_stay_on_one_line(self):
        names = {"a\nb\x1b[31m": ("U8", np.zeros((1, 2), "u1")), "c": ("U8", np.zeros((1, 2), "u1"))}
        path = self.file("t.safetensors", spike_files.safetensors(names))
        self.fails("'a b [31m'", path)

    def test_n_mnist(self):
        events = random_events(2000, 34, 34)
        events[0] = (0,) + events[0][1:]  # these files count from 0
        path = self.file("00001.bin", spike_files.n_mnist(events))
        self.expect(path, binned(events, 7, 34, 34), "--steps", 7)
        self.expect(path, binned(events, 2, 34, 34, most=3), "--steps", 2, "--value", "graded2")

    def test_aedat4(self):
        self.need("AEDAT4", "flatbuffers", "lz4.frame", "zstandard")
        events = random_events(1000, start=1_700_000_000_000_000)
        for compression in range(5):
            path = self.file("r.aedat4", spike_files.aedat4({0: events}, compression))
            self.expect(path, binned(events, 5), "--steps", 5)
            self.expect(path, binned(events, 4, window=25_000), "--steps", 4, "--window", 25_000)
        found = json.loads(run(PROGRAM, "inspect", path, "--steps", 5, "--json").stdout)
        self.assertEqual([found["timesteps"], found["rows"], found["k"]], [5, 1, 2 * 16 * 12])
        self.assertIn("1000 events of one sample in 5 steps", found["events"])

        others = random_events(500)
        path = self.file("two.aedat4", spike_files.aedat4({0: others, 7: events}))
        self.fails("'0', '7'", path, "--steps", 5)
        self.expect(f"{path}:7", binned(events, 5), "--steps", 5, "--sensor", "16,12")
        bare = self.file("bare.aedat4", spike_files.aedat4({0: events}, xml="no xml at all"))
        self.expect(bare, binned(events, 5), "--steps", 5)

    def test_aedat4_as_frames_for_a_convolution(self):
        self.need("AEDAT4", "flatbuffers")
        events = random_events(1000)
        path = self.file("r.aedat4", spike_files.aedat4({0: events}))
        frames = binned(events, 3).reshape(3, 2, 12, 16)
        columns = np.zeros((3, 10, 14, 2, 3, 3), int)
        for y in range(10):
            for x in range(14):
                columns[:, y, x] = frames[:, :, y:y + 3, x:x + 3]
        self.expect(path, columns.reshape(3 * 10 * 14, 18), "--steps", 3, "--kernel-h", 3, "--kernel-w", 3)

    def test_sweep_of_events(self):
        self.need("AEDAT4", "flatbuffers")
        path = self.file("r.aedat4", spike_files.aedat4({0: random_events(1000)}))
        suite = {"schema": "spiketune.suite/1", "entries": [
            {"workload": "dvs", "file": "r.aedat4", "n": 8, "weights": "f32",
             "events": {"steps": 4, "downsample": 2, "polarity": "merge"}}]}
        (self.path / "suite.json").write_text(json.dumps(suite), encoding="utf-8")
        common = ["--backend", "host", "--formats", "csr", "--no-baselines", "--max-samples", 3,
                  "--max-seconds-per-candidate", 0.05, "--out", self.path / "report.json"]
        points = []
        for source in [["--suite", self.path / "suite.json"],
                       ["--file", path, "--n", 8, "--steps", 4, "--downsample", 2, "--polarity", "merge"]]:
            done = run(PROGRAM, "sweep", *source, *common)
            self.assertEqual(done.returncode, 0, done.stderr)
            points.append(json.loads((self.path / "report.json").read_text())["points"][0])
        for point in points:
            self.assertEqual([point["problem"][key] for key in ("timesteps", "rows", "k")], [4, 1, 48])
            self.assertIn("--steps 4 --polarity merge --downsample 2", point["command"])
        self.assertEqual(points[0]["nnz"], points[1]["nnz"])
        suite["entries"][0]["events"] = {"step": 4}
        (self.path / "suite.json").write_text(json.dumps(suite), encoding="utf-8")
        done = run(PROGRAM, "sweep", "--suite", self.path / "suite.json", *common)
        self.assertEqual(done.returncode, 1)
        self.assertIn("entry 0", done.stderr)

    def test_hdf5_arrays(self):
        self.need("HDF5", "h5py")
        import h5py
        mask = RANDOM.random((4, 6, 50)) < 0.2
        path = self.path / "a.h5"
        for dtype in ("bool", "u1", "i2", "<i8", ">i4", "f2", "f4", "f8"):
            for options in ({}, {"chunks": (2, 3, 7), "compression": "gzip", "shuffle": True}):
                with h5py.File(path, "w") as file:
                    file.create_dataset("layer1/out", data=mask.astype(dtype), **options)
                    file["layer1/name"] = "a text"
                self.expect(path, mask.reshape(24, 50))  # the only array
        with h5py.File(path, "a") as file:
            file["layer2"] = mask[0]
        self.expect(f"{path}:/layer1/out", mask.reshape(24, 50))
        self.expect(path, mask[0], "--member", "layer2")
        self.fails("'layer1/out', 'layer2'", path)
        self.fails("is missing", f"{path}:/nope")
        self.fails("neither an array of numbers nor spikes", f"{path}:layer1/name")

    def test_hdf5_of_heidelberg(self):
        self.need("HDF5", "h5py")
        samples = [[(float(np.float16(t)), u) for t, u in zip(RANDOM.random(400), RANDOM.integers(0, 700, 400))]
                   for _ in range(3)] + [[]]
        path = self.path / "shd.h5"
        spike_files.heidelberg(path, samples)
        duration = max(round(t * 1e6) for sample in samples for t, _ in sample) + 1
        window = -(-duration // 10)
        expected = np.zeros((10, 4, 700), int)
        for i, sample in enumerate(samples):
            for t, unit in sample:
                expected[round(t * 1e6) // window, i, unit] = 1
        self.expect(path, expected.reshape(40, 700), "--steps", 10)
        self.expect(path, expected[:, :2].reshape(20, 700), "--window", window, "--images", 2)
        self.fails("number of steps", path)

    def test_hdf5_of_nir(self):
        self.need("HDF5", "h5py")
        path = self.path / "data.nir"
        spike_files.nir_events(path, np.array([[1, 0, -1], [2, -1, -1]]),
                               np.array([[0.1, 0.26, np.inf], [0.999, np.inf, np.inf]]), 4, 1.0)
        expected = np.zeros((4, 2, 4), int)
        expected[0, 0, 1] = expected[1, 0, 0] = expected[3, 1, 2] = 1
        self.expect(path, expected.reshape(8, 4), "--steps", 4)
        grid = RANDOM.random((3, 5, 7)) < 0.3
        spike_files.nir_grid(path, grid, 0.001)
        self.expect(path, grid.transpose(1, 0, 2).reshape(15, 7))

    def test_hdf5_that_asks_for_too_much(self):
        self.need("HDF5", "h5py")
        import h5py
        path = self.path / "huge.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("spikes", (1 << 20, 1 << 20), "u1", chunks=(64, 64))
        self.fails("more than the", path)
        with h5py.File(path, "w") as file:
            file["spikes"] = h5py.ExternalLink("/etc/hostname", "/x")
        self.fails(str(path), path)
        with h5py.File(path, "w") as file:
            file.create_dataset("spikes", (1, 8), "u1", external=[("/etc/hostname", 0, 8)])
        self.fails("in other files", path)
        path.write_bytes(path.read_bytes()[:600])
        self.fails("truncated file", path)

    def test_pytorch(self):
        why = missing_modules("torch")
        if why:
            self.skipTest(why)
        import torch
        mask = torch.from_numpy(RANDOM.random((4, 3, 10)) < 0.3)
        out = self.path / "out.npz"
        convert = [sys.executable, SOURCE / "scripts/pt_to_npz.py"]
        for value in (mask, mask.half(), mask.to(torch.bfloat16), mask.to(torch.int64),
                      mask.permute(2, 1, 0).contiguous().permute(2, 1, 0)):
            torch.save(value, self.path / "s.pt")
            done = run(*convert, self.path / "s.pt", out)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.expect(out, mask.numpy().reshape(12, 10))
        torch.save({"layers": [{"s": mask}, {"s": mask[:1]}], "epoch": 3}, self.path / "s.pt")
        self.assertEqual(run(*convert, self.path / "s.pt", out).returncode, 0)
        self.expect(f"{out}:layers.1.s", mask[:1].numpy().reshape(3, 10))
        self.fails("pt_to_npz.py", self.path / "s.pt")

        class Evil:
            def __reduce__(self):
                return print, ("executed",)
        torch.save({"a": Evil()}, self.path / "s.pt")
        done = run(*convert, self.path / "s.pt", out)
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("executed", done.stdout)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())
    SOURCE = pathlib.Path(sys.argv[2])
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
