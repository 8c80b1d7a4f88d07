"""A weight's posterior, and the terms of the bound, in the course of training."""

import math

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from torch import nn

import bayesops as bo
from bayesops.losses import ELBOTerms


def test_densities_of_some_epochs_and_all_standard_deviations(legend_of, make_axes):
    history = {epoch: (0.1 * epoch, 1 / epoch) for epoch in (1, 2, 4, 8)}
    given = make_axes(2)
    axes = bo.plot.weight_posterior(history, (1, 8), prior=(0.0, 2.0), axes=given)
    assert list(axes) == list(given)
    densities, deviations = axes
    assert legend_of(densities) == ["1", "8", "prior"]
    for line, (mean, sigma) in zip(densities.lines, (history[1], history[8], (0.0, 2.0)), strict=True):
        x, y = line.get_data()
        expected = torch.distributions.Normal(mean, sigma).log_prob(torch.from_numpy(x)).exp()
        assert y == pytest.approx(expected.numpy(), rel=1e-6)
    assert densities.lines[1].get_ydata().max() == pytest.approx(8 / math.sqrt(2 * math.pi), rel=1e-2)
    course, dots, prior = deviations.lines
    assert course.get_xydata().tolist() == [[1, 1], [2, 0.5], [4, 0.25], [8, 0.125]]
    assert dots.get_xydata().tolist() == [[1, 1], [8, 0.125]]
    assert set(prior.get_ydata()) == {2.0}
    assert deviations.get_ylim()[0] == 0


def test_densities_are_spread_over_training_and_the_last_is_darkest(legend_of):
    axes = bo.plot.weight_posterior(dict.fromkeys(range(100, 0, -1), (0.0, 1.0)))
    assert legend_of(axes[0]) == ["1", "3", "10", "32", "100"]
    lightness = [np.dot(to_rgb(line.get_color()), [0.3, 0.59, 0.11]) for line in axes[0].lines]
    assert lightness == sorted(lightness, reverse=True)
    assert len({str(line._dash_pattern) for line in axes[0].lines}) == 5
    assert legend_of(bo.plot.weight_posterior({7: (0.0, 1.0)})[0]) == ["7"]


def test_tensors_of_a_layer_are_taken():
    layer = bo.nn.GaussianLinear(2, 2)
    history = {1: (layer.weight_mu[0, 0], nn.functional.softplus(layer.weight_rho[0, 0]))}
    _, deviations = bo.plot.weight_posterior(history)
    assert deviations.lines[0].get_ydata() == pytest.approx([math.log1p(math.exp(-5))], rel=1e-5)


@pytest.mark.parametrize(
    ("history", "epochs", "error", "message"),
    [
        ({}, None, ValueError, "'history' must be one epoch or more, got none"),
        ([(0.0, 1.0)], None, TypeError, "'history' must be a mapping from epochs to pairs .* got list"),
        (
            {1: (0.0, 0.0)},
            None,
            ValueError,
            r"'history' must be a mean and a standard deviation above 0, got \(0.0, 0.0",
        ),
        ({1: (0.0, 1.0, 2.0)}, None, ValueError, "'history' must be a mean and a standard deviation"),
        ({1: (0.0, 1.0)}, (1, 5), ValueError, r"'epochs' must be some that the history has, got \[5\]"),
        ({1: (0.0, 1.0)}, (), ValueError, "'epochs' must be some that the history has, got none"),
    ],
)
def test_a_history_that_cannot_be_drawn(history, epochs, error, message):
    with pytest.raises(error, match=f"weight_posterior: argument {message}"):
        bo.plot.weight_posterior(history, epochs)


def terms(nll, kl, loss):
    return ELBOTerms(*(torch.tensor(value, requires_grad=True) for value in (loss, nll, kl)))


def test_terms_over_time(legend_of, make_axes):
    (given,) = make_axes(1)
    ax = bo.plot.elbo_terms([terms(2.0, 100.0, 3.0), terms(1.0, 150.0, 2.5)], num_data=100, xlabel="epoch", ax=given)
    assert ax is given
    assert legend_of(ax) == ["−ELBO / N", "negative log likelihood", "KL / N"]
    total, nll, kl = ax.lines
    assert total.get_xydata().tolist() == [[1, 3], [2, 2.5]]
    assert nll.get_ydata().tolist() == [2, 1]
    assert kl.get_ydata().tolist() == [1, 1.5]
    assert len({line.get_linestyle() for line in ax.lines}) == 3
    assert ax.get_xlabel() == "epoch"
    assert ax.get_ylim()[0] == 0


def test_a_loss_that_is_not_the_bound_is_drawn_too(legend_of):
    ax = bo.plot.elbo_terms([terms(2.0, 100.0, 2.5), terms(-1.0, 100.0, 0.0)], 100, steps=[10, 20])
    assert legend_of(ax)[0] == "loss, KL weighted"
    assert ax.lines[0].get_xydata().tolist() == [[10, 2.5], [20, 0]]
    assert ax.get_ylim()[0] < -1  # a density may be above 1


def test_what_the_objective_returns_is_drawn():
    model = bo.nn.GaussianLinear(3, 2)
    elbo = bo.losses.ELBO(model, num_data=50)
    history = [elbo.terms(torch.rand(4, 3), torch.tensor([0, 1, 0, 1])) for _ in range(3)]
    ax = bo.plot.elbo_terms(history, num_data=50)
    assert ax.lines[0].get_ydata() == pytest.approx([step.loss.item() for step in history], rel=1e-5)


@pytest.mark.parametrize(
    ("history", "options", "error", "message"),
    [
        ([], {}, ValueError, "'history' must be one step or more, got none"),
        ([1.0], {}, TypeError, "'history' must be a sequence of ELBOTerms, got list"),
        ([terms(1.0, 1.0, 2.0)], {"num_data": 0}, ValueError, "'num_data' must be an int of at least 1, got 0"),
        (
            [terms(1.0, 1.0, 2.0)],
            {"steps": [1, 2]},
            ValueError,
            r"'steps' must be of shape \[1\], as the history is long",
        ),
    ],
)
def test_terms_that_cannot_be_drawn(history, options, error, message):
    with pytest.raises(error, match=f"elbo_terms: argument {message}"):
        bo.plot.elbo_terms(history, **{"num_data": 10, **options})
