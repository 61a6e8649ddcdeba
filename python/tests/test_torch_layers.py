"""spiketune.torch against PyTorch, SpikingJelly and snnTorch."""

import copy
import functools
import pickle
from pathlib import Path

import pytest

import spiketune

torch = pytest.importorskip("torch")
if not hasattr(torch.library, "custom_op"):
    pytest.skip("PyTorch is older than 2.4", allow_module_level=True)
st = pytest.importorskip("spiketune.torch")
nn = torch.nn


def spikes(*shape, density=0.1, seed=0):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < density).float()


def gradients(layer, x, grad, forward=None):
    layer.zero_grad()
    x = x.clone().requires_grad_()
    y = (forward or layer)(x)
    y.backward(grad)
    return y.detach(), x.grad, [p.grad.clone() for p in layer.parameters()]


def assert_same(one, other):
    for a, b in zip(one, other):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("format", ["auto", "csr", "bitmap", "dense"])
def test_linear_is_nn_linear(format):
    dense = nn.Linear(70, 24)
    layer = st.SpikeLinear.from_linear(dense, format=format)
    assert layer.weight is dense.weight and layer.state_dict().keys() == dense.state_dict().keys()
    x = spikes(4, 16, 70)
    grad = torch.randn(4, 16, 24)
    assert_same(gradients(layer, x, grad), gradients(dense, x, grad))
    torch.testing.assert_close(layer.freeze()(x.bool()), dense(x))


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3},
        {"kernel_size": 3, "stride": 2, "padding": 1, "bias": False},
        {"kernel_size": (3, 2), "dilation": (2, 1), "padding": 2},
        {"kernel_size": 3, "groups": 2, "padding": "same", "padding_mode": "reflect"},
    ],
)
@pytest.mark.parametrize("format", ["csr", "dense"])
def test_conv2d_is_nn_conv2d(options, format):
    dense = nn.Conv2d(4, 8, **options)
    layer = st.SpikeConv2d.from_conv2d(dense, format=format)
    x = spikes(3, 4, 11, 9, density=0.3)
    y = dense(x)
    grad = torch.randn_like(y)
    assert_same(gradients(layer, x, grad), gradients(dense, x, grad))
    torch.testing.assert_close(layer.freeze()(x[0]), y[0])
    torch.testing.assert_close(layer(x[None]), y[None])


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"padding": 2, "bias": False}])
@pytest.mark.parametrize("format", ["csr", "bitmap", "dense"])
def test_conv2d_of_bits_is_nn_conv2d(options, format):
    dense = nn.Conv2d(64, 8, (3, 2), **options)
    x = spikes(3, 64, 7, 6, density=0.3)
    y = dense(x)
    grad = torch.randn_like(y)
    expected = gradients(dense, x, grad)
    for masked in (False, True):
        layer = st.SpikeConv2d.from_conv2d(dense, format=format, mask_input_grad=masked)
        saved = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
            got = gradients(layer, x, grad)
        assert_same((got[0], got[1], *got[2]), (expected[0], expected[1] * x if masked else expected[1], *expected[2]))
        weight = layer.weight.untyped_storage().data_ptr()
        assert sum(t.nbytes for t in saved if t.untyped_storage().data_ptr() != weight) == x.numel() // 8
        torch.testing.assert_close(layer.freeze()(x[None].bool()), y[None])
    (row,) = st.summary(nn.Sequential(layer)).layers
    assert row["k"] == 384 and row["m"] == y.numel() // 8 and row["saved_bytes"] == x.numel() // 8


def test_masked_input_gradient():
    layer = st.SpikeLinear(70, 24, mask_input_grad=True)
    x = spikes(16, 70)
    grad = torch.randn(16, 24)
    torch.testing.assert_close(gradients(layer, x, grad)[1], grad @ layer.weight.detach() * x)


def test_what_is_saved_is_bits():
    layer = st.SpikeLinear(1024, 8, format="csr")
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        layer(spikes(64, 1024))
    activations = [t for t in saved if t.untyped_storage().data_ptr() != layer.weight.untyped_storage().data_ptr()]
    assert sum(t.numel() * t.element_size() for t in activations) == 64 * 1024 // 8


