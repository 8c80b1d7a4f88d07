"""Calibration errors against torchmetrics, TFP's oracle, closed forms and a direct computation."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from bayesops import metrics


def split_in_bins(confidence, right, num_bins):
    """Sort, and cut in parts as nearly equal as can be; confidences must differ."""
    order = np.argsort(confidence)
    edges = [n - -(-(num_bins - b) * n // num_bins) for n in [len(order)] for b in range(num_bins + 1)]
    parts = [order[a:b] for a, b in pairwise(edges)]
    return [(confidence[part].mean(), right[part].mean(), len(part)) for part in parts if len(part)]


class TestFixedBins:
    def test_the_oracle_of_tensorflow_probability(self):
        """Trap 8: bins of [0, 1], not of the range that was seen."""
        probabilities, target = torch.tensor([[0.3, 0.7], [0.9, 0.1], [0.4, 0.6]]), torch.tensor([1, 0, 0])
        data = metrics.Reliability(3).update(probabilities, target).compute()
        assert data.ece.item() == pytest.approx(1 / 3, rel=1e-6)
        assert data.mce.item() == pytest.approx(0.6, rel=1e-6)
        assert data.edges.tolist() == [0, 1 / 3, 2 / 3, 1]
        assert data.count.tolist() == [0, 1, 2]
        assert data.confidence.tolist()[1:] == pytest.approx([0.6, 0.8], rel=1e-6)
        assert data.accuracy.tolist()[1:] == [0, 1]
        assert data.confidence[0].isnan()
        assert data.gap[0] == 0

    @pytest.mark.parametrize("size", [(), (5,), (3, 4)])
    @pytest.mark.parametrize("num_bins", [1, 10, 15, 100])
    @pytest.mark.parametrize("ignored", [0.0, 0.4])
    def test_torchmetrics(self, classified, size, num_bins, ignored):
        probabilities, target = classified(n=300, size=size, ignored=ignored, dtype=torch.float64)
        data = metrics.Reliability(num_bins).update(probabilities, target).compute()
        options = {"n_bins": num_bins, "ignore_index": -100}
        expected = multiclass_calibration_error(probabilities, target, 4, norm="l1", **options)
        assert data.ece.item() == pytest.approx(expected.item(), rel=2e-5)  # it sums in float32
        expected = multiclass_calibration_error(probabilities, target, 4, norm="max", **options)
        assert data.mce.item() == pytest.approx(expected.item(), rel=2e-5)
        assert data.count.sum() == (target >= 0).sum()

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_a_confidence_on_an_edge_is_below_it(self, dtype):
        """(b / B, (b + 1) / B]: also where rounding to float32 puts 0.8 above 4 / 5; 0 and 1 are in the end bins."""
        confidence = torch.arange(11, dtype=torch.float64).div(10).to(dtype)
        data = metrics.Reliability(10).update(confidence[:, None], torch.zeros(11, dtype=torch.int64)).compute()
        assert data.count.tolist() == [2] + [1] * 9

    def test_float64_is_not_rounded(self):
        confidence = torch.tensor([[0.5 + 1e-12]], dtype=torch.float64)
        data = metrics.Reliability(2).update(confidence, torch.zeros(1, dtype=torch.int64)).compute()
        assert data.count.tolist() == [0, 1]

    @settings(max_examples=50, deadline=None)
    @given(st.integers(1, 40), st.integers(0, 2**31))
    def test_direct(self, num_bins, seed):
        generator = torch.Generator().manual_seed(seed)
        probabilities = torch.randn(60, 3, dtype=torch.float64, generator=generator).softmax(1)
        target = torch.randint(3, (60,), generator=generator)
        data = metrics.Reliability(num_bins).update(probabilities, target).compute()
        confidence, predicted = probabilities.max(1)
        ece = 0.0
        for b in range(num_bins):
            there = (confidence > b / num_bins) & (confidence <= (b + 1) / num_bins)
            assert data.count[b] == there.sum()
            if there.any():
                gap = confidence[there].mean() - (predicted == target)[there].double().mean()
                assert data.gap[b].item() == pytest.approx(gap.item(), abs=1e-12)
                ece += abs(gap.item()) * there.double().mean().item()
        assert data.ece.item() == pytest.approx(ece, abs=1e-12)

    def test_a_calibrated_network(self):
        """Targets drawn from the probabilities: the error falls like 1 / sqrt(n)."""
        probabilities = (2 * torch.randn(200_000, 5)).softmax(1)
        target = torch.multinomial(probabilities, 1)[:, 0]
        assert metrics.Reliability().update(probabilities, target).compute().ece < 0.005
        flipped = (target + torch.randint(0, 2, target.shape)) % 5  # half of them are wrong now
        assert metrics.Reliability().update(probabilities, flipped).compute().ece > 0.2

    def test_all_right_and_all_wrong(self):
        probabilities = torch.tensor([[0.8, 0.2]]).expand(10, 2)
        right = metrics.Reliability().update(probabilities, torch.zeros(10, dtype=torch.int64)).compute()
        wrong = metrics.Reliability().update(probabilities, torch.ones(10, dtype=torch.int64)).compute()
        assert right.ece.item() == pytest.approx(0.2, rel=1e-6)
        assert wrong.ece.item() == wrong.mce.item() == pytest.approx(0.8, rel=1e-6)

    def test_one_class_is_always_right(self):
        data = metrics.Reliability().update(torch.ones(5, 1), torch.zeros(5, dtype=torch.int64)).compute()
        assert (data.ece.item(), data.count.tolist()) == (0, [0] * 14 + [5])


class TestEqualMasses:
    @pytest.mark.parametrize("num_bins", [1, 4, 15, 300])
    @pytest.mark.parametrize("size", [(), (2, 3)])
    def test_direct(self, classified, num_bins, size):
        probabilities, target = classified(n=40, size=size, ignored=0.2)
        data = metrics.Reliability(num_bins, adaptive=True).update(probabilities, target).compute()
        confidence, predicted = (values[target >= 0].numpy() for values in probabilities.max(1))
        right = predicted == target[target >= 0].numpy()
        assert len(set(confidence)) == len(confidence)
        there = data.count > 0
        found = list(
            zip(*(values[there].tolist() for values in (data.confidence, data.accuracy, data.count)), strict=True)
        )
        expected = split_in_bins(confidence.astype(float), right, num_bins)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
        ace = sum(abs(c - a) * n for c, a, n in expected) / len(confidence)
        assert data.ece.item() == pytest.approx(ace, rel=1e-6)

    def test_counts_differ_by_one_at_most(self, classified):
        data = metrics.Reliability(7, adaptive=True).update(*classified(n=100)).compute()
        assert data.count.max() - data.count.min() == 1
        assert data.count.sum() == 100

    def test_edges_enclose_the_bins(self, classified):
        data = metrics.Reliability(9, adaptive=True).update(*classified(n=100)).compute()
        assert data.edges[0] == 0
        assert data.edges[-1] == 1
        assert (data.edges.diff() > 0).all()
        assert ((data.edges[:-1] <= data.confidence) & (data.confidence <= data.edges[1:])).all()

    def test_equal_confidences_are_shared_out(self):
        """Two bins of one value each: both get the accuracy of all, in any order."""
        probabilities = torch.tensor([[0.75, 0.25]]).expand(8, 2)
        target = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1])
        for order in (torch.arange(8), torch.randperm(8), torch.arange(8).flip(0)):
            data = metrics.Reliability(2, adaptive=True).update(probabilities, target[order]).compute()
            assert data.accuracy.tolist() == [0.625, 0.625]
            assert data.confidence.tolist() == [0.75, 0.75]
            assert data.count.tolist() == [4, 4]

    def test_beyond_the_limit(self, classified):
        probabilities, target = classified(n=3000)
        exact = metrics.Reliability(adaptive=True).update(probabilities, target).compute()
        rounded = metrics.Reliability(adaptive=True, exact_limit=500)
        for p, t in zip(probabilities.split(130), target.split(130), strict=True):
            rounded.update(p, t)
        assert rounded.compute().ece.item() == pytest.approx(exact.ece.item(), abs=2**-13)
        torch.testing.assert_close(rounded.compute().confidence, exact.confidence, rtol=0, atol=2**-13)
        torch.testing.assert_close(rounded.compute().accuracy, exact.accuracy, rtol=0, atol=0.02)


class TestClassWise:
    @pytest.mark.parametrize("adaptive", [False, True])
    @pytest.mark.parametrize("size", [(), (3, 2)])
    def test_each_class_is_looked_at_by_itself(self, classified, adaptive, size):
        """By the top label of two classes: the probability p of c, or 1 - p of everything else."""
        probabilities, target = classified(n=50, size=size, ignored=0.2)
        data = metrics.Reliability(8, adaptive, class_wise=True).update(probabilities, target).compute()
        assert data.confidence.shape == (4, 8)
        errors = []
        for c in range(4):
            alone = metrics.Reliability(8, adaptive)
            # A single "class" with this probability that is right where the target is c: count both halves.
            there = target >= 0
            p = probabilities[:, c][there]
            right = target[there] == c
            pair = torch.stack([p, torch.full_like(p, -0.001)], 1)  # the first is always the highest
            one = alone.update(pair, (~right).long()).compute()
            for name in ("confidence", "accuracy", "count", "edges"):
                torch.testing.assert_close(
                    getattr(data.of_class(c), name), getattr(one, name), equal_nan=True, rtol=1e-6, atol=1e-6
                )
            errors.append(one.ece)
        assert data.ece.item() == pytest.approx(torch.stack(errors).mean().item(), rel=1e-6)
        assert data.mce.item() == pytest.approx(data.gap.abs().max().item())

    def test_static_calibration_error_of_nixon(self):
        """Worked by hand: two classes, one bin: |mean p - share| for both, on average."""
        probabilities, target = torch.tensor([[0.9, 0.1], [0.6, 0.4]], dtype=torch.float64), torch.tensor([0, 1])
        data = metrics.Reliability(1, class_wise=True).update(probabilities, target).compute()
        assert data.ece.item() == pytest.approx((abs(0.75 - 0.5) + abs(0.25 - 0.5)) / 2)

    def test_the_limit_is_for_all_classes_together(self, classified):
        reliability = metrics.Reliability(adaptive=True, class_wise=True, exact_limit=400)
        reliability.update(*classified(n=99))
        assert [part._folded for part in reliability._parts.values()] == [None] * 4
        reliability.update(*classified(n=2))
        assert all(part._folded is not None for part in reliability._parts.values())

    def test_errors(self, classified):
        reliability = metrics.Reliability(class_wise=True).update(*classified(c=3))
        with pytest.raises(
            ValueError, match=r"Reliability.update: argument 'probabilities' must be of 3 classes, as be"
        ):
            reliability.update(*classified(c=4))
        with pytest.raises(ValueError, match=r"Reliability.merge: argument 'other' must be of 3 classes, got 4"):
            reliability.merge(metrics.Reliability(class_wise=True).update(*classified(c=4)))
        late = metrics.Reliability(class_wise=True).merge(reliability)
        with pytest.raises(
            ValueError, match=r"Reliability.update: argument 'probabilities' must be of 3 classes, as be"
        ):
            late.update(*classified(c=4))
        with pytest.raises(ValueError, match="ReliabilityData: bins are not class-wise"):
            metrics.Reliability().update(*classified()).compute().of_class(0)


@pytest.mark.parametrize("options", [{}, {"adaptive": True}, {"class_wise": True}])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_dtypes(classified, options, dtype):
    probabilities, target = classified(dtype=dtype)
    data = metrics.Reliability(**options).update(probabilities, target).compute()
    exact = metrics.Reliability(**options).update(probabilities.float(), target).compute()
    assert data.ece.dtype == data.confidence.dtype == torch.float64
    assert data.count.dtype == torch.int64
    assert data.ece.item() == pytest.approx(exact.ece.item(), rel=1e-5)


@pytest.mark.parametrize("adaptive", [False, True])
def test_rounding_above_1_is_forgiven(adaptive):
    probabilities = torch.tensor([[1.004, 0.0]])
    data = metrics.Reliability(2, adaptive).update(probabilities, torch.zeros(1, dtype=torch.int64)).compute()
    assert (data.ece.item(), data.confidence.nan_to_num(0).max().item()) == (0, 1)


@pytest.mark.parametrize("adaptive", [False, True])
def test_values_that_do_not_count_may_be_anything(classified, adaptive):
    probabilities, target = classified(ignored=0.5)
    expected = metrics.Reliability(adaptive=adaptive).update(probabilities, target).compute().ece
    probabilities[target < 0] = torch.nan
    assert metrics.Reliability(adaptive=adaptive).update(probabilities, target).compute().ece == expected


@pytest.mark.parametrize("adaptive", [False, True])
def test_a_prediction(prediction, adaptive):
    made, target = prediction(size=(4, 4)), torch.zeros(5, 4, 4, dtype=torch.int64)
    data, expected = (metrics.Reliability(adaptive=adaptive).update(p, target).compute() for p in (made, made.mean))
    assert data.ece == expected.ece


def test_errors(classified, prediction):
    name = "Reliability: argument"
    for value in (0, 1.5, True, None):
        kind = ValueError if value == 0 else TypeError
        with pytest.raises(kind, match=f"{name} 'num_bins' must be an int of at least 1, got {value!r}"):
            metrics.Reliability(value)
        with pytest.raises(kind, match=f"{name} 'exact_limit' must be an int of at least 1, got {value!r}"):
            metrics.Reliability(exact_limit=value)
    with pytest.raises(TypeError, match=f"{name} 'ignore_index' must be an int, got 'void'"):
        metrics.Reliability(ignore_index="void")
    name = "Reliability.update: argument"
    probabilities, target = classified()
    update = metrics.Reliability().update
    with pytest.raises(ValueError, match=rf"{name} 'probabilities' must be in \[0, 1\], got"):
        update(probabilities.log() * -9, target)
    with pytest.raises(ValueError, match=rf"{name} 'probabilities' must be in \[0, 1\], got nan"):
        update(probabilities * torch.nan, target)
    with pytest.raises(ValueError, match=rf"{name} 'target' must be of shape \(200,\), got shape \(200, 1\)"):
        update(probabilities, target[:, None])
    with pytest.raises(ValueError, match=rf"{name} 'target' must be in \[0, 4\) or -100 \(ignored\), got 9"):
        update(probabilities, target + 9 * (target == 0))
    with pytest.raises(ValueError, match=f"{name} 'probabilities' must be a tensor, or a Prediction with link='softm"):
        update(prediction(link="identity"), target)
