"""A product and its neurons as one layer, from bits to bits, for inference and training."""

from __future__ import annotations

from typing import Any, Callable, Optional, Union

import torch
from torch import Tensor, nn

import spiketune
from spiketune import _core
from spiketune._arrays import native

from ._ops import HoldsIntegers, _words, check_bits, first_order, pack_rows, rounded, traced, unpack


def _run(function: Callable[..., None], *arguments: Any) -> None:
    """Calls a function of _core, whose first argument is a tensor, on PyTorch's current stream."""
    first = arguments[0]
    if _core.takes_as_it_is(first):
        function(*arguments, None)
        return
    stream = torch.cuda.current_stream(first.device).cuda_stream if first.is_cuda else None  # PyTorch before 2.11
    function(*(native(argument, "array")[0] if isinstance(argument, Tensor) else argument for argument in arguments), stream)


def _shapes_fired(bits, weight, bias, scale, leak, gain, threshold, reset, reset_value, convention, width, trains):
    fired = bits.new_empty((*bits.shape[:2], _words(weight.shape[1])))
    return fired, torch.empty_like(fired) if trains else fired.new_empty(0)


@traced(_shapes_fired)
def fire_bits(bits: Tensor, weight: Tensor, bias: Optional[Tensor], scale: float, leak: float, gain: float, threshold: float, reset: str,
              reset_value: float, convention: str, width: float, trains: bool) -> tuple[Tensor, Tensor]:
    """Bits [T, rows, words] of the spikes of neurons with the currents scale·S·W + bias, W [K, N], and, where it trains,
    those of where neurons were near the threshold."""
    k, n = weight.shape
    fired = bits.new_empty((*bits.shape[:2], _words(n)))
    near = torch.empty_like(fired) if trains else fired.new_empty(0)
    _run(_core.fire_bits, bits, k, weight, leak, gain, threshold, reset, reset_value, convention, scale, None if bias is None else bias.float(), fired,
         near if trains else None, width)
    return fired, near


@traced(lambda grad, *_: torch.empty_like(grad, memory_format=torch.contiguous_format))
def lif_gradient(grad: Tensor, fired: Tensor, near: Tensor, leak: float, gain: float, threshold: float, reset: str, reset_value: float,
                 convention: str, width: float, scale: float) -> Tensor:
    """The gradient [T * rows, N] of the product from that of the spikes, whose bits are [T, rows, words]."""
    result = torch.empty_like(grad, memory_format=torch.contiguous_format)
    _run(_core.lif_gradient, grad, fired, near, leak, gain, threshold, reset, reset_value, convention, width, scale, result)
    return result