def check_operator(name, *arguments):
    operator = getattr(torch.ops.spiketune, name).default
    torch.library.opcheck(operator, arguments)
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True):  # strides, which opcheck does not look at
        fake = operator(*arguments)
    for one, other in zip(torch.utils._pytree.tree_leaves(fake), torch.utils._pytree.tree_leaves(operator(*arguments))):
        assert one.shape == other.shape and one.stride() == other.stride()


def test_operators_trace():
    x, w = spikes(16, 70), torch.randn(8, 70)
    check_operator("pack", x)
    check_operator("linear", x, w, torch.randn(8), "csr")
    check_operator("linear", x, w, None, "bitmap")
    check_operator("weight_gradient_of_bits", st.pack(x), 70, torch.randn(16, 8))
    for format in ("csr", "bitmap"):
        check_operator("conv2d", spikes(2, 32, 6, 5), torch.randn(8, 32, 3, 2), torch.randn(8), 2, 1, format)
    bits, neuron = st.pack(x).view(4, 4, 3), (0.5, 0.5, 1.0, "hard", 0.0, "spikingjelly")
    fired = torch.zeros(4, 4, 1, dtype=torch.int32)
    check_operator("unpack", bits, 70, torch.float16)
    for trains in (False, True):
        check_operator("fire_bits", bits, torch.randn(70, 8), torch.randn(8), 2.0, *neuron, 0.5, trains)
    check_operator("lif_gradient", torch.randn(16, 8), fired, fired, *neuron, 0.5, 2.0)


@pytest.mark.parametrize("format", ["csr", "bitmap", "dense"])
@pytest.mark.parametrize("options", [{}, {"mask_input_grad": True}, {"weight_bits": 8}])
def test_layers_compile(format, options):
    torch._dynamo.reset()
    model = nn.Sequential(st.SpikeConv2d(32, 64, 3, format=format, **options), st.SpikeLIF(threshold=0.05, surrogate_width=2.0),
                          st.SpikeConv2d(64, 4, (3, 2), groups=2, format=format, **options), nn.Flatten(), st.SpikeLIF(threshold=0.05, surrogate_width=2.0),
                          st.SpikeLinear(4 * 3 * 3, 24, format=format, **options))

    def run(x):
        for neurons in (model[1], model[4]):
            neurons.reset()
        return model(x)

    x, grad = spikes(3, 32, 7, 6, density=0.3), torch.randn(3, 24)
    expected = gradients(model, x, grad, run)
    got = gradients(model, x, grad, torch.compile(run, fullgraph=True, backend="aot_eager"))
    assert_same((*got[:2], *got[2]), (*expected[:2], *expected[2]))
    assert expected[1].any()


class _Fused(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.layers = nn.ModuleList([st.SpikeLinearLIF(70, 64, **options), st.SpikeLinearLIF(32, 40, bias=False, **options)])

    def forward(self, x):
        return self.layers[1](self.layers[0](x).channels(32, 64))


@pytest.mark.parametrize("options", [{"scale": 4.0}, {"reset": "soft", "scale": 2.0}, {"weight_bits": 8, "scale": 4.0}])
def test_fused_layers_compile(options):
    model = _Fused(**options)
    with torch.no_grad():  # sums are exact, whatever their order
        for layer in model.layers:
            layer.weight.copy_(torch.randint(-4, 5, layer.weight.shape) / 8)
    x, grad = spikes(4, 3, 5, 70, density=0.3), torch.randint(-4, 5, (4, 3, 5, 40)).float()
    torch._dynamo.reset()
    compile = functools.partial(torch.compile, fullgraph=True, backend="aot_eager")
    compiled, inside = compile(model), compile(lambda x: model(x).dense())
    expected = gradients(model, x, grad, lambda x: model(x).dense())
    # Dense at the end inside and outside of the graph, and bits at its beginning.
    for forward in (inside, lambda x: compiled(x).dense(), lambda x: compiled(st.Spikes.of(x)).dense()):
        y, of_x, of_parameters = gradients(model, x, grad, forward)
        assert (y == expected[0]).all() and 0 < y.mean() < 1
        assert_same((of_x, *of_parameters), (expected[1], *expected[2]))
    with torch.no_grad():
        assert (compiled(x).dense() == expected[0]).all()


def test_gradients_have_none():
    layers = (st.SpikeLinear(64, 24), st.SpikeLinearLIF(64, 24, surrogate_width=4.0))
    for layer, x in zip(layers, (spikes(9, 64).requires_grad_(), spikes(2, 9, 64).requires_grad_())):
        y = layer(x)
        y = y.dense() if isinstance(y, st.Spikes) else y
        (of_x,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        with pytest.raises(RuntimeError, match="differentiate twice"):
            of_x.square().sum().backward()


def test_frozen_integers_break_the_graph():
    for layer, x in ((st.SpikeLinear(64, 24, weight_bits=8), spikes(9, 64)), (st.SpikeConv2d(32, 8, 3, weight_bits=8), spikes(2, 32, 6, 5)),
                     (st.SpikeConv2d(4, 8, 3, weight_bits=4), spikes(2, 4, 6, 5))):
        expected = layer.freeze()(x)
        torch._dynamo.reset()
        torch.testing.assert_close(torch.compile(layer, backend="eager")(x), expected)
    layer = st.SpikeLinearLIF(64, 24, weight_bits=8, scale=4.0).freeze()
    assert (torch.compile(layer, backend="eager")(spikes(2, 9, 64)).dense() == layer(spikes(2, 9, 64)).dense()).all()


def test_convert_and_summary():
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 10))
    expected = copy.deepcopy(model)
    assert st.convert(model, lambda name, _: name != "0") is model
    assert type(model[0]) is nn.Linear and type(model[2]) is st.SpikeLinear
    assert not st.summary(model).layers
    model[2](spikes(8, 30))
    (row,) = st.summary(model).layers
    assert row["name"] == "2" and row["saved_bytes"] == 8 * 4 and row["dense_bytes"] == 8 * 30 * 4
    assert row["format"] in str(st.summary(model))
    with pytest.raises(spiketune.Error, match="not a binary spike"):
        st.convert(expected)(torch.randn(4, 20))


