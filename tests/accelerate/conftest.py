"""Layers of the peers, and stand-ins for those of PyTorch-BayesianCNN, which is on no package index."""

import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

import bayesops as bo


class ModuleWrapper(nn.Module):
    """A network in the repository's manner: its children in a row, and the sum of their divergences."""

    def forward(self, x):
        for module in self.children():
            x = module(x)
        kl = sum(module.kl_loss() for module in self.modules() if hasattr(module, "kl_loss"))
        return x, kl


class _BBB(ModuleWrapper):
    def __init__(self, shape, bias):
        super().__init__()
        self.use_bias = bias
        self.prior_mu, self.prior_sigma = 0.0, 0.1
        self.W_mu = nn.Parameter(0.1 * torch.randn(shape))
        self.W_rho = nn.Parameter(0.1 * torch.randn(shape) - 2.0)
        if bias:
            self.bias_mu = nn.Parameter(0.1 * torch.randn(shape[0]))
            self.bias_rho = nn.Parameter(0.1 * torch.randn(shape[0]) - 2.0)
        else:
            self.register_parameter("bias_mu", None)
            self.register_parameter("bias_rho", None)

    def kl_loss(self):
        """What the repository computes, from what the forward pass has left behind."""

        def kl(mu, sigma):
            ratio = (sigma / self.prior_sigma).square()
            return 0.5 * (ratio + ((mu - self.prior_mu) / self.prior_sigma).square() - 1 - ratio.log()).sum()

        return kl(self.W_mu, self.W_sigma) + (kl(self.bias_mu, self.bias_sigma) if self.use_bias else 0.0)

    def spreads(self):
        self.W_sigma = torch.log1p(torch.exp(self.W_rho))
        self.bias_sigma = torch.log1p(torch.exp(self.bias_rho)) if self.use_bias else None


class _DrawsWeights(_BBB):
    def forward(self, input, sample=True):
        self.spreads()
        weight, bias = self.W_mu, self.bias_mu
        if self.training or sample:
            weight = weight + self.W_sigma * torch.randn_like(weight)
            if self.use_bias:
                bias = bias + self.bias_sigma * torch.randn_like(bias)
        return self.apply_to(input, weight, bias)


class _DrawsOutputs(_BBB):
    def forward(self, x, sample=True):
        self.spreads()
        mean = self.apply_to(x, self.W_mu, self.bias_mu)
        if not (self.training or sample):
            return mean
        bias_var = self.bias_sigma**2 if self.use_bias else None
        return mean + (1e-16 + self.apply_to(x**2, self.W_sigma**2, bias_var)).sqrt() * torch.randn_like(mean)


def _classes(folder, variant):
    class BBBConv2d(variant):
        def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, bias=True):
            super().__init__((out_channels, in_channels, kernel_size, kernel_size), bias)
            self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, 1

        def apply_to(self, x, weight, bias):
            return functional.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    class BBBLinear(variant):
        def __init__(self, in_features, out_features, bias=True):
            super().__init__((out_features, in_features), bias)

        def apply_to(self, x, weight, bias):
            return functional.linear(x, weight, bias)

    BBBConv2d.__module__, BBBLinear.__module__ = f"{folder}.BBBConv", f"{folder}.BBBLinear"
    return SimpleNamespace(Conv2d=BBBConv2d, Linear=BBBLinear)


BBB = {"weights": _classes("layers.BBB", _DrawsWeights), "outputs": _classes("layers.BBB_LRT", _DrawsOutputs)}


