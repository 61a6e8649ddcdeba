"""Sparse formats of spike tensors: encode, multiply, and what is fastest where.

>>> import numpy as np, spiketune
>>> spikes = (np.random.rand(4, 64, 512) < 0.05).astype(np.uint8)      # [T, rows, K]
>>> csr = spiketune.encode(spikes, "csr")
>>> y = spiketune.spmm(csr, np.random.rand(512, 128).astype("float32"))  # [T * rows, N]

Arrays come in without a copy where they are contiguous: NumPy's, PyTorch's, and those of any library with DLPack or
`__cuda_array_interface__` (CuPy, Numba, JAX). A call runs where its array is: on the host, or on its CUDA device, on
the stream that is current in PyTorch or CuPy, or on `stream`. Results are of the same kind as the arrays that came:
NumPy arrays for the host's (PyTorch's tensors of the host too), tensors in PyTorch's memory for PyTorch's on a
device, CuPy arrays for CuPy's, else DeviceArray. Errors are `spiketune.Error`, a ValueError, with the sentence that
the command says.
"""

from __future__ import annotations

import json
import numbers
import sys
from typing import Any, Callable, Literal, Optional

from . import _core
from ._arrays import DeviceArray, Where, device_of, is_contiguous, native, torch_of
from ._core import Error, QuantisedWeights
from ._encoded import Encoded, RowOrder
from ._program import plan, sweep, tune
from ._report import Report

__all__ = ["DeviceArray", "Encoded", "Error", "QuantisedWeights", "Report", "cuda_unavailable_reason", "encode", "formats", "im2col", "lif",
           "plan", "quantize", "spike_gradient", "spmm", "spmm_lif", "sweep", "tune", "weight_gradient"]

Kind = Literal["binary", "graded2", "graded"]


def formats() -> list[str]:
    """Names of the formats that encode() knows."""
    return _core.format_names()


def cuda_unavailable_reason() -> str:
    """Why arrays on CUDA devices cannot be used, in one sentence; empty where they can."""
    return _core.cuda_unavailable_reason()


def encode(
    spikes: Any,
    format: str = "csr",
    *,
    params: Optional[dict[str, Any]] = None,
    kind: Kind = "binary",
    row_order: RowOrder = "time-major",
    encoded_order: Optional[RowOrder] = None,
    k: Optional[int] = None,
    indices: Literal["compact", "int32"] = "compact",
    density: Optional[float] = None,
    capacity: Optional[int] = None,
    wait: Optional[bool] = None,
    stream: Any = None,
) -> Encoded:
    """Encodes spikes, where they are.

    spikes: [T, rows, K] or [rows, K]; uint8, bool, float16, bfloat16 or float32; or uint32 (PyTorch: int32 too), rows
        of bits packed 32 to a word, the first in the lowest bit, with `k`
    format: one of formats()
    params: of the format, e.g. {"block_size": 16}; default: the first that a sweep tries
    kind: "binary" (0 and 1), "graded2" (0 to 3) or "graded" (real-valued)
    row_order: of `spikes`; encoded_order: of the encoding, the same unless given
    indices: "compact", 16 bits where K fits; "int32": what PyTorch's sparse tensors take without a copy (csr, coo)
    density: a guess at the share of spikes, from which room is made; default 0.1
    capacity: the room instead, in the format's units (csr: spikes)
    wait: on a device, wait for the counts: room that was too small is made anew, and bad spikes throw here. False:
        nothing waits and the call can be captured in a CUDA graph. Room is then made for any spikes unless density or
        capacity is given; errors come at Encoded.check(), or when a count or an array is asked for. Default: no wait
        where room for any spikes takes 64 MiB at most, so that it suffices, and the format is not ell.
    stream: on a device, of PyTorch or CuPy or an address; default: the current one

    Throws Error for a wrong shape or type, and, on the host and where the call waits, for a NaN or a value that is not
    of the kind.
    """
    text = None if params is None else json.dumps(params)
    options = (format, text, kind, row_order, encoded_order or row_order, k, capacity, density, wait, indices == "int32")
    if stream is None and _core.takes_as_it_is(spikes):
        return Encoded(_core.encode(spikes, *options, None, None))
    array, kept = native(spikes, "spikes")
    where = Where(spikes, device_of(array), stream)
    core = _core.encode(array, *options, where.stream, where.allocate)
    del kept
    return Encoded(core)


