"""Probabilities, targets and predictions that the measures are tried on."""

import pytest
import torch

import bayesops as bo


@pytest.fixture
def classified():
    """Make probabilities ``[N, C, *]`` of a network that is too sure of itself, and targets ``[N, *]``."""

    def make(n=200, c=4, size=(), dtype=torch.float32, ignored=0.0, ignore_index=-100, sharpness=2.0):
        logits = sharpness * torch.randn(n, c, *size, dtype=torch.float64)
        probabilities = logits.softmax(1).to(dtype)
        noisy = logits / 2 - torch.rand_like(logits).log().neg().log()  # a draw from the softmax of half the logits
        target = noisy.argmax(1)
        target[torch.rand(target.shape) < ignored] = ignore_index
        return probabilities, target

    return make


@pytest.fixture
def prediction():
    """Predict with a small network: of probabilities, or of mean and log variance."""

    def make(link="softmax", classes=3, size=(), **options):
        torch.manual_seed(0)
        if size:
            model = bo.nn.BernoulliConv2d(2, classes, 3, padding=1, p=0.5)
            inputs = torch.randn(5, 2, *size)
        else:
            model = bo.nn.BernoulliLinear(6, 2 * classes if link == "gaussian" else classes, p=0.5)
            inputs = torch.randn(5, 6)
        output = (lambda pair: pair.chunk(2, -1)) if link == "gaussian" else None
        return bo.predict(model, inputs, num_samples=20, link=link, output=output, path="loop", **options)

    return make
