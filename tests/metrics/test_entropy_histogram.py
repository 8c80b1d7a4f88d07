"""Histograms of entropies, against numpy's."""

import math

import numpy as np
import pytest
import torch

from bayesops import metrics


@pytest.mark.parametrize("base", [None, 2, 10])
@pytest.mark.parametrize("size", [(), (3, 4)])
@pytest.mark.parametrize("num_bins", [1, 7, 30])
def test_numpy(classified, base, size, num_bins):
    probabilities, target = classified(size=size, dtype=torch.float64)
    entropy = metrics.predictive_entropy(probabilities, base=base)
    correct = probabilities.argmax(1) == target
    data = metrics.EntropyHistogram(num_bins, num_classes=4, base=base).update(entropy, correct).compute()
    largest = math.log(4) / (math.log(base) if base else 1)
    for counts, which in ((data.right, correct), (data.wrong, ~correct)):
        expected, edges = np.histogram(entropy[which], num_bins, (0, largest))
        assert counts.tolist() == expected.tolist()
        np.testing.assert_allclose(data.edges, edges, rtol=1e-12)
    assert data.base == base
    assert (data.right.dtype, data.edges.dtype) == (torch.int64, torch.float64)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_the_ends_are_inside(dtype):
    """No doubt at all, and an even distribution, whose entropy rounding may take above the logarithm."""
    entropy = torch.tensor([0.0, math.log(10), math.log(10) * (1 + 1e-3)]).to(dtype)
    data = metrics.EntropyHistogram(5, num_classes=10).update(entropy, torch.ones(3, dtype=torch.bool)).compute()
    assert data.right.tolist() == [1, 0, 0, 0, 2]
    assert data.wrong.tolist() == [0] * 5


def test_half_precision_is_binned_by_its_value():
    """Not by edges in half precision, of which there are too few."""
    entropy = torch.linspace(0, math.log(10), 500).bfloat16()
    correct = torch.rand(500) < 0.5
    found, expected = (
        metrics.EntropyHistogram(100, num_classes=10).update(values, correct).compute()
        for values in (entropy, entropy.float())
    )
    assert torch.equal(found.right, expected.right)


def test_a_prediction_in_bits(prediction):
    made, correct = prediction(size=(4, 4)), torch.rand(5, 4, 4) < 0.5
    histograms = (
        metrics.EntropyHistogram(num_classes=3, base=2).update(entropy, correct).compute()
        for entropy in (made, made.entropy / math.log(2))
    )
    first, second = histograms
    assert torch.equal(first.right, second.right)
    assert torch.equal(first.wrong, second.wrong)


def test_errors(prediction):
    name = "EntropyHistogram: argument"
    with pytest.raises(ValueError, match=f"{name} 'num_bins' must be an int of at least 1, got 0"):
        metrics.EntropyHistogram(0, num_classes=3)
    with pytest.raises(ValueError, match=f"{name} 'num_classes' must be an int of at least 2, got 1"):
        metrics.EntropyHistogram(num_classes=1)
    with pytest.raises(ValueError, match=f"{name} 'base' must be a number above 0, not 1, or None for nats, got 1"):
        metrics.EntropyHistogram(num_classes=3, base=1)
    name, update = "EntropyHistogram.update: argument", metrics.EntropyHistogram(num_classes=4).update
    entropy, correct = torch.rand(3), torch.ones(3, dtype=torch.bool)
    with pytest.raises(ValueError, match=rf"{name} 'entropy' must be in \[0, 1.38629\] \(4 classes, nats\), got 2"):
        update(2 * torch.ones(3), correct)  # in bits
    bits = metrics.EntropyHistogram(num_classes=4, base=2)
    with pytest.raises(ValueError, match=rf"{name} 'entropy' must be in \[0, 2\] \(4 classes, base 2\), got -1"):
        bits.update(-torch.ones(3), correct)
    with pytest.raises(ValueError, match=rf"{name} 'entropy' must be in .* got nan"):
        update(entropy * torch.nan, correct)
    with pytest.raises(ValueError, match=rf"{name} 'correct' must be of shape \(3,\), got shape \(1,\)"):
        update(entropy, correct[:1])
    with pytest.raises(TypeError, match=f"{name} 'correct' must be a bool tensor, got torch.int64"):
        update(entropy, correct.long())
    with pytest.raises(TypeError, match=f"{name} 'correct' must be a bool tensor, got list"):
        update(entropy, [True])
    with pytest.raises(TypeError, match=f"{name} 'entropy' must be a tensor, got float"):
        update(0.1, correct)
    with pytest.raises(RuntimeError, match=f"{name} 'correct' must be on the device cpu, got meta"):
        update(entropy, correct.to("meta"))
    with pytest.raises(ValueError, match=r"predictive_entropy: argument 'probabilities' must be .*'identity'"):
        update(prediction(link="identity"), correct)
