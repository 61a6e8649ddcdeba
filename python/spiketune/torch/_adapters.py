"""Neurons of SpikingJelly and snnTorch, fired by spiketune."""

from __future__ import annotations

from typing import Any, Optional

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

import spiketune


def _code_dtype(steps: int) -> torch.dtype:
    """Integers that hold two bits a step."""
    return next(dtype for dtype, bits in ((torch.uint8, 8), (torch.int16, 16), (torch.int32, 32), (torch.int64, 64)) if 2 * steps <= bits)


class _Fire(torch.autograd.Function):
    """Neurons by PyTorch's operations. Saved: two bits a neuron and step, packed over time, whether it spiked and whether
    the surrogate's derivative is not zero. The reset counts as constant."""

    @staticmethod
    def forward(ctx, currents, state, leak, gain, threshold, soft, reset_value, snntorch, width):
        steps = currents.shape[0]
        packed = _code_dtype(steps)
        membrane, fired, code = state, [], 0
        for t, current in enumerate(currents.unbind()):
            before = membrane
            charge = leak * before + gain * current.float()
            if snntorch:
                late = before > threshold
                charge = charge - threshold * late if soft else torch.where(late, gain * current.float(), charge)
                spike, membrane = charge > threshold, charge
            else:
                charge = charge if soft else charge + (1 - leak) * reset_value
                spike = charge >= threshold
                membrane = charge - threshold * spike if soft else torch.where(spike, reset_value, charge)
            near = (charge - threshold).abs() < width
            code = code | spike.to(packed) << t | near.to(packed) << (steps + t)
            fired.append(spike.to(currents.dtype))
        ctx.save_for_backward(code)
        ctx.options = steps, leak, gain, soft, snntorch, width
        ctx.mark_non_differentiable(membrane)
        return torch.stack(fired), membrane

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, _):
        (code,) = ctx.saved_tensors
        steps, leak, gain, soft, snntorch, width = ctx.options
        result, later = [], 0.0
        for t in reversed(range(steps)):
            spiked, near = (code >> t & 1) != 0, (code >> (steps + t) & 1) != 0
            if not snntorch and not soft:
                later = later * ~spiked
            total = torch.where(near, grad[t].float() / (2 * width), 0.0) + later
            later = leak * total
            if snntorch and not soft and t > 0:
                later = later * ((code >> (t - 1) & 1) == 0)
            result.append((gain * total).to(grad.dtype))
        return torch.stack(result[::-1]), None, None, None, None, None, None, None, None


class SpikeLIF(nn.Module):
    """Leaky integrate-and-fire neurons over all time steps at once.

    forward(currents [T, ...]) returns spikes of the same shape. Membranes are kept from call to call, as the libraries
    do, without a gradient; reset() puts them to rest. Options as spiketune.lif.

    Without `surrogate_width` spikes have no gradient and come from one kernel, in uint8, or in `dtype`. With it they have,
    in the type of the currents: the derivative of a spike by its membrane is 1 / (2·width) where the membrane is less
    than the width from the threshold, else 0 (Y. Wu et al., Frontiers in Neuroscience 2018), so that between forward and backward two bits a
    neuron and step are kept (T up to 32). Those neurons are PyTorch's operations, which torch.compile makes one kernel.
    """

    def __init__(self, *, leak: float = 0.5, gain: float = 0.5, threshold: float = 1.0, reset: str = "hard", reset_value: float = 0.0,
                 convention: str = "spikingjelly", dtype: Optional[torch.dtype] = None, surrogate_width: Optional[float] = None):
        super().__init__()
        if surrogate_width is not None and not surrogate_width > 0:
            raise spiketune.Error(f"surrogate_width must be above 0, not {surrogate_width}")
        self.options: dict[str, Any] = {"leak": leak, "gain": gain, "threshold": threshold, "reset": reset, "reset_value": reset_value,
                                        "convention": convention}
        self.dtype = dtype
        self.surrogate_width = surrogate_width
        self.state: Optional[Tensor] = None

    def reset(self) -> None:
        """Membranes at rest."""
        self.state = None

    def forward(self, currents: Tensor) -> Tensor:
        if self.surrogate_width is not None:
            return self._with_gradient(currents)
        with torch.no_grad():
            steps = currents.reshape(currents.shape[0], -1, currents.shape[-1] if currents.dim() > 1 else 1)
            spikes, state = spiketune.lif(steps, state=self.state, **self.options)
            self.state = torch.as_tensor(state)
            result = torch.as_tensor(spikes).reshape(currents.shape)
            return result if self.dtype is None else result.to(self.dtype)

    def _with_gradient(self, currents: Tensor) -> Tensor:
        if currents.shape[0] > 32:
            raise spiketune.Error(f"neurons with a surrogate take up to 32 steps at once, not {currents.shape[0]}")
        options = self.options
        soft, snntorch = options["reset"] == "soft", options["convention"] == "snntorch"
        rest = 0.0 if soft else options["reset_value"]
        state = currents.new_full(currents.shape[1:], rest, dtype=torch.float32) if self.state is None else self.state
        spikes, self.state = _Fire.apply(currents, state.reshape(currents.shape[1:]), options["leak"], options["gain"], options["threshold"], soft,
                                         options["reset_value"], snntorch, self.surrogate_width)
        return spikes


def from_spikingjelly(node: Any, **options: Any) -> SpikeLIF:
    """Of `spikingjelly.activation_based.neuron.LIFNode` or `IFNode`, fed with all time steps (step_mode "m").
    Throws spiketune.Error for another neuron."""
    name = type(node).__name__
    if name not in ("LIFNode", "IFNode"):
        raise spiketune.Error(f"of SpikingJelly's neurons there are LIFNode and IFNode here, not {name}")
    soft = node.v_reset is None
    if name == "IFNode":
        leak, gain, rest = 1.0, 1.0, 0.0 if soft else node.v_reset
    else:
        leak, gain, rest = 1.0 - 1.0 / node.tau, 1.0 / node.tau if node.decay_input else 1.0, 0.0 if soft else node.v_reset
    return SpikeLIF(leak=leak, gain=gain, threshold=node.v_threshold, reset="soft" if soft else "hard", reset_value=rest, **options)


def from_snntorch(neuron: Any, **options: Any) -> SpikeLIF:
    """Of `snntorch.Leaky` with one beta and threshold, and reset_mechanism "subtract" or "zero".
    Throws spiketune.Error for another neuron or reset."""
    name = type(neuron).__name__
    if name != "Leaky":
        raise spiketune.Error(f"of snnTorch's neurons there is Leaky here, not {name}")
    if neuron.reset_mechanism not in ("subtract", "zero"):
        raise spiketune.Error(f"reset_mechanism must be subtract or zero, not {neuron.reset_mechanism}")
    if neuron.beta.numel() != 1 or neuron.threshold.numel() != 1:
        raise spiketune.Error("the neuron must have one beta and one threshold for all")
    return SpikeLIF(leak=float(neuron.beta.clamp(0, 1)), gain=1.0, threshold=float(neuron.threshold), convention="snntorch",
                    reset="hard" if neuron.reset_mechanism == "zero" else "soft", **options)
