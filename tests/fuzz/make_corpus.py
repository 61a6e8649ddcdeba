#!/usr/bin/env python3
"""Writes small valid files of each kind (seed_*) into corpus/, where fuzzing starts. Files that are
there stay: among them are those that once crashed a reader.

usage: make_corpus.py     needs NumPy, SciPy, h5py, flatbuffers, lz4 and zstandard
"""
import io
import pathlib
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "cli"))
import spike_files  # noqa: E402

EVENTS = [(5, 1, 2, True), (9, 3, 4, False), (1200, 15, 11, True), (5000, 0, 0, False)]
DENSE = (np.random.default_rng(1).random((6, 8)) < 0.3).astype("u1")


def numpy_file(save, *arguments, **names):
    file = io.BytesIO()
    save(file, *arguments, **names)
    return file.getvalue()


def hdf5_file(write, *arguments):
    with tempfile.NamedTemporaryFile(suffix=".h5") as file:
        write(file.name, *arguments)
        return pathlib.Path(file.name).read_bytes()


def plain_hdf5(path, **options):
    import h5py
    with h5py.File(path, "w") as file:
        file.create_dataset("layer/spikes", data=DENSE.astype(bool), **options)


def compressed_hdf5(path):
    plain_hdf5(path, chunks=(2, 4), compression="gzip", shuffle=True, fletcher32=True)


def compact_hdf5(path):
    import h5py
    with h5py.File(path, "w", libver="latest") as file:
        file["spikes"] = DENSE.astype("f4")


def write(kind, name, content):
    path = HERE / "corpus" / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(content)


def main():
    packed = np.packbits(DENSE.reshape(2, 3, 8), axis=-1, bitorder="little")
    mtx = b"%%MatrixMarket matrix "
    samples = [[(0.001, 3), (0.02, 699)], [], [(0.5, 0)]]
    corpus = {
        "npy": [numpy_file(np.save, DENSE), numpy_file(np.save, np.asfortranarray(DENSE, "f2")),
                numpy_file(np.save, DENSE.reshape(2, 3, 8).astype("<i8"))],
        "npz": [numpy_file(np.savez, spikes=DENSE),
                numpy_file(np.savez_compressed, spikes=packed, shape=np.array([2, 3, 8]))],
        "hdf5": [hdf5_file(plain_hdf5), hdf5_file(compressed_hdf5), hdf5_file(compact_hdf5),
                 hdf5_file(spike_files.heidelberg, samples),
                 hdf5_file(spike_files.nir_events, np.array([[1, -1], [0, 2]]),
                           np.array([[0.1, np.inf], [0.2, 0.3]]), 4, 1.0),
                 hdf5_file(spike_files.nir_grid, DENSE.reshape(2, 3, 8).astype(bool), 0.001)],
        "aedat4": [spike_files.aedat4({0: EVENTS}, compression, packet=2) for compression in (0, 1, 3)]
        + [spike_files.aedat4({0: EVENTS}, xml="")],
        "matrix_market": [mtx + b"coordinate pattern general\n% a\n\n3 4 2\n1 1\n3 4\n",
                          mtx + b"coordinate real symmetric\n3 3 2\n1 1 1.0\n3 1 -2.5e-1\n",
                          mtx + b"coordinate integer skew-symmetric\n3 3 1\n2 1 3\n",
                          mtx + b"array real general\n2 2\n0 1\n1 0\n"],
        "smtx": [spike_files.smtx(DENSE), b"1, 1, 0\n0 0\n\n"],
        "n_mnist": [spike_files.n_mnist(EVENTS), spike_files.n_mnist([(0, 0, 240, False)] + EVENTS)],
        "safetensors": [spike_files.safetensors({"spikes": ("U8", DENSE)}),
                        spike_files.safetensors({"a": ("BF16", DENSE.astype("u2") * 0x3F80)}),
                        spike_files.safetensors({"x": ("F16", DENSE.astype("f2")),
                                                 "spikes": ("BOOL", DENSE)})],
    }
    for kind, files in corpus.items():
        for i, content in enumerate(files):
            write(kind, f"seed_{i}", content)
    write("aedat4", "two_streams", spike_files.aedat4({0: EVENTS[:1], 3: EVENTS}))


if __name__ == "__main__":
    main()
