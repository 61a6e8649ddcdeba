"""Gradients, and neurons behind a product, on NumPy's arrays."""

import numpy as np
import pytest

import spiketune


def spikes(shape=(4, 9, 70), density=0.2, seed=1):
    return (np.random.default_rng(seed).random(shape) < density).astype(np.uint8)


def integers(*shape, seed=2, dtype=np.float32):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def words(x):
    padded = np.pad(x.reshape(-1, x.shape[-1]), ((0, 0), (0, -x.shape[-1] % 32)))
    return np.packbits(padded, axis=-1, bitorder="little").view(np.uint32)


@pytest.mark.parametrize("name", ["bitmap", "csr", "csc"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_weight_gradient(name, dtype):
    x, dy = spikes(), integers(36, 5, dtype=dtype)
    expected = x.reshape(-1, 70).T.astype(np.float32) @ dy.astype(np.float32)
    encoded = spiketune.encode(x, name)
    assert (spiketune.weight_gradient(encoded, dy) == expected).all()
    out = np.full((70, 5), np.nan, np.float32)
    assert spiketune.weight_gradient(encoded, dy, out=out) is out
    assert (out == expected).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("values", [None, np.float32, np.float16])
def test_spike_gradient(dtype, values):
    mask = spikes(density=0.4)
    dy, w = integers(36, 5, dtype=dtype), integers(70, 5, seed=3, dtype=dtype)
    expected = (dy.astype(np.float32) @ w.astype(np.float32).T) * mask.reshape(36, 70)
    factors = None
    if values is not None:
        factors = integers(36, 70, seed=4, dtype=values) / values(4)
        expected = expected * factors.astype(np.float32)
    for bits in (words(mask), spiketune.encode(mask, "bitmap")):
        got = spiketune.spike_gradient(dy, w, bits, values=factors)
        assert got.dtype == np.float32 and (got == expected).all()
    out = np.full((36, 70), np.nan, dtype)
    assert spiketune.spike_gradient(dy, w, words(mask), values=factors, out=out) is out
    assert (out == expected).all()


def fire(x, w, scale, bias, before):
    """SpikingJelly's neuron of tau 2, by hand."""
    v, fired = before.copy(), []
    for step in x:
        v = np.float32(0.5) * v + np.float32(0.5) * (scale * (step.astype(np.float32) @ w.astype(np.float32)) + bias)
        fired.append(v >= 1)
        v = np.where(fired[-1], np.float32(0), v)
    return np.array(fired), v


@pytest.mark.parametrize("order", ["time-major", "token-major"])
@pytest.mark.parametrize("tiles", [False, True])
def test_spmm_lif_is_product_and_neurons(order, tiles):
    x, w = spikes(), integers(70, 24, dtype=np.float16)
    scale, bias = integers(24, seed=5) / 4, integers(24, seed=6) / 8
    encoded = spiketune.encode(x, "bitmap", params={"tiles": tiles}, encoded_order=order)
    rest = np.zeros((9, 24), np.float32)
    expected, after = fire(x, w, scale, bias, rest)
    fired = spiketune.spmm_lif(encoded, w, scale=scale, bias=bias)
    assert fired.format == "bitmap" and fired.shape == (4, 9, 24) and fired.row_order == order
    assert (fired.decode() == expected).all()
    assert fired.nnz == expected.sum() > 0
    # The next layer takes it as it is, and membranes go on.
    v = integers(24, 3, seed=7)
    assert (spiketune.spmm(fired, v) == spiketune.spmm(spiketune.encode(expected, "bitmap", encoded_order=order), v)).all()
    state = rest.copy()
    spiketune.spmm_lif(encoded, w, scale=scale, bias=bias, state=state, row_order="time-major")
    assert (state == after).all()
    expected, after = fire(x, w, scale, bias, after)
    assert (spiketune.spmm_lif(encoded, w, scale=scale, bias=bias, state=state).decode() == expected).all()
    assert (state == after).all()


def test_spmm_lif_with_a_number_as_scale():
    x, w = spikes(), integers(70, 24)
    expected, _ = fire(x, w, np.float32(0.25), np.float32(0), np.zeros((9, 24), np.float32))
    for scale in (0.25, np.float32(0.25)):
        assert (spiketune.spmm_lif(spiketune.encode(x, "bitmap"), w, scale=scale).decode() == expected).all()


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: spiketune.weight_gradient(spiketune.encode(spikes(), "ell"), integers(36, 5)), "bitmap, csr or csc, not of ell"),
        (lambda: spiketune.weight_gradient(spiketune.encode(spikes()), integers(35, 5)), "dY has 35 rows"),
        (lambda: spiketune.weight_gradient(spiketune.encode(spikes()), integers(36)), r"\[T \* rows, N\]"),
        (lambda: spiketune.weight_gradient(spiketune.encode(spikes()), integers(36, 5), out=integers(70, 5, dtype=np.float16)), "dW must be f32"),
        (lambda: spiketune.spike_gradient(integers(36, 5), integers(70, 4), words(spikes())), "columns"),
        (lambda: spiketune.spike_gradient(integers(36, 5), integers(70, 5), spikes()), r"uint32 of the shape \[36, 3\]"),
        (lambda: spiketune.spike_gradient(integers(36, 5), integers(70, 5), spiketune.encode(spikes())), "bitmap in rows, 36 x 70"),
        (lambda: spiketune.spike_gradient(integers(36, 5), integers(70, 5), words(spikes()), values=integers(36, 5)), "values must have"),
        (lambda: spiketune.spmm_lif(spiketune.encode(spikes()), integers(70, 8)), "as bitmap, not as csr"),
        (lambda: spiketune.spmm_lif(spiketune.encode(spikes(), "bitmap"), integers(71, 8)), "K is 70"),
        (lambda: spiketune.spmm_lif(spiketune.encode(spikes(), "bitmap"), integers(70, 8), bias=integers(7)), r"bias must be float32 .* \[N\]"),
        (lambda: spiketune.spmm_lif(spiketune.encode(spikes(), "bitmap"), integers(70, 8), scale="1"), "scale must be"),
        (lambda: spiketune.spmm_lif(spiketune.encode(spikes(), "bitmap"), integers(70, 8), state=integers(8, 9).T), "state must be contiguous"),
        (lambda: spiketune.spmm_lif(spiketune.encode(spikes(), "bitmap"), integers(70, 8), reset="medium"), "hard or soft"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises((spiketune.Error, TypeError), match=sentence):
        call()


def test_empty():
    for t, rows, k in ((1, 0, 5), (1, 3, 0)):
        encoded = spiketune.encode(np.zeros((t, rows, k), np.uint8), "bitmap")
        assert not spiketune.weight_gradient(encoded, np.zeros((rows, 8), np.float32)).any()
        assert spiketune.spmm_lif(encoded, np.zeros((k, 8), np.float32)).nnz == 0


def test_windows_of_images():
    x = spikes((2, 2 * 6 * 5, 32), density=0.4)
    images = np.pad(x.reshape(2, 2, 6, 5, 32), ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
    rows = [images[:, :, y : y + 3, z : z + 2].reshape(2, 2, 1, -1) for y in range(0, 6, 2) for z in range(0, 6, 2)]
    expected = np.concatenate(rows, axis=2).reshape(2, -1, 192)
    windows = spiketune.im2col(spiketune.encode(x, "bitmap"), (6, 5), (3, 2), stride=2, padding=1)
    assert windows.shape == expected.shape
    assert (windows.decode() == expected).all() and windows.nnz == expected.sum()
    for call, sentence in (
        (lambda: spiketune.im2col(spiketune.encode(x), (6, 5), (3, 3)), "as bitmap, not as csr"),
        (lambda: spiketune.im2col(spiketune.encode(x, "bitmap"), (6, 7), (3, 3)), "not whole images of 6 x 7"),
        (lambda: spiketune.im2col(spiketune.encode(x[..., :31], "bitmap"), (6, 5), (3, 3)), "multiple of 32, not 31"),
    ):
        with pytest.raises(spiketune.Error, match=sentence):
            call()


@pytest.mark.parametrize("name", ["bitmap", "csr", "ell"])
def test_neurons_fire_into_a_format(name):
    currents = np.random.default_rng(4).normal(size=(5, 7, 70)).astype(np.float32) * 3
    expected, after = spiketune.lif(currents)
    fired, state = spiketune.lif(currents, format=name)
    assert fired.format == name and (fired.check().decode() == expected).all() and fired.nnz == expected.sum()
    assert (state == after).all()
    with pytest.raises(spiketune.Error, match="currents must have the shape"):
        spiketune.lif(currents[0, 0], format=name)


@pytest.mark.parametrize("bits, top", [(8, 127), (4, 7)])
def test_quantised_weights(bits, top):
    w = np.random.default_rng(3).normal(size=(70, 24)).astype(np.float32)
    w[:, 3] = 0
    quantised = spiketune.quantize(w, bits)
    scales = np.where(w.any(0), np.abs(w).max(0) / np.float32(top), np.float32(1)).astype(np.float32)
    assert quantised.bits == bits and quantised.shape == (70, 24) and quantised.device == -1
    assert (quantised.scales == scales).all()
    assert (quantised.integers == np.rint(w / scales)).all() and quantised.integers.dtype == np.int8
    back = quantised.scales * quantised.integers.astype(np.float64)
    assert quantised.relative_error == pytest.approx(np.linalg.norm(w - back) / np.linalg.norm(w))
    assert quantised.largest_error == pytest.approx(np.abs(w - back).max())
    x = spikes()
    integers = x.reshape(-1, 70).astype(np.int64) @ quantised.integers
    for name in ("bitmap", "csr"):
        np.testing.assert_allclose(spiketune.spmm(spiketune.encode(x, name), quantised), integers * scales, rtol=1e-5, atol=1e-5)
    # Neurons of the exact sums: one rounding of the scale, one of the current.
    scale = np.float32(0.75) * scales
    currents = (scale.astype(np.float64) * integers + 0.25).astype(np.float32).reshape(4, 9, 24)
    v, expected = np.zeros((9, 24), np.float32), []
    for current in currents:
        v = np.float32(0.5) * v + np.float32(0.5) * current
        expected.append(v >= 1)
        v = np.where(expected[-1], np.float32(0), v)
    fired = spiketune.spmm_lif(spiketune.encode(x, "bitmap"), quantised, scale=0.75, bias=np.full(24, 0.25, np.float32))
    assert (fired.decode() == np.array(expected)).all() and 0 < fired.nnz < fired.decode().size


def test_quantize_refuses():
    with pytest.raises(spiketune.Error, match="bits must be 8 or 4, not 5"):
        spiketune.quantize(integers(70, 5), 5)
    with pytest.raises(spiketune.Error, match="column 2 .* not finite"):
        spiketune.quantize(np.where(np.arange(5) == 2, np.inf, integers(70, 5)).astype(np.float32))
    with pytest.raises(spiketune.Error, match="K is 70"):
        spiketune.spmm_lif(spiketune.encode(spikes(), "bitmap"), spiketune.quantize(integers(71, 8)))
