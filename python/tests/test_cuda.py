"""PyTorch's tensors on a CUDA device, against the host."""

import subprocess
import sys

import pytest

import spiketune

torch = pytest.importorskip("torch")
if spiketune.cuda_unavailable_reason() or not torch.cuda.is_available():
    pytest.skip(spiketune.cuda_unavailable_reason() or "this PyTorch has no CUDA", allow_module_level=True)


def spikes(shape=(3, 33, 134), density=0.1):
    return (torch.rand(shape, device="cuda") < density).to(torch.uint8)


@pytest.mark.parametrize("name", spiketune.formats())
@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
def test_every_format_round_trips_and_multiplies(name, wait, density):
    x = spikes(density=density)
    w = torch.randint(-4, 5, (134, 24), device="cuda").half()
    encoded = spiketune.encode(x, name, wait=wait)
    y = spiketune.spmm(encoded, w)
    assert y.device == x.device and y.dtype == torch.float32
    assert (y == x.reshape(-1, 134).float() @ w.float()).all()
    assert (encoded.decode() == x).all()
    assert encoded.nnz == x.sum()


def test_to_torch_shares_memory():
    x = spikes()
    encoded = spiketune.encode(x, "csr", indices="int32")
    csr = encoded.to_torch()
    assert csr.is_cuda and (csr.to_dense() == x.reshape(-1, 134)).all()
    assert csr.col_indices().data_ptr() == encoded.column_indices.data_ptr()
    assert (encoded.to_scipy().toarray() == x.reshape(-1, 134).cpu().numpy()).all()


def test_other_streams():
    stream = torch.cuda.Stream()
    x = spikes()
    torch.cuda.synchronize()
    by_argument = spiketune.encode(x, "csr", stream=stream)
    with torch.cuda.stream(stream):
        by_context = spiketune.encode(x, "csr")
    stream.synchronize()
    assert (by_argument.decode() == x).all() and (by_context.decode() == x).all()


def test_a_slice_is_copied_first():
    x = spikes()
    assert (spiketune.encode(x.transpose(1, 2)).decode() == x.transpose(1, 2)).all()
    assert spiketune.encode(x[:, :0]).decode().shape == (3, 0, 134)


def test_memory_is_pytorchs_and_lives_as_long_as_its_arrays():
    x = spikes((1, 1024, 1024))
    before = torch.cuda.memory_allocated()
    encoded = spiketune.encode(x)
    expected = encoded.column_indices.clone()
    columns = encoded.column_indices
    del encoded
    spiketune.encode(spikes((1, 1024, 1024)))  # takes what was free
    assert (columns == expected).all()
    del columns, expected
    assert torch.cuda.memory_allocated() == before
    with pytest.raises(spiketune.Error, match="memory"):
        spiketune.encode(x, "coo", capacity=1 << 40)


def test_graph():
    x = spikes()
    w = torch.randint(-4, 5, (134, 16), device="cuda").half()
    spiketune.spmm(spiketune.encode(x, "csr", wait=False), w)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = spiketune.spmm(spiketune.encode(x, "csr", wait=False), w)
    x.copy_(spikes(density=0.7))
    graph.replay()
    assert (y == x.reshape(-1, 134).float() @ w.float()).all()


def test_a_graph_cannot_wait():
    # In a process of its own: PyTorch's random numbers do not survive a capture that failed.
    code = """
import torch, spiketune
x = torch.ones((4, 64), dtype=torch.uint8, device="cuda")
with torch.cuda.graph(torch.cuda.CUDAGraph()):
    spiketune.encode(x)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 1 and "StreamCaptureUnsupported" in result.stderr


def test_errors_come_when_asked_for():
    with pytest.raises(spiketune.Error, match="not a binary spike"):
        spiketune.encode(torch.full((2, 3), 2, dtype=torch.uint8, device="cuda"))
    late = spiketune.encode(spikes(density=1.0), capacity=3, wait=False)
    with pytest.raises(spiketune.Error, match="13266"):
        late.check()
    with pytest.raises(spiketune.Error, match="memory"):
        spiketune.spmm(spiketune.encode(spikes()), torch.zeros(134, 4))


def test_lif():
    currents = torch.randn(5, 7, 13, device="cuda") * 3
    spikes_, state = spiketune.lif(currents)
    expected, expected_state = spiketune.lif(currents.cpu())
    assert (spikes_.cpu().numpy() == expected).all() and (state.cpu().numpy() == expected_state).all()
