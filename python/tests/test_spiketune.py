from pathlib import Path

import numpy as np
import pytest

import spiketune


def spikes(shape=(3, 17, 70), density=0.2, seed=1):
    return (np.random.default_rng(seed).random(shape) < density).astype(np.uint8)


@pytest.mark.parametrize("name", spiketune.formats())
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
def test_every_format_round_trips_and_multiplies(name, density):
    x = spikes(density=density)
    encoded = spiketune.encode(x, name)
    assert encoded.format == name
    assert encoded.shape == x.shape
    assert encoded.nnz == x.sum()
    assert (encoded.decode() == x).all()
    w = np.random.default_rng(2).integers(-4, 5, (70, 9)).astype(np.float32)
    assert (spiketune.spmm(encoded, w) == x.reshape(-1, 70).astype(np.float32) @ w).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.bool_, np.float16, np.float32])
def test_storage(dtype):
    x = spikes()
    assert (spiketune.encode(x.astype(dtype), "csr").decode() == x).all()


def test_packed_bits():
    x = spikes((1, 5, 64))
    words = np.packbits(x, axis=-1, bitorder="little").view(np.uint32)
    assert (spiketune.encode(words, "coo", k=64).decode() == x).all()
    with pytest.raises(spiketune.Error, match="packed bits"):
        spiketune.encode(words, "coo")


def test_graded_values():
    x = np.where(np.random.default_rng(1).random((2, 9, 40)) < 0.3, 1.5, 0).astype(np.float32)
    csr = spiketune.encode(x, "csr", kind="graded")
    assert (csr.decode() == x).all()
    assert (csr.values == 1.5).all()
    with pytest.raises(spiketune.Error, match="spike"):
        spiketune.encode(x, "csr")


def test_row_orders():
    x = spikes((4, 6, 33))
    token = spiketune.encode(x, "csr", encoded_order="token-major")
    w = np.eye(33, dtype=np.float32)
    assert (spiketune.spmm(token, w) == x.transpose(1, 0, 2).reshape(-1, 33)).all()
    assert (token.decode() == x).all()


def test_arrays_are_views():
    x = spikes()
    csr = spiketune.encode(x, "csr")
    assert csr.row_offsets[-1] == csr.nnz == len(csr.column_indices)
    assert not csr.column_indices.flags.writeable
    assert csr.column_indices.ctypes.data == csr.column_indices.ctypes.data  # the same memory
    columns = csr.column_indices
    expected = columns.copy()
    del csr
    assert (columns == expected).all()  # the array keeps the encoding
    with pytest.raises(AttributeError, match="row_offsets"):
        spiketune.encode(x, "csr").nonsense


def test_formats_with_other_capacities():
    x = spikes(density=0.03)
    x[0, 3] = 1
    ell = spiketune.encode(x, "ell")
    assert (ell.decode() == x).all()
    bsr = spiketune.encode(x, "bsr", params={"block_size": 8})
    assert bsr.params["block_size"] == 8
    assert (bsr.decode() == x).all()


@pytest.mark.parametrize("name", ["coo", "csr", "csc"])
def test_scipy(name):
    pytest.importorskip("scipy")
    x = spikes()
    assert (spiketune.encode(x, name).to_scipy().toarray() == x.reshape(-1, 70)).all()
    with pytest.raises(spiketune.Error, match="SciPy"):
        spiketune.encode(x, "bitmap").to_scipy()


def test_torch():
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(spikes())
    csr = spiketune.encode(x, "csr").to_torch()
    assert (csr.to_dense() == x.reshape(-1, 70)).all()
    assert (spiketune.encode(x.to(torch.bfloat16), "csr").decode() == x.numpy()).all()


def test_lif_is_spikingjellys():
    currents = np.random.default_rng(4).normal(size=(6, 11, 13)).astype(np.float32) * 3
    v = np.zeros((11, 13), np.float32)
    expected = []
    for x in currents:
        v = np.float32(0.5) * v + np.float32(0.5) * x
        s = v >= 1
        v = np.where(s, np.float32(0), v)
        expected.append(s)
    got, state = spiketune.lif(currents)
    assert (got == np.array(expected)).all()
    assert (state == v).all()
    first, state = spiketune.lif(currents[:2])
    rest, _ = spiketune.lif(currents[2:], state=state)
    assert (np.concatenate([first, rest]) == got).all()


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: spiketune.encode(spikes(), "crs"), "there is no format 'crs'; there are"),
        (lambda: spiketune.encode(np.full((2, 3), np.nan, np.float32)), "NaN"),
        (lambda: spiketune.encode(np.full((2, 3), 2, np.uint8)), "not a binary spike"),
        (lambda: spiketune.encode(np.zeros(3, np.uint8)), r"\[rows, K\]"),
        (lambda: spiketune.encode(np.zeros((2, 3), np.int64)), "must be of type"),
        (lambda: spiketune.encode(spikes(), params={"nope": 1}), "nope"),
        (lambda: spiketune.encode(spikes(), kind="grey"), "kind"),
        (lambda: spiketune.spmm(spiketune.encode(spikes()), np.zeros((3, 4), np.float32)), "K is 70"),
        (lambda: spiketune.lif(np.zeros((2, 3, 4), np.float32), reset="medium"), "hard or soft"),
        (lambda: spiketune.sweep(shape="4x4"), "is not a shape"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(spiketune.Error, match=sentence):
        call()


def test_empty():
    for shape in [(0, 5), (2, 0, 7), (1, 3, 0)]:
        x = np.zeros(shape, np.uint8)
        csr = spiketune.encode(x)
        assert csr.nnz == 0
        assert spiketune.spmm(csr, np.zeros((shape[-1], 3), np.float32)).shape[1] == 3


def test_the_readmes_example_runs(capsys):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    code = readme.split("```python\n", 1)[1].split("```", 1)[0]
    names = {}
    exec(code, names)  # noqa: S102
    assert names["y"].shape == (256, 128)
    assert "total_us" in capsys.readouterr().out


def test_sweep_report_and_plan(tmp_path):
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "report.json"
    report = spiketune.sweep(shape="64x48x16", density=[0.05, 0.2], weights="f32", backend="host", formats=["csr", "dense"],
                             baselines=False, max_samples=3, max_seconds_per_candidate=0.05, out=path)
    table = report.to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert set(table["format"]) == {"csr", "dense"}
    assert (table["total_us"] > 0).all()
    assert len(report.winners) == 2
    plans = spiketune.plan(from_=path, shape="64x48x16", density=0.1, weights="f32")
    assert {p["format"] for p in plans[0]["plans"]} == {"csr", "dense"}
