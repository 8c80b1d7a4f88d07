"""The temperature is the best one there is, by scipy's search and by what was put in."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch.nn import functional

from bayesops import metrics
from bayesops.metrics.temperature import _Margins

RIGHT = "no temperature is best: every target has the highest logit of its row"
CHANCE = "no temperature is best: the logits of targets are on average not above"


def loss_at(logits, target):
    return lambda log_temperature: functional.cross_entropy(logits.double() / np.exp(log_temperature), target).item()


def made(n=500, c=5, size=(), temperature=2.0, scale=3.0, dtype=torch.float64):
    """Logits of which the targets are drawn, times a temperature."""
    logits = scale * torch.randn(n, c, *size, dtype=torch.float64)
    target = (logits - torch.rand_like(logits).log().neg().log()).argmax(1)
    return (logits * temperature).to(dtype), target


@settings(max_examples=60, deadline=None)
@given(
    st.integers(3, 200), st.integers(2, 9), st.sampled_from([1e-6, 1e-2, 1.0, 1e3, 1e8]),
    st.floats(0.05, 0.99), st.integers(0, 2**31),
)  # fmt: skip
def test_nothing_is_better(n, c, scale, accuracy, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n, c, dtype=torch.float64, generator=generator)
    right = torch.rand(n, generator=generator) < accuracy
    target = torch.where(right, logits.argmax(1), torch.randint(c, (n,), generator=generator))
    at, bounds = loss_at(logits, target), (np.log(scale) - 12, np.log(scale) + 12)
    best = minimize_scalar(at, bounds=bounds, method="bounded", options={"xatol": 1e-9}).fun
    try:
        scaling = metrics.TemperatureScaling().fit(logits, target)
    except ValueError as error:
        if "every target has the highest" in str(error):
            assert (logits.argmax(1) == target).all()
        else:  # chance: an even distribution is at least as good
            assert best >= np.log(c) - 1e-6
        return
    found = functional.cross_entropy(scaling(logits), target).item()
    assert found <= best + 1e-9
    assert scaling.temperature > 0


@pytest.mark.parametrize("size", [(), (3, 4)])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
def test_what_was_put_in_is_found(size, temperature):
    """10 000 targets or more; the standard error of the temperature is about 2 %."""
    logits, target = made(n=10_000, size=size, temperature=temperature)
    scaling = metrics.TemperatureScaling().fit(logits, target)
    assert scaling.temperature.item() == pytest.approx(temperature, rel=0.08)


def test_calibration_gets_better_and_accuracy_stays():
    logits, target = made(n=20_000, temperature=4.0)
    scaled = metrics.TemperatureScaling().fit(*made(n=5000, temperature=4.0))(logits)
    before, after = (
        metrics.Reliability().update(values.softmax(1), target).compute().ece for values in (logits, scaled)
    )
    assert before > 0.1
    assert after < 0.02
    assert torch.equal(scaled.argmax(1), logits.argmax(1))


def test_parts_and_ignored_targets(monkeypatch):
    logits, target = made(n=60, size=(4, 5))
    target[torch.rand(target.shape) < 0.3] = -100
    expected = metrics.TemperatureScaling().fit(logits.movedim(1, -1)[target >= 0], target[target >= 0]).temperature
    logits.movedim(1, -1)[target < 0] = torch.nan  # may be anything
    whole = metrics.TemperatureScaling().fit(logits, target).temperature
    monkeypatch.setattr("bayesops.metrics.temperature._ELEMENTS_AT_ONCE", 700)
    parts = metrics.TemperatureScaling().fit(logits, target).temperature
    assert whole.item() == pytest.approx(expected.item(), rel=1e-9)
    assert parts.item() == pytest.approx(expected.item(), rel=1e-9)
    other = metrics.TemperatureScaling(ignore_index=7).fit(logits, target.where(target >= 0, 7)).temperature
    assert other.item() == pytest.approx(expected.item(), rel=1e-9)


def test_impossible_classes():
    """A logit of minus infinity elsewhere than at the target is no class at all."""
    logits, target = made(c=3)
    blocked = torch.cat([logits, torch.full((500, 2), -torch.inf)], 1)
    expected = metrics.TemperatureScaling().fit(logits, target).temperature
    assert metrics.TemperatureScaling().fit(blocked, target).temperature.item() == pytest.approx(expected.item())


@pytest.mark.parametrize("wrong", [1.0, 1.5, 2.0, 3.0])
def test_impossible_classes_where_the_search_begins_far_off(wrong):
    """So much too sure that the first step is to the even distribution, or beyond: 0 times infinity."""
    margins = torch.full((40, 11), 0.0, dtype=torch.float64)
    margins[:20, 1] = wrong
    margins[20:, 1:10] = -0.4
    margins[:, 10] = -torch.inf
    target = torch.zeros(40, dtype=torch.int64)
    found = metrics.TemperatureScaling().fit(margins, target)
    expected = metrics.TemperatureScaling().fit(margins[:, :10], target)
    assert found.temperature.item() == pytest.approx(expected.temperature.item())
    loss, slope = _Margins(margins, target, target == 0).loss(-0.0)
    assert loss == pytest.approx(np.log(10))  # classes
    assert slope < 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_dtypes(dtype):
    logits, target = made(dtype=dtype)
    scaling = metrics.TemperatureScaling().fit(logits, target)
    exact = metrics.TemperatureScaling().fit(logits.double(), target)
    assert scaling.temperature == exact.temperature
    assert scaling.temperature.dtype == torch.float64
    assert scaling(logits).dtype == dtype
    torch.testing.assert_close(scaling(logits), (logits.double() / exact.temperature).to(dtype), rtol=2e-2, atol=0)


def test_a_prediction(prediction):
    one = prediction()
    target = one.mean.argmax(1)
    least = one.mean.amax(1).argmin()
    target[least] = one.mean[least].argmin()  # one of them is wrong
    scaling = metrics.TemperatureScaling().fit(one, target)
    expected = metrics.TemperatureScaling().fit(one.mean.log(), target)
    assert scaling.temperature.item() == pytest.approx(expected.temperature.item())
    probabilities = scaling(one.mean.log()).softmax(1)
    assert metrics.negative_log_likelihood(probabilities, target) < metrics.negative_log_likelihood(one, target)


def test_it_is_a_module():
    logits, target = made()
    fitted = metrics.TemperatureScaling().fit(logits, target)
    loaded = metrics.TemperatureScaling()
    assert torch.equal(loaded(logits), logits)  # 1 before fit
    loaded.load_state_dict(fitted.state_dict())
    assert torch.equal(loaded(logits), fitted(logits))
    assert list(fitted.parameters()) == []
    leaf = logits.requires_grad_()
    loaded(leaf).sum().backward()
    torch.testing.assert_close(leaf.grad, torch.full_like(leaf, 1 / fitted.temperature.item()))


def test_neither_autocast_nor_gradients_change_it():
    logits, target = made(dtype=torch.float32)
    expected = metrics.TemperatureScaling().fit(logits, target).temperature
    with torch.autocast("cpu", torch.bfloat16), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.TemperatureScaling().fit(logits.requires_grad_(), target).temperature == expected


class TestErrors:
    def test_all_right(self):
        logits = torch.randn(10, 3)
        with pytest.raises(ValueError, match=RIGHT):
            metrics.TemperatureScaling().fit(logits, logits.argmax(1))

    def test_all_wrong_and_no_better_than_chance(self):
        logits = torch.randn(10, 3)
        blocked = torch.cat([logits, torch.full((10, 1), -torch.inf)], 1)
        for values, target in (
            (logits, logits.argmin(1)), (blocked, logits.argmin(1)), (torch.eye(2), torch.tensor([1, 1])),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=CHANCE):
                metrics.TemperatureScaling().fit(values, target)

    def test_equal_logits_and_one_class(self):
        for values in (torch.ones(4, 3), torch.randn(4, 1)):
            with pytest.raises(ValueError, match=RIGHT):
                metrics.TemperatureScaling().fit(values, torch.zeros(4, dtype=torch.int64))

    def test_a_failed_fit_leaves_the_temperature(self):
        scaling = metrics.TemperatureScaling().fit(*made())
        before = scaling.temperature.item()
        with pytest.raises(ValueError, match=RIGHT):
            scaling.fit(torch.eye(3), torch.arange(3))
        assert scaling.temperature.item() == before

    def test_arguments(self, prediction):
        name, fit = "TemperatureScaling.fit: argument", metrics.TemperatureScaling().fit
        logits, target = made(n=4)
        for wrong in (torch.nan, torch.inf):
            broken = logits.clone()
            broken[1, 2] = wrong
            with pytest.raises(ValueError, match=f"{name} 'logits' must be free of NaN and plus infinity, and above"):
                fit(broken, target)
        impossible = logits.clone()
        impossible[0, target[0]] = -torch.inf
        with pytest.raises(ValueError, match=f"{name} 'logits' must be free of NaN and plus infinity, and above minus"):
            fit(impossible, target)
        with pytest.raises(ValueError, match=f"{name} 'target' must be of at least one class that counts, got none"):
            fit(logits, torch.full_like(target, -100))
        with pytest.raises(ValueError, match=rf"{name} 'target' must be in \[0, 5\) or -100 \(ignored\), got 5"):
            fit(logits, torch.full_like(target, 5))
        with pytest.raises(ValueError, match=rf"{name} 'target' must be of shape \(4,\), got shape \(3,\)"):
            fit(logits, target[:3])
        with pytest.raises(ValueError, match=rf"{name} 'logits' must be of shape \[N, C, \*\], got shape \(4,\)"):
            fit(logits[:, 0], target)
        with pytest.raises(TypeError, match=f"{name} 'logits' must be float32"):
            fit(logits.long(), target)
        with pytest.raises(ValueError, match=f"{name} 'logits' must be a tensor, or a Prediction with link"):
            fit(prediction(link="identity"), target)
        with pytest.raises(TypeError, match="TemperatureScaling: argument 'logits' must be a tensor, got float"):
            metrics.TemperatureScaling()(1.0)
        with pytest.raises(TypeError, match="TemperatureScaling: argument 'ignore_index' must be an int, got None"):
            metrics.TemperatureScaling(ignore_index=None)
