"""Arrays of CuPy, JAX and Numba on a CUDA device, without a copy, and results back to them."""

import importlib
import os

import numpy as np
import pytest

import spiketune

if spiketune.cuda_unavailable_reason():
    pytest.skip(spiketune.cuda_unavailable_reason(), allow_module_level=True)
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
SHAPE, N = (3, 33, 134), 24


def imported(name):
    try:
        return importlib.import_module(name)
    except Exception as error:  # a package that is there, for another CUDA
        pytest.skip(f"{name}: {error}")


def operands():
    generator = np.random.default_rng(1)
    x = (generator.random(SHAPE) < 0.1).astype(np.uint8)
    w = generator.integers(-4, 5, (SHAPE[2], N)).astype(np.float16)
    return x, w, x.reshape(-1, SHAPE[2]).astype(np.float32) @ w.astype(np.float32)


@pytest.mark.parametrize("wait", [True, False])
def test_cupy(wait):
    cupy = imported("cupy")
    x, w, expected = operands()
    with cupy.cuda.Stream(non_blocking=True):  # nobody else keeps it; what is made on it outlives the block
        encoded = spiketune.encode(cupy.asarray(x), "csr", wait=wait)
        y = spiketune.spmm(encoded, cupy.asarray(w))
        assert isinstance(y, cupy.ndarray) and (cupy.asnumpy(y) == expected).all()
        assert (cupy.asnumpy(cupy.asarray(encoded.decode())) == x).all()
        assert (encoded.to_scipy().toarray() == x.reshape(-1, SHAPE[2])).all()
    assert (cupy.asnumpy(encoded.decode()) == x).all() and encoded.nnz == x.sum()


def test_jax():
    jax = imported("jax")
    if jax.default_backend() != "gpu":
        pytest.skip("JAX has no GPU")
    x, w, expected = operands()
    for dtype in (np.uint8, np.float16, np.float32):
        spikes = jax.jit(lambda a: a + 0)(jax.numpy.asarray(x.astype(dtype)))
        encoded = spiketune.encode(spikes, "csr")
        y = jax.dlpack.from_dlpack(spiketune.spmm(encoded, jax.numpy.asarray(w)))
        assert (np.asarray(y) == expected).all()
        assert (np.asarray(jax.dlpack.from_dlpack(encoded.decode())) == x).all()
        assert np.asarray(jax.dlpack.from_dlpack(encoded.row_offsets))[-1] == x.sum()


def test_numba():
    cuda = imported("numba.cuda")
    x, w, expected = operands()
    stream = cuda.stream()
    spikes = cuda.to_device(x, stream=stream)
    encoded = spiketune.encode(spikes, "bitmap")
    y = spiketune.spmm(encoded, cuda.to_device(w))
    assert (cuda.as_cuda_array(y).copy_to_host() == expected).all()


def test_memory_is_shared_with_pytorch():
    torch = imported("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    cupy = imported("cupy")
    x, w, expected = operands()
    y = spiketune.spmm(spiketune.encode(cupy.asarray(x)), cupy.asarray(w), out=cupy.zeros(expected.shape, np.float32))
    tensor = torch.from_dlpack(y)
    assert tensor.data_ptr() == y.data.ptr and (tensor.cpu().numpy() == expected).all()
