#!/usr/bin/env python3
"""A whole network from PyTorch: spikes → encoded → product → LIF → encoded, with no dense spikes between layers.

usage: 06_fashion_mnist.py [--images N] [--formats all] [--data DIR] [--device cuda]

The network of datasets/fashion_mnist_snn on the test images of Fashion-MNIST, on a GPU or on the host: `fused` (windows of
bits, then spmm_lif) and by way of each format, beside PyTorch's dense layers. All must classify alike. Prints time and
bytes by layer. Where the images are not there (Debian: apt-get install dataset-fashion-mnist), the 64 that are recorded
with the network, from their spikes on.
"""

import argparse
import gzip
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

import spiketune

STEPS, CLASSES = 4, 10
NEURON = {"leak": 0.5, "gain": 1.0, "threshold": 1.0}


class Layer:
    """A layer of the network. W as products of windows read it, [K, N], channels last; and as PyTorch has it."""

    def __init__(self, name, size, weight, bias, stride, padding, device):
        self.name, self.size, self.stride, self.padding = name, size, stride, padding
        if weight.shape[0] % 8:  # products on tensor cores want a multiple: channels without weights
            more = -weight.shape[0] % 8
            weight, bias = (np.pad(array, [(0, more)] + [(0, 0)] * (array.ndim - 1)) for array in (weight, bias))
        self.n = weight.shape[0]
        self.bias = torch.from_numpy(bias.astype(np.float32)).to(device)
        self.dense_weight = torch.from_numpy(weight.astype(np.float32)).to(device)
        half = torch.from_numpy(weight).to(device)
        if name == "fc1":  # its inputs are channels of positions; they come as positions of channels
            half = half.reshape(self.n, -1, 4, 4).permute(0, 2, 3, 1).reshape(self.n, -1)
        columns = half.permute(2, 3, 1, 0).reshape(-1, self.n) if half.dim() == 4 else half.t()
        self.weight = columns.contiguous() if device.type == "cuda" else columns.float().contiguous()
        self.kernel = tuple(weight.shape[2:])


class Stages:
    """Seconds and bytes at the peak of every layer, added up over the batches."""

    def __init__(self, device):
        self.cuda = device.type == "cuda"
        self.seconds, self.peak = {}, {}

    def run(self, name, call):
        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        start = time.perf_counter()
        # Bytes of encodings are asked of the device, so only where nobody else counts them.
        result = call(None if self.cuda else lambda bytes: self._note(name, bytes))
        if self.cuda:
            torch.cuda.synchronize()
            self._note(name, torch.cuda.max_memory_allocated() - before)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        return result

    def _note(self, name, bytes):
        self.peak[name] = max(self.peak.get(name, 0), bytes)


