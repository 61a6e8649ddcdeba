"""What the layers of a model chose and saved."""

from __future__ import annotations

from typing import Any

from torch import nn

from ._modules import _Spiking


class Summary:
    """One dictionary a layer in `layers`: name, m, k, n, density, format, dense_bytes and saved_bytes, of the first batch.
    Prints as a table."""

    def __init__(self, layers: list[dict[str, Any]]):
        self.layers = layers

    @property
    def dense_bytes(self) -> int:
        """Of the inputs as they came."""
        return sum(layer["dense_bytes"] for layer in self.layers)

    @property
    def saved_bytes(self) -> int:
        """Of the bits that are kept for backward."""
        return sum(layer["saved_bytes"] for layer in self.layers)

    def __str__(self) -> str:
        lines = [f"{'layer':<24} {'M x K x N':>22} {'density':>8} {'format':>7} {'input':>12} {'saved':>12}"]
        for layer in self.layers:
            shape = f"{layer['m']}x{layer['k']}x{layer['n']}"
            lines.append(f"{layer['name'] or '(model)':<24} {shape:>22} {layer['density']:>8.2%} {layer['format']:>7} "
                         f"{layer['dense_bytes']:>12,} {layer['saved_bytes']:>12,}")
        share = self.saved_bytes / self.dense_bytes if self.dense_bytes else 0
        lines.append(f"{'in all':<24} {'':>22} {'':>8} {'':>7} {self.dense_bytes:>12,} {self.saved_bytes:>12,}   ({share:.1%})")
        return "\n".join(lines)

    __repr__ = __str__


def summary(model: nn.Module) -> Summary:
    """Of the spiking layers of a model that have been called, in order: bytes and density of their first batch."""
    layers = []
    for name, module in model.named_modules():
        if isinstance(module, _Spiking) and module.measured is not None:
            layers.append({"name": name, "n": module.weight.shape[0], "format": module.chosen, **module.measured})
    return Summary(layers)
