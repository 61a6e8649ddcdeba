"""Custom operators: spikes to bits, and products of bits, with shapes for tracing and gradients."""

from __future__ import annotations

import copy
import functools
from typing import Any, Callable, Literal, Optional, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

import spiketune
from spiketune import _core

Format = Literal["csr", "bitmap", "dense"]
Function = TypeVar("Function", bound=Callable[..., Any])


def traced(fake: Callable[..., Any]) -> Callable[[Function], Function]:
    """Makes a function, of positional arguments, the operator spiketune::NAME where torch.compile traces, with the shapes
    of `fake`. Elsewhere it is called as it is, which takes a third of the time."""

    def decorate(function: Function) -> Function:
        operator = torch.library.custom_op(f"spiketune::{function.__name__}", function, mutates_args=())
        operator.register_fake(fake)

        @functools.wraps(function)
        def call(*arguments: Any) -> Any:
            return operator(*arguments) if torch.compiler.is_compiling() else function(*arguments)

        return call

    return decorate


def first_order(backward: Function) -> Function:
    """once_differentiable, which costs 3 µs a call, only where a graph of the gradients is made."""
    guarded = once_differentiable(backward)

    @functools.wraps(backward)
    def call(ctx: Any, *grads: Any) -> Any:
        return guarded(ctx, *grads) if torch.is_grad_enabled() else backward(ctx, *grads)

    return call


def choose_format(device: str, dtype: torch.dtype, n: int, density: float) -> Format:
    """The format of a product of spikes with W [K, N]: a rule of thumb from the measurements in docs/findings.md.

    device: "cuda" or "cpu"; n: N; density: share of ones. `spiketune tune` measures instead.
    """
    if device == "cuda" and dtype in (torch.float16, torch.bfloat16) and n % 8 == 0:
        return "csr" if density < 0.005 else "bitmap" if n <= 512 else "dense"
    return "csr" if density < 0.05 else "dense"


def _words(k: int) -> int:
    return (k + 31) // 32


def _bits_of(encoded: spiketune.Encoded, m: int, k: int) -> Tensor:
    words = encoded.words
    if not isinstance(words, Tensor):
        words = torch.from_numpy(words.view("int32").copy())
    return words.reshape(m, _words(k))


def _pack(spikes: Tensor) -> Tensor:
    m, k = spikes.shape
    if not _core.takes_as_it_is(spikes):  # PyTorch before 2.11
        return _bits_of(spiketune.encode(spikes, "bitmap", wait=False), m, k)
    bits = spikes.new_empty((m, _words(k)), dtype=torch.int32)
    _core.encode_into(spikes, bits, None, None)
    return bits


def _rows_of(bits: Tensor, k: int, dtype: torch.dtype) -> Tensor:
    return bits.new_empty((bits.shape[:-1].numel(), k), dtype=dtype)


@traced(_rows_of)
def unpack(bits: Tensor, k: int, dtype: torch.dtype) -> Tensor:
    """Spikes [M, K] of their bits [M, words] or [T, rows, words]."""
    if not _core.takes_as_it_is(bits):
        values = spiketune.encode(bits, "dense", params={"type": _NAMES[dtype]}, k=k, wait=False).values
        if not isinstance(values, Tensor):
            values = torch.from_numpy(values.view("int16" if dtype == torch.bfloat16 else values.dtype).copy()).view(dtype)
        return values.view(-1, k)
    spikes = _rows_of(bits, k, dtype)
    _core.encode_into(bits, spikes, k, None)
    return spikes


_NAMES = {torch.float16: "f16", torch.bfloat16: "bf16", torch.float32: "f32"}


@torch.library.custom_op("spiketune::pack", mutates_args=())
def pack(spikes: Tensor) -> Tensor:
    """Bits of spikes [M, K]: int32 [M, ceil(K / 32)], the first in the lowest bit. Values other than 0 and 1 are not
    looked for."""
    return _pack(spikes)


@pack.register_fake
def _(spikes: Tensor) -> Tensor:
    m, k = spikes.shape
    return spikes.new_empty((m, _words(k)), dtype=torch.int32)


def pack_rows(spikes: Tensor) -> Tensor:
    """pack(), called directly where torch.compile does not trace."""
    return pack(spikes) if torch.compiler.is_compiling() else _pack(spikes)