def package(name):
    """Import a peer, quietly; the test is skipped where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, exc_type=ImportError)


def _bayesian_torch(kind, layer, *arguments, **options):
    made = getattr(package("bayesian_torch.layers"), f"{layer}{kind}")
    if layer == "Conv3d" and kind == "Reparameterization":
        options = {"prior_mean": 0, "prior_variance": 1, "posterior_mu_init": 0, "posterior_rho_init": -3.0} | options
    return made(*arguments, **options)


def _torchbnn(layer, *arguments, **options):
    return getattr(package("torchbnn"), f"Bayes{layer}")(0.0, 0.1, *arguments, **options)


def _blitz(layer, *arguments, **options):
    if layer in ("Conv2d", "Conv3d"):
        channels, out, size = arguments
        arguments = channels, out, (size,) * int(layer[-2])
    return getattr(package("blitz.modules"), f"Bayesian{layer}")(*arguments, **options)


# kind: what makes a layer, the estimator that it must become, and the layers that there are.
SHAPES = ("Linear", "Conv1d", "Conv2d", "Conv3d")
PEERS = {
    "bayesian-torch reparameterisation": (
        lambda *a, **k: _bayesian_torch("Reparameterization", *a, **k), "weight_sample", SHAPES
    ),
    "bayesian-torch Flipout": (lambda *a, **k: _bayesian_torch("Flipout", *a, **k), "flipout", SHAPES),
    "torchbnn": (_torchbnn, "weight_sample", ("Linear", "Conv2d")),
    "blitz": (_blitz, "weight_sample", SHAPES),
    "BayesianCNN, weights": (
        lambda layer, *a, **k: getattr(BBB["weights"], layer)(*a, **k), "weight_sample", ("Linear", "Conv2d")
    ),
    "BayesianCNN, outputs": (
        lambda layer, *a, **k: getattr(BBB["outputs"], layer)(*a, **k), "local_reparam", ("Linear", "Conv2d")
    ),
}  # fmt: skip


class Peer:
    """One kind of peer's layers: makes them, and knows what their parameters mean."""

    def __init__(self, name):
        self.name = name
        self.make, self.estimator, self.layers = PEERS[name]

    def layer(self, shape, *arguments, **options):
        """Make a layer whose spreads are far from 0, so that a test sees them."""
        layer = self.make(shape, *arguments, **options)
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                if "rho" in name:
                    parameter.copy_(torch.randn_like(parameter) * 0.3 - 1.5)
                elif "log_sigma" in name:
                    parameter.copy_(torch.randn_like(parameter) * 0.3 - 1.8)
        return layer

    def gaussian(self, layer):
        """Mean and standard deviation of the weight, then of the bias, by the peer's definition."""
        if self.name == "blitz":
            weight, bias = layer.weight_sampler, layer.bias_sampler if layer.bias else None
            spread = functional.softplus(weight.rho)
            if bias is None:
                return weight.mu, spread, None, None
            return weight.mu, spread, bias.mu, functional.softplus(bias.rho)
        names = dict(layer.named_parameters())
        if self.name == "torchbnn":
            keys, spread = ("weight_mu", "weight_log_sigma", "bias_mu", "bias_log_sigma"), torch.exp
        elif self.name.startswith("bayesian-torch"):
            kind = "weight" if "mu_weight" in names else "kernel"
            keys, spread = (f"mu_{kind}", f"rho_{kind}", "mu_bias", "rho_bias"), functional.softplus
        else:
            keys, spread = ("W_mu", "W_rho", "bias_mu", "bias_rho"), functional.softplus
        mu, rho, bias_mu, bias_rho = (names.get(key) for key in keys)
        return mu, spread(rho), bias_mu, None if bias_rho is None else spread(bias_rho)

    def trained(self, layer):
        """The parameters that the forward pass reads."""
        if self.name != "blitz":
            return list(layer.parameters())
        samplers = [layer.weight_sampler] + ([layer.bias_sampler] if layer.bias else [])
        return [parameter for sampler in samplers for parameter in sampler.parameters()]


@pytest.fixture(params=PEERS)
def peer(request):
    return Peer(request.param)


@pytest.fixture(params=[(name, shape) for name in PEERS for shape in PEERS[name][2]], ids=" ".join)
def peer_and_shape(request):
    name, shape = request.param
    return Peer(name), shape


def output_of(result):
    """Without the divergence that bayesian-torch returns beside it."""
    return result[0] if isinstance(result, tuple) else result


def many_draws(model, x, count, seed=0):
    """``[count, ...]`` of a model that draws from bayesops."""

    def once(seed):
        with bo.sampling(seed):
            return output_of(model(x))

    with torch.no_grad():
        return torch.vmap(once)(bo.random.sample_seeds(seed, count))


@pytest.fixture
def tools():
    """Functions for the tests, which cannot import this file."""
    return SimpleNamespace(output_of=output_of, many_draws=many_draws, package=package, BBB=BBB, Wrapper=ModuleWrapper)
