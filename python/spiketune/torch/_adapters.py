"""Neurons of SpikingJelly and snnTorch, fired by spiketune."""

from __future__ import annotations

from typing import Any, Optional

import torch
from torch import Tensor, nn

import spiketune


class SpikeLIF(nn.Module):
    """Leaky integrate-and-fire neurons over all time steps at once, for inference: spikes have no gradient.

    forward(currents [T, ...]) returns spikes of the same shape, in uint8, or in `dtype`. Membranes are kept from call
    to call, as the libraries do; reset() puts them to rest. Options as spiketune.lif.
    """

    def __init__(self, *, leak: float = 0.5, gain: float = 0.5, threshold: float = 1.0, reset: str = "hard", reset_value: float = 0.0,
                 convention: str = "spikingjelly", dtype: Optional[torch.dtype] = None):
        super().__init__()
        self.options: dict[str, Any] = {"leak": leak, "gain": gain, "threshold": threshold, "reset": reset, "reset_value": reset_value,
                                        "convention": convention}
        self.dtype = dtype
        self.state: Optional[Tensor] = None

    def reset(self) -> None:
        """Membranes at rest."""
        self.state = None

    def forward(self, currents: Tensor) -> Tensor:
        with torch.no_grad():
            steps = currents.reshape(currents.shape[0], -1, currents.shape[-1] if currents.dim() > 1 else 1)
            spikes, state = spiketune.lif(steps, state=self.state, **self.options)
            self.state = torch.as_tensor(state)
            result = torch.as_tensor(spikes).reshape(currents.shape)
            return result if self.dtype is None else result.to(self.dtype)


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
