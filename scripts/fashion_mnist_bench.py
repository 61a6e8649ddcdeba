#!/usr/bin/env python3
"""The layers of datasets/fashion_mnist_snn on a GPU, inference and training, beside PyTorch's in fp16 and SpikingJelly's.

usage: scripts/fashion_mnist_bench.py [--inference] [--train] [--seconds N] [--json FILE]

The recorded spikes of 64 images, eight times over.

--inference: each layer with its neurons, windows of bits and spmm_lif, beside PyTorch's, compiled; both as CUDA graphs.
    Memory: the most that was allocated above what was there before.
--train: a training step by SpikeConv2d, SpikeLinear and SpikeLIF, beside nn.Conv2d, nn.Linear and the same neurons by autograd;
    neurons of both are compiled; and the loss of 60 steps from disturbed weights. Saved: what is allocated between forward and
    backward, less the output.
--seconds, --json: as network_bench.py
Default: both. What is printed is printed as it is measured.

SpikingJelly runs as in network_bench.py.
"""

import argparse
import functools
import importlib.util
import sys
from pathlib import Path

import spiketune
from network_common import (
    WIDTH, DenseLif, add_options, begin, compare_training, compiled, fire_from_rest, graph_of, header, late, measure_training, microseconds,
    peak_bytes, relative_errors, results, show, spikingjelly_neurons, spikingjelly_version, step, with_spikingjelly,
)
import torch  # network_common says it where it is not there

TIMES = 8  # that the recorded images are there


# --- inference --------------------------------------------------------------------------------------


def spikingjelly_layer(layer, spikes, images, our_time, our_peak, example):
    """A layer of the network by SpikingJelly's modules, beside `our_time` and `our_peak`."""
    from spikingjelly.activation_based import functional, layer as modules, neuron

    weight = layer.dense_weight
    if layer.kernel:
        product = modules.Conv2d(weight.shape[1], layer.n, layer.kernel, layer.stride, layer.padding, step_mode="m")
        spikes = spikes.view(example.STEPS, images, *spikes.shape[1:])
    else:
        product = modules.Linear(weight.shape[1], layer.n, step_mode="m")
        spikes = spikes.view(example.STEPS, images, -1)
    product = product.cuda().half()
    product.weight.copy_(weight), product.bias.copy_(layer.bias)
    neurons = neuron.LIFNode(tau=2.0, decay_input=False, v_reset=0.0, detach_reset=True, step_mode="m").eval()
    if "cupy" in getattr(neurons, "supported_backends", ()):
        neurons.backend = "cupy"

    def theirs():
        functional.reset_net(neurons)
        return neurons(product(spikes))

    show(f"{layer.name}, time, {spikingjelly_version()}", microseconds(graph_of(theirs)[0]), our_time, "us", spikingjelly_version())
    show(f"{layer.name}, peak, {spikingjelly_version()}", peak_bytes(theirs) / 1e6, our_peak, "MB", spikingjelly_version())


def load_network():
    """(the example, its layers, recorded spikes [T, 64, 32, 14, 14], their classes)."""
    root = Path(__file__).resolve().parent.parent
    spec = importlib.util.spec_from_file_location("fashion_mnist", root / "examples" / "06_fashion_mnist.py")
    example = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # torch.compile looks there
    spec.loader.exec_module(example)
    folder, device = root / "datasets" / "fashion_mnist_snn", torch.device("cuda")
    network, _ = example.load_network(folder, device)
    batches, classes, _ = example.load_images(folder, Path("/nowhere"), 0, 1, device)
    return example, network, batches[0][1], torch.from_numpy(classes).long().cuda()