def words_of(bitmap, rows, k):
    """The bits of a bitmap as [T, rows, words], of which a row has k."""
    return bitmap.words.reshape(STEPS, rows, k // 32)


def encoded_layer(layer, spikes, images, format, note):
    """Currents [T * rows, N], or the spikes of the next layer where `format` is "fused" and neurons follow. note(bytes), if
    it is wanted, hears of memory."""
    if layer.kernel:
        windows = spiketune.im2col(spikes, layer.size, layer.kernel, stride=layer.stride, padding=layer.padding)
    else:  # all positions of an image are one window
        positions = spikes.shape[1] // images
        windows = spikes if positions == 1 else spiketune.im2col(spikes, (1, positions), (1, positions))
    rows, k = windows.shape[1:]
    if format == "fused" and layer.name != "fc2":
        fired = spiketune.spmm_lif(windows, layer.weight, bias=layer.bias, **NEURON)
        if note is not None:
            note(windows.bytes + fired.bytes)
        return fired
    encoded = windows if format == "fused" else spiketune.encode(words_of(windows, rows, k), format, k=k, density=1.0, wait=False)
    currents = torch.as_tensor(spiketune.spmm(encoded, layer.weight)) + layer.bias
    if layer.name == "fc2":
        return currents
    fired, _ = spiketune.lif(currents.view(STEPS, rows, layer.n), format="bitmap", **NEURON)
    if note is not None:
        note(windows.bytes + encoded.bytes + currents.nbytes + fired.bytes)
    return fired


def dense_layer(layer, spikes, note):
    """The same with PyTorch's dense layers: spikes [T * images, ...], in the type of W."""
    weight, bias = layer.dense_weight.to(spikes.dtype), layer.bias.to(spikes.dtype)
    if layer.kernel:
        currents = functional.conv2d(spikes, weight, bias, layer.stride, layer.padding)
    else:
        currents = functional.linear(spikes.flatten(1), weight, bias)
    if layer.name == "fc2":
        return currents
    membrane, fired = 0.0, []
    for current in currents.chunk(STEPS):
        membrane = NEURON["leak"] * membrane + current.float()
        spike = membrane >= NEURON["threshold"]
        membrane = membrane.masked_fill(spike, 0)
        fired.append(spike.to(spikes.dtype))
    result = torch.cat(fired)
    if note is not None:
        note(spikes.nbytes + currents.nbytes + 2 * result.nbytes)
    return result


def first_layer(layer, pixels):
    """Currents [T, images * 14 * 14, 32] of images: the same in every step, and no product of spikes."""
    currents = functional.conv2d(pixels[:, None].float() / 256, layer.dense_weight, layer.bias, layer.stride, layer.padding)
    rows = currents.permute(0, 2, 3, 1).reshape(-1, layer.n)
    return rows.expand(STEPS, *rows.shape).contiguous()


def classify(network, batches, format, device):
    """(classes, stages) of the network by way of a format, "fused" or "pytorch"."""
    stages, classes = Stages(device), []
    for pixels, recorded in batches:
        images = (pixels if recorded is None else recorded[0]).shape[0]
        if format == "pytorch":
            spikes = dense_start(network[0], pixels, recorded, device)
            for layer in network[1:]:
                spikes = stages.run(layer.name, lambda note: dense_layer(layer, spikes, note))
        else:
            if recorded is None:
                spikes, _ = spiketune.lif(first_layer(network[0], pixels), format="bitmap", **NEURON)
            else:
                channels_last = recorded.permute(0, 1, 3, 4, 2).reshape(STEPS, -1, recorded.shape[2]).contiguous()
                images = recorded.shape[1]
                spikes = spiketune.encode(channels_last, "bitmap")
            for layer in network[1:]:
                spikes = stages.run(layer.name, lambda note: encoded_layer(layer, spikes, images, format, note))
        classes.append(spikes.float().view(STEPS, -1, network[-1].n).mean(0)[:, :CLASSES].argmax(1).cpu())
    return torch.cat(classes).numpy(), stages


def dense_start(layer, pixels, recorded, device):
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    if recorded is not None:
        return recorded.flatten(0, 1).to(dtype)
    currents = first_layer(layer, pixels).view(STEPS, -1, layer.n)
    spikes, _ = spiketune.lif(currents, **NEURON)
    return torch.as_tensor(spikes).view(-1, 14, 14, layer.n).permute(0, 3, 1, 2).to(dtype).contiguous()


def load_network(folder, device):
    file = np.load(folder / "network.npz")
    layers = [Layer("conv1", (28, 28), file["conv1_weight"], file["conv1_bias"], int(file["conv1_stride"]), int(file["conv1_padding"]), device)]
    for name, size in (("conv2", (14, 14)), ("conv3", (14, 14)), ("conv4", (7, 7)), ("fc1", None), ("fc2", None)):
        recorded = np.load(folder / f"{name}.npz")
        stride, padding = (int(recorded[key]) if key in recorded else 0 for key in ("stride", "padding"))
        layers.append(Layer(name, size, recorded["weight"], recorded["bias"], stride, padding, device))
    return layers, file


def read_idx(path, header):
    with gzip.open(path, "rb") as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def load_images(folder, data, count, batch, device):
    """(batches of (pixels, recorded spikes), labels, what they are)."""
    images, labels = data / "t10k-images-idx3-ubyte.gz", data / "t10k-labels-idx1-ubyte.gz"
    if images.exists() and labels.exists():
        pixels = torch.from_numpy(read_idx(images, 16).reshape(-1, 28, 28).copy())[:count].to(device)
        return [(part, None) for part in pixels.split(batch)], read_idx(labels, 8)[:count], f"{len(pixels)} test images"
    file = np.load(folder / "conv2.npz")
    spikes = np.unpackbits(file["spikes"], axis=-1, count=file["shape"][-1], bitorder="little")
    recorded = torch.from_numpy(spikes).to(device)
    return [(None, recorded)], np.load(folder / "network.npz")["labels"], f"the {recorded.shape[1]} recorded images: {images} is not there"


def print_table(network, runs, batches):
    names = [name for name in ("fused", "csr", "pytorch") if name in runs]
    print(f"{'layer':<8}" + "".join(f"{name + ', ms':>14}{'MB':>9}" for name in names) + f"   in all {batches} batches; MB at the peak of one")
    for layer in network[1:]:
        cells = (f"{1e3 * runs[name].seconds[layer.name]:14.2f}{runs[name].peak.get(layer.name, 0) / 1e6:9.2f}" for name in names)
        print(f"{layer.name:<8}" + "".join(cells))
    totals = (f"{1e3 * sum(runs[name].seconds.values()):14.2f}{max(runs[name].peak.values()) / 1e6:9.2f}" for name in names)
    print(f"{'in all':<8}" + "".join(totals))


def main():
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path, default=root / "datasets" / "fashion_mnist_snn")
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"), help="folder of the test images, idx .gz")
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--formats", default="csr", help='names with commas, or "all"; besides the fused layers (csr)')
    has_gpu = torch.cuda.is_available() and not spiketune.cuda_unavailable_reason()
    parser.add_argument("--device", default="cuda" if has_gpu else "cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    network, file = load_network(options.network, device)
    batches, labels, what = load_images(options.network, options.data, options.images, options.batch, device)
    print(f"{what}, on {torch.cuda.get_device_name() if device.type == 'cuda' else 'the host'}")

    formats = spiketune.formats() if options.formats == "all" else options.formats.split(",")
    expected, runs, wrong = None, {}, False
    for name in ("fused", *formats, "pytorch"):
        classify(network, batches[:1], name, device)  # libraries load, memory is pooled
        classes, runs[name] = classify(network, batches, name, device)
        expected = classes if expected is None else expected
        different = int((classes != expected).sum())
        wrong = wrong or (different > 0 and name != "pytorch")
        print(f"{name:<10} accuracy {(classes == labels).mean():.2%}, {different} classes differ from fused")
    same = (expected[: len(file["predictions"])] == file["predictions"][: len(expected)]).mean()
    print(f"{same:.0%} of the recorded classes")
    print_table(network, runs, len(batches))
    return 1 if wrong or same < 1 else 0


if __name__ == "__main__":
    sys.exit(main())