@pytest.mark.parametrize("reset", [0.0, -0.25, None])
@pytest.mark.parametrize("decay", [True, False])
def test_spikingjellys_neurons(reset, decay):
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    node = neuron.LIFNode(tau=2.0, decay_input=decay, v_reset=reset, step_mode="m").eval()
    lif = st.from_spikingjelly(node, dtype=torch.float32)
    currents = torch.randint(-8, 17, (6, 3, 5)) / 8  # sums are exact, whatever their order
    assert (lif(currents) == node(currents)).all()
    assert (lif(currents) == node(currents)).all()  # membranes go on
    with pytest.raises(spiketune.Error, match="not ParametricLIFNode"):
        st.from_spikingjelly(neuron.ParametricLIFNode())


@pytest.mark.parametrize("mechanism", ["subtract", "zero"])
def test_snntorchs_neurons(mechanism):
    snntorch = pytest.importorskip("snntorch")
    neuron = snntorch.Leaky(beta=0.5, reset_mechanism=mechanism)
    lif = st.from_snntorch(neuron, dtype=torch.float32)
    currents = torch.randint(-8, 17, (6, 3, 5)) / 8
    membrane = neuron.init_leaky()
    expected = []
    for x in currents:
        spike, membrane = neuron(x, membrane)
        expected.append(spike)
    assert (lif(currents) == torch.stack(expected)).all()
    lif.reset()
    assert lif.state is None


class _Boxcar(torch.autograd.Function):
    @staticmethod
    def forward(ctx, distance, width):
        ctx.save_for_backward(distance)
        ctx.width = width
        return distance.new_tensor(0) + (distance >= 0)

    @staticmethod
    def backward(ctx, grad):
        (distance,) = ctx.saved_tensors
        return grad * (distance.abs() < ctx.width) / (2 * ctx.width), None


def neurons_by_hand(x, soft, reset_value, snntorch, width=0.5):
    """By PyTorch's own autograd; the reset is a constant. Threshold 1, leak and gain 1/2."""
    v, fired = torch.full_like(x[0], 0.0 if soft else reset_value), []
    for current in x:
        h = 0.5 * v + 0.5 * current
        if snntorch:
            late = (v > 1).detach()
            h = h - late.float() if soft else torch.where(late, 0.5 * current, h)
        elif not soft:
            h = h + 0.5 * reset_value
        spike = _Boxcar.apply(h - 1, width)
        s = spike.detach()
        v = h if snntorch else h - s if soft else h * (1 - s) + reset_value * s
        fired.append(spike)
    return torch.stack(fired), v


