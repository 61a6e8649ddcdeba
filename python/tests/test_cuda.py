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
@pytest.mark.parametrize("wait", [None, True, False])
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
    decoded = by_argument.decode(), by_context.decode()  # on the stream of the encoding
    stream.synchronize()
    assert (decoded[0] == x).all() and (decoded[1] == x).all()


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
    spiketune.encode(x, wait=True)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 1 and "StreamCaptureUnsupported" in result.stderr


def test_errors_come_when_asked_for():
    bad = torch.full((2, 3), 2, dtype=torch.uint8, device="cuda")
    with pytest.raises(spiketune.Error, match="not a binary spike"):
        spiketune.encode(bad, wait=True)
    for ask in (lambda late: late.check(), lambda late: late.nnz, lambda late: late.column_indices, lambda late: late.to_torch(), repr):
        late = spiketune.encode(bad)
        with pytest.raises(spiketune.Error, match="not a binary spike"):
            ask(late)
    late = spiketune.encode(spikes(density=1.0), capacity=3, wait=False)
    with pytest.raises(spiketune.Error, match="13266"):
        late.check()
    with pytest.raises(spiketune.Error, match="memory"):
        spiketune.spmm(spiketune.encode(spikes()), torch.zeros(134, 4))


def test_encode_makes_room_unasked_where_that_is_little():
    def room(x, **options):
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        encoded = spiketune.encode(x, **options)
        return torch.cuda.memory_allocated() - before, encoded

    little, large = spikes((1, 1024, 1024)), spikes((1, 8192, 8192), density=0.01)
    assert room(little, wait=True)[0] < 1 << 20 < 2 << 20 <= room(little)[0]
    taken, encoded = room(large)  # 128 MiB for any
    assert taken < 32 << 20 and encoded.nnz == large.sum()
    dense = spikes((1, 8192, 8192), density=0.5)  # more than was guessed: found out, and made anew
    assert spiketune.encode(dense).nnz == dense.sum()
    assert spiketune.encode(dense, density=0.01).nnz == dense.sum()
    assert room(spikes((1, 64, 4096), density=0.01), format="ell")[0] < 64 << 10


def test_graph_by_default():
    x, w = spikes(), torch.randint(-4, 5, (134, 16), device="cuda").half()
    spiketune.spmm(spiketune.encode(x), w)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = spiketune.spmm(spiketune.encode(x), w)
    x.copy_(spikes(density=0.9))
    graph.replay()
    assert (y == x.reshape(-1, 134).float() @ w.float()).all()


def test_lif():
    currents = torch.randn(5, 7, 13, device="cuda") * 3
    spikes_, state = spiketune.lif(currents)
    expected, expected_state = spiketune.lif(currents.cpu())
    assert (spikes_.cpu().numpy() == expected).all() and (state.cpu().numpy() == expected_state).all()


def integers(*shape, dtype=torch.float16):
    return torch.randint(-4, 5, shape, device="cuda").to(dtype)


class ByInterface:
    """As CuPy's arrays are, but of an unknown library."""

    def __init__(self, tensor):
        self.tensor = tensor
        self.shape = tuple(tensor.shape)
        self.__cuda_array_interface__ = tensor.__cuda_array_interface__


@pytest.mark.parametrize("order", ["time-major", "token-major"])
@pytest.mark.parametrize("stream", [None, torch.cuda.Stream()])
def test_spmm_lif_is_the_hosts(order, stream):
    x, w = spikes((4, 33, 134)), integers(134, 24)
    scale, bias = integers(24, dtype=torch.float32) / 4, integers(24, dtype=torch.float32) / 8
    state = torch.zeros(33, 24, device="cuda")
    host_state = state.cpu().numpy()
    torch.cuda.synchronize()
    fired = spiketune.spmm_lif(spiketune.encode(x, "bitmap", encoded_order=order, stream=stream), w, scale=scale, bias=bias, state=state, stream=stream)
    expected = spiketune.spmm_lif(spiketune.encode(x.cpu().numpy(), "bitmap", encoded_order=order), w.cpu().numpy(), scale=scale.cpu().numpy(),
                                  bias=bias.cpu().numpy(), state=host_state)
    decoded = fired.decode()
    torch.cuda.synchronize()
    assert (decoded.cpu().numpy() == expected.decode()).all() and fired.nnz == expected.nnz > 0
    assert (state.cpu().numpy() == host_state).all()
    assert isinstance(fired.words, torch.Tensor) and fired.words.is_cuda


