"""The Gaussian layers: torch's constructors, and three estimators of one set of parameters."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional

import bayesops as bo

ESTIMATORS = ["local_reparam", "weight_sample", "flipout"]
PAIRS = {
    1: (bo.nn.GaussianConv1d, nn.Conv1d),
    2: (bo.nn.GaussianConv2d, nn.Conv2d),
    3: (bo.nn.GaussianConv3d, nn.Conv3d),
}
CONSTRUCTIONS = {
    "plain": {"kernel_size": 3},
    "all": {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2, "groups": 2, "bias": False},
    "same": {"kernel_size": 4, "padding": "same"},
    "valid": {"kernel_size": 2, "padding": "valid"},
    "reflect": {"kernel_size": 3, "padding": 2, "padding_mode": "reflect"},
    "replicate": {"kernel_size": 3, "padding": 1, "padding_mode": "replicate", "stride": 2},
    "circular": {"kernel_size": 3, "padding": "same", "padding_mode": "circular", "dilation": 2},
}
TINY = -200.0  # a rho whose standard deviation is 0 in float32


def layer_pair(dims, case, **options):
    ours, torchs = PAIRS[dims]
    torch.manual_seed(3)
    layer = ours(4, 6, **CONSTRUCTIONS[case], **options)
    torch.manual_seed(3)
    return layer, torchs(4, 6, **CONSTRUCTIONS[case])


@pytest.mark.parametrize("case", CONSTRUCTIONS, ids=str)
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_is_torchs_layer_without_spread(estimator, dims, case):
    layer, plain = layer_pair(dims, case, estimator=estimator, rho_init=TINY)
    assert torch.equal(layer.weight_mu, plain.weight)  # initialised alike
    if plain.bias is not None:
        assert torch.equal(layer.bias_mu, plain.bias)
    input = torch.randn(2, 4, *[7] * dims)
    torch.testing.assert_close(layer(input), plain(input))
    assert repr(layer).split("\n")[1].strip().startswith(plain.extra_repr())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_linear_is_torchs_layer_without_spread(estimator, bias):
    torch.manual_seed(3)
    layer = bo.nn.GaussianLinear(5, 7, bias, estimator=estimator, rho_init=TINY)
    torch.manual_seed(3)
    plain = nn.Linear(5, 7, bias)
    assert torch.equal(layer.weight_mu, plain.weight)
    for shape in ((5,), (3, 5), (2, 3, 5)):
        input = torch.randn(shape)
        torch.testing.assert_close(layer(input), plain(input))


def test_parameters():
    layer = bo.nn.GaussianConv2d(4, 6, (3, 5), groups=2)
    assert {name: tuple(p.shape) for name, p in layer.named_parameters()} == {
        "weight_mu": (6, 2, 3, 5), "weight_rho": (6, 2, 3, 5), "bias_mu": (6,), "bias_rho": (6,)
    }  # fmt: skip
    assert (layer.weight_rho == -5).all()
    assert (layer.bias_rho == -5).all()
    layer = bo.nn.GaussianLinear(4, 6, variance="alpha", rho_init=-3.0, log_alpha_init=-2.0)
    assert list(layer.state_dict()) == ["weight_mu", "weight_log_alpha", "bias_mu", "bias_rho"]
    assert (layer.weight_log_alpha == -2).all()
    assert (layer.bias_rho == -3).all()
    assert list(bo.nn.GaussianLinear(4, 6, bias=False).state_dict()) == ["weight_mu", "weight_rho"]


def test_reset_parameters(spread_out):
    layer = spread_out(bo.nn.GaussianConv1d(2, 3, 3))
    torch.manual_seed(3)
    layer.reset_parameters()
    torch.manual_seed(3)
    fresh = bo.nn.GaussianConv1d(2, 3, 3)
    for a, b in zip(layer.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("variance", ["rho", "alpha"])
def test_weight_sample_is_one_drawn_convolution(variance, spread_out, drawn_parameters):
    layer = spread_out(bo.nn.GaussianConv2d(4, 6, 3, 2, 1, groups=2, estimator="weight_sample", variance=variance))
    layer.stream = 5
    input = torch.randn(3, 4, 7, 7)
    weight, bias = drawn_parameters(layer, 11, 5)
    with bo.sampling(seed=11):
        torch.testing.assert_close(layer(input), functional.conv2d(input, weight, bias, 2, 1, groups=2))


@pytest.mark.parametrize("variance", ["rho", "alpha"])
def test_flipout_turns_signs_for_each_example(variance, device, spread_out, drawn_parameters):
    layer = spread_out(bo.nn.GaussianConv2d(4, 6, 3, padding=1, estimator="flipout", variance=variance))
    input = torch.randn(3, 4, 7, 7)
    weight, bias = drawn_parameters(layer, 11, 0)
    signs = bo.random.signs(11, (3, 10), 0, device=device)[..., None, None]
    perturbed = functional.conv2d(input * signs[:, :4], weight - layer.weight_mu, padding=1) * signs[:, 4:]
    expected = functional.conv2d(input, layer.weight_mu, padding=1) + perturbed + bias[:, None, None]
    with bo.sampling(seed=11):
        torch.testing.assert_close(layer(input), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("variance", ["rho", "alpha"])
def test_local_reparam_draws_outputs(variance, device, spread_out, sigma_of):
    layer = spread_out(bo.nn.GaussianConv2d(4, 6, 3, padding=1, variance=variance))
    input = torch.randn(3, 4, 7, 7)
    mean = functional.conv2d(input, layer.weight_mu, layer.bias_mu, padding=1)
    bias_var = functional.softplus(layer.bias_rho).square()
    deviation = functional.conv2d(input.square(), sigma_of(layer).square(), bias_var, padding=1).sqrt()
    noise = bo.random.normal(11, (3, 7, 7, 6), 0, device=device).movedim(-1, 1)
    with bo.sampling(seed=11):
        torch.testing.assert_close(layer(input), mean + deviation * noise, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("variance", ["rho", "alpha"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_parameter_gets_a_gradient(estimator, variance, bias):
    layer = bo.nn.GaussianConv1d(2, 3, 3, bias=bias, estimator=estimator, variance=variance)
    layer(torch.randn(4, 2, 9)).square().sum().backward()
    assert all(p.grad.count_nonzero() == p.numel() for p in layer.parameters())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_draws_in_both_modes(estimator):
    layer, input = bo.nn.GaussianLinear(8, 8, estimator=estimator), torch.randn(3, 8)
    for mode in (True, False):
        layer.train(mode)
        assert not torch.equal(layer(input), layer(input))


def test_estimators_are_interchangeable():
    layer, input = bo.nn.GaussianConv2d(2, 3, 3, rho_init=-1.0), torch.randn(2, 2, 5, 5)
    outputs = []
    for estimator in ESTIMATORS:
        layer.estimator = estimator
        fresh = bo.nn.GaussianConv2d(2, 3, 3, estimator=estimator)
        fresh.load_state_dict(layer.state_dict())  # strict: no key is missing, none is left over
        with bo.sampling(seed=1):
            outputs.append(layer(input))
        with bo.sampling(seed=1):
            assert torch.equal(fresh(input), outputs[-1])
        assert f"estimator={estimator!r}" in repr(layer)
    assert not torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[1], outputs[2])
    with pytest.raises(
        ValueError, match=r"GaussianConv2d: argument 'estimator' must be one of 'local_reparam', .*'lrt'"
    ):
        layer.estimator = "lrt"
    assert layer.estimator == "flipout"  # as it was


@pytest.mark.cpu_only
def test_state_dicts_of_other_variances_are_refused():
    with pytest.raises(RuntimeError, match=r'(?s)Missing key.*"weight_log_alpha".*Unexpected key.*"weight_rho"'):
        bo.nn.GaussianLinear(2, 3, variance="alpha").load_state_dict(bo.nn.GaussianLinear(2, 3).state_dict())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_use_mean(estimator, generator_state):
    layer, input = (
        bo.nn.GaussianConv2d(4, 6, 3, padding=2, padding_mode="reflect", estimator=estimator),
        torch.randn(2, 4, 5, 5),
    )
    plain = nn.Conv2d(4, 6, 3, padding=2, padding_mode="reflect")
    plain.weight, plain.bias = layer.weight_mu, layer.bias_mu
    state = generator_state()
    assert torch.equal(layer.use_mean()(input), plain(input))
    assert torch.equal(generator_state(), state)
    assert not torch.equal(layer.use_mean(False)(input), plain(input))
    linear = bo.nn.GaussianLinear(5, 6, estimator=estimator).use_mean()
    assert torch.equal(linear(input), functional.linear(input, linear.weight_mu, linear.bias_mu))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_trap_9_frozen_noise(estimator):
    layer, input = bo.nn.GaussianConv2d(4, 6, 3, estimator=estimator), torch.randn(2, 4, 5, 5)
    with bo.sampling(seed=4):
        expected = layer(input)
    layer.freeze_noise(4)
    for _ in range(2):
        assert torch.equal(layer(input), expected)
    with torch.no_grad():
        layer.weight_mu += 1  # the noise is kept, not the output
    torch.testing.assert_close(
        layer(input) - expected, functional.conv2d(input, torch.ones(6, 4, 3, 3)), rtol=1e-4, atol=1e-4
    )
    layer.freeze_noise(None)
    assert not torch.equal(layer(input), layer(input))


def test_frozen_weights_are_one_network():
    """Frozen weight samples give an image the same output at every place of the batch; activations' noise does not."""
    layer, image = bo.nn.GaussianConv2d(2, 3, 3, rho_init=0.0).freeze_noise(4), torch.randn(1, 2, 5, 5)
    batch = image.expand(2, -1, -1, -1)
    layer.estimator = "weight_sample"
    torch.testing.assert_close(*layer(batch))
    layer.estimator = "local_reparam"
    assert not torch.allclose(*layer(batch))
    torch.testing.assert_close(layer(batch)[:1], layer(image))  # the first example's noise, whatever follows


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_dtypes(estimator, dtype):
    layer = bo.nn.GaussianConv2d(2, 3, 3, dtype=dtype, estimator=estimator)
    assert {p.dtype for p in layer.parameters()} == {dtype}
    assert layer(torch.randn(1, 2, 5, 5, dtype=dtype)).dtype == dtype
    assert layer.kl_loss().dtype == torch.float64


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_channels_last_goes_through(estimator):
    layer = bo.nn.GaussianConv2d(3, 8, 3, estimator=estimator).to(memory_format=torch.channels_last)
    input = torch.randn(2, 3, 7, 7).to(memory_format=torch.channels_last)
    assert layer(input).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_trap_5_a_large_rho_does_not_overflow(estimator, dtype):
    """log(1 + exp(rho)) is infinite from 89 on."""
    layer, input = (
        bo.nn.GaussianLinear(3, 2, rho_init=150.0, dtype=dtype, estimator=estimator),
        torch.ones(4, 3, dtype=dtype),
    )
    output = layer(input)
    output.sum().backward()
    assert output.isfinite().all()
    assert all(p.grad.isfinite().all() for p in layer.parameters())
    assert layer.kl_loss().isfinite()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_trap_6_zero_variance_has_finite_gradients(estimator, dtype):
    layer = bo.nn.GaussianConv2d(2, 3, 3, bias=False, dtype=dtype, estimator=estimator)
    input = torch.zeros(1, 2, 5, 5, dtype=dtype, requires_grad=True)
    output = layer(input)
    output.sum().backward()
    assert torch.equal(output, torch.zeros_like(output))
    assert input.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_compiles(estimator):
    layer, input = bo.nn.GaussianLinear(3, 2, estimator=estimator), torch.randn(4, 3)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    torch.manual_seed(1)
    expected = layer(input)
    torch.manual_seed(1)
    torch.testing.assert_close(compiled(input), expected)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_copies_and_pickles(estimator):
    layer, input = bo.nn.GaussianConv2d(2, 3, 3, estimator=estimator), torch.randn(1, 2, 5, 5)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        with bo.sampling(seed=1):
            expected = layer(input)
        with bo.sampling(seed=1):
            assert torch.equal(other(input), expected)
        assert torch.equal(other.kl_loss(), layer.kl_loss())