def _product(encoded: spiketune.Encoded, rows: int, weight: Tensor) -> Tensor:
    result = weight.new_empty((rows, weight.shape[1]))
    spiketune.spmm(encoded, weight, out=result)
    return result


def _shapes_linear(spikes: Tensor, weight: Tensor, bias: Optional[Tensor], format: str) -> tuple[Tensor, Tensor]:
    m, k = spikes.shape
    return weight.new_empty((m, weight.shape[0])), spikes.new_empty((m, _words(k)), dtype=torch.int32)


@traced(_shapes_linear)
def linear(spikes: Tensor, weight: Tensor, bias: Optional[Tensor], format: str) -> tuple[Tensor, Tensor]:
    """S·Wᵀ + bias of W [N, K], and the bits of S, by way of "bitmap" or "csr"."""
    m, k = spikes.shape
    if format == "bitmap":
        encoded = spiketune.encode(spikes, "bitmap", wait=False)
        bits = _bits_of(encoded, m, k)
    elif format == "csr":
        bits = _pack(spikes)
        encoded = spiketune.encode(bits, "csr", k=k, wait=False)
    else:
        raise spiketune.Error(f"a layer's format is csr, bitmap or dense, not {format}")
    result = _product(encoded, m, weight.t().contiguous())
    return result if bias is None else result.add_(bias), bits


@traced(lambda bits, k, grad: grad.new_empty((grad.shape[1], k)))
def weight_gradient_of_bits(bits: Tensor, k: int, grad: Tensor) -> Tensor:
    """dYᵀ·S, [N, K], on the host."""
    result = spiketune.weight_gradient(spiketune.encode(bits, "bitmap", k=k), grad)
    return torch.from_numpy(result).t().contiguous().to(grad.dtype)


def _weight_gradient(bits: Tensor, k: int, grad: Tensor) -> Tensor:
    """dYᵀ·S, [N, K]: on a device of S made dense from its bits for as long as the product runs, on the host of bits."""
    return grad.t() @ unpack(bits, k, grad.dtype) if bits.is_cuda else weight_gradient_of_bits(bits, k, grad)


@traced(lambda grad, weight, bits: grad.new_empty((grad.shape[0], weight.shape[0])))
def masked_spike_gradient(grad: Tensor, weight: Tensor, bits: Tensor) -> Tensor:
    """dY·Wᵀ of W [K, N], 0 where there was no spike, on tensor cores."""
    return spiketune.spike_gradient(grad, weight, bits, out=grad.new_empty((grad.shape[0], weight.shape[0])))


def _spike_gradient(grad: Tensor, bits: Tensor, weight: Tensor, masked: bool) -> Tensor:
    """dY·W of W [N, K], 0 where there was no spike if `masked`."""
    n, k = weight.shape
    if not masked:
        return grad @ weight
    if grad.is_cuda and grad.dtype in (torch.float16, torch.bfloat16) and n % 8 == 0 and k % 8 == 0:
        return masked_spike_gradient(grad, weight.t().contiguous(), bits)
    return (grad @ weight).mul_(unpack(bits, k, grad.dtype))


class _Linear(torch.autograd.Function):
    """S·Wᵀ + bias of W [N, K], in one node of the graph."""

    @staticmethod
    def forward(ctx, spikes, weight, bias, format, mask_input_grad):
        if format == "dense":  # the product first: the host packs while the device multiplies
            result = functional.linear(spikes.to(weight.dtype), weight, bias)
            bits = pack_rows(spikes)
        else:
            result, bits = linear(spikes, weight, bias, format)
        ctx.options = spikes.shape[1], spikes.dtype, mask_input_grad
        ctx.save_for_backward(bits, weight)
        return result

    @staticmethod
    @first_order
    def backward(ctx, grad):
        bits, weight = ctx.saved_tensors
        k, spike_dtype, masked = ctx.options
        of_spikes, of_weight, of_bias = ctx.needs_input_grad[:3]
        bias = grad.sum(0) if of_bias else None
        spikes = _spike_gradient(grad, bits, weight, masked).to(spike_dtype) if of_spikes else None
        return spikes, _weight_gradient(bits, k, grad) if of_weight else None, bias, None, None


def _channels_last(images: Tensor) -> Tensor:
    """Images [B, C, H, W] as rows [B * H * W, C]."""
    return images.permute(0, 2, 3, 1).reshape(-1, images.shape[1])


