"""A deterministic network becomes a Bayesian one, and nothing of it is lost."""

import copy

import pytest
import torch
from torch import nn

import bayesops as bo
from bayesops.profiling.twins import deterministic


def network():
    return nn.Sequential(
        nn.Conv2d(3, 6, (3, 2), stride=(1, 2), padding=(2, 1), dilation=(2, 1), groups=3, bias=False),
        nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5),
        nn.Conv2d(6, 4, 3, padding=1, padding_mode="circular"),
        nn.Flatten(), nn.Linear(4 * 8 * 5, 7),
    )  # fmt: skip


X = torch.randn(2, 3, 8, 8)


def test_trap_3_everything_is_kept():
    """Weights, stride, padding, dilation, groups, bias and padding mode: with p = 0 the network computes the same."""
    model = network().eval()
    converted = bo.convert(model, p=0.0)
    torch.testing.assert_close(converted(X), model(X))
    assert [type(m) for m in converted] == [
        bo.nn.BernoulliConv2d, nn.BatchNorm2d, nn.ReLU, nn.Dropout, bo.nn.BernoulliConv2d, nn.Flatten,
        bo.nn.BernoulliLinear,
    ]  # fmt: skip
    for before, after in zip(model, converted, strict=True):
        for name in ("stride", "padding", "dilation", "groups", "padding_mode", "kernel_size", "in_channels"):
            assert getattr(before, name, None) == getattr(after, name, None)


class Heads(nn.Module):
    """Layers that forward reaches by a plain list, as graph attention networks do."""

    def __init__(self):
        super().__init__()
        self.heads = [nn.Linear(3, 4) for _ in range(2)]
        for i, head in enumerate(self.heads):
            self.add_module(f"head{i}", head)

    def forward(self, x):
        return sum(head(x) for head in self.heads)