@pytest.mark.parametrize("soft, reset_value", [(True, 0.0), (False, 0.0), (False, -0.25)])
@pytest.mark.parametrize("convention", ["spikingjelly", "snntorch"])
@pytest.mark.parametrize("steps", [1, 4, 7, 16, 32])
def test_neurons_with_a_surrogate(soft, reset_value, convention, steps):
    snntorch = convention == "snntorch"
    if snntorch and reset_value:
        pytest.skip("snnTorch resets to zero")
    options = {"reset": "soft" if soft else "hard", "reset_value": reset_value, "convention": convention}
    lif = st.SpikeLIF(surrogate_width=0.5, **options)
    x = (torch.randint(-16, 65, (steps, 5, 9), generator=torch.Generator().manual_seed(steps)) / 16 + 1 / 64).requires_grad_()
    grad = torch.randn(steps, 5, 9)
    expected, after = neurons_by_hand(x, soft, reset_value, snntorch)
    (wanted,) = torch.autograd.grad(expected, x, grad)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        spikes_ = lif(x)
    (got,) = torch.autograd.grad(spikes_, x, grad)
    assert (spikes_ == expected).all() and (lif.state == after).all() and 0 < spikes_.mean() < 1
    torch.testing.assert_close(got, wanted)
    assert sum(t.numel() * t.element_size() for t in saved) <= max(1, steps / 4) * 45 * 1.5
    if reset_value == 0:  # the same neurons as the kernel's
        assert (st.SpikeLIF(dtype=torch.float32, **options)(x.detach()) == expected).all()


def test_a_surrogate_that_cannot_be():
    with pytest.raises(spiketune.Error, match="above 0"):
        st.SpikeLIF(surrogate_width=0.0)
    with pytest.raises(spiketune.Error, match="up to 32 steps"):
        st.SpikeLIF(surrogate_width=1.0)(torch.zeros(33, 2))


class ByHand(nn.Module):
    def forward(self, x):
        return neurons_by_hand(x, False, 0.0, False)[0]


def test_the_loss_falls_as_with_nn_linear():
    torch.manual_seed(3)
    x, classes = spikes(4, 64, 70, density=0.2), torch.arange(64) % 5
    dense = nn.Sequential(nn.Linear(70, 48), ByHand(), nn.Linear(48, 5))
    with torch.no_grad():
        dense[0].weight *= 8
    sparse = copy.deepcopy(dense)
    sparse = st.convert(sparse)
    sparse[1] = st.SpikeLIF(surrogate_width=0.5)
    losses = []
    for model in (dense, sparse):
        optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
        losses.append([])
        for _ in range(30):
            if model is sparse:
                model[1].reset()
            loss = nn.functional.cross_entropy(model(x).mean(0), classes)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    assert losses[0][-1] < 0.7 * losses[0][0]
    torch.testing.assert_close(torch.tensor(losses[1]), torch.tensor(losses[0]), rtol=0.02, atol=0.02)


def test_a_trained_layer_compiles():
    model = nn.Sequential(st.SpikeLinear(70, 24, format="dense"), st.SpikeLIF(surrogate_width=1.0), st.SpikeLinear(24, 8, format="dense"))
    x, grad = spikes(4, 16, 70), torch.randn(4, 16, 8)
    expected = gradients(model, x, grad)
    model[1].reset()
    assert_same(gradients(torch.compile(model, fullgraph=True, backend="aot_eager"), x, grad), expected)


def test_convert_of_spikingjellys_layers():
    layer = pytest.importorskip("spikingjelly.activation_based.layer")
    model = nn.Sequential(layer.Conv2d(2, 4, 3, step_mode="m"))
    x = spikes(3, 2, 2, 8, 8)
    expected = model(x)
    torch.testing.assert_close(st.convert(model)(x), expected)