def inference():
    example, network, spikes, _ = load_network()
    spikes = spikes.repeat(1, TIMES, 1, 1, 1)
    images = spikes.shape[1]
    encoded = spiketune.encode(spikes.permute(0, 1, 3, 4, 2).reshape(example.STEPS, -1, spikes.shape[2]).contiguous(), "bitmap")
    dense = spikes.flatten(0, 1).half()
    header(f"Fashion-MNIST, {images} images, by layer: CUDA graph")
    total = [0.0, 0.0]
    with torch.no_grad():
        for layer in network[1:]:
            if late(layer.name):
                return
            layer.dense_weight = layer.dense_weight.half()
            step = functools.partial(example.dense_layer, layer, note=None)
            theirs = functools.partial(step if layer.name == "fc2" else compiled(step), dense)  # fc2 is a product alone
            ours = functools.partial(example.encoded_layer, layer, encoded, images, "fused", None)
            next_dense, next_encoded = theirs(), ours()
            times = [microseconds(graph_of(call)[0]) for call in (theirs, ours)]
            peaks = [peak_bytes(call) / 1e6 for call in (theirs, ours)]
            total = [sum(pair) for pair in zip(total, times)]
            show(f"{layer.name}, time", *times, "us")
            show(f"{layer.name}, peak", *peaks, "MB")
            if layer.name != "fc2":
                with_spikingjelly(layer.name, functools.partial(spikingjelly_layer, layer, dense, images, times[1], peaks[1], example))
            dense, encoded = next_dense, next_encoded
        same = (dense.view(example.STEPS, images, -1).float().mean(0)[:, : example.CLASSES].argmax(1)
                == encoded.view(example.STEPS, images, -1).float().mean(0)[:, : example.CLASSES].argmax(1)).float().mean().item()
        show("all layers, time", *total, "us")
        print(f"{same:.2%} of the images classified alike", flush=True)


# --- training ---------------------------------------------------------------------------------------


class ConvolutionalStack(torch.nn.Module):
    """The layers of the network behind its first, with neurons between them: spikes [T, images, ...] to currents [T, images,
    classes]. `convolution(layer)`, `linear(k, n)` and `neurons()` make the parts."""

    def __init__(self, network, convolution, linear, neurons, dtype):
        super().__init__()
        self.products, self.neurons = torch.nn.ModuleList(), torch.nn.ModuleList()
        for layer in network:
            product = convolution(layer) if layer.kernel else linear(layer.dense_weight.shape[1], layer.n)
            product.weight, product.bias = (torch.nn.Parameter(given.to(dtype).clone()) for given in (layer.dense_weight, layer.bias))
            self.products.append(product)
            self.neurons.append(neurons())

    def forward(self, x):
        steps = x.shape[0]
        for product, neurons in zip(self.products, self.neurons):
            rows = x.flatten(0, 1) if hasattr(product, "kernel_size") else x.flatten(2).flatten(0, 1)
            x = product(rows).unflatten(0, (steps, -1))
            if product is not self.products[-1]:
                x = fire_from_rest(neurons, x)
        return x


def with_compiled_neurons(model):
    """Neurons are what there is to fuse: the compiler calls cuDNN for convolutions, too, and takes minutes for the whole."""
    torch._dynamo.reset()  # it compiles a function for eight shapes or models, and then no more
    print(f"compiling the neurons of {len(model.neurons) - 1} layers", flush=True)
    for neurons in model.neurons:
        neurons.compile(fullgraph=True, dynamic=False)
    return model