@pytest.mark.cpu_only
def test_repr():
    layer = bo.nn.GaussianConv2d(
        3, 4, 3, bias=False, prior=bo.priors.Laplace(0.0, 0.5), estimator="flipout", variance="alpha"
    )
    layer.stream = 3
    assert repr(layer) == (
        "GaussianConv2d(\n  3, 4, kernel_size=(3, 3), stride=(1, 1), bias=False, estimator='flipout', "
        "variance='alpha', stream=3\n  (prior): Laplace(mu=0.0, scale=0.5)\n)"
    )
    assert repr(bo.nn.GaussianLinear(3, 4)) == (
        "GaussianLinear(\n  in_features=3, out_features=4, bias=True, estimator='local_reparam'\n"
        "  (prior): Gaussian(mu=0.0, sigma=1.0)\n)"
    )


@pytest.mark.cpu_only
@pytest.mark.parametrize("estimator", ["local_reparam", "weight_sample", "flipout"])
def test_autocast(estimator):
    layer = bo.nn.GaussianLinear(6, 4, estimator=estimator)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(2, 6)).dtype == torch.bfloat16


@pytest.mark.parametrize("options", [{}, {"variance": "alpha"}, {"bias": False}])
def test_local_reparameterisation_of_float16(options):
    """Variances and squares that float16 does not have: 1e-9 and 250000."""
    layer = bo.nn.GaussianLinear(6, 4, rho_init=-8.0, **options)
    layer.weight_mu.data.mul_(1e-3)
    x = (torch.randn(50, 6) * 500).half()
    half, wide = copy.deepcopy(layer).half(), layer.half().float()  # of the same numbers
    with bo.sampling(seed=3):
        noisy = half(x)
    with bo.sampling(seed=3):
        expected = wide(x.float())
    assert noisy.dtype == torch.float16
    assert (expected - wide.use_mean()(x.float())).abs().max() > 1e-3
    torch.testing.assert_close(noisy, expected.half())
    noisy.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in half.parameters())
    for ours, exact in zip(half.output_moments(x), wide.output_moments(x.float()), strict=True):
        assert ours.dtype == torch.float16
        torch.testing.assert_close(ours, exact.half())


