"""Layers that `torch.compile` takes one by one draw as they do uncompiled."""

import pytest
import torch
from torch import nn

import bayesops as bo

X = torch.ones(4, 50)


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def layers(count=3):
    return nn.ModuleList([bo.nn.Dropout(0.5) for _ in range(count)])


@pytest.mark.parametrize("seed", [3, torch.tensor(3)])
def test_each_keeps_its_stream_from_call_to_call(seed):
    model, compiled = layers(), layers()
    for layer in compiled:
        layer.compile(backend="eager")
    with bo.sampling(seed):
        expected = [layer(X) for layer in model]
    for _ in range(2):  # the second round finds the code compiled
        with bo.sampling(seed):
            for _ in range(2):
                for layer, drawn in zip(compiled, expected, strict=True):
                    assert torch.equal(layer(X), drawn)


def test_predict_in_chunks():
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Sequential(bo.nn.BernoulliLinear(6, 6, p=0.5), nn.ReLU()) for _ in range(3))).eval()
    x = torch.randn(5, 6)
    expected = bo.predict(model, x, 8, chunk_size=2, link="identity").mean
    for block in model:
        block.compile(backend="eager")
    torch.testing.assert_close(bo.predict(model, x, 8, chunk_size=2, link="identity").mean, expected)
