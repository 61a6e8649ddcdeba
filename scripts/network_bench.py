#!/usr/bin/env python3
"""A stack of blocks of Spikformer's size on a GPU, inference and training, beside PyTorch's in fp16, compiled, and SpikingJelly's.

usage: scripts/network_bench.py [--blocks 4] [--batch 64] [--inference] [--weight-bits 8|4] [--layers] [--train] [--seconds N] [--json FILE]

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
--seconds: begin nothing more when they are over; what is printed is printed as it is measured
--json: add what was printed to a file, as a run of {"runs": [{"gpu", "pytorch", "spiketune", "command", "rows": [..]}]}; a row is
    {"section", "what", "beside": whose it is compared with, "theirs", "spiketune", "unit"}. Written after each row.
Default: all, with both widths of W.

SpikingJelly's layers and multi-step neurons run in fp16 as they come, on the backend that its neurons choose or, where
they leave the choice, cupy. Its membranes are fp16, so that some of its spikes may differ: the share is printed.
"""

import argparse
import functools
import operator
import sys

import spiketune
from network_common import (
    WIDTH, DenseLif, add_options, begin, compare_training, compiled, fire_from_rest, graph_of, header, late, measure_training, microseconds,
    peak_bytes, relative_errors, results, saved_bytes, show, spikingjelly_neurons, spikingjelly_version, step, with_spikingjelly,
)
import torch  # network_common says it where it is not there

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

    def against_theirs(name, make, prepare):
        if late(name):
            return None
        model = make()
        fired = model(x).detach()  # chooses the formats
        if not (fired == reference).all():
            sys.exit(f"error: {int((fired != reference).sum())} spikes differ")
        call = prepare(model)
        errors = relative_errors(step(model, call, x, grad), expected)
        if not max(errors) < 0.02:
            sys.exit(f"error: gradients differ by {max(errors):.3f} of their norm")
        print(f"\n{name}: gradients within {max(errors):.1e} of PyTorch's, relative", flush=True)
        results.section = f"training, {len(network)} blocks, {x.shape[1] // TOKENS} images: {name}"
        ours = measure_training(model, call, x, grad)
        compare_training(theirs, ours)
        return ours

    fused = against_theirs("SpikeLinearLIF", lambda: FusedStack(network), lambda model: model)

    def run():
        from spikingjelly.activation_based import layer

        model = Stack(network, lambda k, n: layer.Linear(k, n, bias=False, step_mode="m"), lambda scale: spikingjelly_neurons(scale, True))
        for neurons in model.neurons:
            neurons.train()
        same = (model(x).detach() == reference).float().mean().item()
        print(f"\n{spikingjelly_version()}, fp16, not compiled, beside SpikeLinearLIF: {same:.4%} of the spikes the same", flush=True)
        compare_training(measure_training(model, model, x, grad), fused, spikingjelly_version())

    if fused is not None:
        with_spikingjelly("SpikingJelly", run)
    against_theirs("SpikeLinearLIF, compiled", lambda: FusedStack(network), compiled)
    for format in formats:
        def make(format=format):
            return Stack(network, lambda k, n: st.SpikeLinear(k, n, format=format, **options),
                         lambda scale: st.SpikeLIF(surrogate_width=WIDTH, gain=0.5 * scale))

        against_theirs(f"SpikeLinear, {format}, and SpikeLIF, compiled", make, compiled)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--weight-bits", type=int, choices=(8, 4))
    for name in ("inference", "layers", "train"):
        parser.add_argument(f"--{name}", action="store_true")
    add_options(parser)
    options = parser.parse_args()
    if not begin(options):
        return
    everything = not (options.inference or options.train or options.layers or options.weight_bits)
    x = (torch.rand((STEPS, options.batch * TOKENS, CHANNELS), device="cuda") < DENSITY).half()
    network, densities = make_network(options.blocks, x, torch.Generator().manual_seed(1))
    print(f"spikes into the layers: {min(densities):.1%} to {max(densities):.1%}", flush=True)
    if options.inference or everything:
        inference(x, network)
    for bits in (options.weight_bits,) if options.weight_bits else (8, 4) if everything else ():
        if not late(f"W in s{bits}"):
            rounded, _ = make_network(options.blocks, x, torch.Generator().manual_seed(1), normal_weights)
            inference(x, rounded, bits)
    if (options.layers or everything) and not late("layers"):
        layers(x, network, options.weight_bits)
    if (options.train or everything) and not late("training"):
        training(x, network)


if __name__ == "__main__":
    main()
