#!/usr/bin/env python3
"""A stack of blocks of Spikformer's size on a GPU, inference and training, beside PyTorch's in fp16, compiled, and SpikingJelly's.

usage: scripts/network_bench.py [--blocks 4] [--batch 64] [--inference] [--weight-bits 8|4] [--layers] [--train] [--fashion-mnist] [--json FILE]

T = 4 steps, 64 tokens, 384 channels. A block is four products with LIF neurons behind each: qkv (384 to 1152), attention,
proj (384 to 384), fc1 (384 to 1536), fc2 (1536 to 384). Attention is the spike-driven one (M. Yao et al., NeurIPS 2023)
where one spike suffices: v, in the channels where q and k spiked together in any token; on bits it is AND and OR. Neither
side adds residuals. W is of small integers, so that sums are exact in fp16 and both sides must fire the same spikes, which
is checked before anything is timed.

--inference: spmm_lif from bits to bits, against torch.compile; both as CUDA graphs. Memory: the most that was
    allocated above what was there before.
--weight-bits: inference with W in s8 or s4, of normally distributed weights, which are rounded; PyTorch's stay fp16. The
    spikes must be those of exact sums of the integers. Printed is what the rounding did.
--layers: each product with its neurons alone
--train: forward and backward of the same products, without attention (proj reads v): SpikeLinearLIF, as it comes and
    compiled, and SpikeLinear with SpikeLIF, compiled, against nn.Linear and the same neurons by autograd, compiled; all as CUDA graphs too. Saved: what is
    allocated between forward and backward, less the output.
--fashion-mnist: the layers of datasets/fashion_mnist_snn on its recorded spikes, eight times over; with --train its
    training step too, by SpikeConv2d, SpikeLinear and SpikeLIF, and the loss of 60 steps from disturbed weights
--json: add what was printed to a file, as a run of {"runs": [{"gpu", "pytorch", "spiketune", "command", "rows": [..]}]}; a row is
    {"section", "what", "beside": whose it is compared with, "theirs", "spiketune", "unit"}. Written after each row.
Default: all, with both widths of W.

SpikingJelly's layers and multi-step neurons run in fp16 as they come, on the backend that its neurons choose or, where
they leave the choice, cupy. Its membranes are fp16, so that some of its spikes may differ: the share is printed.
"""

import argparse
import functools
import importlib.util
import json
import operator
import sys
from pathlib import Path

import spiketune

try:
    import torch
except ImportError:
    sys.exit("error: PyTorch is not there")

compiled = functools.partial(torch.compile, fullgraph=True, dynamic=False)
STEPS, TOKENS, CHANNELS = 4, 64, 384
LAYERS = {"qkv": (CHANNELS, 3 * CHANNELS), "proj": (CHANNELS, CHANNELS), "fc1": (CHANNELS, 4 * CHANNELS), "fc2": (4 * CHANNELS, CHANNELS)}
NEURON = {"leak": 0.5, "gain": 0.5, "threshold": 1.0}
DENSITY = 0.15


# --- the network in PyTorch -------------------------------------------------------------------------


def fire(currents, scale):
    """Spikes of currents [T, M, N], in their type."""
    membrane, fired = torch.zeros_like(currents[0], dtype=torch.float32), []
    for current in currents.unbind():
        membrane = 0.5 * membrane + 0.5 * (scale * current.float())
        spike = membrane >= 1
        membrane = torch.where(spike, 0.0, membrane)
        fired.append(spike.to(currents.dtype))
    return torch.stack(fired)


def attend(spikes):
    """[T, B * tokens, 3 * C] to [T, B * tokens, C]."""
    q, k, v = spikes.view(STEPS, -1, TOKENS, 3, CHANNELS).unbind(3)
    return (v * (q * k).amax(2, keepdim=True)).view(STEPS, -1, CHANNELS)


