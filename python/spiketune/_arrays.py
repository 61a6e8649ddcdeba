"""Arrays of other libraries: where they are, on which stream, and who makes new ones."""

from __future__ import annotations

import sys
from typing import Any, Callable, Optional

import numpy as np

from . import _core

# A tuple (address, shape, name of the type, CUDA device), or what has DLPack or the buffer protocol.
Native = Any

_NAMES = {"|u1": "uint8", "|i1": "int8", "|b1": "bool", "<u4": "uint32", "<f2": "float16", "<f4": "float32"}
_TYPESTR = {"u8": "|u1", "u16": "<u2", "u32": "<u4", "f16": "<f2", "f32": "<f4", "bf16": "<u2"}
_SIZES = {"u8": 1, "u16": 2, "u32": 4, "f16": 2, "bf16": 2, "f32": 4}


def torch_of(array: Any) -> Optional[Any]:
    """The module torch, if the array is one of its tensors."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(array, torch.Tensor) else None


def _torch_names(torch: Any) -> dict[Any, str]:
    names = getattr(_torch_names, "cache", None)
    if names is None:
        names = {getattr(torch, name): name
                 for name in ("uint8", "int8", "bool", "uint32", "int32", "float16", "bfloat16", "float32") if hasattr(torch, name)}
        _torch_names.cache = names
    return names


def native(array: Any, what: str) -> tuple[Native, Any]:
    """The array as _core takes it, and what must live as long as the call."""
    torch = torch_of(array)
    if torch is not None:
        tensor = array.detach()
        if not tensor.is_contiguous():
            tensor = tensor.contiguous()
        device = tensor.device
        if device.type not in ("cpu", "cuda"):
            raise _core.Error(f"{what} must be in the memory of the host or of a CUDA device, not on {device.type}")
        name = _torch_names(torch).get(tensor.dtype)
        if name is None:
            raise _core.Error(f"{what} must be of type uint8, bool, float16, bfloat16 or float32")
        return (tensor.data_ptr(), tuple(tensor.shape), name, device.index if device.type == "cuda" else -1), tensor
    if isinstance(array, np.ndarray):
        array = np.ascontiguousarray(array)
        return array, array
    interface = getattr(array, "__cuda_array_interface__", None)
    if interface is not None:
        return _from_cuda_array_interface(array, interface, what), array
    if hasattr(array, "contiguous"):
        array = array.contiguous()
    return array, array


def _from_cuda_array_interface(array: Any, interface: dict[str, Any], what: str) -> Native:
    name = _NAMES.get(interface["typestr"])
    if name is None:
        raise _core.Error(f"{what} must be of type uint8, bool, float16, bfloat16 or float32")
    shape = interface["shape"]
    strides = interface.get("strides")
    if strides is not None:
        expected = int(interface["typestr"][2:])
        for size, stride in zip(reversed(shape), reversed(strides)):
            if size > 1 and stride != expected:
                raise _core.Error(f"{what} must be contiguous")
            expected *= size
    device = getattr(array, "device", 0)
    device = getattr(device, "id", device)  # CuPy's is an object
    device = device if isinstance(device, int) else 0
    stream = interface.get("stream")
    if stream is not None and not _is_cupys(array):  # calls run on CuPy's own stream, for others on the default one
        _core.order_streams(device, stream, 0)
    return interface["data"][0], tuple(shape), name, device


def is_contiguous(array: Any) -> bool:
    """False where native() would make a copy."""
    if torch_of(array) is not None:
        return array.is_contiguous()
    return not isinstance(array, np.ndarray) or array.flags.c_contiguous


def device_of(array: Native) -> int:
    """CUDA device of a native array; -1: the host's."""
    if isinstance(array, tuple):
        return array[3]
    where = getattr(array, "__dlpack_device__", None)
    kind, index = where() if where is not None else (1, 0)
    return index if kind == 2 else -1


