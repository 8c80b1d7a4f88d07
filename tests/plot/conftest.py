"""What the pictures are drawn of, small enough to be checked by hand."""

import matplotlib
import pytest
import torch
from matplotlib.figure import Figure

from bayesops.engine.prediction import Prediction
from bayesops.metrics.results import HistogramData, IntervalCalibrationData, RejectionCurve, ReliabilityData

matplotlib.use("Agg")


@pytest.fixture
def make_axes():
    """Axes of a figure that pyplot does not know: `make_axes(2)`, `make_axes(3, 5)`."""
    return lambda *shape: Figure().subplots(*((1, *shape) if len(shape) == 1 else shape), squeeze=False).reshape(shape)


@pytest.fixture
def legend_of():
    def read(ax):
        legend = ax.get_legend()
        return [] if legend is None else [text.get_text() for text in legend.get_texts()]

    return read


def of_draws(draws, link="softmax", **more):
    """The prediction of draws [T, N, C, *]."""
    mean = draws.mean(0)
    entropy = None
    if link == "softmax":
        entropy = torch.special.entr(draws).sum(2).mean(0)
    return Prediction(mean, draws.var(0, unbiased=False), len(draws), "loop", "by hand", link, entropy, **more)


@pytest.fixture
def predicted():
    return of_draws


@pytest.fixture
def reliability():
    # The first of four bins is empty.
    return ReliabilityData(
        edges=torch.linspace(0, 1, 5, dtype=torch.float64),
        confidence=torch.tensor([float("nan"), 0.4, 0.6, 0.9], dtype=torch.float64),
        accuracy=torch.tensor([float("nan"), 0.5, 0.4, 0.8], dtype=torch.float64),
        count=torch.tensor([0, 2, 10, 100]),
    )


@pytest.fixture
def intervals():
    levels = torch.tensor([0.5, 0.9], dtype=torch.float64)
    return IntervalCalibrationData(levels, torch.tensor([0.4, 0.7], dtype=torch.float64), torch.tensor(10))


@pytest.fixture
def histogram():
    return HistogramData(
        torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64),
        torch.tensor([6, 2, 0]),
        torch.tensor([0, 1, 3]),
        base=2,
    )


@pytest.fixture
def curve():
    values = [[0.25, 0.5, 0.75, 1.0], [0.0, 0.25, 0.3, 0.5], [0.0, 0.0, 0.3, 0.5], [0.1, 0.2, 0.3, 0.4]]
    retained, risk, oracle, threshold = (torch.tensor(row, dtype=torch.float64) for row in values)
    area, best = torch.tensor(0.2625, dtype=torch.float64), torch.tensor(0.2, dtype=torch.float64)
    return RejectionCurve(retained, risk, oracle, threshold, area, best, torch.tensor(4), classification=True)
