"""Models that have no plan and why, and how long a plan is kept."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional

import bayesops as bo
from bayesops.engine.plan import plan_of
from bayesops.engine.tracer import NoPlan

IMAGES = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1))


def conv():
    return bo.nn.GaussianConv2d(4, 4, 3, padding=1)


class Forward(nn.Module):
    """A model of one forward function and one layer."""

    def __init__(self, function):
        super().__init__()
        self.function, self.layer = function, conv()

    def forward(self, x):
        return self.function(self.layer, x)


class Signed(nn.Module):
    """Has an attribute that its forward function asks for."""

    def __init__(self):
        super().__init__()
        self.conv, self.negative = conv(), False

    def forward(self, x):
        return -self.conv(x) if self.negative else self.conv(x)


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda a, x: a(x) if x.sum() > 0 else -a(x), "torch.fx"),
        (lambda a, x: a(x) + torch.randn_like(x), "randn_like draws from torch's generator"),
        (lambda a, x: functional.dropout(a(x), 0.5), "dropout draws"),
        (lambda a, x: a(x).as_strided((2,), (1,)), "how a tensor lies in memory"),
        (lambda a, x: x.add_(a(x)), "overwrites what may be used elsewhere"),
        (lambda a, x: (y := a(x)).relu_() + y, "overwrites what may be used elsewhere"),
    ],
)  # fmt: skip
def test_reasons_against_a_plan(function, reason):
    with pytest.raises(NoPlan, match=reason):
        plan_of(Forward(function).eval())


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (nn.Dropout(), "2 .Dropout. is in training mode"),
        (nn.BatchNorm2d(4), "2 .BatchNorm2d. normalises by its batch"),
    ],
)
def test_training_mode_is_a_reason(module, reason):
    model = nn.Sequential(conv(), nn.ReLU(), module).train()
    with pytest.raises(NoPlan, match=reason):
        plan_of(model)
    plan_of(model.eval())


@pytest.mark.cpu_only
def test_hooks_are_a_reason():
    model = nn.Sequential(conv(), nn.ReLU()).eval()
    plan_of(model)
    handle = model[1].register_forward_hook(lambda *_: None)
    with pytest.raises(NoPlan, match="1 has hooks"):
        plan_of(model)
    handle.remove()
    plan_of(model)


@pytest.mark.cpu_only
def test_plan_is_kept_until_the_model_changes():
    model = nn.Sequential(conv(), nn.ReLU(), Signed()).eval()
    plan = plan_of(model)
    with torch.no_grad():
        model[0].weight_mu.mul_(2)
    assert plan_of(model) is plan
    for change in (
        lambda: setattr(model[2], "negative", True),
        lambda: model[0].use_mean(),
        lambda: model[0].freeze_noise(1),
        lambda: model.append(nn.Tanh()),
        lambda: model.__setitem__(1, nn.Sigmoid()),
    ):
        change()
        assert plan_of(model) is not plan
        plan = plan_of(model)


@pytest.mark.cpu_only
def test_plan_does_not_keep_the_model_alive():
    model = nn.Sequential(conv(), nn.ReLU()).eval()
    plan_of(model)
    watch = weakref.ref(model[0])
    del model
    gc.collect()
    assert watch() is None


@pytest.mark.cpu_only
def test_forced_path_says_why_not():
    model = Forward(lambda a, x: a(x) if x.sum() > 0 else -a(x)).eval()
    with pytest.raises(NoPlan, match=r"torch\.fx"):
        bo.predict(model, IMAGES, 2, path="plan")
