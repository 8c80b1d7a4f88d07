"""The layers on each device, and what tests of Gaussian layers share."""

import pytest
import torch
from torch.nn import functional

import bayesops as bo

BIAS_STREAM = 0x80000000


@pytest.fixture(autouse=True)
def _on_each_device(device):
    """Every test here takes `device`."""


@pytest.fixture
def spread_out():
    """Return a function that gives a layer parameters which differ from weight to weight."""

    def spread_out(layer):
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.normal_()
        return layer

    return spread_out


@pytest.fixture
def sigma_of():
    """Return a function that tells the standard deviations of a layer's weights."""

    def sigma_of(layer):
        if layer.variance == "rho":
            return functional.softplus(layer.weight_rho)
        return torch.exp(layer.weight_log_alpha / 2) * layer.weight_mu.abs()

    return sigma_of


@pytest.fixture
def drawn_parameters(sigma_of):
    """Return a function that makes weights and biases of one draw, by the definition."""

    def drawn_parameters(layer, seed, stream):
        device = layer.weight_mu.device
        weight = layer.weight_mu + sigma_of(layer) * bo.random.normal(
            seed, layer.weight_mu.shape, stream, device=device
        )
        noise = bo.random.normal(seed, layer.bias_mu.shape, stream ^ BIAS_STREAM, device=device)
        return weight, layer.bias_mu + functional.softplus(layer.bias_rho) * noise

    return drawn_parameters
