"""What the benchmarks of whole networks share: measuring, results, and what is put beside spiketune."""

import functools
import json
import sys
import time
from pathlib import Path

import spiketune

try:
    import torch
except ImportError:
    sys.exit("error: PyTorch is not there")

compiled = functools.partial(torch.compile, fullgraph=True, dynamic=False)


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
    """What was printed, for --json, and when no more is begun."""

    def __init__(self):
        self.path, self.runs, self.section, self.end = None, [], "", float("inf")

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


def add_options(parser):
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=float("inf"))


def begin(options):
    """Whether there is a GPU: with the options of add_options()."""
    if not torch.cuda.is_available() or spiketune.cuda_unavailable_reason():
        print("skipped: " + (spiketune.cuda_unavailable_reason() or "this PyTorch has no CUDA"))
        return False
    results.end = time.monotonic() + options.seconds
    if options.json:
        results.write_to(options.json)
    torch.manual_seed(1)
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}", flush=True)
    return True


def late(what):
    """Whether --seconds are over, which is printed."""
    over = time.monotonic() > results.end
    if over:
        print(f"{what}: skipped: the time is over", flush=True)
    return over


def show(what, theirs, ours, unit, beside="PyTorch"):
    print(f"{what:<46}{theirs:11.1f}{ours:11.1f} {unit:<3}{theirs / ours:8.2f} x", flush=True)
    results.add(what=what, beside=beside, theirs=round(theirs, 2), spiketune=round(ours, 2), unit=unit)


def with_spikingjelly(what, run):
    """run(), or the reason why not."""
    if late(what):
        return
    try:
        run()
    except Exception as error:  # other people's package, at whatever version
        reason = str(error).strip().splitlines() or [""]
        print(f"{what}: skipped: {type(error).__name__}: {reason[0][:160]}", flush=True)


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
