#!/usr/bin/env python3
"""What a call of the Python package costs, in µs, and what PyTorch's sparse tensors cost beside it.

usage: scripts/python_overhead.py [--large] [--train]

Small inputs first, where a call is nothing but overhead: on the host (NumPy's arrays) and, where there is a GPU, with
PyTorch's tensors there. `host` is until the call returns, `done` until the device is idle too.
--large: 4096 x 4096 bytes to CSR beside torch.to_sparse_csr, products beside PyTorch's sparse CSR. Cold: a write of
256 MB before each sample; medians of wall-clock times from an idle device to an idle device, so that a copy of the
bytes, the yardstick, takes its launch and its wait too. `repeated`: a call of many, one after the other.
--train: a step of layers beside one of nn.Linear: small ones on the host and on the device, where a step is nothing but
overhead, and large ones on the device.
"""

import argparse
import statistics
import time

import numpy as np

import spiketune

try:
    import torch
except ImportError:
    torch = None


def show(what, microseconds, note=""):
    print(f"{what:<58}{microseconds:9.1f}  {note}", flush=True)


def per_call(call, calls=300, repeats=7, synchronize=lambda: None):
    """(until it returns, until the device is idle), the least of the repeats."""
    call()
    best = [float("inf")] * 2
    for _ in range(repeats):
        synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            call()
        returned = time.perf_counter()
        synchronize()
        for i, end in enumerate((returned, time.perf_counter())):
            best[i] = min(best[i], (end - start) / calls * 1e6)
    return best


def cold(call, samples=15):
    """Median of single calls, L2 flushed, from an idle device to an idle device."""
    flush = torch.empty(256 << 20, dtype=torch.uint8, device="cuda")
    times = []
    for i in range(samples + 3):
        flush.fill_(i)
        torch.cuda.synchronize()
        start = time.perf_counter()
        result = call()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) * 1e6)
        del result
    return statistics.median(times[3:])


def repeated(call):
    return per_call(call, 30, 5, torch.cuda.synchronize)[1]


def random_spikes(m, k, density):
    return (torch.rand((m, k), device="cuda") < density).to(torch.uint8)


def small_on_the_host():
    x = (np.random.default_rng(1).random((64, 64)) < 0.1).astype(np.uint8)
    w = np.ones((64, 32), np.float32)
    csr = spiketune.encode(x)
    show("host: encode csr, 64 x 64", per_call(lambda: spiketune.encode(x))[0])
    show("host: spmm csr, 64 x 64 x 32", per_call(lambda: spiketune.spmm(csr, w))[0])


def small_on_a_device():
    x = random_spikes(256, 256, 0.1)
    w = torch.ones((256, 64), dtype=torch.float16, device="cuda")

    def both(what, call):
        host, done = per_call(call, synchronize=torch.cuda.synchronize)
        show(what, host, f"done {done:.1f}")

    both("cuda: torch.empty", lambda: torch.empty((65536,), dtype=torch.uint8, device="cuda"))
    both("cuda: torch.neg, a kernel of PyTorch's", lambda: torch.neg(w))
    both("cuda: torch.matmul", lambda: w.t() @ w)
    for name in ("csr", "bitmap", "two_four"):
        encoded = spiketune.encode(x, name)
        assert (encoded.decode() == x).all()
        assert (spiketune.spmm(encoded, w) == x.float() @ w.float()).all()
        both(f"cuda: encode {name}, 256 x 256", lambda: spiketune.encode(x, name))
        both(f"cuda: encode {name}, wait=True", lambda: spiketune.encode(x, name, wait=True))
        both(f"cuda: spmm {name}, 256 x 256 x 64", lambda: spiketune.spmm(encoded, w))


