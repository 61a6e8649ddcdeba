#!/usr/bin/env python3
"""A stack of blocks of Spikformer's size on a GPU: inference and training, beside PyTorch's in fp16, compiled.

usage: scripts/network_bench.py [--blocks 4] [--batch 64] [--inference] [--train] [--layers]

T = 4 steps, 64 tokens, 384 channels. A block is four products with LIF neurons behind each: qkv (384 to 1152), attention,
proj (384 to 384), fc1 (384 to 1536), fc2 (1536 to 384). Attention is the spike-driven one (M. Yao et al., NeurIPS 2023)
where one spike suffices: v, in the channels where q and k spiked together in any token; on bits it is AND and OR. Neither
side adds residuals. W is of small integers, so that sums are exact in fp16 and both sides must fire the same spikes, which
is checked before anything is timed.

--inference: spmm_lif from bits to bits, against torch.compile; both as CUDA graphs. Memory: the most that was
    allocated above what was there before.
--train: forward and backward of the same products, without attention (proj reads v), through SpikeLinear and SpikeLIF,
    against nn.Linear and the same neurons by autograd; both compiled, both as CUDA graphs. Saved: what is allocated
    between forward and backward, less the output.
--layers: each product with its neurons alone
Default: all three.
"""

import argparse
import functools
import operator
import sys

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


def make_network(blocks, x, generator):
    """[(weights [N, K], scales)], and the densities that the layers see."""
    network, densities = [], []
    for _ in range(blocks):
        weights, scales = [], []
        for name, (k, n) in LAYERS.items():
            weight = integer_weights(k, n, generator)
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


def show(what, theirs, ours, unit):
    print(f"{what:<46}{theirs:11.1f}{ours:11.1f} {unit:<3}{theirs / ours:8.2f} x", flush=True)


def header(what):
    print(f"\n{what:<46}{'PyTorch':>11}{'spiketune':>11}", flush=True)


# --- inference --------------------------------------------------------------------------------------


def inference(x, network):
    block, attention = compiled(dense_block), compiled(attend_bits)
    scales = [torch.tensor(scales, device="cuda") for _, scales in network]
    columns = [[weight.t().contiguous() for weight in weights] for weights, _ in network]

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

    with torch.no_grad():
        expected, got = theirs(), ours()
        same = bool((got.decode().view_as(expected) == expected).all())
        print(f"spikes that both sides fire the same: {'all' if same else 'NOT ALL'} of {expected.numel()}, {expected.float().mean():.1%} are 1")
        if not same:
            sys.exit(f"error: {int((got.decode().view_as(expected) != expected).sum())} spikes differ")
        header(f"inference, {len(network)} blocks, {x.shape[1] // TOKENS} images")
        show("peak of activations", peak_bytes(theirs) / 1e6, peak_bytes(ours) / 1e6, "MB")
        (replay_theirs, kept), (replay_ours, kept_ours) = graph_of(theirs), graph_of(ours)
        show("time, CUDA graph", microseconds(replay_theirs), microseconds(replay_ours), "us")
        show("time, launched one by one", microseconds(theirs), microseconds(ours), "us")
        replay_ours(), replay_theirs()
        if not (kept_ours.decode().view_as(kept) == kept).all():
            sys.exit("error: replays differ")


def layers(x, network):
    """Each product with its neurons alone, of the first block."""
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
            ours, _ = graph_of(lambda: spiketune.spmm_lif(encoded, columns, scale=scale, **NEURON))
            show(f"{name} {x.shape[0] * x.shape[1]} x {k} x {n} (product alone {microseconds(alone):.1f})", microseconds(theirs), microseconds(ours), "us")
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
    """The neurons of SpikeLIF by autograd."""

    def forward(self, currents):
        membrane, fired = torch.zeros_like(currents[0], dtype=torch.float32), []
        for current in currents.unbind():
            charge = 0.5 * membrane + 0.5 * current.float()
            spike = Surrogate.apply(charge - 1)
            membrane = charge * (1 - spike.detach())
            fired.append(spike.to(currents.dtype))
        return torch.stack(fired)


