#!/usr/bin/env python3
"""Trains a small spiking network on Fashion-MNIST and records the trace that spiketune ships.

    python3 scripts/train_snn.py [--data DIR] [--out DIR]

Every layer is  spikes = LIF(S . W + bias), without pooling, so that what one layer emits is what the
next one multiplies. The image is the input current of conv1 at each of T = 4 steps (direct coding);
every later layer sees spikes alone. Trained with the derivative of an arctangent in place of the
spike's (W. Fang et al., ICCV 2021) and with batch norm, which is then folded into the weights and
rounded to f16 with them. That network, the one that is written, is tested and recorded; at the end
its spikes are computed again from the files, with im2col and NumPy alone, and compared.

Written, README.md aside:

    <layer>.npz    spikes   u1, input of the layer: np.packbits(bitorder="little"), last axis
                   shape    of the spikes before packing: [T, images, C, H, W] or [T, images, K]
                   weight   f2 [C_out, C_in, 3, 3] or [out, K];  bias f4
                   stride, padding (convolutions); threshold, decay (where neurons follow)
    network.npz    conv1_weight, conv1_bias, conv1_stride, conv1_padding; of the recorded images
                   labels, predictions, and logits f4 [images, 10]
    manifest.json  accuracy, shapes, densities, seed, versions, command
"""

import argparse
import gzip
import json
import math
import pathlib
import struct
import sys
import time
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

STEPS = 4
DECAY = 0.5
THRESHOLD = 1.0
CLASSES = 10
SIDE = 28
SHIFT = 2  # training images move by up to so many pixels
PACKAGE = "dataset-fashion-mnist"
LIMIT_BYTES = 2_000_000


class Layer(NamedTuple):
    name: str
    inputs: int
    outputs: int
    kernel: int = 0  # 0: fully connected
    stride: int = 1


LAYERS = (
    Layer("conv1", 1, 32, kernel=5, stride=2),  # 28 -> 14
    Layer("conv2", 32, 64, kernel=3),
    Layer("conv3", 64, 64, kernel=3, stride=2),  # 14 -> 7
    Layer("conv4", 64, 128, kernel=3, stride=2),  # 7 -> 4
    Layer("fc1", 128 * 4 * 4, 256),
    Layer("fc2", 256, CLASSES),
)


# --- data -------------------------------------------------------------------------------------------


def read_idx(path, dimensions):
    """An idx file of bytes: 0, 0, 8, dimensions, then big-endian lengths, then the elements."""
    try:
        with gzip.open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        sys.exit(
            f"error: {path} is not there. Install Debian's package {PACKAGE} (apt-get install {PACKAGE}), "
            "or name the folder of its four .gz files with --data."
        )
    except (OSError, EOFError) as error:
        sys.exit(f"error: {path}: {error}")
    header = 4 + 4 * dimensions
    shape = struct.unpack(f">{dimensions}I", content[4:header]) if len(content) >= header else ()
    if content[:4] != bytes((0, 0, 8, dimensions)) or math.prod(shape) != len(content) - header:
        sys.exit(f"error: {path} is not an idx file of bytes with {dimensions} dimensions")
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy())


def read_part(folder, part, limit, device):
    pixels = read_idx(folder / f"{part}-images-idx3-ubyte.gz", 3)[:limit]
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte.gz", 1)[:limit]
    if pixels.shape[1:] != (SIDE, SIDE) or len(pixels) != len(labels):
        sys.exit(f"error: the images and labels of '{part}' in {folder} do not belong together")
    return pixels.to(device), labels.long().to(device)


def as_current(pixels):
    """u8 [B, 28, 28] to [B, 1, 28, 28]. Multiples of 1/256 are exact in bf16, f16 and tf32."""
    return pixels[:, None].float() / 256


def augmented(padded, chosen):
    """Images `chosen` of [B, 28 + 2*SHIFT, 28 + 2*SHIFT], each shifted, every other one mirrored."""
    count, device = len(chosen), padded.device
    line = torch.arange(SIDE, device=device)
    offset = torch.randint(0, 2 * SHIFT + 1, (2, count, 1), device=device)
    mirrored = torch.rand(count, 1, device=device) < 0.5
    rows = line + offset[0]
    columns = torch.where(mirrored, SIDE - 1 - line, line) + offset[1]
    return padded[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]


# --- network ----------------------------------------------------------------------------------------