def test_a_chain_of_layers_in_a_graph():
    x = spikes((4, 32, 128))
    w1, w2 = integers(128, 64), integers(64, 32)

    def network():
        hidden = spiketune.spmm_lif(spiketune.encode(x, "bitmap", wait=False), w1, scale=0.125)
        return spiketune.spmm(spiketune.spmm_lif(hidden, w2, scale=0.125), integers_of_next)

    integers_of_next = integers(32, 8)
    network()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = network()
    x.copy_(spikes((4, 32, 128), density=0.3))
    graph.replay()
    expected = network()
    assert (y == expected).all() and y.any()


@pytest.mark.parametrize("name", ["bitmap", "csr", "csc"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_gradients_are_the_hosts(name, dtype):
    x, dy, w = spikes((4, 64, 128)), integers(256, 64, dtype=dtype), integers(128, 64, dtype=dtype)
    rows = x.reshape(256, 128).float()
    encoded = spiketune.encode(x, name)
    expected = rows.t() @ dy.float()
    out = torch.full((128, 64), float("nan"), device="cuda")
    assert (spiketune.weight_gradient(encoded, dy) == expected).all()
    assert spiketune.weight_gradient(encoded, dy, out=out) is out and (out == expected).all()
    by_stream = spiketune.weight_gradient(encoded, dy, stream=torch.cuda.current_stream())
    by_interface = spiketune.weight_gradient(encoded, ByInterface(dy)) if dtype != torch.bfloat16 else by_stream
    torch.cuda.synchronize()
    assert (by_stream == expected).all() and (torch.as_tensor(by_interface, device="cuda") == expected).all()
    bitmap = spiketune.encode(x, "bitmap")
    expected = dy.float() @ w.float().t() * rows
    for mask in (bitmap, bitmap.words.view(256, 4)):
        assert (spiketune.spike_gradient(dy, w, mask) == expected).all()
    values = integers(256, 128, dtype=dtype) / 4
    out = torch.empty_like(values)
    spiketune.spike_gradient(dy, w, bitmap, values=values, out=out)
    torch.testing.assert_close(out.float(), expected * values.float(), rtol=1e-2, atol=1e-2)


def test_windows_and_neurons_are_the_hosts():
    x = spikes((4, 2 * 6 * 5, 64))
    windows = spiketune.im2col(spiketune.encode(x, "bitmap"), (6, 5), (3, 3), stride=2, padding=1)
    expected = spiketune.im2col(spiketune.encode(x.cpu().numpy(), "bitmap"), (6, 5), (3, 3), stride=2, padding=1)
    assert windows.shape == expected.shape == (4, 2 * 3 * 3, 576)
    assert (windows.decode().cpu().numpy() == expected.decode()).all()
    currents = torch.randn(4, 18, 70, device="cuda") * 3
    for name in ("bitmap", "csr"):
        fired, _ = spiketune.lif(currents, format=name)
        assert (fired.check().decode() == spiketune.lif(currents)[0]).all()


def test_what_spmm_lif_cannot_do():
    with pytest.raises(spiketune.Error, match="multiple of 8"):
        spiketune.spmm_lif(spiketune.encode(spikes(), "bitmap"), integers(134, 9))
    with pytest.raises(spiketune.Error, match="memory of cuda"):
        spiketune.spmm_lif(spiketune.encode(spikes(), "bitmap"), torch.zeros(134, 8).half())


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("shape, n", [((4, 300, 384), 1152), ((1, 70, 100), 136), ((6, 65, 200), 200)])
def test_quantised_weights_are_the_hosts(bits, shape, n):
    x, w, bias = spikes(shape, 0.2), torch.randn((shape[-1], n)).half(), torch.randn(n)
    there, here = spiketune.quantize(w.cuda(), bits), spiketune.quantize(w.numpy(), bits)
    assert there.device == x.device.index and (there.integers == here.integers).all() and (there.scales == here.scales).all()
    assert there.relative_error == pytest.approx(here.relative_error)
    exact = (x.flatten(0, 1).cpu().double() @ torch.from_numpy(here.integers).double()) * torch.from_numpy(here.scales)
    torch.testing.assert_close(spiketune.spmm(spiketune.encode(x, "bitmap"), there).cpu().double(), exact, rtol=1e-5, atol=1e-5)
    fired = spiketune.spmm_lif(spiketune.encode(x, "bitmap"), there, scale=0.3, bias=bias.cuda())
    expected = spiketune.spmm_lif(spiketune.encode(x.cpu(), "bitmap"), here, scale=0.3, bias=bias)
    assert (fired.decode().cpu() == torch.as_tensor(expected.decode())).all() and fired.nnz > 0
