#!/usr/bin/env python3
"""A suite of recorded layers, to judge the planner on spikes that it has not seen.

    recordings_suite.py SPIKES OUT

SPIKES holds recordings as .npy, a folder for each network: `vgg9_cifar10`, `lenet5_mnist` (inputs of each layer, of one
image, bool [T, C, H, W] or [T, K]; github.com/dubcyfor3/Prosperity) and `lava_oxford` (rasters, [neurons, T];
lava-nc/lava-dl). OUT becomes a folder of .npz, as `spiketune sweep --file` reads them, with the windows of
convolutions and widths of W, and `suite.json`, in which a batch repeats the image.
"""

import ast
import json
import math
import struct
import sys
import zipfile
from pathlib import Path

# Network, layer, kernel (0: fully connected), padding, columns of W, images.
LAYERS = [
    ("vgg9_cifar10", "conv2d_1", 3, 1, 64, (8, 32)),
    ("vgg9_cifar10", "conv2d_2", 3, 1, 128, (8, 32)),
    ("vgg9_cifar10", "conv2d_3", 3, 1, 128, (8, 32)),
    ("vgg9_cifar10", "conv2d_4", 3, 1, 256, (8, 32)),
    ("vgg9_cifar10", "conv2d_5", 3, 1, 256, (8, 32)),
    ("vgg9_cifar10", "fc_0", 0, 0, 1024, (32, 256)),
    ("vgg9_cifar10", "fc_1", 0, 0, 1024, (256,)),
    ("vgg9_cifar10", "fc_2", 0, 0, 10, (256,)),
    ("lenet5_mnist", "conv2d_1", 5, 0, 16, (8, 32)),
    ("lenet5_mnist", "fc_0", 0, 0, 120, (64,)),
    ("lenet5_mnist", "fc_1", 0, 0, 84, (64,)),
    ("lenet5_mnist", "fc_2", 0, 0, 10, (64,)),
    ("lava_oxford", "in", 0, 0, 256, (1, 16)),
    ("lava_oxford", "out", 0, 0, 200, (1, 16)),
]


def read_npy(path):
    """Shape and elements, nonzero or not, in C order."""
    data = path.read_bytes()
    if data[:6] != b"\x93NUMPY":
        sys.exit(f"{path} is not a .npy file")
    wide = data[6] > 1
    begin = 12 if wide else 10
    length = struct.unpack_from("<I" if wide else "<H", data, 8)[0]
    header = ast.literal_eval(data[begin : begin + length].decode("latin1"))
    code = {"|b1": "B", "<f8": "d"}.get(header["descr"])
    if code is None or header["fortran_order"]:
        sys.exit(f"{path} holds {header['descr']}: bool or f8 in C order are known")
    values = struct.unpack_from(f"<{math.prod(header['shape'])}{code}", data, begin + length)
    return list(header["shape"]), [value != 0 for value in values]


def npy(descr, shape, data):
    header = repr({"descr": descr, "fortran_order": False, "shape": tuple(shape)})
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def pack(bits, length):
    """Bits along the last axis, the least significant first."""
    packed = bytearray()
    for begin in range(0, len(bits), length):
        run = bits[begin : begin + length]
        packed += bytes(sum(bit << i for i, bit in enumerate(run[at : at + 8])) for at in range(0, length, 8))
    return bytes(packed)


def write_layer(path, shape, bits, kernel, padding, n):
    """As load_layer() of datasets/load.hpp reads it. The weights, which say the window and N, are zeros."""
    row = shape[-1]
    weight = [n, shape[2], kernel, kernel] if kernel else [n, row]
    integer = lambda value: npy("<i8", (), struct.pack("<q", value))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("spikes.npy", npy("|u1", shape[:-1] + [-(-row // 8)], pack(bits, row)))
        file.writestr("shape.npy", npy("<i8", [len(shape)], struct.pack(f"<{len(shape)}q", *shape)))
        file.writestr("weight.npy", npy("<f2", weight, bytes(2 * math.prod(weight))))
        if kernel:
            file.writestr("stride.npy", integer(1))
            file.writestr("padding.npy", integer(padding))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    spikes, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    entries = []
    for network, layer, kernel, padding, n, batches in LAYERS:
        shape, bits = read_npy(spikes / network / f"{layer}.npy")
        if network == "lava_oxford":
            neurons, steps = shape
            bits = [bits[neuron * steps + step] for step in range(steps) for neuron in range(neurons)]
            shape = [steps, neurons]
        shape.insert(1, 1)
        name = f"{network}.{layer}"
        write_layer(out / f"{name}.npz", shape, bits, kernel, padding, n)
        for images in batches:
            entries.append({"workload": name, "file": f"{name}.npz", "tile": images, "weights": "f16", "output": "f16"})
    suite = {"schema": "spiketune.suite/1", "name": "recordings",
             "description": "Recorded layers; a batch is the image again and again.",
             "limits": {"max_samples": 15, "max_seconds_per_candidate": 0.006}, "entries": entries}
    (out / "suite.json").write_text(json.dumps(suite, indent=1) + "\n")


if __name__ == "__main__":
    main()
