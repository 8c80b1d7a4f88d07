"""A peer's layer before and after: the same distribution, parameters, conventions; draws that are ours."""

import copy
import pickle

import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional

import bayesops as bo

BIAS_STREAM = 0x80000000
PLAIN = {"Linear": functional.linear, "Conv1d": functional.conv1d, "Conv2d": functional.conv2d,
         "Conv3d": functional.conv3d}  # fmt: skip


def cases(layer):
    """Constructor's arguments, geometry, input."""
    if layer == "Linear":
        return (5, 4), {}, torch.randn(3, 5)
    dims = int(layer[-2])
    return (2, 4, 3), {"stride": 2, "padding": 1}, torch.randn(2, 2, *[6, 5, 4][:dims])


@pytest.mark.parametrize("bias", [True, False])
def test_draws_are_those_of_the_definition(peer_and_shape, bias, tools):
    """With a seed, the layer is our operator's definition in plain PyTorch, and so are its gradients."""
    peer, shape = peer_and_shape
    arguments, geometry, x = cases(shape)
    layer = peer.layer(shape, *arguments, **geometry, bias=bias)
    fast = bo.accelerate(layer).model
    fast.stream = 5
    with bo.sampling(seed=11):
        output = tools.output_of(fast(x))

    mu, sigma, bias_mu, bias_sigma = peer.gaussian(layer)
    plain = PLAIN[shape]

    def noise(mean, stream):
        return bo.random.normal(11, mean.shape, stream)

    drawn_bias = None if bias_mu is None else bias_mu + bias_sigma * noise(bias_mu, 5 ^ BIAS_STREAM)
    if peer.estimator == "weight_sample":
        expected = plain(x, mu + sigma * noise(mu, 5), drawn_bias, **geometry)
    elif peer.estimator == "flipout":
        signs = bo.random.signs(11, (len(x), mu.shape[0] + x.shape[1]), 5)
        signs = signs.reshape(*signs.shape, *[1] * (x.dim() - 2))
        turned = plain(x * signs[:, : x.shape[1]], sigma * noise(mu, 5), **geometry) * signs[:, x.shape[1] :]
        expected = plain(x, mu, drawn_bias, **geometry) + turned
    else:
        variance = plain(x**2, sigma**2, None if bias_sigma is None else bias_sigma**2, **geometry)
        eps = bo.random.normal(11, (len(x), *output.shape[2:], output.shape[1]), 5).movedim(-1, 1)
        expected = plain(x, mu, bias_mu, **geometry) + variance.sqrt() * eps
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)

    wanted = torch.autograd.grad(expected.square().sum(), peer.trained(layer))
    output.square().sum().backward()
    for parameter, gradient in zip(peer.trained(layer), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", ["Linear", "Conv2d"])
def test_moments_are_those_of_the_peer(peer, shape, tools):
    """Mean and variance of every output, of T draws each: normal, and chi-square with T - 1 degrees of freedom.

    A weight that is normal makes outputs that are, so both distributions are exact. Against the analytic moments, and
    those of the peer's own forward pass. All bounds of a case together give a false alarm once in a million seeds.
    """
    count = 2000
    arguments, geometry, x = cases(shape)
    layer = peer.layer(shape, *arguments, **geometry)
    mu, sigma, bias_mu, bias_sigma = (tensor.detach().double() for tensor in peer.gaussian(layer))
    mean = PLAIN[shape](x.double(), mu, bias_mu, **geometry)
    variance = PLAIN[shape](x.double() ** 2, sigma**2, bias_sigma**2, **geometry)
    fast = bo.accelerate(layer).model
    with torch.no_grad():
        theirs = torch.stack([tools.output_of(layer(x)) for _ in range(count)]).double()
    ours = tools.many_draws(fast, x, count).double()
    level = 1e-6 / (5 * mean.numel())  # five bounds an output
    assert ours.shape == (count, *mean.shape)

    z = stats.norm.isf(level / 2)
    assert ((ours.mean(0) - mean).abs() < z * (variance / count).sqrt()).all()
    assert ((ours.mean(0) - theirs.mean(0)).abs() < z * (2 * variance / count).sqrt()).all()
    for draws in (ours, theirs):
        low, high = stats.chi2.ppf([level / 2, 1 - level / 2], count - 1) / (count - 1)
        assert ((draws.var(0) / variance).clamp(low, high) == draws.var(0) / variance).all()
    ratio = ours.var(0) / theirs.var(0)
    low, high = stats.f.ppf([level / 2, 1 - level / 2], count - 1, count - 1)
    assert (ratio.clamp(low, high) == ratio).all()


def test_parameters_and_buffers_are_the_same_objects(peer):
    layer = peer.layer("Conv2d", 2, 4, 3)
    model = nn.Sequential(layer, nn.BatchNorm2d(4))
    fast = bo.accelerate(model).model
    for kind in ("named_parameters", "named_buffers"):
        original, shared = dict(getattr(model, kind)()), dict(getattr(fast, kind)())
        assert list(original) == list(shared)
        assert all(original[name] is shared[name] for name in original)
    assert type(model[0]) is type(layer)
    assert model[0] is layer
    assert isinstance(fast[0], type(layer))
    assert fast[0] is not layer


def test_training_either_trains_both(peer, tools):
    layer = peer.layer("Linear", 5, 4)
    fast = bo.accelerate(layer).model
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    before = [parameter.detach().clone() for parameter in peer.trained(layer)]
    for model in (layer, fast):
        optimizer.zero_grad()
        tools.output_of(model(torch.randn(3, 5))).square().sum().backward()
        optimizer.step()
    for parameter, old, shared in zip(peer.trained(layer), before, peer.trained(fast), strict=True):
        assert shared is parameter
        assert not torch.equal(parameter, old)


def test_state_dicts_interchange(peer):
    layer, other = peer.layer("Conv2d", 2, 4, 3), peer.layer("Conv2d", 2, 4, 3)
    fast = bo.accelerate(layer).model
    assert list(fast.state_dict()) == list(layer.state_dict())
    fast.load_state_dict(other.state_dict())
    for a, b in zip(peer.trained(layer), peer.trained(other), strict=True):
        assert torch.equal(a, b)
    third = peer.layer("Conv2d", 2, 4, 3)
    third.load_state_dict(fast.state_dict())
    for a, b in zip(peer.trained(third), peer.trained(other), strict=True):
        assert torch.equal(a, b)


def test_an_image_without_a_batch(peer, tools):
    fast = bo.accelerate(peer.layer("Conv2d", 2, 4, 3)).model
    image = torch.randn(2, 6, 6)
    with bo.sampling(seed=3):
        alone = tools.output_of(fast(image))
    with bo.sampling(seed=3):
        torch.testing.assert_close(alone, tools.output_of(fast(image[None]))[0])


def test_rows_of_any_leading_dimensions(peer, tools):
    fast = bo.accelerate(peer.layer("Linear", 5, 4)).model
    x = torch.randn(2, 3, 5)
    for rows in (x, x[0, 0]):
        assert tools.output_of(fast(rows)).shape == (*rows.shape[:-1], 4)


def test_one_call_with_many_seeds_is_vmap(peer, tools):
    """As `bayesops.predict` may call a layer: ``[S]`` seeds, and an input that is shared or ``[S, ...]``."""
    seeds = bo.random.sample_seeds(0, 3)
    for shape, arguments, x in (("Conv2d", (2, 4, 3), torch.randn(2, 2, 6, 6)), ("Linear", (5, 4), torch.randn(2, 5))):
        fast = bo.accelerate(peer.layer(shape, *arguments)).model
        expected = tools.many_draws(fast, x, 3)
        fast._draw_from = lambda device: (seeds, 0)
        for inputs in (x, x.expand(3, *x.shape)):
            with torch.no_grad():
                torch.testing.assert_close(tools.output_of(fast(inputs)), expected, rtol=1e-4, atol=1e-5)


def test_use_mean_and_frozen_noise(peer, tools):
    layer = peer.layer("Conv2d", 2, 4, 3, padding=1)
    fast, x = bo.accelerate(layer).model, torch.randn(2, 2, 6, 6)
    mu, _, bias_mu, _ = peer.gaussian(layer)
    bo.nn.use_mean(fast)
    torch.testing.assert_close(tools.output_of(fast(x)), functional.conv2d(x, mu, bias_mu, padding=1))
    bo.nn.use_mean(fast, False)
    bo.nn.freeze_noise(fast, 3)
    assert torch.equal(tools.output_of(fast(x)), tools.output_of(fast(x)))
    assert "frozen_seed=3" in repr(fast)
    bo.nn.freeze_noise(fast, None)
    assert not torch.equal(tools.output_of(fast(x)), tools.output_of(fast(x)))


def test_copies_and_pickles(peer, tools):
    """A pickle finds the peer's class where the module that it names can be imported: not so the stand-ins."""
    fast, x = bo.accelerate(peer.layer("Conv2d", 2, 4, 3)).model, torch.randn(1, 2, 5, 5)
    copies = [copy.deepcopy(fast)]
    if not peer.name.startswith("BayesianCNN"):
        copies.append(pickle.loads(pickle.dumps(fast)))
    for other in copies:
        assert type(other) is type(fast)
        outputs = []
        for layer in (fast, other):
            with bo.sampling(seed=1):
                outputs.append(tools.output_of(layer(x)))
        assert torch.equal(*outputs)
        assert not set(map(id, other.parameters())) & set(map(id, fast.parameters()))


def test_dtypes_and_formats(peer, tools):
    fast = bo.accelerate(peer.layer("Conv2d", 3, 8, 3).double()).model
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64).to(memory_format=torch.channels_last)
    output = tools.output_of(fast(x))
    assert output.dtype == torch.float64
    assert output.is_contiguous(memory_format=torch.channels_last)


