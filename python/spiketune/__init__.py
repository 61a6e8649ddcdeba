"""Sparse formats of spike tensors: encode, multiply, and what is fastest where.

>>> import numpy as np, spiketune
>>> spikes = (np.random.rand(4, 64, 512) < 0.05).astype(np.uint8)      # [T, rows, K]
>>> csr = spiketune.encode(spikes, "csr")
>>> y = spiketune.spmm(csr, np.random.rand(512, 128).astype("float32"))  # [T * rows, N]

Arrays come in through DLPack or the buffer protocol (NumPy, PyTorch on the CPU, JAX) without a
copy where they are contiguous, and encodings show theirs as NumPy arrays over the same memory.
This package runs on the host. Errors are `spiketune.Error`, a ValueError, with the sentence that the
command says.
"""

from __future__ import annotations

import json
from typing import Any, Literal, Optional

import numpy as np

from . import _core
from ._core import Error
from ._program import plan, sweep, tune
from ._report import Report

__all__ = ["Encoded", "Error", "Report", "encode", "formats", "lif", "plan", "spmm", "sweep", "tune"]

RowOrder = Literal["time-major", "token-major"]
Kind = Literal["binary", "graded2", "graded"]


def formats() -> list[str]:
    """Names of the formats that encode() knows."""
    return _core.format_names()


def _contiguous(array: Any) -> Any:
    """As it is, or a contiguous copy, where the array knows how to make one."""
    if isinstance(array, np.ndarray):
        return np.ascontiguousarray(array)
    return array.contiguous() if hasattr(array, "contiguous") else array


class Encoded:
    """Spikes in a format. The arrays of the format are attributes: `csr.row_offsets`."""

    def __init__(self, core: _core.Encoded):
        self._core = core

    @property
    def format(self) -> str:
        """Name of the format, "csr"."""
        return self._core.format

    @property
    def params(self) -> dict[str, Any]:
        """Parameters of the format, such as a block size."""
        return json.loads(self._core.params)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, rows, K) of the spikes. As a matrix they have T * rows rows, in `row_order`."""
        return self._core.shape

    @property
    def row_order(self) -> RowOrder:
        """"time-major": row t * rows + r; "token-major": row r * T + t."""
        return self._core.row_order

    @property
    def nnz(self) -> int:
        """Spikes that went in."""
        return self._core.nnz

    @property
    def lost(self) -> int:
        """Spikes that a lossy format dropped; else 0."""
        return self._core.lost

    @property
    def bytes(self) -> int:
        """Bytes of the encoding, without what was allocated beyond it."""
        return self._core.bytes

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the format, read-only, over the memory of the encoding. bfloat16 values show
        as uint16; spikes of one bit have no values."""
        return {name: self._core.array(name) for name in self._core.array_names}

    def __getattr__(self, name: str) -> np.ndarray:
        if not name.startswith("_"):
            array = self._core.array(name)
            if array is not None:
                return array
            raise AttributeError(f"{self.format} has no array {name!r}; it has {', '.join(self._core.array_names)}")
        raise AttributeError(name)

    def __repr__(self) -> str:
        steps, rows, k = self.shape
        share = self.nnz / max(1, steps * rows * k)
        return f"<spiketune.Encoded {self.format} [{steps}, {rows}, {k}], {self.nnz} spikes ({share:.2%}), {self.bytes} bytes>"

    def decode(self) -> np.ndarray:
        """The spikes, [T, rows, K], time-major: uint8, or float32 where they are real-valued."""
        return self._core.decode()

    def to_scipy(self) -> Any:
        """scipy.sparse array [T * rows, K] with the rows of the encoding, of COO, CSR, CSC or Block-CSR.
        Indices without a copy where SciPy takes their type; values are ones for spikes of one bit.
        Throws Error for other formats."""
        import scipy.sparse

        steps, rows, k = self.shape
        shape = (steps * rows, k)
        arrays = self.arrays
        values = arrays.get("values")
        if values is None or values.size == 0:
            values = np.ones(self.nnz, np.uint8)
        if self.format == "csr":
            return scipy.sparse.csr_matrix((values, _index(arrays["column_indices"]), _index(arrays["row_offsets"])), shape)
        if self.format == "csc":
            return scipy.sparse.csc_matrix((values, _index(arrays["row_indices"]), _index(arrays["column_offsets"])), shape)
        if self.format == "coo":
            return scipy.sparse.coo_matrix((values, (_index(arrays["row_indices"]), _index(arrays["column_indices"]))), shape)
        raise Error(f"SciPy has no format like {self.format}: encode as coo, csr or csc")

    def to_torch(self) -> Any:
        """torch.sparse_csr_tensor [T * rows, K] of CSR, values float32. Throws Error for other formats."""
        import torch

        if self.format != "csr":
            raise Error(f"PyTorch has no format like {self.format}: encode as csr")
        steps, rows, k = self.shape
        values = self.arrays.get("values")
        values = torch.ones(self.nnz) if values is None or values.size == 0 else torch.from_numpy(values.astype(np.float32))
        return torch.sparse_csr_tensor(
            torch.from_numpy(_index(self.row_offsets)),
            torch.from_numpy(_index(self.column_indices)),
            values,
            (steps * rows, k),
        )


def _index(array: np.ndarray) -> np.ndarray:
    """Signed, as SciPy and PyTorch want them: the same memory where the width fits."""
    if array.dtype == np.uint32:
        return array.view(np.int32) if array.size == 0 or array.max() < 2**31 else array.astype(np.int64)
    return array.astype(np.int32)


def encode(
    spikes: Any,
    format: str = "csr",
    *,
    params: Optional[dict[str, Any]] = None,
    kind: Kind = "binary",
    row_order: RowOrder = "time-major",
    encoded_order: Optional[RowOrder] = None,
    k: Optional[int] = None,
) -> Encoded:
    """Encodes spikes.

    spikes: [T, rows, K] or [rows, K]; uint8, bool, float16, bfloat16 or float32; or uint32, rows of bits
        packed 32 to a word, the first in the lowest bit, with `k`. Of any library with DLPack, on the CPU.
    format: one of formats()
    params: of the format, e.g. {"block_size": 16}; default: the first that a sweep tries
    kind: "binary" (0 and 1), "graded2" (0 to 3) or "graded" (real-valued)
    row_order: of `spikes`; encoded_order: of the encoding, the same unless given

    Throws Error for a NaN, a value that is not of the kind, a wrong shape or type.
    """
    text = None if params is None else json.dumps(params)
    return Encoded(_core.encode(_contiguous(spikes), format, text, kind, row_order, encoded_order or row_order, k))


def spmm(encoded: Encoded, weights: Any) -> np.ndarray:
    """Y = S·W: [T * rows, N] in float32, rows in the order of the encoding.

    weights: [K, N] in float32, float16 or bfloat16. Sums are in float32.
    """
    return _core.spmm(encoded._core, _contiguous(weights))


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
) -> tuple[np.ndarray, np.ndarray]:
    """Leaky integrate-and-fire neurons.

    currents: [T, rows, N] in float32, float16 or bfloat16, time-major
    leak: what is left of the membrane after a step (1 - 1/tau, or beta); gain: of the current
    state: membranes before the first step, [rows, N] in float32; default: at rest

    Returns spikes [T, rows, N] in uint8 and the membranes [rows, N] after the last step.
    """
    return _core.lif(_contiguous(currents), leak, gain, threshold, reset, reset_value, convention,
                     None if state is None else _contiguous(state))