def spmm(
    encoded: Encoded,
    weights: Any,
    *,
    transposed: bool = False,
    out: Optional[Any] = None,
    stream: Any = None,
) -> Any:
    """Y = S·W: [T * rows, N] in float32, rows in the order of the encoding. On a device nothing waits.

    weights: [K, N] in float32, float16 or bfloat16, in the memory of the encoding, or of quantize(). Sums are in float32;
        on a device, of quantised weights and bits, exact.
    transposed: Sᵀ·W, [K, N], of W [T * rows, N]; for encodings as csc
    out: an array to write into, float32 or of the type of W; float16 and bfloat16 too where W is quantised
    """
    if _as_they_are(stream, weights, out):
        made = _core.spmm(encoded._core, weights, out, transposed, None, None)
        return made if out is None else out
    array, kept, where = _weights(encoded, weights, stream)
    steps, rows, k = encoded.shape
    height = k if transposed else steps * rows
    result, into = _result(where, array, weights, "W", "[T * rows, N]" if transposed else "[K, N]", out, lambda n: (height, n))
    made = _core.spmm(encoded._core, array, into, transposed, where.stream, where.allocate)
    del kept
    return made if result is None else result if out is not None else _as_kind_of(weights, result)


def weight_gradient(encoded: Encoded, gradient: Any, *, out: Optional[Any] = None, stream: Any = None) -> Any:
    """dW = Sᵀ·dY, the gradient of W of Y = S·W: [K, N] in float32. On a device nothing waits.

    encoded: S, as bitmap, csr or csc; on a device binary
    gradient: dY [T * rows, N] in float32, float16 or bfloat16, rows in the order of the encoding, in its memory. Sums
        are in float32, always in the same order.
    out: an array to write into, float32

    Where more than a twentieth are spikes, a dense product is faster on a device.
    """
    if _as_they_are(stream, gradient, out):
        made = _core.weight_gradient(encoded._core, gradient, out, None, None)
        return made if out is None else out
    array, kept = native(gradient, "the gradient")
    where = Where(gradient, device_of(array), stream)
    k = encoded.shape[2]
    result, into = _result(where, array, gradient, "the gradient", "[T * rows, N]", out, lambda n: (k, n))
    made = _core.weight_gradient(encoded._core, array, into, where.stream, where.allocate)
    del kept
    return made if result is None else result if out is not None else _as_kind_of(gradient, result)


def spike_gradient(
    gradient: Any,
    weights: Any,
    mask: Any,
    *,
    values: Optional[Any] = None,
    out: Optional[Any] = None,
    stream: Any = None,
) -> Any:
    """dS = (dY·Wᵀ) ⊙ surrogate, the gradient of the spikes of Y = S·W: [M, K] in float32, 0 where `mask` has no bit. On
    a device nothing waits.

    gradient: dY [M, N] in float32, float16 or bfloat16; weights: W [K, N] of the same type
    mask: where the derivative of a spike by its membrane is not 0: a bitmap of [M, K] in rows, or its words, [M,
        ceil(K / 32)] in uint32 (PyTorch: int32), the first element in the lowest bit
    values: the derivative, [M, K] in float32, float16 or bfloat16, read where the mask has a bit; default: 1
    out: an array to write into, float32 or of the type of W

    All in the same memory, rows in the same order.
    """
    words = mask._core if isinstance(mask, Encoded) else mask
    if _as_they_are(stream, gradient, weights, None if words is not mask else mask, values, out):
        made = _core.spike_gradient(gradient, weights, words, values, out, None)
        return made if out is None else out
    array, kept = native(gradient, "the gradient")
    where = Where(gradient, device_of(array), stream)
    w, kept_weights = native(weights, "W")
    k = (w[1] if isinstance(w, tuple) else weights.shape)[0]
    bits, kept_mask = (words, None) if words is not mask else native(mask, "mask")
    factors, kept_values = (None, None) if values is None else native(values, "values")
    m = (array[1] if isinstance(array, tuple) else gradient.shape)[0]
    result, into = _result(where, array, gradient, "the gradient", "[M, N]", out, lambda _: (m, k))
    made = _core.spike_gradient(array, w, bits, factors, into, where.stream)
    del kept, kept_weights, kept_mask, kept_values
    return made if result is None else result if out is not None else _as_kind_of(gradient, result)