class Where:
    """Where a call runs: the stream, and who allocates. `owner`: what must live as long as memory of spiketune's own, which
    is released in the order of the stream."""

    __slots__ = ("device", "owner", "stream", "torch")

    def __init__(self, array: Any, device: int, stream: Any):
        self.device = device
        self.torch = torch_of(array) if device >= 0 else None
        self.stream = 0
        self.owner = None
        if device < 0:
            return
        if self.torch is not None:
            self.stream = self.torch.cuda.current_stream(device).cuda_stream if stream is None else _stream_address(stream)
        elif stream is not None:
            self.stream = _stream_address(stream)
            self.owner = array if isinstance(array, _core.DeviceMemory) else stream
        elif _is_cupys(array):
            self.owner = sys.modules["cupy"].cuda.get_current_stream()
            self.stream = self.owner.ptr

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """A new array on the device: a tensor of PyTorch's where the caller's are. On the host NumPy's."""
        if self.device < 0:
            return np.empty(shape, {"u8": np.uint8, "u32": np.uint32, "f32": np.float32}[dtype])
        if self.torch is None:
            size = int(np.prod(shape)) * _SIZES[dtype]
            memory = _core.allocate_device(size, self.device, self.stream, self.owner)
            return DeviceArray(memory, memory.data_ptr(), shape, dtype, self.device, self.stream)
        torch = self.torch
        if torch.cuda.current_stream(self.device).cuda_stream == self.stream:
            return torch.empty(shape, dtype=torch_type(torch, dtype), device=self._torch_device())
        with torch.cuda.stream(torch.cuda.ExternalStream(self.stream, device=self.device)):
            return torch.empty(shape, dtype=torch_type(torch, dtype), device=self._torch_device())

    def _torch_device(self) -> Any:
        return self.torch.device("cuda", self.device)

    @property
    def allocate(self) -> Optional[Callable[[int], Any]]:
        """For _core: makes bytes in PyTorch's pool; None: spiketune's own memory."""
        if self.torch is not None:
            return lambda size: self.empty((size,), "u8")
        if self.owner is None:
            return None
        return lambda size: _core.allocate_device(size, self.device, self.stream, self.owner)


def _is_cupys(array: Any) -> bool:
    return type(array).__module__.partition(".")[0] == "cupy"


def _stream_address(stream: Any) -> int:
    for name in ("cuda_stream", "ptr"):  # PyTorch's, CuPy's
        if hasattr(stream, name):
            return getattr(stream, name)
    if isinstance(stream, int):
        return stream
    raise TypeError("stream must be a stream of PyTorch or CuPy, or the address of one as an int")


def torch_type(torch: Any, dtype: str) -> Any:
    """Of the field's short names. Unsigned 16 and 32 bits are seen as signed ones, which PyTorch computes with."""
    return {"u8": torch.uint8, "u16": torch.int16, "u32": torch.int32, "f16": torch.float16, "bf16": torch.bfloat16,
            "f32": torch.float32}[dtype]


class DeviceArray:
    """Memory on a CUDA device, for any library: `__cuda_array_interface__` and DLPack. `cupy.asarray`, `torch.as_tensor`,
    `jax.dlpack.from_dlpack` and `numba.cuda.as_cuda_array` take it without a copy. bfloat16 is 16 unsigned bits
    in `__cuda_array_interface__`, which has no such type."""

    def __init__(self, owner: Any, address: int, shape: tuple[int, ...], dtype: str, device: int, stream: int):
        self._owner = owner
        self._address = address
        self.shape = tuple(shape)
        self.dtype = dtype
        self.device = device
        self._stream = stream

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        size = int(np.prod(self.shape))
        return {"shape": self.shape, "typestr": _TYPESTR[self.dtype], "data": (self._address if size else 0, False), "version": 3,
                "strides": None, "stream": self._stream or 1}

    def __dlpack__(self, *, stream: Optional[int] = None, **arguments: Any) -> Any:
        if stream != -1:
            _core.order_streams(self.device, self._stream, stream or 0)
        return _core.device_array(self._address, self.shape, self.dtype, self.device, self).__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device

    def __repr__(self) -> str:
        return f"<spiketune.DeviceArray {self.dtype} {list(self.shape)} on CUDA device {self.device}>"