@pytest.mark.skipif(bool(spiketune.cuda_unavailable_reason()) or not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("format", ["csr", "bitmap", "dense"])
def test_layers_on_a_device(format):
    layer = st.SpikeLinear(134, 24, device="cuda", dtype=torch.float16, format=format)
    x = spikes(3, 33, 134).cuda().half()
    grad = torch.ones(3, 33, 24, device="cuda").half()
    dense = nn.Linear(134, 24, device="cuda", dtype=torch.float16)
    dense.load_state_dict(layer.state_dict())
    for one, other in zip(gradients(layer, x, grad)[2], gradients(dense, x, grad)[2]):
        torch.testing.assert_close(one, other, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(layer(x), dense(x), rtol=2e-3, atol=2e-3)


@pytest.mark.skipif(bool(spiketune.cuda_unavailable_reason()) or not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("format", ["csr", "bitmap", "dense"])
def test_convolutions_on_a_device(format):
    dense = nn.Conv2d(64, 24, 3, padding=1, device="cuda", dtype=torch.float16)
    layer = st.SpikeConv2d.from_conv2d(dense, format=format, mask_input_grad=True)
    x = spikes(3, 64, 7, 6).cuda().half()
    grad = torch.ones(3, 24, 7, 6, device="cuda").half()
    y, of_x, parameters = gradients(layer, x, grad)
    expected, of_dense, of_parameters = gradients(dense, x, grad)
    for one, other in zip((y, of_x, *parameters), (expected, of_dense * x, *of_parameters)):
        torch.testing.assert_close(one, other, rtol=4e-3, atol=4e-3)


def test_the_readmes_example_runs(capsys):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    code = readme.split("## In PyTorch", 1)[1].split("```python\n", 1)[1].split("```", 1)[0]
    exec(code, {})  # noqa: S102
    assert "3.1%" in capsys.readouterr().out  # of float32


class _DenseLif(nn.Module):
    """nn.Linear and neurons, by PyTorch's own autograd."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        options = dict(zip(("leak", "gain", "threshold", "reset", "reset_value", "convention"), self.layer.neuron))
        lif = st.SpikeLIF(surrogate_width=self.layer.surrogate_width, **options)
        bias = 0 if self.layer.bias is None else self.layer.bias
        return lif(self.layer.scale * (x @ self.layer.weight.t()) + bias)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 2.0, "reset": "soft", "bias": False},
        {"reset_value": -0.25, "surrogate_width": 0.25},
        {"convention": "snntorch", "gain": 1.0, "scale": 0.5},
        {"convention": "snntorch", "gain": 1.0, "reset": "soft"},
    ],
)
def test_fused_layers_are_linear_and_neurons(options):
    layers = [st.SpikeLinearLIF(70, 64, **options), st.SpikeLinearLIF(32, 40, **options)]
    for layer in layers:  # sums are exact, whatever their order
        with torch.no_grad():
            layer.weight.copy_(torch.randint(-4, 5, layer.weight.shape) / 8)
            if layer.bias is not None:
                layer.bias.copy_(torch.randint(-2, 5, layer.bias.shape) / 8)
    dense = [_DenseLif(copy.deepcopy(layer)) for layer in layers]
    x = spikes(4, 3, 5, 70, density=0.4)
    grad = torch.randint(-4, 5, (4, 3, 5, 40)).float()

    def run(first, second, cut, parameters):
        given = x.clone().requires_grad_()
        y = second(cut(first(given)))
        y = y.dense() if isinstance(y, st.Spikes) else y
        y.backward(grad)
        return y.detach(), given.grad, [p.grad for p in parameters]

    fused = run(*layers, lambda spikes: spikes.channels(32, 64), [p for layer in layers for p in layer.parameters()])
    plain = run(*dense, lambda x: x[..., 32:], [p for layer in dense for p in layer.parameters()])
    assert (fused[0] == plain[0]).all() and 0 < plain[0].mean() < 1
    assert plain[1].any()
    assert_same((fused[1], *fused[2]), (plain[1], *plain[2]))
    with torch.no_grad():
        assert (layers[1](layers[0](x).channels(32, 64)).dense() == plain[0]).all()


def test_fused_layers_keep_bits():
    layers = nn.Sequential(st.SpikeLinearLIF(256, 128), st.SpikeLinearLIF(128, 64))
    parameters = {p.untyped_storage().data_ptr() for p in layers.parameters()}
    saved = {}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.update({t.data_ptr(): t.nbytes}) or t, lambda t: t):
        fired = layers(spikes(4, 16, 256))
    kept = sum(bytes for pointer, bytes in saved.items() if pointer not in parameters)
    assert kept == 4 * 16 * (256 + 2 * 128 + 2 * 64) // 8
    assert fired.shape == (4, 16, 64) and fired.carrier.untyped_storage().nbytes() == 4


def test_fused_layers_with_an_older_pytorch(monkeypatch):
    layer = st.SpikeLinearLIF(70, 40, scale=4.0, weight_bits=8)
    x, grad = spikes(4, 9, 70, density=0.4), torch.randn(4, 9, 40)

    def run():
        layer.zero_grad()
        fired = layer(x).dense()
        fired.backward(grad)
        return fired.detach(), layer.weight.grad.clone(), copy.copy(layer).freeze()(x).dense()

    expected = run()
    with monkeypatch.context() as older:
        older.setattr(spiketune._core, "takes_as_it_is", lambda _: False)
        for one, other in zip(run(), expected):
            torch.testing.assert_close(one, other)
    assert expected[0].any()


def test_fused_layers_refuse():
    layer = st.SpikeLinearLIF(64, 32)
    for call, sentence in (
        (lambda: layer(spikes(2, 3, 32)), "takes 64 inputs, not 32"),
        (lambda: layer(spikes(64)), "not 1 dimension"),
        (lambda: layer(spikes(2, 3, 64)).channels(8, 32), "multiples of 32, not at 8 and 32 of 32"),
        (lambda: st.SpikeLinearLIF(8, 8, surrogate_width=0), "above 0, not 0"),
        (lambda: st.SpikeLinearLIF(8, 8, weight_bits=3), "8 or 4, not 3"),
    ):
        with pytest.raises(spiketune.Error, match=sentence):
            call()


@pytest.mark.parametrize("bits, most", [(8, 0.01), (4, 0.15)])
def test_weight_bits(bits, most):
    torch.manual_seed(1)
    layer = st.SpikeLinear(70, 24, weight_bits=bits, format="dense")
    x, grad = spikes(4, 16, 70), torch.randn(4, 16, 24)
    trained = layer(x)
    trained.backward(grad)
    # As if W had not been rounded; products are those of W rounded.
    torch.testing.assert_close(layer.weight.grad, grad.flatten(0, 1).t() @ x.flatten(0, 1))
    exact = nn.functional.linear(x, layer.weight, layer.bias)
    assert 0 < (trained - exact).norm() / exact.norm() < most
    torch.testing.assert_close(layer.freeze()(x), trained, rtol=1e-5, atol=1e-6)
    assert 0 < layer.quantised.relative_error < most
    with torch.no_grad():
        layer.weight.mul_(2)
    torch.testing.assert_close(layer(x), trained, rtol=1e-5, atol=1e-6)  # until it is frozen again
    torch.testing.assert_close(copy.deepcopy(layer)(x), layer(x))  # which a copy is not
    torch.testing.assert_close(layer.unfreeze()(x), layer.freeze()(x), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(copy.deepcopy(layer)(x), layer(x))
    loaded = pickle.loads(pickle.dumps(layer))
    assert loaded.quantised is not None
    torch.testing.assert_close(loaded(x), layer(x))
    with pytest.raises(spiketune.Error, match="weight_bits must be 8 or 4, not 2"):
        st.SpikeLinear(8, 8, weight_bits=2)
    fused = st.SpikeLinearLIF(70, 24, weight_bits=bits, scale=12.0)
    expected = fused(x)
    same = fused.freeze()(x).dense() == expected.dense()
    assert same.float().mean() > 0.999 and expected.dense().any()  # within rounding of the threshold
    loaded = pickle.loads(pickle.dumps(fused))
    assert loaded.quantised is not None and torch.equal(loaded(x).dense(), fused(x).dense())


@pytest.mark.parametrize("bits, most", [(8, 0.01), (4, 0.2)])
@pytest.mark.parametrize("options", [
    {"in_channels": 32, "kernel_size": (3, 2), "stride": 2, "padding": 1},
    {"in_channels": 4, "kernel_size": 3, "groups": 2, "bias": False, "padding": "same"},
])
@pytest.mark.parametrize("format", ["bitmap", "dense"])
def test_convolutions_weight_bits(bits, most, options, format):
    torch.manual_seed(1)
    dense = nn.Conv2d(out_channels=8, **options)
    layer = st.SpikeConv2d.from_conv2d(dense, format=format, weight_bits=bits)
    x = spikes(3, dense.in_channels, 7, 6, density=0.3)
    exact = dense(x)
    grad = torch.randn_like(exact)
    trained, of_x, parameters = gradients(layer, x, grad)
    # Products, and the gradient of S, are those of W rounded; that of W is as if it had not been.
    assert_same(parameters, gradients(dense, x, grad)[2])
    columns = dense.weight.detach().flatten(1).t().contiguous()
    quantised = spiketune.quantize(columns, bits)
    rounded = torch.from_numpy(quantised.integers * quantised.scales).t().reshape(dense.weight.shape)
    with torch.no_grad():
        of_rounded = nn.Conv2d(out_channels=8, **options)
        of_rounded.load_state_dict({**dense.state_dict(), "weight": rounded})
    expected, of_dense, _ = gradients(of_rounded, x, grad)
    assert_same((trained, of_x), (expected, of_dense))
    assert 0 < (trained - exact).norm() / exact.norm() < most
    torch.testing.assert_close(layer.freeze()(x), trained, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer(x[:, None].bool()), trained[:, None], rtol=1e-5, atol=1e-5)
    assert len(layer.quantised) == dense.groups and all(0 < part.relative_error < most for part in layer.quantised)
    with torch.no_grad():
        layer.weight.mul_(2)
    torch.testing.assert_close(layer(x), trained, rtol=1e-5, atol=1e-5)  # until it is frozen again
    torch.testing.assert_close(layer.unfreeze()(x), layer.freeze()(x), rtol=1e-5, atol=1e-5)
    with pytest.raises(spiketune.Error, match="weight_bits must be 8 or 4, not 2"):
        st.SpikeConv2d(8, 8, 3, weight_bits=2)


@pytest.mark.skipif(bool(spiketune.cuda_unavailable_reason()) or not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("steps, options", [(4, {}), (1, {}), (2, {"reset_value": -0.25}), (6, {"convention": "snntorch", "gain": 1.0})])
def test_fused_layers_on_a_device(dtype, steps, options):
    here = st.SpikeLinearLIF(96, 72, **options)
    with torch.no_grad():
        here.weight.copy_(torch.randint(-4, 5, here.weight.shape) / 8)
        here.bias.copy_(torch.randint(-2, 5, here.bias.shape) / 8)
    there = st.SpikeLinearLIF(96, 72, device="cuda", dtype=dtype, **options)
    there.load_state_dict(here.state_dict())
    x, grad = spikes(steps, 70, 96, density=0.3), torch.randint(-4, 5, (steps, 70, 72)).float()
    given = x.to("cuda", dtype).requires_grad_()
    expected, fired = here(x.requires_grad_()).dense(), there(given).dense()
    expected.backward(grad)
    fired.backward(grad.to("cuda", dtype))
    assert (fired.cpu() == expected).all() and expected.any()
    for one, other in ((given.grad, x.grad), (there.weight.grad, here.weight.grad), (there.bias.grad, here.bias.grad)):
        torch.testing.assert_close(one.cpu().float(), other, rtol=2e-2, atol=2e-2 * other.abs().max().item())


@pytest.mark.skipif(bool(spiketune.cuda_unavailable_reason()) or not torch.cuda.is_available(), reason="no CUDA device")
def test_fused_layers_compile_on_a_device():
    model = _Fused(device="cuda", dtype=torch.float16)
    with torch.no_grad():
        for layer in model.layers:
            layer.weight.copy_(torch.randint(-4, 5, layer.weight.shape) / 8)
    x, grad = spikes(4, 70, 70, density=0.3).half().cuda(), torch.randint(-4, 5, (4, 70, 40), device="cuda").half()
    expected = gradients(model, x, grad, lambda x: model(x).dense())
    for mode in ("default", "reduce-overhead"):
        run = torch.compile(lambda x: model(x).dense(), fullgraph=True, mode=mode)
        for _ in range(3):
            y, of_x, of_parameters = gradients(model, x, grad, run)
            assert (y == expected[0]).all() and y.any()
            for one, other in zip((of_x, *of_parameters), (expected[1], *expected[2])):
                torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2 * other.abs().max().item())


@pytest.mark.skipif(bool(spiketune.cuda_unavailable_reason()) or not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("channels", [64, 4])
def test_convolutions_weight_bits_on_a_device(bits, channels):
    here = st.SpikeConv2d(channels, 24, 3, padding=1, weight_bits=bits, format="dense").half()
    there = copy.deepcopy(here).cuda()
    x = spikes(3, channels, 7, 6)
    expected = here.freeze()(x.half()).float()
    torch.testing.assert_close(there.freeze()(x.cuda().half()).cpu().float(), expected, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(there.unfreeze()(x.cuda().half()).detach().cpu().float(), expected, rtol=2e-2, atol=1e-2)
