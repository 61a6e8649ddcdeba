"""Custom operators: spikes to bits, and products of bits, with shapes for tracing and gradients."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

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


@torch.library.custom_op("spiketune::linear", mutates_args=())
def _linear(spikes: Tensor, weight: Tensor, format: str, mask_input_grad: bool) -> tuple[Tensor, Tensor]:
    m, k = spikes.shape
    bitmap = spiketune.encode(spikes, "bitmap", wait=False)
    bits = _bits_of(bitmap, m, k)
    weight = weight.contiguous()
    if format == "bitmap":
        return _product(bitmap, m, weight), bits
    if format == "csr":
        return _product(spiketune.encode(bits, "csr", k=k, wait=False), m, weight), bits
    if format == "dense":
        return spikes.to(weight.dtype) @ weight, bits
    raise spiketune.Error(f"a layer's format is csr, bitmap or dense, not {format}")


@_linear.register_fake
def _(spikes: Tensor, weight: Tensor, format: str, mask_input_grad: bool) -> tuple[Tensor, Tensor]:
    m, k = spikes.shape
    return weight.new_empty((m, weight.shape[1])), spikes.new_empty((m, _words(k)), dtype=torch.int32)


@torch.library.custom_op("spiketune::transposed_product", mutates_args=())
def _transposed_product(bits: Tensor, k: int, grad: Tensor) -> Tensor:
    """Sᵀ·dY, [K, N]: the columns of S are encoded from its bits."""
    return _product(spiketune.encode(bits, "csc", k=k, wait=False), k, grad.contiguous(), transposed=True)


@_transposed_product.register_fake
def _(bits: Tensor, k: int, grad: Tensor) -> Tensor:
    return grad.new_empty((k, grad.shape[1]))


def _unpack(bits: Tensor, k: int) -> Tensor:
    lanes = torch.arange(32, dtype=torch.int32, device=bits.device)
    return (bits[:, :, None] >> lanes & 1).reshape(bits.shape[0], -1)[:, :k]


def _setup_context(ctx, inputs, output):
    spikes, weight, _, mask_input_grad = inputs
    _, bits = output
    ctx.mark_non_differentiable(bits)
    ctx.k = spikes.shape[1]
    ctx.spike_dtype = spikes.dtype
    ctx.mask_input_grad = mask_input_grad
    ctx.save_for_backward(bits, weight)


def _backward(ctx, grad, _):
    bits, weight = ctx.saved_tensors
    grad_spikes = grad_weight = None
    if ctx.needs_input_grad[0]:
        grad_spikes = (grad @ weight.t()).to(ctx.spike_dtype)
        if ctx.mask_input_grad:
            grad_spikes = grad_spikes * _unpack(bits, ctx.k).to(grad_spikes.dtype)
    if ctx.needs_input_grad[1]:
        grad_weight = _transposed_product(bits, ctx.k, grad)
    return grad_spikes, grad_weight, None, None


_linear.register_autograd(_backward, setup_context=_setup_context)


def spike_linear(spikes: Tensor, weight: Tensor, format: Format = "csr", mask_input_grad: bool = False) -> Tensor:
    """Y = S·W, [M, N] in W's type, sums in float32.

    spikes: [M, K], 0 and 1, of uint8, bool or a floating type; weight: [K, N] in float32, float16 or bfloat16
    format: "csr", "bitmap", or "dense": PyTorch's own product, with the spikes kept as bits all the same
    mask_input_grad: the gradient of the spikes is 0 where there was none

    Gradients: of W, Sᵀ·dY, by way of the bits; of S, dY·Wᵀ. On a device nothing waits: csr, and the gradient of W,
    take room for any spikes, 2 bytes an element (4 where K, or M, is above 65,536), until the product is done.
    """
    return _linear(spikes, weight, format, mask_input_grad)[0]