def dense_block(x, qkv, proj, fc1, fc2, scales):
    """W [N, K] as nn.Linear has it."""
    x = attend(fire(x @ qkv.t(), scales[0]))
    x = fire(x @ proj.t(), scales[1])
    return fire(fire(x @ fc1.t(), scales[2]) @ fc2.t(), scales[3])


# --- the same with spiketune ------------------------------------------------------------------------


def attend_bits(words):
    """The same on words [T, B * tokens, 3 * C / 32] of int32."""
    q, k, v = words.view(STEPS, -1, TOKENS, 3, CHANNELS // 32).unbind(3)
    together = functools.reduce(operator.or_, (q & k).unbind(2))
    return (v & together[:, :, None]).view(STEPS, -1, CHANNELS // 32)


def bits_of(encoded):
    steps, rows, k = encoded.shape
    return encoded.words.view(steps, rows, k // 32)


def bits_block(encoded, weights, scales, attention):
    """W [K, N] as products read it."""
    qkv, proj, fc1, fc2 = weights
    layer = functools.partial(spiketune.spmm_lif, **NEURON)
    fired = attention(bits_of(layer(encoded, qkv, scale=scales[0])))
    x = layer(spiketune.encode(fired, "bitmap", k=CHANNELS, wait=False), proj, scale=scales[1])
    return layer(layer(x, fc1, scale=scales[2]), fc2, scale=scales[3])


# --- weights ----------------------------------------------------------------------------------------


def integer_weights(k, n, generator):
    return torch.randint(-7, 8, (n, k), generator=generator).half().cuda()


def normal_weights(k, n, generator):
    return torch.randn((n, k), generator=generator).mul(4).half().cuda()


def calibrated(x, make):
    """The multiple of 1/512 with which a share of DENSITY fires."""
    def distance(numerator):
        return abs(make(x, numerator / 512).float().mean().item() - DENSITY)
    low, high = 1, 512
    while high - low > 1:
        middle = (low + high) // 2
        dense = make(x, middle / 512).float().mean().item() > DENSITY
        low, high = (low, middle) if dense else (middle, high)
    return min((low, high), key=distance) / 512


def make_network(blocks, x, generator, draw=integer_weights):
    """[(weights [N, K], scales)], and the densities that the layers see."""
    network, densities = [], []
    for _ in range(blocks):
        weights, scales = [], []
        for name, (k, n) in LAYERS.items():
            weight = draw(k, n, generator)
            densities.append(x.float().mean().item())
            product = x @ weight.t()
            scales.append(calibrated(product, fire))
            x = fire(product, scales[-1])
            if name == "qkv":
                x = attend(x)
            weights.append(weight)
        network.append((weights, scales))
    return network, densities


# --- measuring --------------------------------------------------------------------------------------


def graph_of(call):
    """The call as a CUDA graph, warmed up; (replay, what the call returned in the capture)."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call()
    return graph.replay, result


def microseconds(call, repeats=20, rounds=5):
    """Of one call of many, one after the other; the least of the rounds."""
    best = float("inf")
    for _ in range(rounds):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        call()
        begin.record()
        for _ in range(repeats):
            call()
        end.record()
        end.synchronize()
        best = min(best, begin.elapsed_time(end) * 1e3 / repeats)
    return best


def peak_bytes(call):
    call()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    result = call()
    torch.cuda.synchronize()
    del result
    return torch.cuda.max_memory_allocated() - before


class Results:
    """What was printed, for --json."""

    def __init__(self):
        self.path, self.runs, self.section = None, [], ""

    def write_to(self, path):
        from importlib.metadata import PackageNotFoundError, version

        if path.exists():
            self.runs = json.loads(path.read_text())["runs"]
        try:
            ours = version("spiketune")
        except PackageNotFoundError:  # not installed, but found
            ours = None
        self.path = path
        self.runs.append({"gpu": torch.cuda.get_device_name(), "pytorch": torch.__version__, "spiketune": ours,
                          "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]), "rows": []})

    def add(self, **row):
        if self.path is not None:
            self.runs[-1]["rows"].append({"section": self.section, **row})
            self.path.write_text(json.dumps({"runs": self.runs}, indent=1) + "\n")


results = Results()


def show(what, theirs, ours, unit, beside="PyTorch"):
    print(f"{what:<46}{theirs:11.1f}{ours:11.1f} {unit:<3}{theirs / ours:8.2f} x", flush=True)
    results.add(what=what, beside=beside, theirs=round(theirs, 2), spiketune=round(ours, 2), unit=unit)


def with_spikingjelly(what, run):
    """run(), or the reason why not."""
    try:
        run()
    except Exception as error:  # other people's package, at whatever version
        reason = str(error).strip().splitlines() or [""]
        print(f"{what}: skipped: {type(error).__name__}: {reason[0][:160]}")


def spikingjelly_neurons(scale, trains):
    """Charged with currents of which `scale` times as much is meant: the threshold is higher instead."""
    from spikingjelly.activation_based import neuron, surrogate

    node = neuron.LIFNode(tau=2.0, v_threshold=1 / scale, v_reset=0.0, detach_reset=True, step_mode="m",
                          surrogate_function=surrogate.Rect(alpha=0.5 / WIDTH * scale))
    if "cupy" in getattr(node, "supported_backends", ()):
        node.backend = "cupy"
    return node.train(trains)


def spikingjelly_version():
    from importlib.metadata import version

    return f"SpikingJelly {version('spikingjelly')}"


def header(what):
    results.section = what
    print(f"\n{what:<46}{'PyTorch':>11}{'spiketune':>11}", flush=True)


# --- inference --------------------------------------------------------------------------------------


def inference(x, network, bits=None):
    """`bits`: of W in spiketune's products; None: fp16, and both sides must fire the same."""
    block, attention = compiled(dense_block), compiled(attend_bits)
    scales = [torch.tensor(scales, device="cuda") for _, scales in network]
    columns = [[weight.t().contiguous() for weight in weights] for weights, _ in network]
    if bits is not None:
        columns = [[spiketune.quantize(weight, bits) for weight in weights] for weights in columns]

    def theirs():
        spikes = x
        for (weights, _), scale in zip(network, scales):
            spikes = block(spikes, *weights, scale)
        return spikes

    first = spiketune.encode(x, "bitmap", wait=False)

    def ours():
        encoded = first
        for weights, (_, scale) in zip(columns, network):
            encoded = bits_block(encoded, weights, scale, attention)
        return encoded

    def exactly():
        spikes = x.float()
        for weights, (_, scale) in zip(columns, network):
            integers = [torch.from_numpy(weight.integers).float().t().cuda() for weight in weights]
            factors = [torch.from_numpy(weight.scales).cuda() * factor for weight, factor in zip(weights, scale)]
            spikes = dense_block(spikes, *integers, factors)
        return spikes

    with torch.no_grad():
        expected, got = theirs() if bits is None else exactly(), ours().decode()
        same = (got.view_as(expected) == expected).sum().item()
        alike = "all" if same == expected.numel() else same
        print(f"spikes that both sides fire the same: {alike} of {expected.numel()}, {expected.float().mean():.1%} are 1")
        if same != expected.numel():
            sys.exit(f"error: {expected.numel() - same} spikes differ")
        if bits is not None:
            rounding(x, network, columns, bits)
        header(f"inference, {len(network)} blocks, {x.shape[1] // TOKENS} images" + (f", W in s{bits}" if bits else ""))
        show("peak of activations", peak_bytes(theirs) / 1e6, peak_bytes(ours) / 1e6, "MB")
        (replay_theirs, kept), (replay_ours, kept_ours) = graph_of(theirs), graph_of(ours)
        show("time, CUDA graph", microseconds(replay_theirs), microseconds(replay_ours), "us")
        show("time, launched one by one", microseconds(theirs), microseconds(ours), "us")
        replay_ours(), replay_theirs()
        torch.cuda.synchronize()  # an encoding is decoded on its own stream, that of the capture
        replayed = kept_ours.decode()
        torch.cuda.synchronize()
        kept = kept if bits is None else expected
        if not (replayed.view_as(kept) == kept).all():
            sys.exit("error: replays differ")
        if bits is None:
            with_spikingjelly("SpikingJelly", lambda: spikingjelly_inference(x, network, expected, ours, replay_ours))


def rounding(x, network, columns, bits):
    """What rounded weights do to the spikes of the first layer and to those of the first block."""
    weights, scales = network[0]
    plain = fire(x @ weights[0].t(), scales[0])
    first = spiketune.encode(x, "bitmap", wait=False)
    layer = spiketune.spmm_lif(first, columns[0][0], scale=scales[0], **NEURON).decode().view_as(plain)
    block = dense_block(x, *weights, scales)
    after = bits_block(first, columns[0], scales, attend_bits).decode().view_as(block)
    errors = [weight.relative_error for weights in columns for weight in weights]
    print(f"s{bits}: W within {max(errors):.2%} of its norm; spikes other than with fp16: {(layer != plain).float().mean():.2%} after a layer "
          f"({plain.float().mean():.1%} are 1), {(after != block).float().mean():.2%} after a block ({block.float().mean():.1%})")


def spikingjelly_inference(x, network, expected, ours, replay_ours):
    from spikingjelly.activation_based import functional, layer

    blocks = []
    for weights, scales in network:
        for weight, scale in zip(weights, scales):
            product = layer.Linear(weight.shape[1], weight.shape[0], bias=False, step_mode="m").cuda().half()
            product.weight.data.copy_(weight)
            blocks.append((product, spikingjelly_neurons(scale, False)))

    def theirs():
        spikes = x
        for i, (product, neurons) in enumerate(blocks):
            functional.reset_net(neurons)
            spikes = neurons(product(spikes))
            if i % 4 == 0:
                spikes = attend(spikes)
        return spikes

    same = (theirs() == expected).float().mean().item()
    print(f"\n{spikingjelly_version()}, fp16, not compiled: {same:.4%} of the spikes the same")
    beside = spikingjelly_version()
    show("peak of activations", peak_bytes(theirs) / 1e6, peak_bytes(ours) / 1e6, "MB", beside)
    show("time, launched one by one", microseconds(theirs), microseconds(ours), "us", beside)
    show("time, CUDA graph", microseconds(graph_of(theirs)[0]), microseconds(replay_ours), "us", beside)


def layers(x, network, bits):
    """Each product with its neurons alone, of the first block; W of fp16, and of `bits` or of 8."""
    header("a layer, M x K x N")
    weights, scales = network[0]
    layer = compiled(lambda x, weight, scale: fire(x @ weight.t(), scale))
    with torch.no_grad():
        for (name, (k, n)), weight, scale in zip(LAYERS.items(), weights, scales):
            spikes = (torch.rand((*x.shape[:2], k), device="cuda") < DENSITY).half()
            encoded, columns, factor = spiketune.encode(spikes, "bitmap"), weight.t().contiguous(), torch.tensor(scale, device="cuda")
            expected = layer(spikes, weight, factor)
            if not (spiketune.spmm_lif(encoded, columns, scale=scale, **NEURON).decode().view_as(expected) == expected).all():
                sys.exit(f"error: {name} differs")
            theirs, _ = graph_of(lambda: layer(spikes, weight, factor))
            alone, _ = graph_of(lambda: spikes @ weight.t())
            quantised = spiketune.quantize(columns, bits or 8)
            ours, _ = graph_of(lambda: spiketune.spmm_lif(encoded, columns, scale=scale, **NEURON))
            integers, _ = graph_of(lambda: spiketune.spmm_lif(encoded, quantised, scale=scale, **NEURON))
            their_time = microseconds(theirs)
            show(f"{name} {x.shape[0] * x.shape[1]} x {k} x {n} (product alone {microseconds(alone):.1f})", their_time, microseconds(ours), "us")
            show(f"{name}, W in s{bits or 8}", their_time, microseconds(integers), "us")
        spikes = (torch.rand((*x.shape[:2], 3 * CHANNELS), device="cuda") < DENSITY).half()
        words = bits_of(spiketune.encode(spikes, "bitmap"))
        dense, bits = compiled(attend), compiled(attend_bits)
        show("attention", microseconds(graph_of(lambda: dense(spikes))[0]), microseconds(graph_of(lambda: bits(words))[0]), "us")


# --- training ---------------------------------------------------------------------------------------

WIDTH = 0.5


class Surrogate(torch.autograd.Function):
    """1 where the distance is not negative; backward 1 / (2 WIDTH) where it is less than WIDTH."""

    @staticmethod
    def forward(ctx, distance):
        ctx.save_for_backward(distance)
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, grad):
        (distance,) = ctx.saved_tensors
        return torch.where(distance.abs() < WIDTH, grad / (2 * WIDTH), 0.0)


class DenseLif(torch.nn.Module):
    """The neurons of SpikeLIF by autograd, with `scale` times the currents."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, currents):
        membrane, fired = torch.zeros_like(currents[0], dtype=torch.float32), []
        for current in currents.unbind():
            charge = 0.5 * membrane + 0.5 * (self.scale * current.float())
            spike = Surrogate.apply(charge - 1)
            membrane = charge * (1 - spike.detach())
            fired.append(spike.to(currents.dtype))
        return torch.stack(fired)


def fire_from_rest(neurons, currents):
    """Spikes of neurons that are at rest, and are again after it: nothing is kept."""
    spikes = neurons(currents)
    if hasattr(neurons, "reset"):
        neurons.reset()
    return spikes


class Stack(torch.nn.Module):
    """`linear(k, n)` and `neurons(scale)` make the parts."""

    def __init__(self, network, linear, neurons):
        super().__init__()
        self.products, self.neurons = torch.nn.ModuleList(), torch.nn.ModuleList()
        for weights, scales in network:
            for weight, scale in zip(weights, scales):
                product = linear(weight.shape[1], weight.shape[0])
                product.weight = torch.nn.Parameter(weight.clone())
                self.products.append(product)
                self.neurons.append(neurons(scale))

    def forward(self, x):
        for i, (product, neurons) in enumerate(zip(self.products, self.neurons)):
            if i % 4 == 1:
                x = x[..., 2 * CHANNELS :]
            x = fire_from_rest(neurons, product(x))
        return x


class FusedStack(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        from spiketune.torch import SpikeLinearLIF

        self.layers = torch.nn.ModuleList()
        for weights, scales in network:
            for weight, scale in zip(weights, scales):
                layer = SpikeLinearLIF(weight.shape[1], weight.shape[0], bias=False, device="cuda", dtype=torch.float16, scale=scale,
                                       surrogate_width=WIDTH, **NEURON)
                layer.weight.data.copy_(weight)
                self.layers.append(layer)

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            x = layer(x.channels(2 * CHANNELS, 3 * CHANNELS) if i % 4 == 1 else x)
        return x.dense()


def saved_bytes(model, x):
    model(x)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    result = model(x)
    torch.cuda.synchronize()
    return torch.cuda.memory_allocated() - before - result.nbytes


def step(model, call, x, grad):
    for parameter in model.parameters():
        parameter.grad = None
    call(x).backward(grad)
    return [parameter.grad for parameter in model.parameters()]


def measure_training(model, call, x, grad):
    """(MB saved, MB at the peak, µs in a CUDA graph, µs launched one by one) of a step."""
    def run():  # nothing is left over
        step(model, call, x, grad)
        for parameter in model.parameters():
            parameter.grad = None

    def again():
        return step(model, call, x, grad)

    return saved_bytes(call, x) / 1e6, peak_bytes(run) / 1e6, microseconds(graph_of(again)[0]), microseconds(again)


def compare_training(theirs, ours, beside="PyTorch"):
    for what, their, our, unit in zip(("saved activations", "peak of a step", "step, CUDA graph", "step, launched one by one"), theirs, ours,
                                      ("MB", "MB", "us", "us")):
        show(what, their, our, unit, beside)


def relative_errors(gradients, expected):
    return [((g.float() - e).norm() / e.norm()).item() for g, e in zip(gradients, expected)]


def training(x, network, formats=("auto",)):
    """`formats`: of SpikeLinear."""
    import spiketune.torch as st

    options = {"device": "cuda", "dtype": torch.float16, "bias": False}
    dense = Stack(network, lambda k, n: torch.nn.Linear(k, n, **options), DenseLif)
    grad = torch.randn((*x.shape[:2], CHANNELS), device="cuda").half() / 64

    plain = compiled(dense)
    expected = [g.float() for g in step(dense, plain, x, grad)]
    reference = dense(x).detach()  # graphs that live on tie gradients to the stream that made them

    header(f"training, {len(network)} blocks, {x.shape[1] // TOKENS} images")
    theirs = measure_training(dense, plain, x, grad)
    print(f"saved by PyTorch without torch.compile: {saved_bytes(dense, x) / 1e6:.1f} MB")

    def against_theirs(name, model, prepare):
        fired = model(x).detach()  # chooses the formats
        if not (fired == reference).all():
            sys.exit(f"error: {int((fired != reference).sum())} spikes differ")
        call = prepare(model)
        errors = relative_errors(step(model, call, x, grad), expected)
        if not max(errors) < 0.02:
            sys.exit(f"error: gradients differ by {max(errors):.3f} of their norm")
        print(f"\n{name}: gradients within {max(errors):.1e} of PyTorch's, relative")
        results.section = f"training, {len(network)} blocks, {x.shape[1] // TOKENS} images: {name}"
        ours = measure_training(model, call, x, grad)
        compare_training(theirs, ours)
        return ours

    fused = against_theirs("SpikeLinearLIF", FusedStack(network), lambda model: model)
    against_theirs("SpikeLinearLIF, compiled", FusedStack(network), compiled)

    def run():
        from spikingjelly.activation_based import layer

        model = Stack(network, lambda k, n: layer.Linear(k, n, bias=False, step_mode="m"), lambda scale: spikingjelly_neurons(scale, True))
        for neurons in model.neurons:
            neurons.train()
        same = (model(x).detach() == reference).float().mean().item()
        print(f"\n{spikingjelly_version()}, fp16, not compiled, beside SpikeLinearLIF: {same:.4%} of the spikes the same")
        compare_training(measure_training(model, model, x, grad), fused, spikingjelly_version())

    with_spikingjelly("SpikingJelly", run)
    for format in formats:
        model = Stack(network, lambda k, n, format=format: st.SpikeLinear(k, n, format=format, **options),
                      lambda scale: st.SpikeLIF(surrogate_width=WIDTH, gain=0.5 * scale))
        against_theirs(f"SpikeLinear, {format}, and SpikeLIF, compiled", model, compiled)


# --- the network of Fashion-MNIST -------------------------------------------------------------------

TIMES = 8  # that the recorded images are there

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


def fashion_mnist_network():
    """(the example, its layers, recorded spikes [T, 64, 32, 14, 14], their classes)."""
    root = Path(__file__).resolve().parent.parent
    spec = importlib.util.spec_from_file_location("fashion_mnist", root / "examples" / "06_fashion_mnist.py")
    example = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # torch.compile looks there
    spec.loader.exec_module(example)
    folder, device = root / "datasets" / "fashion_mnist_snn", torch.device("cuda")
    network, _ = example.load_network(folder, device)
    batches, classes, _ = example.load_images(folder, Path("/nowhere"), 0, 1, device)
    return example, network, batches[0][1], torch.from_numpy(classes).long().cuda()


def fashion_mnist():
    example, network, spikes, _ = fashion_mnist_network()
    spikes = spikes.repeat(1, TIMES, 1, 1, 1)
    images = spikes.shape[1]
    encoded = spiketune.encode(spikes.permute(0, 1, 3, 4, 2).reshape(example.STEPS, -1, spikes.shape[2]).contiguous(), "bitmap")
    dense = spikes.flatten(0, 1).half()
    header(f"Fashion-MNIST, {images} images, by layer: CUDA graph")
    total = [0.0, 0.0]
    with torch.no_grad():
        for layer in network[1:]:
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
    for neurons in model.neurons:
        neurons.compile(fullgraph=True, dynamic=False)
    return model


def fashion_mnist_training():
    """Sums are not exact here: that spikes differ where a membrane is at the threshold is printed, with the gradients."""
    import spiketune.torch as st

    example, network, spikes, classes = fashion_mnist_network()
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
    ours = None
    for format in ("auto", "dense"):
        model = with_compiled_neurons(ours_as(format))
        currents = model(x).detach()
        errors = relative_errors(step(model, model, x, grad), expected)
        print(f"{format} ({', '.join(product.chosen for product in model.products)}): currents within "
              f"{relative_errors([currents], [reference.float()])[0]:.1e}, gradients within {max(errors):.1e} of PyTorch's, relative")
        results.section = f"{section}: format {format}"
        measured = measure_training(model, model, x, grad)
        compare_training(theirs, measured)
        ours = ours or measured

    def run():
        from spikingjelly.activation_based import layer as modules

        # Where and of which type they are comes with the weights.
        model = stack(lambda *sizes, **_: modules.Conv2d(*sizes), lambda *sizes, **_: modules.Linear(*sizes), lambda: spikingjelly_neurons(2.0, True))
        errors = relative_errors([model(x).detach()], [reference.float()])
        print(f"{spikingjelly_version()}, fp16, not compiled, beside format auto: currents within {errors[0]:.1e}")
        results.section = f"{section}: format auto"
        compare_training(measure_training(model, model, x, grad), ours, spikingjelly_version())

    with_spikingjelly("SpikingJelly", run)
    results.section = f"Fashion-MNIST, training from disturbed weights, {spikes.shape[1]} images"
    loss_curves(spikes, classes, [pytorch(torch.float32), pytorch(), ours_as("auto")], example.CLASSES)


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
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--weight-bits", type=int, choices=(8, 4))
    parser.add_argument("--json", type=Path)
    for name in ("inference", "layers", "train", "fashion-mnist"):
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    if not torch.cuda.is_available() or spiketune.cuda_unavailable_reason():
        return print("skipped: " + (spiketune.cuda_unavailable_reason() or "this PyTorch has no CUDA"))
    everything = not (options.inference or options.train or options.layers or options.fashion_mnist or options.weight_bits)
    if options.json:
        results.write_to(options.json)
    torch.manual_seed(1)
    x = (torch.rand((STEPS, options.batch * TOKENS, CHANNELS), device="cuda") < DENSITY).half()
    network, densities = make_network(options.blocks, x, torch.Generator().manual_seed(1))
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}; spikes into the layers: {min(densities):.1%} to {max(densities):.1%}")
    if options.inference or everything:
        inference(x, network)
    for bits in (options.weight_bits,) if options.weight_bits else (8, 4) if everything else ():
        rounded, _ = make_network(options.blocks, x, torch.Generator().manual_seed(1), normal_weights)
        inference(x, rounded, bits)
    if options.layers or everything:
        layers(x, network, options.weight_bits)
    if (options.train and not options.fashion_mnist) or everything:
        training(x, network)
    if options.fashion_mnist or everything:
        fashion_mnist()
    if (options.fashion_mnist and options.train) or everything:
        fashion_mnist_training()


if __name__ == "__main__":
    main()