def large():
    for density in (0.01, 0.05, 0.1):
        x = random_spikes(4096, 4096, density)
        half = x.half()
        name = f"encode 4096 x 4096, {density:.0%}"
        show(f"{name}: a copy", cold(lambda: x.clone()), f"repeated {repeated(lambda: x.clone()):.1f}")
        theirs = min(cold(lambda: x.to_sparse_csr()), cold(lambda: half.to_sparse_csr()))
        theirs_repeated = min(repeated(lambda: x.to_sparse_csr()), repeated(lambda: half.to_sparse_csr()))
        show(f"{name}: torch.to_sparse_csr", theirs, f"repeated {theirs_repeated:.1f}")
        for wait in (None, True):
            ours = cold(lambda: spiketune.encode(x, wait=wait))
            again = repeated(lambda: spiketune.encode(x, wait=wait))
            show(f"{name}: csr{', wait=True' if wait else ''}", ours, f"{theirs / ours:.1f} x; repeated {again:.1f}, {theirs_repeated / again:.1f} x")
    for m, k, n in ((4096, 1024, 1024), (4096, 4096, 4096)):
        w = torch.randint(-2, 3, (k, n), device="cuda").half()
        for density in (0.01, 0.05, 0.1):
            x = random_spikes(m, k, density)
            sparse = x.half().to_sparse_csr()
            expected = x.half() @ w
            theirs, theirs_repeated = cold(lambda: sparse @ w), repeated(lambda: sparse @ w)
            name = f"spmm {m} x {k} x {n}, {density:.0%}"
            half = x.half()
            show(f"{name}: torch.sparse", theirs, f"repeated {theirs_repeated:.1f}; dense {cold(lambda: half @ w):.1f}")
            for format in ("csr", "two_four", "bitmap"):
                encoded, out = spiketune.encode(x, format), torch.empty_like(expected)
                ours = cold(lambda: spiketune.spmm(encoded, w, out=out))
                assert (out == expected).all()
                again = repeated(lambda: spiketune.spmm(encoded, w, out=out))
                show(f"{name}: {format}", ours, f"{theirs / ours:.1f} x; repeated {again:.1f}, {theirs_repeated / again:.1f} x")


def train_small(device):
    import spiketune.torch as st

    torch.set_num_threads(1)
    dtype = torch.float32 if device == "cpu" else torch.float16
    x = (torch.rand((4, 8, 64), device=device) < 0.2).to(dtype)
    options = {"device": device, "dtype": dtype}
    stacks = {"nn.Linear": torch.nn.Linear(64, 64, **options)}
    for format in ("csr", "bitmap", "dense"):
        stacks[f"SpikeLinear, {format}"] = st.SpikeLinear(64, 64, format=format, **options)
    stacks["4 x SpikeLinearLIF"] = torch.nn.Sequential(*[st.SpikeLinearLIF(64, 64, scale=2.0, **options) for _ in range(4)])
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    for name, stack in stacks.items():
        parameters = list(stack.parameters())

        def forward():
            fired = stack(x)
            return fired.dense() if isinstance(fired, st.Spikes) else fired

        def step():
            for parameter in parameters:
                parameter.grad = None
            forward().backward(x)

        times = [per_call(call, 20, 100, synchronize)[0] for call in (forward, step)]
        show(f"{device}: {name}, 32 x 64 x 64: forward", times[0])
        show(f"{device}: {name}, 32 x 64 x 64: step", times[1])


def train():
    import spiketune.torch as st

    for m, k, n in ((256, 512, 512), (4096, 1024, 1024), (12544, 768, 3072)):
        x = random_spikes(m, k, 0.05).half()
        grad = torch.ones((m, n), dtype=torch.float16, device="cuda")
        dense = torch.nn.Linear(k, n, device="cuda", dtype=torch.float16)
        layers = {"nn.Linear": dense}
        for format in ("csr", "bitmap", "dense"):
            layers[format] = st.SpikeLinear.from_linear(dense, format=format)

        def step(layer):
            layer.weight.grad = None
            layer(x).backward(grad)

        for name, layer in layers.items():
            step(layer)
            show(f"step {m} x {k} x {n}: {name}", cold(lambda: step(layer)), f"host {per_call(lambda: step(layer), 50, 5, torch.cuda.synchronize)[0]:.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--train", action="store_true")
    arguments = parser.parse_args()
    small_on_the_host()
    if arguments.train and torch is not None:
        train_small("cpu")
    if torch is None or not torch.cuda.is_available() or spiketune.cuda_unavailable_reason():
        return print("no GPU: " + (spiketune.cuda_unavailable_reason() or "PyTorch has none"))
    small_on_a_device()
    if arguments.large:
        large()
    if arguments.train:
        train_small("cuda")
        train()


if __name__ == "__main__":
    main()