@pytest.mark.cpu_only
def test_is_no_deterministic_layer():
    """Tools that look for torch's layers (fusion, quantisation) must not take ours for one."""
    assert not isinstance(bo.nn.GaussianConv2d(1, 1, 1), nn.modules.conv._ConvNd)
    assert not isinstance(bo.nn.GaussianLinear(1, 1), nn.Linear)


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"estimator": "reparam"}, ValueError, "GaussianConv2d: argument 'estimator' must be one of 'local_reparam'"),
        ({"variance": "sigma"}, ValueError, "GaussianConv2d: argument 'variance' must be one of 'rho', 'alpha', got"),
        ({"prior": 1.0}, TypeError, "GaussianConv2d: argument 'prior' must be a"),
        ({"bias_prior": 1.0}, TypeError, "GaussianConv2d: argument 'bias_prior' must be a"),
        ({"rho_init": None}, TypeError, "GaussianConv2d: argument 'rho_init' must be a number, got NoneType"),
        ({"log_alpha_init": "a"}, TypeError, "GaussianConv2d: argument 'log_alpha_init' must be a number, got str"),
        ({"groups": 3}, ValueError, "in_channels must be divisible by groups"),
        ({"padding": "same", "stride": 2}, ValueError, "padding='same' is not supported for strided convolutions"),
        ({"padding_mode": "mirror"}, ValueError, "padding_mode must be one of"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        bo.nn.GaussianConv2d(4, 6, 3, **options)
