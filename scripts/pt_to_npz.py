#!/usr/bin/env python3
"""Turns the tensors of a PyTorch file (.pt, .pth) into an .npz that spiketune reads.

usage: pt_to_npz.py FILE.pt FILE.npz

A single tensor becomes the member `spikes`; tensors in dictionaries and lists are named by the way
to them, as in layers.1.spikes; what is no tensor is left out. Needs NumPy, not PyTorch, and runs
nothing that the file holds. Dense tensors of files that torch.save() of version 1.6 or later wrote.
"""
import collections
import pickle
import sys
import zipfile

import numpy as np

STORAGES = {"BoolStorage": "?", "ByteStorage": "u1", "CharStorage": "i1", "ShortStorage": "<i2",
            "IntStorage": "<i4", "LongStorage": "<i8", "HalfStorage": "<f2", "BFloat16Storage": "bf16",
            "FloatStorage": "<f4", "DoubleStorage": "<f8"}


class Refused(Exception):
    """The file is not what this script reads; the text says why."""


def rebuild_tensor(storage, offset, size, stride, *_):
    if len(size) != len(stride) or any(n < 0 for n in (offset, *size, *stride)):
        raise Refused("a tensor with a negative size, stride or offset")
    if 0 in size:
        return np.zeros(size, storage.dtype)
    # Nothing outside of the stored bytes is read, whatever the strides say.
    if offset + sum((n - 1) * s for n, s in zip(size, stride)) >= len(storage):
        raise Refused("a tensor that reaches beyond its data")
    steps = [s * storage.itemsize for s in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)


class Reader(pickle.Unpickler):
    """Knows tensors and plain containers; refuses to import anything else."""

    def __init__(self, archive, folder):
        super().__init__(archive.open(folder + "data.pkl"))
        self.archive = archive
        self.folder = folder

    def find_class(self, module, name):
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return rebuild_tensor
        if module == "torch._utils" and name == "_rebuild_parameter":
            return lambda tensor, *_: tensor
        if module == "collections" and name == "OrderedDict":
            return collections.OrderedDict
        raise Refused(f"it needs {module}.{name}, which is neither a dense tensor nor a container")

    def persistent_load(self, identity):
        kind, dtype, key = identity[:3]
        if kind != "storage" or not isinstance(dtype, str):
            raise Refused("data of an unknown kind")
        data = self.archive.read(f"{self.folder}data/{key}")
        if dtype == "bf16":  # the upper half of a float
            return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
        return np.frombuffer(data, dtype)


def tensors(value, name):
    """(name, array) of everything below `value`."""
    if isinstance(value, np.ndarray):
        yield name or "spikes", value
    elif isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from tensors(item, f"{name}.{key}" if name else str(key))


def load(path):
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
            if len(pickles) != 1:
                raise Refused("it is no archive of torch.save()")
            found = dict(tensors(Reader(archive, pickles[0][:-len("data.pkl")]).load(), ""))
    except zipfile.BadZipFile:
        raise Refused("it is no zip archive; save it anew with PyTorch 1.6 or later") from None
    if not found:
        raise Refused("it holds no tensors")
    return found


def main():
    if len(sys.argv) != 3 or sys.argv[1] in ("-h", "--help"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        found = load(sys.argv[1])
        np.savez_compressed(sys.argv[2], **found)
    except Exception as error:  # a damaged pickle can raise anything
        print(f"pt_to_npz.py: {sys.argv[1]}: {error}".replace("\n", " "), file=sys.stderr)
        return 1
    for name, array in found.items():
        print(f"{name}: {array.dtype} {list(array.shape)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