class CopiesItself(nn.Module):
    """Without a look at the memo."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def __deepcopy__(self, memo):
        made = CopiesItself()
        made.layer = copy.deepcopy(self.layer)
        return made

    def forward(self, x):
        return self.layer(x)


@pytest.mark.parametrize("posterior", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("make", [Heads, CopiesItself, lambda: torch.compile(nn.Linear(3, 4), backend="eager")])
def test_every_way_to_a_layer_leads_to_the_new_one(make, posterior):
    model, x = make(), torch.randn(2, 3)
    model(x)
    converted = bo.convert(model, posterior)
    assert not torch.equal(converted(x), converted(x))
    if isinstance(converted, Heads):
        assert converted.heads == [converted.head0, converted.head1]
    plain = deterministic(converted)
    torch.testing.assert_close(plain(x), model(x))


def test_trap_3_draws_differ():
    converted = bo.convert(network().eval(), p=0.3)
    assert (bo.predict(converted, X, num_samples=10).variance > 0).all()


def test_mean_of_draws_is_the_trained_layer():
    layer = nn.Linear(6, 3)
    inputs = torch.randn(4, 6)
    prediction = bo.predict(bo.convert(layer, p=0.3), inputs, num_samples=20000, link="identity")
    error = (prediction.mean - layer(inputs)).abs()
    assert (error < 6 * (prediction.variance / 20000).sqrt()).all()


def test_the_original_is_untouched():
    model = network()
    before = copy.deepcopy(model.state_dict())
    converted = bo.convert(model)
    with torch.no_grad():
        for parameter in converted.parameters():
            parameter.zero_()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert isinstance(model[0], nn.Conv2d)


def test_state_dict_keys_mode_and_requires_grad():
    model = network().eval()
    model[4].weight.requires_grad_(False)
    converted = bo.convert(model)
    assert list(converted.state_dict()) == list(model.state_dict())
    assert not any(m.training for m in converted.modules())
    assert not converted[4].weight.requires_grad
    assert converted[6].weight.requires_grad
    assert bo.convert(network().train())[0].training


@pytest.mark.parametrize("posterior", ["bernoulli", "gaussian"])
def test_what_was_added_to_a_layer_is_kept(posterior):
    model = network()
    model[4].label = "a name"
    model[4].register_buffer("seen", torch.arange(3), persistent=False)
    model[6].register_buffer("scale", torch.ones(2))
    model[6].register_parameter("offset", nn.Parameter(torch.zeros(2)))
    model[6].inner = nn.ReLU()
    converted = bo.convert(model, posterior)
    assert converted[4].label == "a name"
    assert torch.equal(converted[4].seen, model[4].seen)
    assert isinstance(converted[6].inner, nn.ReLU)
    keys = {"6.scale", "6.offset"}
    assert {key for key in converted.state_dict() if key.rpartition(".")[2] in ("seen", "scale", "offset")} == keys
    converted[6].scale.zero_()
    assert model[6].scale.all()
    assert vars(converted[0]).keys() == vars(type(converted[0])(1, 1, 1)).keys()  # of torch's own, nothing is


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_dtype(dtype):
    assert {p.dtype for p in bo.convert(network().to(dtype)).parameters()} == {dtype}


def test_options_reach_the_layers():
    converted = bo.convert(network(), p=0.2, granularity="out_channel", rescale=False)
    for layer in (converted[0], converted[6]):
        assert (layer.p, layer.granularity, layer.rescale) == (0.2, "out_channel", False)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_each_dimension(dims):
    layer = getattr(nn, f"Conv{dims}d")(4, 6, 3, padding="same", dilation=2)
    converted = bo.convert(layer, p=0.0)
    assert isinstance(converted, getattr(bo.nn, f"BernoulliConv{dims}d"))
    inputs = torch.randn(2, 4, *[7] * dims)
    torch.testing.assert_close(converted(inputs), layer(inputs))


def converted_names(model):
    return {name for name, module in model.named_modules() if type(module).__name__.startswith("Bernoulli")}


def test_where():
    model = network()
    assert converted_names(bo.convert(model, where=lambda name, module: name == "4")) == {"4"}
    assert converted_names(bo.convert(model, where="0")) == {"0"}
    assert converted_names(bo.convert(model, where=["0", "6"])) == {"0", "6"}
    assert converted_names(bo.convert(model, where=nn.Conv2d)) == {"0", "4"}
    assert converted_names(bo.convert(model, where=(nn.Linear, "4"))) == {"4", "6"}
    assert converted_names(bo.convert(model, where=[])) == set()
    nested = nn.Sequential(model, nn.Linear(3, 3))
    assert converted_names(bo.convert(nested, where="0")) == {"0.0", "0.4", "0.6"}


def test_shared_layers_and_tied_weights_stay_so():
    shared = nn.Linear(5, 5)
    tied = nn.Linear(5, 5)
    tied.weight = shared.weight
    converted = bo.convert(nn.ModuleDict({"a": shared, "b": shared, "c": tied}))
    assert converted["a"] is converted["b"]
    assert converted["a"].weight is converted["c"].weight


def test_a_layer_whose_forward_was_replaced_is_left_alone():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].forward = lambda x: torch.ones(len(x), 4)
    with pytest.warns(UserWarning, match="because of .* or replaced forward: 0$"):
        converted = bo.convert(model, p=0.0)
    torch.testing.assert_close(converted(torch.randn(5, 3)), model(torch.randn(5, 3)))
    with pytest.raises(ValueError, match="replaced forward"):
        bo.convert(model[0])


def test_layers_that_are_more_than_a_convolution_are_left():
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(5, 5))
    hooked = nn.Linear(5, 5)
    hooked.register_forward_hook(lambda *_: None)
    attention = nn.MultiheadAttention(4, 2)
    model = nn.Sequential(normed, hooked, attention, nn.Linear(5, 5))
    with pytest.warns(UserWarning, match="convert: left as they are, because of their hooks, .*: 0, 1$"):
        assert converted_names(bo.convert(model)) == {"3"}


@pytest.mark.parametrize("variance", ["rho", "alpha"])
def test_trap_3_everything_is_kept_by_gaussian_layers(variance):
    """Convolution arguments and, as the very parameters of the copy, the weights: their mean is the network."""
    model = network().eval()
    model[4].weight.requires_grad_(False)
    converted = bo.convert(model, "gaussian", variance=variance, estimator="flipout")
    torch.testing.assert_close(bo.nn.use_mean(converted)(X), model(X))
    assert [type(m) for m in converted] == [
        bo.nn.GaussianConv2d, nn.BatchNorm2d, nn.ReLU, nn.Dropout, bo.nn.GaussianConv2d, nn.Flatten,
        bo.nn.GaussianLinear,
    ]  # fmt: skip
    for before, after in zip(model, converted, strict=True):
        for name in (
            "stride",
            "padding",
            "dilation",
            "groups",
            "padding_mode",
            "kernel_size",
            "in_channels",
            "in_features",
        ):
            assert getattr(before, name, None) == getattr(after, name, None)
    for i in (0, 4, 6):
        assert converted[i].estimator == "flipout"
        assert converted[i].variance == variance
        assert torch.equal(converted[i].weight_mu, model[i].weight)
        spread = converted[i].weight_rho if variance == "rho" else converted[i].weight_log_alpha
        assert spread.requires_grad == converted[i].weight_mu.requires_grad == model[i].weight.requires_grad
    assert converted[0].bias_mu is None
    assert not any(m.training for m in converted.modules())
    assert isinstance(model[0], nn.Conv2d)


def test_gaussian_draws_lie_around_the_trained_layer():
    """Mean and spread over 20000 draws: each within 6 standard errors, false alarm below 1e-7."""
    layer, inputs = nn.Linear(6, 3), torch.randn(4, 6)
    draws = 20000
    prediction = bo.predict(bo.convert(layer, "gaussian", delta=0.5), inputs, num_samples=draws, link="identity")
    expected = 0.25 * (inputs.square() @ layer.weight.T.square() + layer.bias.square())
    assert ((prediction.mean - layer(inputs)).abs() < 6 * (expected / draws).sqrt()).all()
    assert ((prediction.variance / expected - 1).abs() < 6 * (2 / draws) ** 0.5).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_moped_standard_deviations(dtype):
    """Sigma = delta |w|; at least the floor, also where a weight is 0."""
    layer = nn.Linear(5, 4, dtype=dtype)
    with torch.no_grad():
        layer.weight[0] = torch.tensor([0.0, 1e-30, -100.0, 1.0, -1e-4])
        layer.bias[0] = 0.0
    converted = bo.convert(layer, "gaussian", delta=0.2, floor=1e-3)
    rtol = 0.03 if dtype == torch.bfloat16 else 1e-4  # of rho near -7, in bfloat16, 2**-7 is the last digit
    for mu, rho in ((layer.weight, converted.weight_rho), (layer.bias, converted.bias_rho)):
        assert rho.dtype == dtype
        sigma = nn.functional.softplus(rho.double())
        torch.testing.assert_close(sigma, (0.2 * mu.double().abs()).clamp_min(1e-3), rtol=rtol, atol=0)


def test_moped_by_alpha():
    layer = nn.Linear(5, 4)
    converted = bo.convert(layer, "gaussian", delta=0.2, variance="alpha")
    sigma = (converted.weight_log_alpha / 2).exp() * converted.weight_mu.abs()
    torch.testing.assert_close(sigma, 0.2 * layer.weight.abs())
    torch.testing.assert_close(nn.functional.softplus(converted.bias_rho), 0.2 * layer.bias.abs())


def test_prior_at_the_weight():
    layer = nn.Conv1d(2, 3, 3)
    converted = bo.convert(
        layer,
        "gaussian",
        prior_at_weight=True,
        prior=bo.priors.Gaussian(0.0, 0.3),
        bias_prior=bo.priors.Gaussian(0.0, 2.0),
    )
    weight, bias = layer.weight.double(), layer.bias.double()
    q = torch.distributions.Normal(weight, (0.1 * weight.abs()).clamp_min(1e-4))
    expected = torch.distributions.kl_divergence(q, torch.distributions.Normal(weight, 0.3)).sum()
    q = torch.distributions.Normal(bias, (0.1 * bias.abs()).clamp_min(1e-4))
    expected += torch.distributions.kl_divergence(q, torch.distributions.Normal(bias, 2.0)).sum()
    torch.testing.assert_close(converted.kl_loss(), expected, rtol=1e-4, atol=0)
    with torch.no_grad():
        converted.weight_mu += 1  # the prior stays where it was
    assert torch.equal(converted.prior.mu, layer.weight)
    assert not any(p is converted.prior.mu for p in converted.parameters())
    alone = bo.convert(layer, "gaussian", prior_at_weight=True)
    assert (alone.prior.sigma, alone.bias_prior.sigma) == (1.0, 1.0)
    assert torch.equal(alone.bias_prior.mu, layer.bias)


def test_gaussian_options_reach_the_layers():
    prior, bias_prior = bo.priors.Laplace(0.0, 0.5), torch.distributions.Cauchy(0.0, 1.0)
    converted = bo.convert(network(), "gaussian", prior=prior, bias_prior=bias_prior, where=["0", "6"])
    for layer in (converted[0], converted[6]):
        assert layer.prior is prior
        assert layer.bias_prior.distribution is bias_prior
    assert isinstance(converted[4], nn.Conv2d)
    assert bo.convert(network(), "gaussian")[0].bias_prior is None


def test_gaussian_layers_stay_shared_and_tied():
    shared = nn.Linear(5, 5)
    tied = nn.Linear(5, 5)
    tied.weight = shared.weight
    converted = bo.convert(nn.ModuleDict({"a": shared, "b": shared, "c": tied}), "gaussian")
    assert converted["a"] is converted["b"]
    assert converted["a"].weight_mu is converted["c"].weight_mu
    assert converted["a"].weight_rho is converted["c"].weight_rho
    assert converted["a"].bias_rho is not converted["c"].bias_rho


@pytest.mark.parametrize("name", ["lenet5", "3conv3fc", "resnet18"])
def test_models_are_built_gaussian(name):
    options = {"width": 8} if name == "resnet18" else {}
    plain = bo.models.build(name, **options)
    model = bo.models.build(name, bayesian=True, posterior="gaussian", estimator="flipout", delta=0.2, **options)
    layers = [m for m in model.modules() if type(m).__name__.startswith("Gaussian") and hasattr(m, "estimator")]
    assert len(layers) == sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in plain.modules())
    assert {layer.estimator for layer in layers} == {"flipout"}
    with pytest.raises(
        ValueError, match=r"models\.build: argument 'posterior' must be one of 'bernoulli', 'gaussian', got"
    ):
        bo.models.build(name, bayesian=True, posterior="laplace")


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (nn.Sequential(nn.ConvTranspose2d(2, 3, 3), nn.ReLU()), {}),
        (nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))), {}),
        (nn.Linear(2, 3), {"where": nn.Conv2d}),
        (nn.Linear(2, 3), {"where": lambda name, layer: False}),
        (nn.ReLU(), {"where": "last"}),
    ],
)
def test_a_model_that_would_stay_as_it_is_is_refused(model, options):
    with pytest.raises(ValueError, match=f"convert: argument 'model' must be .*Conv1d.* got {type(model).__name__}"):
        bo.convert(model, **options)


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match=r"convert: argument 'model' must be a torch.nn.Module, got function"):
        bo.convert(lambda x: x)


def test_twice_is_once():
    once = bo.convert(network(), p=0.2)
    twice = bo.convert(once, p=0.7)
    assert twice[0].p == 0.2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"posterior": "laplace"}, ValueError, "'posterior' must be one of 'bernoulli', 'gaussian', got 'laplace'"),
        ({"delta": 0.1}, TypeError, "'delta' is no option of posterior='bernoulli', which has p, granularity, rescale"),
        (
            {"posterior": "gaussian", "p": 0.1},
            TypeError,
            "'p' is no option of posterior='gaussian', which has delta, .*",
        ),
        (
            {"posterior": "gaussian", "delta": 0.0},
            ValueError,
            "'delta' must be a finite number greater than 0, got 0.0",
        ),
        ({"posterior": "gaussian", "floor": -1.0}, ValueError, "'floor' must be a finite number greater than 0"),
        ({"posterior": "gaussian", "estimator": "lrt"}, ValueError, "'estimator' must be one of"),
        ({"posterior": "gaussian", "variance": "sigma"}, ValueError, "'variance' must be one of"),
        (
            {"posterior": "gaussian", "prior_at_weight": True, "prior": bo.priors.Laplace()},
            ValueError,
            "'prior' must be a bayesops.priors.Gaussian with prior_at_weight, got Laplace",
        ),
        ({"p": 1.0}, ValueError, r"'p' must be in \[0, 1\)"),
        ({"granularity": "pixel"}, ValueError, "'granularity' must be one of"),
        ({"where": "9"}, ValueError, "'where' must be names of modules of the model, got '9'"),
        ({"where": ["1"]}, ValueError, "'where' must be names of layers to convert.*BatchNorm2d"),
        ({"where": 5}, TypeError, "'where' must be a predicate, names or types, got int"),
        ({"where": [5]}, TypeError, "'where' must be a predicate, names or types, got 5"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        bo.convert(network(), **options)


def test_last_layer_alone():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3), nn.Softmax(1))
    converted = bo.convert(model, p=0.1, where="last")
    kinds = [type(layer).__name__ for layer in converted]
    assert kinds == ["Conv2d", "Flatten", "Linear", "ReLU", "BernoulliLinear", "Softmax"]
    assert type(bo.convert(nn.Linear(2, 3), "gaussian", where="last")) is bo.nn.GaussianLinear


def test_last_is_a_name_where_a_module_has_it():
    model = nn.ModuleDict({"last": nn.Linear(2, 3), "other": nn.Linear(2, 3)})
    converted = bo.convert(model, p=0.1, where="last")
    assert [type(layer).__name__ for layer in converted.values()] == ["BernoulliLinear", "Linear"]


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("options", [{"p": 0.5}, {"posterior": "gaussian", "delta": 1.0}])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_transformers_draw_in_eval_mode(options, activation):
    """Their fast paths, for eval mode without gradients, take a layer's weight and do not call it."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation=activation, batch_first=True)
    x, padding = torch.randn(2, 5, 8), torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    for model in (layer, nn.TransformerEncoder(layer, 2)):
        converted = bo.convert(model.eval(), **options)
        with torch.no_grad():
            first, second = (converted(x, src_key_padding_mask=padding) for _ in range(2))
            mean = bo.nn.use_mean(converted)(x)
            expected = bo.nn.use_mean(converted.train(), True).eval()(x.requires_grad_())
        assert not torch.equal(first, second)
        torch.testing.assert_close(mean, expected)
    plain = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    assert bo.convert(plain, where=[]).activation_relu_or_gelu == plain.activation_relu_or_gelu
