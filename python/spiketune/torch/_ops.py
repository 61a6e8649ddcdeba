"""Custom operators: spikes to bits, and products of bits, with shapes for tracing and gradients."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

import spiketune

Format = Literal["csr", "bitmap", "dense"]


def choose_format(device: str, dtype: torch.dtype, n: int, density: float) -> Format:
    """The format of a product of spikes with W [K, N]: a rule of thumb from the measurements in docs/findings.md.

    device: "cuda" or "cpu"; n: N; density: share of ones. `spiketune tune` measures instead.
    """
    if device == "cuda" and dtype in (torch.float16, torch.bfloat16) and n % 8 == 0:
        return "csr" if density < 0.005 else "bitmap"
    return "csr" if density < 0.05 else "dense"


def _words(k: int) -> int:
    return (k + 31) // 32


def _bits_of(encoded: spiketune.Encoded, m: int, k: int) -> Tensor:
    words = encoded.words
    if not isinstance(words, Tensor):
        words = torch.from_numpy(words.view("int32").copy())
    return words.reshape(m, _words(k))


@torch.library.custom_op("spiketune::pack", mutates_args=())
def pack(spikes: Tensor) -> Tensor:
    """Bits of spikes [M, K]: int32 [M, ceil(K / 32)], the first in the lowest bit. Values other than 0 and 1 throw
    on the host; on a device they are not looked for, because nothing waits."""
    m, k = spikes.shape
    return _bits_of(spiketune.encode(spikes, "bitmap", wait=False), m, k)


@pack.register_fake
def _(spikes: Tensor) -> Tensor:
    m, k = spikes.shape
    return spikes.new_empty((m, _words(k)), dtype=torch.int32)


def _product(encoded: spiketune.Encoded, rows: int, weight: Tensor, transposed: bool = False) -> Tensor:
    result = torch.empty((rows, weight.shape[1]), dtype=weight.dtype, device=weight.device)
    spiketune.spmm(encoded, weight, transposed=transposed, out=result)
    return result


def _forward(spikes: Tensor, weight: Tensor, format: str) -> tuple[Tensor, Tensor]:
    m, k = spikes.shape
    bitmap = spiketune.encode(spikes, "bitmap", wait=False)
    bits = _bits_of(bitmap, m, k)
    if format == "bitmap":
        return _product(bitmap, m, weight.contiguous()), bits
    if format == "csr":
        return _product(spiketune.encode(bits, "csr", k=k, wait=False), m, weight.contiguous()), bits
    if format == "dense":
        return spikes.to(weight.dtype) @ weight, bits
    raise spiketune.Error(f"a layer's format is csr, bitmap or dense, not {format}")


def _weight_gradient(bits: Tensor, k: int, grad: Tensor) -> Tensor:
    """Sᵀ·dY, [K, N]: on a device of S made dense from its bits, on the host of the columns of S encoded from them."""
    if bits.is_cuda:
        dense = spiketune.encode(bits, "dense", params={"type": _NAMES[grad.dtype]}, k=k, wait=False)
        return dense.values.view(-1, k).t() @ grad
    return _product(spiketune.encode(bits, "csc", k=k, wait=False), k, grad.contiguous(), transposed=True)


_NAMES = {torch.float16: "f16", torch.bfloat16: "bf16", torch.float32: "f32"}


def _unpack(bits: Tensor, k: int) -> Tensor:
    lanes = torch.arange(32, dtype=torch.int32, device=bits.device)
    return (bits[:, :, None] >> lanes & 1).reshape(bits.shape[0], -1)[:, :k]


def _save(ctx, spikes: Tensor, weight: Tensor, bits: Tensor, mask_input_grad: bool) -> None:
    ctx.k = spikes.shape[1]
    ctx.spike_dtype = spikes.dtype
    ctx.mask_input_grad = mask_input_grad
    ctx.save_for_backward(bits, weight)


def _gradients(ctx, grad: Tensor, weight_gradient):
    bits, weight = ctx.saved_tensors
    grad_spikes = grad_weight = None
    if ctx.needs_input_grad[0]:
        grad_spikes = (grad @ weight.t()).to(ctx.spike_dtype)
        if ctx.mask_input_grad:
            grad_spikes = grad_spikes * _unpack(bits, ctx.k).to(grad_spikes.dtype)
    if ctx.needs_input_grad[1]:
        grad_weight = weight_gradient(bits, ctx.k, grad)
    return grad_spikes, grad_weight, None, None


class _Linear(torch.autograd.Function):
    """What runs at once; the operator below is what torch.compile traces, and costs more a call."""

    @staticmethod
    def forward(ctx, spikes, weight, format, mask_input_grad):
        result, bits = _forward(spikes, weight, format)
        _save(ctx, spikes, weight, bits, mask_input_grad)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        return _gradients(ctx, grad, _weight_gradient)


@torch.library.custom_op("spiketune::linear", mutates_args=())
def _linear(spikes: Tensor, weight: Tensor, format: str, mask_input_grad: bool) -> tuple[Tensor, Tensor]:
    return _forward(spikes, weight, format)


@_linear.register_fake
def _(spikes: Tensor, weight: Tensor, format: str, mask_input_grad: bool) -> tuple[Tensor, Tensor]:
    m, k = spikes.shape
    return weight.new_empty((m, weight.shape[1])), spikes.new_empty((m, _words(k)), dtype=torch.int32)


@torch.library.custom_op("spiketune::transposed_product", mutates_args=())
def _transposed_product(bits: Tensor, k: int, grad: Tensor) -> Tensor:
    return _weight_gradient(bits, k, grad)


@_transposed_product.register_fake
def _(bits: Tensor, k: int, grad: Tensor) -> Tensor:
    return grad.new_empty((k, grad.shape[1]))


def _setup_context(ctx, inputs, output):
    spikes, weight, _, mask_input_grad = inputs
    _, bits = output
    ctx.mark_non_differentiable(bits)
    _save(ctx, spikes, weight, bits, mask_input_grad)


_linear.register_autograd(lambda ctx, grad, _: _gradients(ctx, grad, _transposed_product), setup_context=_setup_context)


def spike_linear(spikes: Tensor, weight: Tensor, format: Format = "csr", mask_input_grad: bool = False) -> Tensor:
    """Y = S·W, [M, N] in W's type, sums in float32.

    spikes: [M, K], 0 and 1, of uint8, bool or a floating type; weight: [K, N] in float32, float16 or bfloat16
    format: "csr", "bitmap", or "dense": PyTorch's own product, with the spikes kept as bits all the same
    mask_input_grad: the gradient of the spikes is 0 where there was none

    Gradients: of W, Sᵀ·dY, by way of the bits; of S, dY·Wᵀ. On a device nothing waits: csr takes room for any spikes,
    2 bytes an element (4 where K is above 65,536), until the product is done, and the gradient of W takes S in the type
    of W, until it is.
    """
    if torch.compiler.is_compiling():
        return _linear(spikes, weight, format, mask_input_grad)[0]
    return _Linear.apply(spikes, weight, format, mask_input_grad)