class Stack(torch.nn.Module):
    """`linear(k, n)` and `neurons()` make the parts."""

    def __init__(self, network, linear, neurons):
        super().__init__()
        self.scales = [scales for _, scales in network]
        self.products = torch.nn.ModuleList()
        for weights, _ in network:
            for weight in weights:
                product = linear(weight.shape[1], weight.shape[0])
                product.weight = torch.nn.Parameter(weight.clone())
                self.products.append(product)
        self.neurons = torch.nn.ModuleList(neurons() for _ in self.products)

    def forward(self, x):
        for i, (product, neurons) in enumerate(zip(self.products, self.neurons)):
            if i % 4 == 1:
                x = x[..., 2 * CHANNELS :]
            if hasattr(neurons, "reset"):
                neurons.reset()
            x = neurons(product(x) * self.scales[i // 4][i % 4])
            if hasattr(neurons, "reset"):
                neurons.reset()
        return x


def saved_bytes(model, x):
    model(x)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    result = model(x)
    torch.cuda.synchronize()
    return torch.cuda.memory_allocated() - before - result.nbytes


def training(x, network):
    import spiketune.torch as st

    options = {"device": "cuda", "dtype": torch.float16, "bias": False}
    dense = Stack(network, lambda k, n: torch.nn.Linear(k, n, **options), DenseLif)
    grad = torch.randn((*x.shape[:2], CHANNELS), device="cuda").half() / 64

    def step(model, call):
        for parameter in model.parameters():
            parameter.grad = None
        call(x).backward(grad)
        return [parameter.grad for parameter in model.parameters()]

    plain = compiled(dense)
    expected = [g.float() for g in step(dense, plain)]
    reference = dense(x).detach()  # graphs that live on tie gradients to the stream that made them
    header(f"training, {len(network)} blocks, {x.shape[1] // TOKENS} images")
    theirs = saved_bytes(plain, x) / 1e6, microseconds(graph_of(lambda: step(dense, plain))[0]), microseconds(lambda: step(dense, plain))
    print(f"saved by PyTorch without torch.compile: {saved_bytes(dense, x) / 1e6:.1f} MB")
    for format in ("auto", "dense"):
        model = Stack(network, lambda k, n: st.SpikeLinear(k, n, format=format, **options), lambda: st.SpikeLIF(surrogate_width=WIDTH))
        fired = model(x).detach()  # chooses the formats
        if not (fired == reference).all():
            sys.exit(f"error: {int((fired != reference).sum())} spikes differ")
        call = compiled(model)
        errors = [((g.float() - e).norm() / e.norm()).item() for g, e in zip(step(model, call), expected)]
        if not max(errors) < 0.02:
            sys.exit(f"error: gradients differ by {max(errors):.3f} of their norm")
        print(f"format {format}: {', '.join(p.chosen for p in model.products[:4])}; gradients within {max(errors):.1e} of PyTorch's")
        ours = saved_bytes(call, x) / 1e6, microseconds(graph_of(lambda: step(model, call))[0]), microseconds(lambda: step(model, call))
        for what, their, our, unit in zip(("saved activations", "step, CUDA graph", "step, launched one by one"), theirs, ours, ("MB", "us", "us")):
            show(what, their, our, unit)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    for name in ("inference", "train", "layers"):
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    if not torch.cuda.is_available() or spiketune.cuda_unavailable_reason():
        return print("skipped: " + (spiketune.cuda_unavailable_reason() or "this PyTorch has no CUDA"))
    everything = not (options.inference or options.train or options.layers)
    torch.manual_seed(1)
    x = (torch.rand((STEPS, options.batch * TOKENS, CHANNELS), device="cuda") < DENSITY).half()
    network, densities = make_network(options.blocks, x, torch.Generator().manual_seed(1))
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}; spikes into the layers: {min(densities):.1%} to {max(densities):.1%}")
    if options.inference or everything:
        inference(x, network)
    if options.layers or everything:
        layers(x, network)
    if options.train or everything:
        training(x, network)


if __name__ == "__main__":
    main()
