"""Small models whose profiles are known."""

import pytest
import torch
from torch import nn

from bayesops.nn import BernoulliConv2d, BernoulliLinear, Dropout
from bayesops.profiling.subject import Subject


class Residual(nn.Module):
    """A plain stem, two masked convolutions with what can be fused, an operation that cannot, and a masked head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.first = BernoulliConv2d(4, 4, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(4)
        self.second = BernoulliConv2d(4, 4, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(4)
        self.pool = nn.MaxPool2d(2)
        self.drop = Dropout(0.5)
        self.head = BernoulliLinear(64, 3)

    def forward(self, images):
        images = self.stem(images).relu()
        inner = self.first_norm(self.first(images)).relu()
        outer = (self.second_norm(self.second(inner)) + images).relu()
        summed = torch.cumsum(outer, 1)
        return self.head(self.drop(self.pool(torch.relu(summed)).flatten(1)))


@pytest.fixture
def residual():
    return Residual()


class Untraceable(nn.Module):
    """Its Python code looks at the shape of what it gets, in a way that `torch.fx` cannot follow; vmap can."""

    def __init__(self):
        super().__init__()
        self.first, self.second = BernoulliLinear(6, 5), BernoulliLinear(5, 3)

    def forward(self, rows):
        hidden = self.first(rows)
        for _ in range(hidden.shape[-1] // 5):
            hidden = hidden.relu()
        return self.second(hidden)


@pytest.fixture
def untraceable():
    return Untraceable()


class Branching(nn.Module):
    """What it does depends on a value: neither `torch.fx` nor vmap can follow."""

    def __init__(self):
        super().__init__()
        self.layer = BernoulliLinear(6, 3)

    def forward(self, rows):
        output = self.layer(rows)
        return output if bool(output.sum() > 0) else -output


@pytest.fixture
def branching():
    return Branching()


@pytest.fixture
def subject_of():
    """Make the subject of a profile."""

    def make(model, link="softmax", output=None, seed=0):
        return Subject(model, link, output, seed, torch.device("cpu"))

    return make
