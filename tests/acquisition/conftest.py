"""A network whose draws disagree, and points for it."""

import pytest
import torch
from torch import nn

import bayesops as bo


@pytest.fixture
def model():
    """Three classes of five numbers; one draw of the weights is one network."""
    generator = torch.Generator().manual_seed(3)
    network = nn.Sequential(bo.nn.BernoulliLinear(5, 16, p=0.4), nn.ReLU(), bo.nn.BernoulliLinear(16, 3, p=0.4))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return network.eval()


@pytest.fixture
def pool():
    return torch.randn(40, 5, generator=torch.Generator().manual_seed(4))