def windows_order(weight: Tensor) -> Tensor:
    """W [N, C, kernel height, kernel width] as windows of bits are, [K, N]."""
    return weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0])


def _bits_of_images(spikes: Tensor) -> spiketune.Encoded:
    return spiketune.encode(_channels_last(spikes), "bitmap", wait=False)


def _windows(images: spiketune.Encoded, spikes: Tensor, kernel: tuple[int, ...], stride: int, padding: int) -> spiketune.Encoded:
    return spiketune.im2col(images, tuple(spikes.shape[2:]), tuple(kernel), stride=stride, padding=padding)


def _sizes_of_product(spikes: Tensor, kernel: tuple[int, ...], stride: int, padding: int) -> list[int]:
    return [(size + 2 * padding - reach) // stride + 1 for size, reach in zip(spikes.shape[2:], kernel)]


def _shapes_conv2d(spikes: Tensor, weight: Tensor, bias: Optional[Tensor], stride: int, padding: int, format: str) -> tuple[Tensor, Tensor]:
    batch, channels, height, width = spikes.shape
    sizes = _sizes_of_product(spikes, weight.shape[2:], stride, padding)
    return (weight.new_empty((batch, *sizes, weight.shape[0])).permute(0, 3, 1, 2),
            spikes.new_empty((batch * height * width, _words(channels)), dtype=torch.int32))


@traced(_shapes_conv2d)
def conv2d(spikes: Tensor, weight: Tensor, bias: Optional[Tensor], stride: int, padding: int, format: str) -> tuple[Tensor, Tensor]:
    """A convolution of spikes [B, C, H, W] with W [N, C, kernel height, kernel width], and the bits of the images, by way of
    "bitmap" or "csr"."""
    images = _bits_of_images(spikes)
    windows = _windows(images, spikes, weight.shape[2:], stride, padding)
    rows, k = windows.shape[1:]
    encoded = windows if format == "bitmap" else spiketune.encode(_bits_of(windows, rows, k), format, k=k, wait=False)
    product = _product(encoded, rows, windows_order(weight))
    result = _as_images(product if bias is None else product.add_(bias), spikes, weight.shape[2:], stride, padding)
    return result, _bits_of(images, images.shape[1], spikes.shape[1])


def _as_images(product: Tensor, spikes: Tensor, kernel: tuple[int, ...], stride: int, padding: int) -> Tensor:
    """Rows [B * OH * OW, N] as [B, N, OH, OW]."""
    return product.view(spikes.shape[0], *_sizes_of_product(spikes, kernel, stride, padding), -1).permute(0, 3, 1, 2)


class _Conv2d(torch.autograd.Function):
    """A convolution of images of bits with W [N, C, kernel height, kernel width]: windows of bits are multiplied, or
    PyTorch convolves. Saved are the bits of the images."""

    @staticmethod
    def forward(ctx, spikes, weight, bias, stride, padding, format, mask_input_grad):
        if format == "dense":
            result = functional.conv2d(spikes.to(weight.dtype), weight, bias, stride, padding)
            bits = pack_rows(_channels_last(spikes))
        else:
            result, bits = conv2d(spikes, weight, bias, stride, padding, format)
        ctx.shape, ctx.spike_dtype, ctx.options = spikes.shape, spikes.dtype, (stride, padding, mask_input_grad)
        ctx.save_for_backward(bits, weight)
        return result

    @staticmethod
    @first_order
    def backward(ctx, grad):
        bits, weight = ctx.saved_tensors
        stride, padding, masked = ctx.options
        of_spikes, of_weight, of_bias = ctx.needs_input_grad[:3]
        batch, channels, height, width = ctx.shape
        images = spikes = None
        if of_weight or (of_spikes and masked):
            images = unpack(bits, channels, grad.dtype).view(batch, height, width, channels).permute(0, 3, 1, 2)
        if of_spikes:
            spikes = torch.nn.grad.conv2d_input(ctx.shape, weight, grad, stride, padding)
            spikes = (spikes * images if masked else spikes).to(ctx.spike_dtype)
        return (spikes, torch.nn.grad.conv2d_weight(images, weight.shape, grad, stride, padding) if of_weight else None,
                grad.sum((0, 2, 3)) if of_bias else None, None, None, None, None)


def convolve(spikes: Tensor, weight: Tensor, bias: Optional[Tensor], stride: int, padding: int, format: Format, mask_input_grad: bool) -> Tensor:
    """A convolution of spikes [B, C, H, W], C a multiple of 32, without groups or dilation."""
    return _Conv2d.apply(spikes, weight, bias, stride, padding, format, mask_input_grad)


def check_bits(bits: Optional[int]) -> None:
    if bits not in (None, 8, 4):
        raise spiketune.Error(f"weight_bits must be 8 or 4, not {bits}")


class HoldsIntegers:
    """A layer whose freeze() keeps the integers of `weight`, as `quantised`: copies share them, which never change; a layer
    that is loaded makes them again."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        result = memo[id(self)] = type(self).__new__(type(self))
        result.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return result

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "quantised": self.quantised is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "quantised": None})
        if state["quantised"]:
            self.freeze()


def rounded(weight: Tensor, bits: int) -> Tensor:
    """W [N, ...] as spiketune.quantize() rounds it, a scale for each of N, with the gradient of W as it was."""
    top = 127.0 if bits == 8 else 7.0
    values = weight.detach().float()
    largest = values.abs().amax(tuple(range(1, weight.dim())), keepdim=True)
    scale = largest / torch.full_like(largest, top)  # PyTorch multiplies by 1 / a number on CUDA: halves would round elsewhere
    scale = torch.where(scale > 0, scale, 1.0)
    integers = (values / scale).round().clamp(-top, top)
    return weight + ((scale * integers).to(weight.dtype) - weight).detach()


def _multiply_quantised(encoded: spiketune.Encoded, weights: spiketune.QuantisedWeights, like: Tensor, dtype: torch.dtype,
                        bias: Optional[Tensor]) -> Tensor:
    """[M, N], on the device of `like`."""
    steps, rows, _ = encoded.shape
    result = like.new_empty((steps * rows, weights.shape[1]), dtype=dtype)
    spiketune.spmm(encoded, weights, out=result)
    return result if bias is None else result.add_(bias)


@torch.compiler.disable
@torch.no_grad()
def multiply_quantised(spikes: Tensor, weights: spiketune.QuantisedWeights, dtype: torch.dtype, bias: Optional[Tensor]) -> Tensor:
    """S·W + bias in `dtype`, of spikes [.., K] as bits and quantised W [K, N]; no gradient."""
    k, n = weights.shape
    bitmap = spiketune.encode(spikes.detach().reshape(-1, k), "bitmap", wait=False)
    return _multiply_quantised(bitmap, weights, spikes, dtype, bias).view(*spikes.shape[:-1], n)


@torch.compiler.disable
@torch.no_grad()
def convolve_quantised(spikes: Tensor, weights: spiketune.QuantisedWeights, kernel: tuple[int, ...], dtype: torch.dtype, bias: Optional[Tensor],
                       stride: int, padding: int) -> Tensor:
    """A convolution in `dtype` of spikes [B, C, H, W], C a multiple of 32, and quantised W in windows_order(); no gradient."""
    windows = _windows(_bits_of_images(spikes.detach()), spikes, kernel, stride, padding)
    return _as_images(_multiply_quantised(windows, weights, spikes, dtype, bias), spikes, kernel, stride, padding)


def multiply(spikes: Tensor, weight: Tensor, bias: Optional[Tensor], format: Format, mask_input_grad: bool) -> Tensor:
    """S·Wᵀ + bias: spike_linear of W as nn.Linear has it, [N, K]."""
    return _Linear.apply(spikes, weight, bias, format, mask_input_grad)


def spike_linear(spikes: Tensor, weight: Tensor, format: Format = "csr", mask_input_grad: bool = False) -> Tensor:
    """Y = S·W, [M, N] in W's type, sums in float32.

    spikes: [M, K], 0 and 1, of uint8, bool or a floating type; weight: [K, N] in float32, float16 or bfloat16
    format: "csr", "bitmap", or "dense": PyTorch's own product, with the spikes kept as bits all the same
    mask_input_grad: the gradient of the spikes is 0 where there was none

    Gradients: of W, Sᵀ·dY, by way of the bits; of S, dY·Wᵀ. On a device nothing waits: csr takes room for any spikes,
    2 bytes an element (4 where K is above 65,536), until the product is done, and the gradient of W takes S in the type
    of W, until it is.
    """
    return multiply(spikes, weight.t(), None, format, mask_input_grad)
