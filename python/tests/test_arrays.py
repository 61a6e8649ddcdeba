"""Arrays of other libraries, on the host and by address."""

import numpy as np
import pytest

import spiketune


def spikes(shape=(2, 16, 64), density=0.2, seed=1):
    return (np.random.default_rng(seed).random(shape) < density).astype(np.uint8)


def test_transposed_product_of_csc():
    x = spikes((2, 9, 70))
    dy = np.random.default_rng(2).integers(-4, 5, (18, 6)).astype(np.float32)
    csc = spiketune.encode(x, "csc")
    assert (spiketune.spmm(csc, dy, transposed=True) == x.reshape(-1, 70).T.astype(np.float32) @ dy).all()
    with pytest.raises(spiketune.Error, match="one of csc"):
        spiketune.spmm(spiketune.encode(x, "csr"), dy, transposed=True)


def test_product_into_an_array():
    x = spikes()
    w = np.random.default_rng(2).integers(-4, 5, (64, 8)).astype(np.float16)
    out = np.full((32, 8), np.nan, np.float16)
    assert spiketune.spmm(spiketune.encode(x), w, out=out) is out
    assert (out == x.reshape(-1, 64) @ w).all()
    with pytest.raises(spiketune.Error, match=r"out must have the shape \[32, 8\]"):
        spiketune.spmm(spiketune.encode(x), w, out=np.zeros((8, 32), np.float32))
    with pytest.raises(spiketune.Error, match="out must be contiguous"):
        spiketune.spmm(spiketune.encode(x), w, out=np.zeros((8, 32), np.float32).T)


def test_indices_of_32_bits():
    x = spikes()
    wide, compact = spiketune.encode(x, "csr", indices="int32"), spiketune.encode(x, "csr")
    assert compact.column_indices.dtype == np.uint16
    assert wide.column_indices.dtype == np.uint32
    assert (wide.column_indices == compact.column_indices).all()
    assert (wide.decode() == x).all()
    with pytest.raises(spiketune.Error, match="csr and coo"):
        spiketune.encode(x, "ell", indices="int32")


def test_room_from_a_density_or_a_capacity():
    x = spikes(density=0.5)
    assert (spiketune.encode(x, density=0.001).decode() == x).all()  # too small: made anew
    assert (spiketune.encode(x, capacity=1).decode() == x).all()
    assert (spiketune.encode(x, wait=False).check().decode() == x).all()


class OnDevice:
    def __init__(self, **changes):
        self.__cuda_array_interface__ = {"shape": (4, 8), "typestr": "|u1", "data": (4096, False), "version": 3, "strides": None, **changes}


@pytest.mark.skipif(not spiketune.cuda_unavailable_reason(), reason="there is a CUDA device")
def test_device_arrays_without_a_device():
    with pytest.raises(spiketune.Error, match="CUDA"):
        spiketune.encode(OnDevice())


def test_device_arrays_that_are_refused():
    with pytest.raises(spiketune.Error, match="contiguous"):
        spiketune.encode(OnDevice(strides=(16, 1)))
    with pytest.raises(spiketune.Error, match="must be of type"):
        spiketune.encode(OnDevice(typestr="<f8"))
    with pytest.raises(TypeError, match="must be a contiguous array"):
        spiketune.encode("spikes")


def test_to_torch():
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(spikes())
    expected = x.reshape(-1, 64)
    wide = spiketune.encode(x, "csr", indices="int32")
    csr = wide.to_torch()
    assert (csr.to_dense() == expected).all()
    assert csr.col_indices().data_ptr() == wide.column_indices.ctypes.data  # no copy
    assert csr.crow_indices().data_ptr() == wide.row_offsets.ctypes.data
    assert spiketune.encode(x, "csr").to_torch(torch.float64).dtype == torch.float64
    bsr = spiketune.encode(x, "bsr", params={"block_size": 8}).to_torch()
    assert bsr.layout == torch.sparse_bsr
    assert (bsr.to_dense() == expected).all()
    with pytest.raises(spiketune.Error, match="whole blocks"):
        spiketune.encode(x[:, :3], "bsr").to_torch()
    graded = spiketune.encode(x.float() * 1.5, "csr", kind="graded").to_torch()
    assert (graded.to_dense() == expected * 1.5).all()


def test_torch_tensors_of_the_host():
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(spikes())
    w = torch.randint(-4, 5, (64, 6)).float()
    assert (spiketune.spmm(spiketune.encode(x.float()), w.requires_grad_()) == (x.reshape(-1, 64).float() @ w).detach().numpy()).all()
    assert (spiketune.encode(x.transpose(1, 2)).decode() == x.transpose(1, 2).numpy()).all()
    assert (spiketune.encode(x[:, :0]).decode() == x[:, :0].numpy()).all()
    with pytest.raises(spiketune.Error, match="not on meta"):
        spiketune.encode(torch.zeros(2, 3, device="meta"))
    with pytest.raises(spiketune.Error, match="strided"):
        spiketune.encode(x[0].float().to_sparse())
    with pytest.raises(spiketune.Error, match="must be of type"):
        spiketune.encode(x.double())


def test_torch_tensors_of_packed_bits():
    torch = pytest.importorskip("torch")
    words = torch.tensor([[5, -1]], dtype=torch.int32)  # PyTorch computes with signed words
    expected = [1, 0, 1] + [0] * 29 + [1] * 32
    assert spiketune.encode(words, k=64).decode().ravel().tolist() == expected


def test_torch_tensors_are_read_without_python():
    torch = pytest.importorskip("torch")
    if not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"):
        pytest.skip("this PyTorch has no C exchange API of DLPack")
    assert spiketune._core.takes_as_it_is(torch.zeros(1))
    assert spiketune._core.takes_as_it_is(torch.nn.Parameter(torch.zeros(1)))
    assert not spiketune._core.takes_as_it_is(np.zeros(1))
    out = torch.zeros(32, 8)
    w = torch.nn.Parameter(torch.randint(-4, 5, (64, 8)).float())
    assert spiketune.spmm(spiketune.encode(torch.from_numpy(spikes())), w, out=out) is out
    assert (out == torch.from_numpy(spikes()).reshape(-1, 64).float() @ w).all()
    with pytest.raises(spiketune.Error, match="out must be contiguous"):
        spiketune.spmm(spiketune.encode(torch.from_numpy(spikes())), w, out=torch.zeros(8, 32).t())