def quantize(weights: Any, bits: Literal[8, 4] = 8, *, stream: Any = None) -> QuantisedWeights:
    """Weights as integers, with one scale for each column: the largest of a column becomes 127 (8 bits) or 7 (4), others
    the nearest integer. spmm() and spmm_lif() take them in place of W, on a device at twice the rate of float16.

    weights: [K, N] in float32, float16 or bfloat16; the result is in their memory, and in the order that products read,
        whatever becomes of them. Waits for a device.

    The result has `bits`, `shape`, `device`, `integers` [K, N] in int8 and `scales` [N] in float32, both copied into
    NumPy's arrays, and what it lost: `relative_error`, ‖W - scales·integers‖ / ‖W‖, and `largest_error`, of an element.
    Throws Error for other types, shapes and bits, and where an element is not finite.
    """
    if _as_they_are(stream, weights):
        return _core.quantize(weights, bits, None)
    array, kept = native(weights, "W")
    result = _core.quantize(array, bits, Where(weights, device_of(array), stream).stream)
    del kept
    return result


def _weights(encoded: Encoded, weights: Any, stream: Any) -> tuple[Any, Any, Where]:
    """The weights as _core takes them, what must live as long as the call, and where it runs."""
    if not isinstance(weights, QuantisedWeights):
        array, kept = native(weights, "W")
        return array, kept, Where(weights, device_of(array), stream)
    storage = encoded._core.storage if encoded.device >= 0 else None
    where = Where(storage, encoded.device, encoded._core.stream if stream is None and torch_of(storage) is None else stream)
    return weights, None, where


def _as_they_are(stream: Any, *arrays: Any) -> bool:
    """Whether _core takes these arrays itself, on their current stream."""
    return stream is None and all(array is None or _core.takes_as_it_is(array) for array in arrays)


def _result(where: Where, array: Any, given: Any, what: str, shape: str, out: Any, shape_of: Callable[[int], tuple[int, int]]) -> tuple[Any, Any]:
    """(the array to write into or None, as _core takes it): `out`, or one made on a device for a matrix [.., N]."""
    if out is not None:
        if not is_contiguous(out):
            raise Error("out must be contiguous")
        return out, native(out, "out")[0]
    if where.device < 0:
        return None, None
    sizes = array[1] if isinstance(array, tuple) else given.shape
    if len(sizes) != 2:
        raise Error(f"{what} must have the shape {shape}")
    result = where.empty(shape_of(sizes[1]), "f32")
    return result, native(result, "out")[0]


