"""Custom operators: spikes to bits, and products of bits, with shapes for tracing and gradients."""

from __future__ import annotations

from typing import Literal, Optional

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
    """dYᵀ·S, [N, K]: on a device of S made dense from its bits, on the host of the columns of S encoded from them."""
    if bits.is_cuda:
        dense = spiketune.encode(bits, "dense", params={"type": _NAMES[grad.dtype]}, k=k, wait=False)
        return grad.t() @ dense.values.view(-1, k)
    return _product(spiketune.encode(bits, "csc", k=k, wait=False), k, grad.contiguous(), transposed=True).t()


_NAMES = {torch.float16: "f16", torch.bfloat16: "bf16", torch.float32: "f32"}


def _unpack(bits: Tensor, k: int) -> Tensor:
    lanes = torch.arange(32, dtype=torch.int32, device=bits.device)
    return (bits[:, :, None] >> lanes & 1).reshape(bits.shape[0], -1)[:, :k]


def _save(ctx, spikes: Tensor, weight: Tensor, bits: Tensor, mask_input_grad: bool) -> None:
    ctx.k = spikes.shape[1]
    ctx.spike_dtype = spikes.dtype
    ctx.mask_input_grad = mask_input_grad
    ctx.save_for_backward(bits, weight)


def _spike_gradient(ctx, grad: Tensor, bits: Tensor, weight_nk: Tensor) -> Tensor:
    result = (grad @ weight_nk).to(ctx.spike_dtype)
    return result * _unpack(bits, ctx.k).to(result.dtype) if ctx.mask_input_grad else result


class _Linear(torch.autograd.Function):
    """S·Wᵀ + bias of W [N, K], in one node of the graph. The operator below is what torch.compile traces."""

    @staticmethod
    def forward(ctx, spikes, weight, bias, format, mask_input_grad):
        result, bits = _forward(spikes, weight.t(), format)
        _save(ctx, spikes, weight, bits, mask_input_grad)
        return result if bias is None else result.add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        bits, weight = ctx.saved_tensors
        of_spikes, of_weight, of_bias = ctx.needs_input_grad[:3]
        return (_spike_gradient(ctx, grad, bits, weight) if of_spikes else None, _weight_gradient(bits, ctx.k, grad) if of_weight else None,
                grad.sum(0) if of_bias else None, None, None)


@torch.library.custom_op("spiketune::linear", mutates_args=())
def _linear(spikes: Tensor, weight: Tensor, format: str, mask_input_grad: bool) -> tuple[Tensor, Tensor]:
    return _forward(spikes, weight, format)


@_linear.register_fake
def _(spikes: Tensor, weight: Tensor, format: str, mask_input_grad: bool) -> tuple[Tensor, Tensor]:
    m, k = spikes.shape
    return weight.new_empty((m, weight.shape[1])), spikes.new_empty((m, _words(k)), dtype=torch.int32)


@torch.library.custom_op("spiketune::transposed_product", mutates_args=())
def _transposed_product(bits: Tensor, k: int, grad: Tensor) -> Tensor:
    """Sᵀ·dY, [K, N]."""
    return _weight_gradient(bits, k, grad).t().contiguous()


@_transposed_product.register_fake
def _(bits: Tensor, k: int, grad: Tensor) -> Tensor:
    return grad.new_empty((k, grad.shape[1]))


def _setup_context(ctx, inputs, output):
    spikes, weight, _, mask_input_grad = inputs
    _, bits = output
    ctx.mark_non_differentiable(bits)
    _save(ctx, spikes, weight, bits, mask_input_grad)


def _backward(ctx, grad, _):
    bits, weight = ctx.saved_tensors
    of_spikes, of_weight = ctx.needs_input_grad[:2]
    return (_spike_gradient(ctx, grad, bits, weight.t()) if of_spikes else None, _transposed_product(bits, ctx.k, grad) if of_weight else None,
            None, None)


_linear.register_autograd(_backward, setup_context=_setup_context)


def linear(spikes: Tensor, weight: Tensor, bias: Optional[Tensor], format: Format, mask_input_grad: bool) -> Tensor:
    """S·Wᵀ + bias: spike_linear of W as nn.Linear has it, [N, K]."""
    if not torch.compiler.is_compiling():
        return _Linear.apply(spikes, weight, bias, format, mask_input_grad)
    product = _linear(spikes, weight.t(), format, mask_input_grad)[0]
    return product if bias is None else product + bias


def spike_linear(spikes: Tensor, weight: Tensor, format: Format = "csr", mask_input_grad: bool = False) -> Tensor:
    """Y = S·W, [M, N] in W's type, sums in float32.

    spikes: [M, K], 0 and 1, of uint8, bool or a floating type; weight: [K, N] in float32, float16 or bfloat16
    format: "csr", "bitmap", or "dense": PyTorch's own product, with the spikes kept as bits all the same
    mask_input_grad: the gradient of the spikes is 0 where there was none

    Gradients: of W, Sᵀ·dY, by way of the bits; of S, dY·Wᵀ. On a device nothing waits: csr takes room for any spikes,
    2 bytes an element (4 where K is above 65,536), until the product is done, and the gradient of W takes S in the type
    of W, until it is.
    """
    return linear(spikes, weight.t(), None, format, mask_input_grad)
