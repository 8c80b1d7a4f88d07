"""What all pictures have in common: whose Axes they take, and what they leave as it was."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.figure import Figure

import bayesops as bo
from bayesops.losses import ELBOTerms


@pytest.fixture
def calls(reliability, intervals, histogram, curve):
    """Every function of the package, and arguments for it; tensors ask for gradients where they can."""
    draws = torch.rand(6, 2, 4, requires_grad=True).softmax(-1)
    numbers = torch.rand(3, requires_grad=True)
    images, labels = torch.rand(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    maps = torch.rand(2, 4, 4, requires_grad=True).bfloat16()
    return {
        "class_intervals": (draws,),
        "elbo_terms": ([ELBOTerms(*numbers)] * 2, 10),
        "entropy_histograms": (histogram,),
        "interval_calibration": (intervals,),
        "precision_recall": (curve,),
        "reliability_diagram": (reliability,),
        "risk_coverage": (curve,),
        "sample_convergence": (draws[:, 0, 0],),
        "sweep": (numbers.detach().sort().values, numbers, numbers),
        "uncertainty_maps": (images, labels, labels, maps, maps),
        "weight_posterior": ({1: numbers[:2], 2: numbers[1:]},),
    }


def functions():
    return sorted(name for name in bo.plot.__all__ if name != "STYLE")


def test_every_function_is_tried(calls):
    assert sorted(calls) == functions()


@pytest.mark.parametrize("name", functions())
def test_a_figure_of_its_own_that_nothing_global_knows_of(name, calls, monkeypatch):
    monkeypatch.setattr(pyplot, "show", lambda *_, **__: pytest.fail("pyplot.show was called"))
    before = dict(matplotlib.rcParams), pyplot.get_fignums(), matplotlib.get_backend()
    axes = getattr(bo.plot, name)(*calls[name])
    assert (dict(matplotlib.rcParams), pyplot.get_fignums(), matplotlib.get_backend()) == before
    figure = np.ravel(axes)[0].figure
    assert isinstance(figure, Figure)
    assert 2 < figure.get_figwidth() < 10
    assert 2 < figure.get_figheight() < 10
    assert not np.ravel(axes)[-1].spines["top"].get_visible() or name == "uncertainty_maps"
    figure.draw_without_rendering()


@pytest.mark.parametrize("name", functions())
def test_given_axes_are_drawn_on_and_returned(name, calls):
    own = getattr(bo.plot, name)(*calls[name])
    argument = "axes" if name == "class_intervals" or isinstance(own, np.ndarray) else "ax"
    given = Figure().subplots(*np.shape(np.atleast_2d(own)), squeeze=False).reshape(np.shape(own))
    before = dict(matplotlib.rcParams)
    drawn = getattr(bo.plot, name)(*calls[name], **{argument: given.item() if given.ndim == 0 else given})
    assert all(one is other for one, other in zip(np.ravel(drawn), np.ravel(given), strict=True))
    assert all(ax.has_data() for ax in np.ravel(drawn))
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", functions())
def test_what_are_no_axes_is_refused(name, calls):
    own = getattr(bo.plot, name)(*calls[name])
    argument = "axes" if name == "class_intervals" or isinstance(own, np.ndarray) else "ax"
    with pytest.raises(TypeError, match=f"{name}: argument '{argument}' must be matplotlib Axes, got Figure"):
        getattr(bo.plot, name)(*calls[name], **{argument: Figure()})


@pytest.mark.parametrize("name", functions())
def test_without_matplotlib_it_says_how_to_get_it(name, calls, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=rf"{name}: needs matplotlib: pip install 'bayesops\[plot\]'"):
        getattr(bo.plot, name)(*calls[name])


def test_the_style_is_that_of_the_caller_on_his_axes(curve):
    ax = Figure().subplots()
    bo.plot.precision_recall(curve, ax=ax)
    assert ax.spines["top"].get_visible()
    with matplotlib.rc_context(bo.plot.STYLE):
        ax = Figure().subplots()
    assert not ax.spines["top"].get_visible()


def test_importing_it_imports_no_matplotlib():
    code = "import sys, bayesops as bo; bo.plot.sweep; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