class Lif(torch.autograd.Function):
    """Currents [T*B, ...] to spikes of that shape: v <- DECAY*v + current, and where v >= THRESHOLD
    a spike, and v <- 0. Backward, d spike / d v = 1 / (1 + (pi (v - THRESHOLD))^2), and the reset
    counts as constant."""

    @staticmethod
    def forward(ctx, currents):
        potentials, spikes, rest = [], [], 0.0
        for current in currents.chunk(STEPS):
            potential = current.float() + DECAY * rest
            fired = potential >= THRESHOLD
            rest = potential.masked_fill(fired, 0)
            potentials.append(potential)
            spikes.append(fired.to(currents.dtype))
        ctx.save_for_backward(*potentials)
        return torch.cat(spikes)

    @staticmethod
    def backward(ctx, gradients):
        result, later = [], None
        for gradient, potential in zip(reversed(gradients.chunk(STEPS)), reversed(ctx.saved_tensors)):
            total = gradient / (1 + (math.pi * (potential - THRESHOLD)) ** 2)
            if later is not None:
                total = total + DECAY * later.masked_fill(potential >= THRESHOLD, 0)
            later = total
            result.append(total.to(gradients.dtype))
        return torch.cat(result[::-1])


class Block(nn.Module):
    """The product of one layer, and batch norm until it is folded."""

    def __init__(self, layer, norm=True):
        super().__init__()
        self.layer = layer
        norm = norm and layer is not LAYERS[-1]
        if layer.kernel:
            self.product = nn.Conv2d(
                layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.kernel // 2, bias=not norm
            )
            self.norm = nn.BatchNorm2d(layer.outputs) if norm else nn.Identity()
        else:
            self.product = nn.Linear(layer.inputs, layer.outputs, bias=not norm)
            self.norm = nn.BatchNorm1d(layer.outputs) if norm else nn.Identity()

    def forward(self, spikes):
        return self.norm(self.product(spikes if self.layer.kernel else spikes.flatten(1)))

    @torch.no_grad()
    def folded(self):
        """The same without norm, weights rounded to f16."""
        weight, bias, norm = self.product.weight, self.product.bias, self.norm
        if bias is None:
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weight = weight * scale.reshape(-1, *[1] * (weight.dim() - 1))
            bias = norm.bias - norm.running_mean * scale
        result = Block(self.layer, norm=False).to(weight.device)
        result.product.weight.copy_(weight.half())
        result.product.bias.copy_(bias)
        return result


class Network(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, images, recorded=None):
        """Logits [B, 10], the mean over T. `recorded` collects the input spikes of all layers after
        the first, as [T*B, ...]."""
        first, *others = self.blocks
        spikes = Lif.apply(torch.cat([first(images)] * STEPS))
        for block in others:
            if recorded is not None:
                recorded[block.layer.name] = spikes if block.layer.kernel else spikes.flatten(1)
            currents = block(spikes)
            spikes = Lif.apply(currents) if block is not self.blocks[-1] else None
        return currents.float().unflatten(0, (STEPS, -1)).mean(0)

    def folded(self):
        return Network([block.folded() for block in self.blocks]).eval()


