"""Without an optional package, what needs it says which, and how to install it."""

import sys

import pytest
import torch

import bayesops as bo
from bayesops._optional import require
from bayesops.data.camvid import open_image
from bayesops.data.depth import _hdf5
from bayesops.profiling import Profile

PROFILE = Profile("model", "its own", None, (), {}, {})


def test_what_is_there_is_imported():
    assert require("function", "os.path", "extra") is sys.modules["os.path"]


@pytest.mark.parametrize(
    ("module", "call", "message"),
    [
        ("sklearn.datasets", bo.data.digits, "digits: needs scikit-learn: pip install 'bayesops[data]'"),
        (
            "scipy.io",
            lambda: bo.data.nyu_depth_v2("rooms.mat"),
            "nyu_depth_v2: needs scipy: pip install 'bayesops[data]'",
        ),
        ("h5py", lambda: _hdf5("rooms.mat"), "nyu_depth_v2: needs h5py: pip install 'bayesops[data]'"),
        (
            "PIL.Image",
            lambda: open_image("make3d", "a.png"),
            "make3d: needs Pillow: pip install 'bayesops[data]'",
        ),
        ("rich", PROFILE.to_text, "Profile.to_text: needs rich: pip install 'bayesops[cli]'"),
        ("matplotlib", PROFILE.to_html, "Profile.to_html: needs matplotlib: pip install 'bayesops[plot]'"),
        ("matplotlib", lambda: PROFILE.plot("a.png"), "Profile.plot: needs matplotlib: pip install 'bayesops[plot]'"),
        ("matplotlib", lambda: bo.plot.sweep([1], [1], [1]), "sweep: needs matplotlib: pip install 'bayesops[plot]'"),
    ],
    ids=["digits", "nyu_depth_v2", "HDF5", "images", "to_text", "to_html", "plot", "sweep"],
)
def test_what_is_missing_is_named(monkeypatch, module, call, message):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError) as caught:
        call()
    assert str(caught.value) == message
    assert caught.value.name == module


def test_tables_in_a_notebook_need_no_matplotlib(monkeypatch):
    result = bo.profile(
        bo.nn.BernoulliLinear(4, 3), torch.rand(2, 4), 2, seconds=0.01, rivals=(), layers=False, accuracy=False
    )
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in ("html", "figures"):
        monkeypatch.delitem(sys.modules, f"bayesops.profiling.report.{name}", raising=False)
    assert "<table>" in result._repr_html_()
