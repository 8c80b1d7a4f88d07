"""Models by name: what the benchmarks, the command `bayesops profile` and the tests ask for."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from bayesops._arguments import check_choice, wrong_value
from bayesops.convert import POSTERIORS, convert
from bayesops.models.alexnet import AlexNet
from bayesops.models.lenet import LeNet5
from bayesops.models.mlp import MLP
from bayesops.models.one_conv_one_fc import OneConvOneFC
from bayesops.models.resnet import ResNet18
from bayesops.models.three_conv_three_fc import ThreeConvThreeFC
from bayesops.models.two_conv_one_fc import TwoConvOneFC

MODELS: dict[str, Callable[..., nn.Module]] = {
    "lenet5": LeNet5,
    "3conv3fc": ThreeConvThreeFC,
    "resnet18": ResNet18,
    "alexnet": AlexNet,
    "mlp": MLP,
    "1conv1fc": OneConvOneFC,
    "2conv1fc": TwoConvOneFC,
}

_DIGITS, _SMALL_IMAGES = (1, 28, 28), (3, 32, 32)
_INPUT_SHAPES = {
    "lenet5": _DIGITS,
    "3conv3fc": _SMALL_IMAGES,
    "resnet18": _SMALL_IMAGES,
    "alexnet": _SMALL_IMAGES,
    "mlp": _DIGITS,
    "1conv1fc": _DIGITS,
    "2conv1fc": _DIGITS,
}


def build(name: str, bayesian: bool = False, posterior: str = "bernoulli", **options: Any) -> nn.Module:
    """Make the model called `name`, deterministic or with Bayesian layers.

    Parameters
    ----------
    name : str
        A key of `MODELS`: "lenet5", "3conv3fc", "resnet18", "alexnet", "mlp", "1conv1fc" or "2conv1fc".
    bayesian : bool
        Convert its convolutions and linear layers with `bayesops.convert`.
    posterior : {"bernoulli", "gaussian"}
        To what.
    **options
        `where` and the posterior's options go to `convert`, all others to the model.

    Raises
    ------
    ValueError
        An unknown name or posterior; a posterior, or an option of `convert`, without `bayesian`.
    """
    for argument, value, known in (("name", name, MODELS), ("posterior", posterior, POSTERIORS)):
        check_choice("models.build", argument, value, known)
    of_convert = {"where", *(field.name for field in fields(POSTERIORS[posterior]))}
    convert_options = {key: options.pop(key) for key in of_convert & options.keys()}
    if not bayesian:
        unused = convert_options if posterior == "bernoulli" else {"posterior": posterior}
        for argument, value in unused.items():
            wanted = "left out where bayesian=False: it has no effect there"
            wrong_value("models.build", argument, wanted, repr(value))
    model = MODELS[name](**options)
    return convert(model, posterior, **convert_options) if bayesian else model


def example_input(name: str, batch_size: int = 1, *, seed: int = 0) -> Tensor:
    """Random images ``[batch_size, C, H, W]`` of the shape that the model `name` takes by default.

    They are on torch's default device, and the same on each.

    Parameters
    ----------
    name : str
        A key of `MODELS`, as for `build`.
    batch_size : int
        N.
    seed : int
        Of the generator that they are drawn from, with a standard normal distribution.

    Raises
    ------
    ValueError
        An unknown name.
    """
    check_choice("models.example_input", "name", name, MODELS)
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(batch_size, *_INPUT_SHAPES[name], generator=generator, device="cpu")
    return images.to(torch.get_default_device())