def train(network, pixels, labels, options, device):
    """Returns the number of epochs done. Adam, one-cycle rate, cross entropy of smoothed labels."""
    padded = functional.pad(pixels, [SHIFT] * 4)
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=1e-2)
    batches = max(1, len(pixels) // options.batch)
    began = time.monotonic()
    network.train()
    for epoch in range(options.epochs):
        order = torch.randperm(len(pixels), device=device)
        losses = torch.zeros((), device=device)
        for batch in range(batches):
            progress = (epoch * batches + batch) / (options.epochs * batches)
            if options.max_seconds:
                progress = max(progress, (time.monotonic() - began) / options.max_seconds)
            if progress >= 1:
                print(f"stopped after {options.max_seconds} s, as asked for", flush=True)
                return epoch
            warm = min(1.0, 0.02 + progress / 0.1)
            optimizer.param_groups[0]["lr"] = options.rate * warm * 0.5 * (1 + math.cos(math.pi * progress))
            chosen = order[batch * options.batch : (batch + 1) * options.batch]
            images = as_current(augmented(padded, chosen))
            with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
                logits = network(images)
            loss = functional.cross_entropy(logits, labels[chosen], label_smoothing=0.1)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses += loss.detach()
        seconds = time.monotonic() - began
        print(f"epoch {epoch + 1:3}/{options.epochs}  loss {losses.item() / batches:.4f}  {seconds:6.1f} s", flush=True)
    return options.epochs


@torch.no_grad()
def accuracy(network, pixels, labels):
    network.eval()
    correct = sum(
        int((network(as_current(images)).argmax(1) == answers).sum())
        for images, answers in zip(pixels.split(500), labels.split(500))
    )
    return correct / len(labels)


@torch.no_grad()
def record(network, pixels):
    """Input spikes by layer, u8 [T, B, ...], and logits [B, 10], on the host in f32."""
    recorded = {}
    logits = network.cpu().eval()(as_current(pixels.cpu()), recorded)
    spikes = {name: value.unflatten(0, (STEPS, -1)).to(torch.uint8).numpy() for name, value in recorded.items()}
    return spikes, logits.numpy()


# --- files ------------------------------------------------------------------------------------------


def write_layers(folder, network, spikes, labels, logits):
    """Returns the manifest's entries."""
    entries = []
    for block in network.blocks:
        layer = block.layer
        weight = block.product.weight.detach().numpy().astype(np.float16)
        arrays = {"weight": weight, "bias": block.product.bias.detach().numpy().astype(np.float32)}
        if layer.kernel:
            arrays["stride"] = np.int64(layer.stride)
            arrays["padding"] = np.int64(layer.kernel // 2)
        if layer is LAYERS[0]:
            np.savez_compressed(
                folder / "network.npz",
                **{f"{layer.name}_{key}": value for key, value in arrays.items()},
                labels=labels.astype(np.uint8),
                predictions=logits.argmax(1).astype(np.uint8),
                logits=logits.astype(np.float32),
            )
            continue
        if layer is not LAYERS[-1]:
            arrays["threshold"] = np.float32(THRESHOLD)
            arrays["decay"] = np.float32(DECAY)
        bits = spikes[layer.name]
        packed = np.packbits(bits, axis=-1, bitorder="little")
        path = folder / f"{layer.name}.npz"
        np.savez_compressed(path, spikes=packed, shape=np.array(bits.shape, np.int64), **arrays)
        side = (bits.shape[-1] - 1) // layer.stride + 1 if layer.kernel else 1
        entries.append(
            {
                "name": layer.name,
                "file": path.name,
                "spikes": list(bits.shape),
                "weight": list(weight.shape),
                "stride": layer.stride if layer.kernel else None,
                "padding": layer.kernel // 2 if layer.kernel else None,
                "m": STEPS * bits.shape[1] * side * side,
                "k": int(np.prod(weight.shape[1:])),
                "n": weight.shape[0],
                "density": round(float(bits.mean()), 5),
                "density_by_step": [round(float(step.mean()), 5) for step in bits],
                "silent_inputs": round(float(1 - bits.any(axis=(0, 1)).mean()), 5),
                "bytes": path.stat().st_size,
            }
        )
    return entries


def products_of(file):
    """S . W + bias of a written layer, [T, B, ...], by im2col in f64."""
    shape = file["shape"]
    spikes = np.unpackbits(file["spikes"], axis=-1, count=shape[-1], bitorder="little").reshape(shape)
    weight = file["weight"].astype(np.float64)
    bias = file["bias"].astype(np.float64)
    if weight.ndim == 2:
        return spikes @ weight.T + bias
    stride, padding, kernel = int(file["stride"]), int(file["padding"]), weight.shape[2]
    spikes = np.pad(spikes, [(0, 0)] * 3 + [(padding, padding)] * 2)
    # [T, B, C, H, W, kh, kw]
    windows = np.lib.stride_tricks.sliding_window_view(spikes, (kernel, kernel), axis=(3, 4))
    windows = windows[:, :, :, ::stride, ::stride].transpose(0, 1, 3, 4, 2, 5, 6)
    rows = windows.reshape(*windows.shape[:4], -1).astype(np.float64)
    return (rows @ weight.reshape(len(weight), -1).T + bias).transpose(0, 1, 4, 2, 3)


def agreement(folder):
    """By layer, the share of its recorded spikes that follow from the files of the layer before;
    and the share of the recorded classes that follow from the last."""
    files = {layer.name: np.load(folder / f"{layer.name}.npz") for layer in LAYERS[1:]}
    result = {}
    for layer, after in zip(LAYERS[1:], LAYERS[2:]):
        file, expected = files[layer.name], files[after.name]
        shape = expected["shape"]
        wanted = np.unpackbits(expected["spikes"], axis=-1, count=shape[-1], bitorder="little").reshape(shape)
        potential, same = 0.0, 0
        for step, current in enumerate(products_of(file)):
            potential = file["decay"] * potential + current
            fired = potential >= file["threshold"]
            potential = np.where(fired, 0.0, potential)
            same += int((fired.reshape(wanted[step].shape) == wanted[step]).sum())
        result[after.name] = same / wanted.size
    classes = products_of(files[LAYERS[-1].name]).mean(0).argmax(1)
    result["classes"] = float((classes == np.load(folder / "network.npz")["predictions"]).mean())
    return result


def write_readme(folder, manifest):
    rows = "\n".join(
        f"| `{layer['file']}` | {' x '.join(map(str, layer['spikes']))} | {' x '.join(map(str, layer['weight']))} "
        f"| {layer['m']} x {layer['k']} x {layer['n']} | {100 * layer['density']:.2f} % "
        f"| {', '.join(f'{100 * step:.1f}' for step in layer['density_by_step'])} |"
        for layer in manifest["layers"]
    )
    same = manifest["agreement"]
    worst = min(share for name, share in same.items() if name != "classes")
    agreeing = "all spikes agree" if worst == 1 else (
        f"at least {math.floor(1e6 * worst) / 1e4:.4f} % of the spikes of every layer agree, the others\n"
        "lying within rounding of the threshold"
    )
    count = manifest["images"]
    (folder / "README.md").write_text(
        f"""# Spikes of a convolutional network on Fashion-MNIST

What six layers of a spiking network multiply while they look at the first {count} test images of
Fashion-MNIST: the input spikes of every layer but the first, and the weights they meet.

**Test accuracy: {100 * manifest['test_accuracy']:.2f} %** of {manifest['test_images']} images, of the network as stored here (weights
rounded to f16, batch norm folded in); {100 * manifest['test_accuracy_before_folding']:.2f} % before folding and rounding. Of the {count} recorded
images it gets {manifest['recorded_correct']} right.

| file | spikes [T, images, C, H, W] or [T, images, K] | weight | M x K x N | density | by time step, % |
|---|---|---|---|---|---|
{rows}

M counts rows after im2col; the density is that of the recorded spikes, before im2col, whose padding
adds zeros.

## The network

T = {STEPS} steps. The image, as pixel / 256, is the input current of `conv1` at every step (direct coding);
all later layers see spikes only. Every layer but `fc2` is `LIF(S W + bias)`, without pooling:

    v <- {DECAY} v + current;  spike where v >= {THRESHOLD:g};  there v <- 0

The class is the largest mean over time of the output of `fc2`. So the spikes in one file follow from
the file before it. Computed again from the files, in f64, {agreeing},
and {100 * same['classes']:g} % of the classes.

## Files

Each layer is an `.npz` that `spiketune::load_layer` and NumPy read:

- `spikes`: u1, bits packed along the last axis, least significant bit first (NumPy's
  `bitorder="little"`); every run of the last axis begins a new byte. `shape`: before packing.
- `weight`: f16, `[C_out, C_in, kh, kw]` or `[out, K]`; `bias`: f32
- `stride`, `padding` (convolutions), `threshold`, `decay` (where neurons follow)

`network.npz` has `conv1_weight`, `conv1_bias`, `conv1_stride` and `conv1_padding`, and of the recorded
images `labels`, `predictions` and `logits`. `manifest.json` says all of this page to a program.

    f = np.load("conv3.npz")
    s = np.unpackbits(f["spikes"], axis=-1, count=f["shape"][-1], bitorder="little")

## Make it again

    apt-get install {PACKAGE}       # Debian, Ubuntu; PyTorch >= 1.13 and NumPy besides
    {manifest['command']}

Trained with PyTorch {manifest['torch']} on {manifest['device']} in {manifest['training_seconds']:.0f} s. The seed fixes initial
weights, order and augmentation; sums on a GPU are taken in no fixed order, so another run gives other
weights of about the same accuracy.

## Licence

Fashion-MNIST: Copyright (c) 2017 Zalando SE, https://tech.zalando.com, MIT licence
(https://github.com/zalandoresearch/fashion-mnist). No image of it is in this folder. The weights and
spikes were made by this project and have its licence.
"""
    )


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("/usr/share/datasets/fashion-mnist"),
                        help=f"folder of the four idx .gz files (where {PACKAGE} puts them)")
    parser.add_argument("--out", type=pathlib.Path, default=root / "datasets" / "fashion_mnist_snn")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=4e-3, help="peak learning rate (0.004)")
    parser.add_argument("--images", type=int, default=64, help="test images to record (64)")
    parser.add_argument("--limit", type=int, help="train on, and test with, the first so many images")
    parser.add_argument("--max-seconds", type=float, default=0, help="of training; ends early, but annealed")
    parser.add_argument("--min-accuracy", type=float, default=0.85, help="write nothing below (0.85)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    options = parser.parse_args()
    if options.epochs < 1 or options.batch < 2 or options.images < 1:
        parser.error("--epochs and --images are at least 1, --batch 2")

    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(options.seed)
    torch.backends.cudnn.benchmark = True
    pixels, labels = read_part(options.data, "train", options.limit, device)
    test_pixels, test_labels = read_part(options.data, "t10k", options.limit, device)

    network = Network([Block(layer) for layer in LAYERS]).to(device)
    if device == "cuda":
        network = network.to(memory_format=torch.channels_last)
    began = time.monotonic()
    epochs = train(network, pixels, labels, options, device)
    seconds = time.monotonic() - began
    before = accuracy(network, test_pixels, test_labels)
    folded = network.folded()
    after = accuracy(folded, test_pixels, test_labels)
    print(f"test accuracy {before:.4f}, and {after:.4f} with norm folded and weights in f16")
    if after < options.min_accuracy:
        sys.exit(f"error: below {options.min_accuracy} (--min-accuracy); nothing written")

    recorded = test_pixels[: options.images]
    spikes, logits = record(folded, recorded)
    answers = test_labels[: options.images].cpu().numpy()
    options.out.mkdir(parents=True, exist_ok=True)
    entries = write_layers(options.out, folded, spikes, answers, logits)
    unfolded, _ = record(network, recorded)
    names = ("epochs", "batch", "rate", "seed", "images", "limit", "max_seconds")
    chosen = {name: getattr(options, name) for name in names}
    arguments = [
        f"--{name.replace('_', '-')} {value}" for name, value in chosen.items() if value != parser.get_default(name)
    ]
    manifest = {
        "name": "fashion_mnist_snn",
        "test_accuracy": round(after, 5),
        "test_accuracy_before_folding": round(before, 5),
        "test_images": len(test_labels),
        "training_images": len(labels),
        "images": len(answers),
        "recorded_correct": int((logits.argmax(1) == answers).sum()),
        "timesteps": STEPS,
        "coding": "direct",
        "neuron": {"model": "LIF", "decay": DECAY, "threshold": THRESHOLD, "reset": "hard, to 0"},
        "layers": entries,
        "agreement": {name: round(share, 7) for name, share in agreement(options.out).items()},
        "agreement_before_folding": {
            name: round(float((unfolded[name] == spikes[name]).mean()), 7) for name in spikes
        },
        **chosen,
        "epochs_done": epochs,
        "training_seconds": round(seconds, 1),
        "device": torch.cuda.get_device_name() if device == "cuda" else "CPU",
        "torch": torch.__version__,
        "numpy": np.__version__,
        "command": " ".join(["python3 scripts/train_snn.py", *arguments]),
    }
    (options.out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    write_readme(options.out, manifest)

    written = [f"{layer.name}.npz" for layer in LAYERS[1:]] + ["network.npz", "manifest.json", "README.md"]
    size = sum((options.out / name).stat().st_size for name in written)
    print(f"\n{'layer':6} {'M x K x N':>20} {'density':>9} {'agree':>10} {'unfolded':>9} {'bytes':>8}")
    for entry in entries:
        name = entry["name"]
        product = f"{entry['m']} x {entry['k']} x {entry['n']}"
        agree = f"{100 * manifest['agreement'][name]:.5f} %" if name in manifest["agreement"] else "-"
        print(f"{name:6} {product:>20} {100 * entry['density']:7.2f} % {agree:>10} "
              f"{100 * manifest['agreement_before_folding'][name]:7.3f} % {entry['bytes']:8}")
    print("agree: spikes that follow from the files of the layer before; unfolded: spikes that the network "
          "before folding and rounding has too")
    print(f"classes that follow from the files: {100 * manifest['agreement']['classes']:g} %")
    print(f"test accuracy {100 * after:.2f} %, {size} bytes in {options.out}")
    if size > LIMIT_BYTES:
        sys.exit(f"error: more than {LIMIT_BYTES} bytes; record fewer images (--images)")


if __name__ == "__main__":
    main()