class Spikes:
    """Spikes [T, ..., K] as bits, with a place in PyTorch's graph: what SpikeLinearLIF takes and returns.

    bits: int32 [T, rows, ceil(K / 32)], the first in the lowest bit. The gradient of spikes has a row of K for each; what
    stands for them in the graph until then, `carrier` [T * rows, K], takes a single element of memory.
    """

    def __init__(self, bits: Tensor, shape: tuple[int, ...], carrier: Tensor):
        self.bits, self.shape, self.carrier = bits, torch.Size(shape), carrier

    @classmethod
    def of(cls, spikes: Tensor) -> "Spikes":
        """Of a dense tensor [T, ..., K] of 0 and 1, which is not kept. Values other than 0 and 1 are not looked for."""
        if spikes.dim() < 2:
            raise spiketune.Error(f"spikes must have the shape [T, ..., K], not {spikes.dim()} dimension")
        carrier, bits = _ToBits.apply(spikes)
        return cls(bits, spikes.shape, carrier)

    @property
    def rows(self) -> int:
        """Rows of a step: [T, rows, K]."""
        return self.bits.shape[1]

    def dense(self, dtype: Optional[torch.dtype] = None) -> Tensor:
        """As a tensor of 0 and 1, with their gradient; in the type of the layer that fired them unless given."""
        return _ToDense.apply(self.carrier, self.bits, dtype or self.carrier.dtype).reshape(self.shape)

    def channels(self, begin: int, end: int) -> "Spikes":
        """Of the last axis; `begin` is a multiple of 32, and so is `end`, or it is K."""
        k = self.shape[-1]
        if begin % 32 or (end % 32 and end != k) or not 0 <= begin < end <= k:
            raise spiketune.Error(f"channels are cut at multiples of 32, not at {begin} and {end} of {k}")
        bits = self.bits[..., begin // 32 : _words(end)].contiguous()
        return Spikes(bits, (*self.shape[:-1], end - begin), self.carrier[..., begin:end])


def _carrier(bits: Tensor, k: int, like: Tensor) -> Tensor:
    return like.new_empty_strided((bits.shape[0] * bits.shape[1], k), (0, 0))


class _ToBits(torch.autograd.Function):
    @staticmethod
    def forward(ctx, spikes):
        ctx.shape = spikes.shape
        k = spikes.shape[-1]
        bits = pack_rows(spikes.reshape(-1, k)).view(spikes.shape[0], -1, _words(k))
        ctx.mark_non_differentiable(bits)
        ctx.set_materialize_grads(False)
        return _carrier(bits, k, spikes if spikes.is_floating_point() else spikes.new_empty(0, dtype=torch.float32)), bits

    @staticmethod
    @first_order
    def backward(ctx, grad, _):
        return None if grad is None else grad.reshape(ctx.shape)


class _ToDense(torch.autograd.Function):
    @staticmethod
    def forward(ctx, carrier, bits, dtype):
        ctx.dtype = carrier.dtype
        return unpack(bits, carrier.shape[-1], dtype)

    @staticmethod
    @first_order
    def backward(ctx, grad):
        return grad.to(ctx.dtype), None, None


class _LinearLif(torch.autograd.Function):
    """Neurons with the currents scale·S·W + bias, W [N, K]. Saved: the bits of S, of the spikes, and of where neurons were
    near the threshold."""

    @staticmethod
    def forward(ctx, carrier, bits, weight, bias, options, trains):
        scale, neuron, width = options
        fired, near = fire_bits(bits, weight.t().contiguous(), bias, scale, *neuron, width, trains and any(ctx.needs_input_grad))
        ctx.mark_non_differentiable(fired)
        ctx.set_materialize_grads(False)  # the bits have none
        ctx.options = options
        ctx.save_for_backward(bits, fired, near, weight)
        return _carrier(fired, weight.shape[0], weight), fired

    @staticmethod
    @first_order
    def backward(ctx, grad, _):
        if grad is None:
            return (None,) * 6
        bits, fired, near, weight = ctx.saved_tensors
        scale, neuron, width = ctx.options
        of_spikes, _, of_weight, of_bias = ctx.needs_input_grad[:4]
        rows = lif_gradient(grad, fired, near, *neuron, width, scale)
        spikes = rows.mm(weight) if of_spikes else None
        # [K, N] seen as [N, K]: as W lies.
        weights = unpack(bits, weight.shape[1], grad.dtype).t().mm(rows).t() if of_weight else None
        biases = rows.sum(0) if of_bias else None
        if of_bias and scale != 1:
            biases.div_(scale)
        return spikes, None, weights, biases, None, None


class SpikeLinearLIF(HoldsIntegers, nn.Module):
    """nn.Linear and the leaky integrate-and-fire neurons behind it, from the bits of spikes to the bits of spikes.

    forward(spikes) takes Spikes, or a dense tensor [T, ..., in_features] of 0 and 1, and returns Spikes [T, ...,
    out_features] of neurons with the currents scale·S·W + bias; neither currents nor dense spikes are in memory on the way.
    Neurons begin at rest on every call. Between forward and backward two bits of a neuron and step are kept, of which the
    next layer shares one, where PyTorch's layers keep spikes and membranes. On a device float16 or bfloat16, and
    out_features a multiple of 8.

    scale: a number that multiplies the product
    leak, gain, threshold, reset, reset_value, convention: of the neurons, as spiketune.lif
    surrogate_width: the derivative of a spike is 1 / (2·width) where the membrane is less than the width from the
        threshold, else 0, as SpikeLIF; the reset counts as constant
    weight_bits: 8 or 4, as SpikeLinear: freeze() keeps the integers, and currents are of those

    torch.compile traces through, unless the integers are frozen, where its graph breaks. Forward and backward can be captured
    in a CUDA graph.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None, *, scale: float = 1.0,
                 leak: float = 0.5, gain: float = 0.5, threshold: float = 1.0, reset: str = "hard", reset_value: float = 0.0,
                 convention: str = "spikingjelly", surrogate_width: float = 0.5, weight_bits: Optional[int] = None):
        super().__init__()
        if not surrogate_width > 0:
            raise spiketune.Error(f"surrogate_width must be above 0, not {surrogate_width}")
        if not scale:
            raise spiketune.Error("scale must not be 0")
        check_bits(weight_bits)
        like = nn.Linear(in_features, out_features, bias, device, dtype)
        # Column by column, as products read it: the same values, [out_features, in_features].
        self.weight = nn.Parameter(like.weight.detach().t().contiguous().t())
        self.bias = like.bias
        self.in_features, self.out_features, self.scale = in_features, out_features, scale
        self.neuron = (leak, gain, threshold, reset, reset_value, convention)
        self.surrogate_width = surrogate_width
        self.weight_bits = weight_bits
        self.quantised: Optional[spiketune.QuantisedWeights] = None

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}, weight_bits={self.weight_bits}"

    def freeze(self) -> "SpikeLinearLIF":
        """For inference with `weight_bits`: keeps the integers, `quantised`; changes of `weight` show after the next."""
        if self.weight_bits is not None:
            self.quantised = spiketune.quantize(self.weight.detach().t().contiguous(), self.weight_bits)
        return self

    def unfreeze(self) -> "SpikeLinearLIF":
        self.quantised = None
        return self

    @torch.compiler.disable
    def _fire_quantised(self, bits: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.detach()
        return fire_bits(bits, self.quantised, bias, self.scale, *self.neuron, self.surrogate_width, False)[0]

    def forward(self, spikes: Union[Spikes, Tensor]) -> Spikes:
        spikes = spikes if isinstance(spikes, Spikes) else Spikes.of(spikes)
        if spikes.shape[-1] != self.in_features:
            raise spiketune.Error(f"the layer takes {self.in_features} inputs, not {spikes.shape[-1]}")
        shape = (*spikes.shape[:-1], self.out_features)
        if self.quantised is not None:
            fired = self._fire_quantised(spikes.bits)
            return Spikes(fired, shape, _carrier(fired, self.out_features, self.weight))
        weight = self.weight if self.weight_bits is None else rounded(self.weight, self.weight_bits)
        carrier, fired = _LinearLif.apply(spikes.carrier, spikes.bits, weight, self.bias, (self.scale, self.neuron, self.surrogate_width),
                                          torch.is_grad_enabled())
        return Spikes(fired, shape, carrier)