def training():
    """Sums are not exact here: that spikes differ where a membrane is at the threshold is printed, with the gradients."""
    import spiketune.torch as st

    example, network, spikes, classes = load_network()
    x = spikes.repeat(1, TIMES, 1, 1, 1).half()

    def stack(convolution, linear, neurons, dtype=torch.float16, **more):
        options = {"device": "cuda", "dtype": dtype, **more}

        def make(layer):
            return convolution(layer.dense_weight.shape[1], layer.n, layer.kernel, layer.stride, layer.padding, **options)
        return ConvolutionalStack(network[1:], make, lambda k, n: linear(k, n, **options), neurons, dtype)

    def pytorch(dtype=torch.float16):
        return stack(torch.nn.Conv2d, torch.nn.Linear, lambda: DenseLif(2.0), dtype)  # a gain of 1

    def ours_as(format):
        return stack(st.SpikeConv2d, st.SpikeLinear, lambda: st.SpikeLIF(surrogate_width=WIDTH, gain=1.0), format=format)

    dense = with_compiled_neurons(pytorch())
    reference = dense(x).detach()
    grad = torch.randn(reference.shape, device="cuda").half() / 64
    expected = [g.float() for g in step(dense, dense, x, grad)]
    section = f"Fashion-MNIST, training, {x.shape[1]} images"
    header(section)
    theirs = measure_training(dense, dense, x, grad)
    print("PyTorch: {:.1f} MB saved, {:.1f} MB at the peak, {:.1f} us in a CUDA graph, {:.1f} us launched one by one".format(*theirs), flush=True)

    def ours_beside(format):
        model = with_compiled_neurons(ours_as(format))
        currents = model(x).detach()
        errors = relative_errors(step(model, model, x, grad), expected)
        print(f"{format} ({', '.join(product.chosen for product in model.products)}): currents within "
              f"{relative_errors([currents], [reference.float()])[0]:.1e}, gradients within {max(errors):.1e} of PyTorch's, relative", flush=True)
        results.section = f"{section}: format {format}"
        ours = measure_training(model, model, x, grad)
        compare_training(theirs, ours)
        return ours

    ours = ours_beside("auto")

    def run():
        from spikingjelly.activation_based import layer as modules

        # Where and of which type they are comes with the weights.
        model = stack(lambda *sizes, **_: modules.Conv2d(*sizes), lambda *sizes, **_: modules.Linear(*sizes), lambda: spikingjelly_neurons(2.0, True))
        errors = relative_errors([model(x).detach()], [reference.float()])
        print(f"{spikingjelly_version()}, fp16, not compiled, beside format auto: currents within {errors[0]:.1e}", flush=True)
        results.section = f"{section}: format auto"
        compare_training(measure_training(model, model, x, grad), ours, spikingjelly_version())

    with_spikingjelly("SpikingJelly", run)
    results.section = f"Fashion-MNIST, training from disturbed weights, {spikes.shape[1]} images"
    if not late("losses"):
        loss_curves(spikes, classes, [pytorch(torch.float32), pytorch(), ours_as("auto")], example.CLASSES)
    if not late("format dense"):
        ours_beside("dense")


def loss_curves(spikes, labels, models, classes):
    """The loss of each step of three models: PyTorch's in f32 and in fp16, which tell what is noise, and spiketune's."""
    generator = torch.Generator("cuda").manual_seed(1)
    start = [p + p.std() * torch.randn(p.shape, device="cuda", generator=generator) for p in (p.detach().float() for p in models[0].parameters())]
    curves = []
    for model in models:
        parameters = list(model.parameters())
        with torch.no_grad():
            for parameter, value in zip(parameters, start):
                parameter.copy_(value)
        optimizer, losses, x = torch.optim.Adam(parameters, lr=1e-3, eps=1e-4), [], spikes.to(parameters[0].dtype)
        for _ in range(60):
            loss = torch.nn.functional.cross_entropy(model(x).float().mean(0)[:, :classes], labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        curves.append(torch.stack(losses).cpu())
    exact, theirs, ours = curves
    apart = [((one - theirs).abs().mean() / theirs.mean()).item() for one in (ours, exact)]
    print(f"loss of {len(theirs)} steps of Adam, first and last: PyTorch fp16 {theirs[0]:.3f} {theirs[-1]:.3f}, spiketune {ours[0]:.3f} {ours[-1]:.3f}; "
          f"apart by {apart[0]:.1%} of the loss, PyTorch in f32 by {apart[1]:.1%}", flush=True)
    for name, curve in (("PyTorch, fp16", theirs), ("PyTorch, f32", exact)):
        results.add(what="loss of each step", beside=name, theirs=[round(v, 4) for v in curve.tolist()], spiketune=[round(v, 4) for v in ours.tolist()],
                    unit="")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("inference", "train"):
        parser.add_argument(f"--{name}", action="store_true")
    add_options(parser)
    options = parser.parse_args()
    if not begin(options):
        return
    if options.inference or not options.train:
        inference()
    if options.train or not options.inference:
        training()


if __name__ == "__main__":
    main()
