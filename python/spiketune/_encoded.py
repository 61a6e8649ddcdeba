"""Spikes in a format."""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any, Literal

import numpy as np

from . import _core
from ._arrays import DeviceArray, Where, native, torch_of, torch_type
from ._core import Error

RowOrder = Literal["time-major", "token-major"]


class Encoded:
    """Spikes in a format. The arrays of the format are attributes: `csr.row_offsets`.

    On a CUDA device, counts (`nnz`, `lost`, `bytes`) and arrays wait for the encoder where `encode` did not, the first
    time that one is asked for; so do its errors.
    """

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
    def device(self) -> int:
        """CUDA device of the arrays; -1: host memory."""
        return self._core.device

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
    def arrays(self) -> dict[str, Any]:
        """The arrays of the format, over the memory of the encoding: NumPy arrays, read-only, on the host; PyTorch
        tensors where the spikes were one on a device, with u16 and u32 seen as int16 and int32; else DeviceArray.
        bfloat16 values show as uint16 in NumPy; spikes of one bit have no values."""
        return {name: self._array(name) for name in self._core.array_names}

    def _array(self, name: str) -> Any:
        array: Any = self._core.array(name)
        if self.device < 0 or array is None:
            return array
        offset, address, size, dtype = array
        storage = self._core.storage
        if torch_of(storage) is None:
            return DeviceArray(self._core, address, (size,), dtype, self.device, self._core.stream)
        item = torch_type(sys.modules["torch"], dtype)
        return storage[offset : offset + size * item.itemsize].view(item)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            array = self._array(name)
            if array is not None:
                return array
            raise AttributeError(f"{self.format} has no array {name!r}; it has {', '.join(self._core.array_names)}")
        raise AttributeError(name)

    def __repr__(self) -> str:
        steps, rows, k = self.shape
        share = self.nnz / max(1, steps * rows * k)
        return f"<spiketune.Encoded {self.format} [{steps}, {rows}, {k}], {self.nnz} spikes ({share:.2%}), {self.bytes} bytes>"

    def check(self) -> "Encoded":
        """Waits for the encoder; throws Error where the capacity was too small, with the one needed, or a spike was
        invalid. Nothing to wait for where `encode` waited, as it does on the host."""
        self._core.nnz
        return self

    def decode(self) -> Any:
        """The spikes, [T, rows, K], time-major: uint8, or float32 where they are real-valued. In the memory of the
        encoding."""
        if self.device < 0:
            return self._core.decode()
        where = Where(self._core.storage, self.device, self._core.stream)
        spikes = where.empty(self.shape, "f32" if self._core.kind == "graded" else "u8")
        self._core.decode_into(native(spikes, "spikes")[0], where.stream)
        return spikes

    def to_scipy(self) -> Any:
        """scipy.sparse matrix [T * rows, K] with the rows of the encoding, of COO, CSR or CSC. On the host, indices
        without a copy where SciPy takes their type; from a device, copied. Values are ones for spikes of one bit.
        Throws Error for other formats."""
        import scipy.sparse

        if self.format not in ("csr", "csc", "coo"):
            raise Error(f"SciPy has no format like {self.format}: encode as coo, csr or csc")
        steps, rows, k = self.shape
        shape = (steps * rows, k)
        arrays = {name: self._numpy(name) for name in self._core.array_names}
        values = arrays.get("values")
        if values is None or values.size == 0:
            values = np.ones(self.nnz, np.uint8)
        if self.format == "csr":
            return scipy.sparse.csr_matrix((values, _index(arrays["column_indices"]), _index(arrays["row_offsets"])), shape)
        if self.format == "csc":
            return scipy.sparse.csc_matrix((values, _index(arrays["row_indices"]), _index(arrays["column_offsets"])), shape)
        return scipy.sparse.coo_matrix((values, (_index(arrays["row_indices"]), _index(arrays["column_indices"]))), shape)

    def _numpy(self, name: str) -> np.ndarray:
        array = self._array(name)
        if self.device < 0:
            return array
        if torch_of(array) is not None:
            array = (array.float() if array.dtype == torch_of(array).bfloat16 else array).cpu().numpy()
        else:
            import cupy

            array = cupy.asnumpy(cupy.asarray(array))
        return array.view({"int16": np.uint16, "int32": np.uint32}.get(array.dtype.name, array.dtype))

    def to_torch(self, values_dtype: Any = None) -> Any:
        """PyTorch's sparse tensor [T * rows, K], in the memory of the encoding: `sparse_csr_tensor` of CSR, and
        `sparse_bsr_tensor` of Block-CSR where the blocks tile the matrix.

        Index arrays are not copied where they have 32 bits (`encode(..., indices="int32")`, or K above 65,536);
        16-bit ones are widened, for PyTorch has none. PyTorch stores a value for every spike, which an encoding of
        one-bit spikes has not: ones of `values_dtype` are made (default: float32), and blocks are expanded from
        their bits. Throws Error for other formats.
        """
        import torch

        if self.format not in ("csr", "bsr"):
            raise Error(f"PyTorch has no format like {self.format}: encode as csr or bsr")
        steps, rows, k = self.shape
        dtype = values_dtype or torch.float32
        if self.format == "csr":
            offsets, columns, values = (self._torch(name) for name in ("row_offsets", "column_indices", "values"))
            if values is None:
                values = torch.ones(self.nnz, dtype=dtype, device=offsets.device)
            return torch.sparse_csr_tensor(offsets, columns, values.to(dtype), (steps * rows, k))
        size = self.params["block_size"]
        if steps * rows % size or k % size:
            raise Error(f"PyTorch's blocks tile the matrix: {steps * rows} x {k} is not whole blocks of {size}")
        offsets, columns = self._torch("block_row_offsets"), self._torch("block_column_indices")
        values = self._torch("values")
        if values is None:
            words = self._torch("patterns")
            values = words[:, None] >> torch.arange(32, dtype=torch.int32, device=words.device) & 1
        return torch.sparse_bsr_tensor(offsets, columns, values.reshape(-1, size, size).to(dtype), (steps * rows, k))

    def _torch(self, name: str) -> Any:
        """As a tensor; indices signed, of 32 bits."""
        import torch

        array = self._array(name)
        if array is None or 0 in array.shape and name == "values":
            return None
        if self.device < 0:
            with_sign = {"uint16": np.int16, "uint32": np.int32}.get(array.dtype.name, array.dtype)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # PyTorch has no read-only tensors
                tensor = torch.from_numpy(array.view(with_sign))
        else:
            tensor = array if isinstance(array, torch.Tensor) else torch.as_tensor(array, device=f"cuda:{self.device}")
            if tensor.dtype == getattr(torch, "uint32", None):
                tensor = tensor.view(torch.int32)
        if tensor.dtype == torch.int16 and name != "values":
            tensor = tensor.to(torch.int32) & 0xFFFF
        return tensor


def _index(array: np.ndarray) -> np.ndarray:
    """Signed, as SciPy wants them: the same memory where the width fits."""
    if array.dtype == np.uint32:
        return array.view(np.int32) if array.size == 0 or array.max() < 2**31 else array.astype(np.int64)
    return array.astype(np.int32)
