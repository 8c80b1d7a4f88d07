"""What FlopCounterMode counts of our operators: what it counts of plain layers, times the products of a draw."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import bayesops as bo

IMAGES = torch.randn(3, 4, 9, 7)
FAMILIES = {  # products of one draw, and of all five if they share their input
    "masked": (1, 5),
    "sampled": (1, 5),
    "flipout": (2, 6),
    "lrt": (2, 2),
}


def counted(function):
    with FlopCounterMode(display=False, custom_mapping=bo.profiling.flop_formulas()) as counter:
        function()
    return counter.get_total_flops()


def layers(family, conv, groups=1):
    options = {"estimator": {"sampled": "weight_sample", "flipout": "flipout", "lrt": "local_reparam"}.get(family)}
    if conv:
        arguments = {"kernel_size": 3, "stride": 2, "padding": 1, "groups": groups}
        plain, kind = nn.Conv2d(4, 6, **arguments), "Conv2d"
    else:
        arguments, plain, kind = {}, nn.Linear(7, 5), "Linear"
    sizes = (4, 6) if conv else (7, 5)
    if family == "masked":
        return plain, getattr(bo.nn, f"Bernoulli{kind}")(*sizes, **arguments)
    return plain, getattr(bo.nn, f"Gaussian{kind}")(*sizes, **arguments, **options)


@pytest.mark.parametrize("conv", [True, False], ids=["conv", "linear"])
@pytest.mark.parametrize("family", FAMILIES)
def test_forward_and_backward(family, conv):
    plain, ours = layers(family, conv)  # PyTorch's formula of a backward pass knows nothing of groups
    input = (IMAGES if conv else torch.randn(3, 7)).clone().requires_grad_()
    once, _ = FAMILIES[family]
    assert counted(lambda: ours(input).sum().backward()) == once * counted(lambda: plain(input).sum().backward())


@pytest.mark.parametrize("family", FAMILIES)
def test_draws_share_what_they_can(family):
    plain, ours = layers(family, conv=True, groups=2)
    _, shared = FAMILIES[family]
    predicted = counted(lambda: bo.predict(ours, IMAGES, 5, link="identity", path="vmap"))
    assert predicted == shared * counted(lambda: plain(IMAGES))


def test_every_product_has_a_formula():
    names = {name.removeprefix("bayesops::") for name in torch._C._dispatch_get_all_op_names() if "bayesops::" in name}
    products = {name for name in names if "_conv" in name}
    assert products == {formula.__name__ for formula in bo.profiling.flop_formulas()}