def test_compiles(peer, tools):
    fast, x = bo.accelerate(peer.layer("Conv2d", 2, 4, 3)).model, torch.randn(2, 2, 6, 6)
    compiled = torch.compile(fast, backend="eager", fullgraph=True)
    outputs = []
    for layer in (fast, compiled):
        torch.manual_seed(1)
        outputs.append(tools.output_of(layer(x)))
    torch.testing.assert_close(*outputs)


def test_trap_5_a_large_rho_does_not_overflow(peer, tools):
    if peer.name == "torchbnn":
        pytest.skip("its spread is a logarithm")
    layer = peer.layer("Linear", 5, 4)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if "rho" in name:
                parameter.fill_(150.0)
    assert not tools.output_of(layer(torch.ones(2, 5))).isfinite().all()  # log1p(exp(rho)), in the peer
    assert tools.output_of(bo.accelerate(layer).model(torch.ones(2, 5))).isfinite().all()


def test_errors_name_the_operator_and_the_argument(peer):
    fast = bo.accelerate(peer.layer("Conv2d", 2, 4, 3)).model
    with pytest.raises(ValueError, match=r"(conv2d|AcceleratedBayesConv2d): argument 'input' must be .*2 channels"):
        fast(torch.randn(1, 3, 6, 6))
    with pytest.raises(TypeError, match=r"argument 'input' must be"):
        fast(torch.zeros(1, 2, 6, 6, dtype=torch.int64))


def test_the_covariance_over_pixels_differs_for_flipout(tools):
    """Of a constant image all inner outputs are one number times the same signs: equal here, not so in the peer."""
    layers = tools.package("bayesian_torch.layers")
    layer = layers.Conv2dFlipout(2, 4, 3, posterior_rho_init=0.0, bias=False)
    image = torch.ones(1, 2, 6, 6)
    ours = bo.accelerate(layer).model(image, return_kl=False)
    torch.testing.assert_close(ours, ours[..., :1, :1].expand_as(ours))
    theirs = layer(image, return_kl=False)
    assert (theirs[..., 0, 0] != theirs[..., 1, 1]).any()
