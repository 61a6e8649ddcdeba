"""nn.Linear and nn.Conv2d on spikes."""

from __future__ import annotations

from typing import Any, Callable, Literal, Optional

import torch
from torch import Tensor, nn
from torch.nn import functional

import spiketune

from ._ops import HoldsIntegers, check_bits, choose_format, convolve, convolve_quantised, multiply, multiply_quantised, rounded, windows_order

LayerFormat = Literal["auto", "csr", "bitmap", "dense"]


class _Spiking(HoldsIntegers):
    """What the layers share: the choice of a format, W transposed or rounded once, and the record for summary()."""

    def _init_spiking(self, format: LayerFormat, mask_input_grad: bool, weight_bits: Optional[int]) -> None:
        if format not in ("auto", "csr", "bitmap", "dense"):
            raise spiketune.Error(f"a layer's format is auto, csr, bitmap or dense, not {format}")
        check_bits(weight_bits)
        self.format = format
        self.mask_input_grad = mask_input_grad
        self.weight_bits = weight_bits
        self.quantised: Any = None
        self.chosen: Optional[str] = None if format == "auto" else format
        self.measured: Optional[dict[str, Any]] = None
        self.register_buffer("_weight_kn", None, persistent=False)

    def freeze(self) -> Any:
        """For inference: keeps W as products read it, [K, N], or with `weight_bits` its integers, `quantised`; changes of
        `weight` show after the next freeze()."""
        if self.weight_bits is None:
            weight = self.weight.detach()
            self._weight_kn = weight.reshape(self._groups(), -1, weight[0].numel()).transpose(1, 2).contiguous()
        else:
            self.quantised = self._quantise(self.weight.detach())
        return self

    def unfreeze(self) -> Any:
        """Reads `weight` anew on every call, as training needs."""
        self._weight_kn = self.quantised = None
        return self

    def _groups(self) -> int:
        return getattr(self, "groups", 1)

    def _weight(self) -> Tensor:
        """As products have it in training: rounded with `weight_bits`."""
        return self.weight if self.weight_bits is None else rounded(self.weight, self.weight_bits)

    def _measure(self, spikes: Tensor, m: int, k: int) -> None:
        """Once, on the first spikes [rows, ..]: throws spiketune.Error where they are none, and chooses. Waits for a device.
        The product is M x K."""
        nnz = spiketune.encode(spikes, "bitmap").nnz
        density = nnz / max(1, spikes.numel())
        self.measured = {"m": m, "k": k, "density": density, "dense_bytes": spikes.numel() * spikes.element_size(),
                         "saved_bytes": spikes.shape[0] * ((spikes.shape[1] + 31) // 32) * 4}
        if self.format == "auto":
            self.chosen = choose_format(spikes.device.type, self.weight.dtype, self.weight.shape[0] // self._groups(), density)

    def _multiply(self, spikes: Tensor, group: int = 0, bias: Optional[Tensor] = None) -> Tensor:
        if self.measured is None and not torch.compiler.is_compiling():
            self._measure(spikes, *spikes.shape)
        if self._weight_kn is not None:
            weight = self._weight_kn[group].t()
        else:
            weight = self._weight()
            weight = weight if weight.dim() == 2 else weight.flatten(1)
            if self._groups() > 1:
                weight = weight.chunk(self._groups())[group]
        return multiply(spikes, weight, bias, self.chosen or "csr", self.mask_input_grad)


class SpikeLinear(_Spiking, nn.Linear):
    """nn.Linear of spikes: 0 and 1, [..., in_features], of uint8, bool or a floating type.

    format: "auto" measures the first batch, once, and keeps its choice (`chosen`); under torch.compile, without a
        batch before, csr
    mask_input_grad: the gradient of the input is 0 where there was no spike
    weight_bits: 8 or 4: products are those of W rounded to integers with a scale for each output, as spiketune.quantize()
        rounds it. Training rounds on every call, and the gradient passes to `weight` as if it had not been rounded;
        freeze() keeps the integers, as `quantised`, which says what they lost, and products are of bits and integers
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None, *,
                 format: LayerFormat = "auto", mask_input_grad: bool = False, weight_bits: Optional[int] = None):
        super().__init__(in_features, out_features, bias, device, dtype)
        self._init_spiking(format, mask_input_grad, weight_bits)

    @classmethod
    def from_linear(cls, linear: nn.Linear, **options: Any) -> "SpikeLinear":
        """With the parameters of `linear`: the same tensors."""
        layer = cls(linear.in_features, linear.out_features, linear.bias is not None, "meta", **options)
        layer.weight, layer.bias = linear.weight, linear.bias
        return layer.train(linear.training)

    def _quantise(self, weight: Tensor) -> spiketune.QuantisedWeights:
        return spiketune.quantize(weight.t().contiguous(), self.weight_bits)

    def forward(self, spikes: Tensor) -> Tensor:
        if self.quantised is not None:
            return multiply_quantised(spikes, self.quantised, self.weight.dtype, self.bias)
        if spikes.dim() == 2:
            return self._multiply(spikes, bias=self.bias)
        product = self._multiply(spikes.reshape(-1, self.in_features), bias=self.bias)
        return product.reshape(*spikes.shape[:-1], self.out_features)


class SpikeConv2d(_Spiking, nn.Conv2d):
    """nn.Conv2d of spikes: 0 and 1, [B, C, H, W], [C, H, W], or [T, B, C, H, W], of uint8, bool or a floating type.

    A convolution is the product of the windows with the weights. Where the input channels are a multiple of 32 and there
    are no groups, no dilation, one stride, and one padding, of zeros, windows are made of bits, or PyTorch convolves where
    the format is dense; between forward and backward one bit an input element is kept. Otherwise windows are copied once,
    in the type of the input (bytes are the cheapest), encoded, and released; of them the bits are kept: a 3 × 3 kernel of
    stride 1 keeps 9 bits an input element.

    Options as SpikeLinear. With `weight_bits` each output channel has its scale; `quantised` of a frozen layer is a list,
    with the integers of each group.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
                 groups: int = 1, bias: bool = True, padding_mode: str = "zeros", device: Any = None, dtype: Any = None, *,
                 format: LayerFormat = "auto", mask_input_grad: bool = False, weight_bits: Optional[int] = None):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype)
        self._init_spiking(format, mask_input_grad, weight_bits)

    @classmethod
    def from_conv2d(cls, conv: nn.Conv2d, **options: Any) -> "SpikeConv2d":
        """With the parameters of `conv`: the same tensors."""
        layer = cls(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups,
                    conv.bias is not None, conv.padding_mode, "meta", **options)
        layer.weight, layer.bias = conv.weight, conv.bias
        return layer.train(conv.training)

    def _of_bits(self) -> bool:
        """Whether windows can be made of bits."""
        square = isinstance(self.padding, tuple) and self.padding[0] == self.padding[1] and self.stride[0] == self.stride[1]
        plain = self.groups == 1 and self.dilation == (1, 1) and self.padding_mode == "zeros"
        return square and plain and self.in_channels % 32 == 0

    def _quantise(self, weight: Tensor) -> list[spiketune.QuantisedWeights]:
        """In the order of windows of bits, or of windows that are copied."""
        columns = [windows_order(weight)] if self._of_bits() else [part.flatten(1).t() for part in weight.chunk(self.groups)]
        return [spiketune.quantize(part.contiguous(), self.weight_bits) for part in columns]

    def _convolve_bits(self, images: Tensor) -> Tensor:
        if self.quantised is not None:
            return convolve_quantised(images, self.quantised[0], self.kernel_size, self.weight.dtype, self.bias, self.stride[0], self.padding[0])
        if self.measured is None and not torch.compiler.is_compiling():
            out = [(size + 2 * self.padding[0] - reach) // self.stride[0] + 1 for size, reach in zip(images.shape[2:], self.kernel_size)]
            self._measure(images.permute(0, 2, 3, 1).reshape(-1, self.in_channels), images.shape[0] * out[0] * out[1], self.weight[0].numel())
        weight = self._weight() if self._weight_kn is None else self._weight_kn[0].t().view(self.weight.shape)
        return convolve(images, weight, self.bias, self.stride[0], self.padding[0], self.chosen or "csr", self.mask_input_grad)

    def _windows(self, images: Tensor) -> Tensor:
        """[B, C, OH, OW, kernel height, kernel width], a view of the padded images."""
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        images = functional.pad(images, self._reversed_padding_repeated_twice, mode=mode)
        for axis in (0, 1):
            reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            images = images.unfold(2 + axis, reach, self.stride[axis])[..., :: self.dilation[axis]]
        return images

    def forward(self, spikes: Tensor) -> Tensor:
        if spikes.dim() not in (3, 4, 5):
            raise spiketune.Error(f"spikes must have the shape [B, C, H, W], [C, H, W] or [T, B, C, H, W], not {spikes.dim()} dimensions")
        leading = spikes.shape[:-3]
        if self._of_bits():
            result = self._convolve_bits(spikes.reshape(-1, *spikes.shape[-3:]))
            return result.reshape(*leading, *result.shape[1:])
        windows = self._windows(spikes.reshape(-1, *spikes.shape[-3:]))
        batch, channels, height, width = windows.shape[:4]
        products = []
        for group, part in enumerate(windows.split(channels // self.groups, dim=1)):
            rows = part.permute(0, 2, 3, 1, 4, 5).reshape(batch * height * width, -1)
            if self.quantised is None:
                products.append(self._multiply(rows, group))
            else:
                products.append(multiply_quantised(rows, self.quantised[group], self.weight.dtype, None))
        product = products[0] if len(products) == 1 else torch.cat(products, dim=1)
        if self.bias is not None:
            product = product + self.bias
        return product.reshape(batch, height, width, -1).permute(0, 3, 1, 2).reshape(*leading, self.out_channels, height, width)


def convert(model: nn.Module, layers: Optional[Callable[[str, nn.Module], bool]] = None, **options: Any) -> nn.Module:
    """Puts SpikeLinear and SpikeConv2d in place of nn.Linear and nn.Conv2d, and of SpikingJelly's, with the same
    parameters, in the model itself, which is returned.

    layers: called with the name and the layer: whether to; default: all. A layer whose input is no spikes, as a first
        layer's often is, throws spiketune.Error when it is called: leave it out here
    options: of the new layers
    """
    for name, module in list(model.named_modules()):
        if isinstance(module, _Spiking) or not isinstance(module, (nn.Linear, nn.Conv2d)):
            continue
        if layers is not None and not layers(name, module):
            continue
        make = SpikeLinear.from_linear if isinstance(module, nn.Linear) else SpikeConv2d.from_conv2d
        spiking = make(module, **options)
        if not name:
            return spiking
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, spiking)
    return model
