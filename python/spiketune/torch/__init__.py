"""Layers for PyTorch whose inputs are spikes.

>>> import torch, spiketune.torch as st
>>> layer = st.SpikeLinear(512, 128)                  # as nn.Linear(512, 128), for spikes
>>> y = layer((torch.rand(4, 64, 512) < 0.05).float())
>>> print(st.summary(layer))

`SpikeLinear` and `SpikeConv2d` have the parameters and state of `nn.Linear` and `nn.Conv2d`; `convert` puts them into a
model in place of those. Between forward and backward they keep the spikes as bits, 1/32 of float32. `torch.compile`
traces through: they are custom operators with shapes of their own. `SpikeLinearLIF` is a product and its neurons in one,
from bits to bits.
"""

from ._adapters import SpikeLIF, from_snntorch, from_spikingjelly
from ._fused import SpikeLinearLIF, Spikes
from ._modules import SpikeConv2d, SpikeLinear, convert
from ._ops import choose_format, pack, spike_linear
from ._summary import Summary, summary

__all__ = ["SpikeConv2d", "SpikeLIF", "SpikeLinear", "SpikeLinearLIF", "Spikes", "Summary", "choose_format", "convert", "from_snntorch",
           "from_spikingjelly", "pack", "spike_linear", "summary"]