def lif(
    currents: Any,
    *,
    leak: float = 0.5,
    gain: float = 0.5,
    threshold: float = 1.0,
    reset: Literal["hard", "soft"] = "hard",
    reset_value: float = 0.0,
    convention: Literal["spikingjelly", "snntorch"] = "spikingjelly",
    state: Optional[Any] = None,
    format: Optional[str] = None,
    params: Optional[dict[str, Any]] = None,
    stream: Any = None,
) -> tuple[Any, Any]:
    """Leaky integrate-and-fire neurons. On a device nothing waits.

    currents: [T, rows, N] in float32, float16 or bfloat16, time-major
    leak: what is left of the membrane after a step (1 - 1/tau, or beta); gain: of the current
    state: membranes before the first step, [rows, N] in float32; default: at rest
    format: neurons fire into bits, which are encoded in this format with `params`, as encode(..., wait=False) does

    Returns spikes [T, rows, N] in uint8, or Encoded where a format is given, and the membranes [rows, N] after the last
    step.
    """
    array, kept = native(currents, "currents")
    where = Where(currents, device_of(array), stream)
    before, kept_state = (None, None) if state is None else native(state, "state")
    spikes = after = None
    if where.device >= 0 or format is not None:
        shape = tuple(array[1] if isinstance(array, tuple) else currents.shape)
        if len(shape) not in (2, 3):
            raise Error(f"currents must have the shape [rows, N] or [T, rows, N], not {len(shape)} dimensions")
        shape = shape if len(shape) == 3 else (1, *shape)
        dtype = "u8"
        fired_shape = shape
        if format is not None:
            dtype, fired_shape = "u32", (*shape[:2], (shape[2] + 31) // 32)
        spikes, after = where.empty(fired_shape, dtype), where.empty(shape[-2:], "f32")
    fired: Any = _core.lif(array, leak, gain, threshold, reset, reset_value, convention, before,
                      None if spikes is None else native(spikes, "spikes")[0], None if after is None else native(after, "state")[0],
                      where.stream)
    del kept, kept_state
    if spikes is None:
        return fired
    after = _as_kind_of(currents, after)
    if format is not None:
        return encode(spikes, format, params=params, k=shape[2], wait=False, stream=stream), after
    return _as_kind_of(currents, spikes), after


def im2col(encoded: Encoded, size: tuple[int, int], kernel: tuple[int, int], *, stride: int = 1, padding: int = 0, stream: Any = None) -> Encoded:
    """The windows of images of bits, a bitmap [T, B * H' * W', kernel height * kernel width * C], with no dense spikes
    between: what a convolution multiplies. On a device nothing waits.

    encoded: a bitmap [T, B * H * W, C] in rows, channels last, C a multiple of 32
    size: (H, W); kernel: (height, width)

    Column (i * kernel width + j) * C + c is channel c of tap (i, j): PyTorch's weights as
    `weight.permute(2, 3, 1, 0).reshape(-1, out_channels)`. Throws Error where that does not fit together.
    """
    core = encoded._core
    storage = core.storage if encoded.device >= 0 else None
    where = Where(storage, encoded.device, core.stream if stream is None and torch_of(storage) is None else stream)
    return Encoded(_core.im2col(core, *size, *kernel, stride, padding, where.stream, where.allocate))


def spmm_lif(
    encoded: Encoded,
    weights: Any,
    *,
    scale: Any = 1.0,
    bias: Optional[Any] = None,
    leak: float = 0.5,
    gain: float = 0.5,
    threshold: float = 1.0,
    reset: Literal["hard", "soft"] = "hard",
    reset_value: float = 0.0,
    convention: Literal["spikingjelly", "snntorch"] = "spikingjelly",
    state: Optional[Any] = None,
    row_order: Optional[RowOrder] = None,
    stream: Any = None,
) -> Encoded:
    """A spiking layer in one step: neurons with the currents scale·(S·W) + bias fire into a bitmap [T, rows, N], which
    the next layer takes as it is. Neither currents nor dense spikes are ever in memory. On a device nothing waits.

    encoded: S [T, rows, K], a bitmap of binary spikes, in either row order
    weights: [K, N], in the memory of the encoding; float16 or bfloat16, on the host float32 too, or of quantize(), then
        scale multiplies their scales. Sums are in float32, of quantised weights exact. On a device N must be a multiple
        of 8
    scale: a number, or float32 [N]; bias: float32 [N]
    leak, gain, threshold, reset, reset_value, convention: of the neurons, as lif()
    state: membranes [rows, N] in float32 before the first step, overwritten by those after the last; default: at rest
        before, and dropped
    row_order: of the result; default: that of the encoding

    Throws Error for another format than bitmap, and for shapes, types or memories that do not fit together.
    """
    options = (leak, gain, threshold, reset, reset_value, convention)
    order = row_order or encoded.row_order
    scale = float(scale) if isinstance(scale, numbers.Real) else scale
    per_channel = None if isinstance(scale, float) else scale
    if _as_they_are(stream, weights, per_channel, bias, state):
        return Encoded(_core.spmm_lif(encoded._core, weights, *options, scale, bias, state, order, None, None))
    if state is not None and not is_contiguous(state):
        raise Error("state must be contiguous")
    array, kept, where = _weights(encoded, weights, stream)
    natives = [(None, None) if given is None else native(given, what)
               for given, what in ((per_channel, "scale"), (bias, "bias"), (state, "state"))]
    core = _core.spmm_lif(encoded._core, array, *options, scale if per_channel is None else natives[0][0], natives[1][0], natives[2][0],
                          order, where.stream, where.allocate)
    del kept, natives
    return Encoded(core)


def _as_kind_of(array: Any, result: Any) -> Any:
    """A DeviceArray as an array of CuPy's, where the caller's are."""
    if isinstance(result, DeviceArray) and type(array).__module__.partition(".")[0] == "cupy":
        return sys.modules["cupy"].asarray(result)
    return result
