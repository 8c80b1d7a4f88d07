"""The model that a command is asked to look at, and inputs for it."""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from bayesops._messages import first_line
from bayesops.cli._arguments import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn


def load(
    name: str, input_shapes: list[list[int]] | None = None, device: str = "cpu"
) -> tuple["nn.Module", "tuple[Tensor, ...]"]:
    """Make the model called `name`, and inputs of one example for it, of the shapes given or those it comes with.

    Raises
    ------
    UsageError
        No such model, factory or device; a factory that fails, that does not return a module, or whose module does not
        take the inputs.
    """
    import torch

    from bayesops import models

    inputs: tuple[Tensor, ...] | None = None
    if ":" in name:
        model, inputs = _imported(name)
    elif name in models.MODELS:
        model, inputs = models.build(name), (models.example_input(name),)
    else:
        raise UsageError(f"model {name!r} is none of {', '.join(models.MODELS)}, nor of the form pkg.module:factory")
    if input_shapes:
        inputs = _random_inputs(model, input_shapes)
    if inputs is None:
        raise UsageError(f"{name} returns a model alone: say what it takes, as in --input-shape 3 32 32")
    try:
        model, inputs = model.to(device), tuple(tensor.to(device) for tensor in inputs)
    except Exception as error:
        raise UsageError(f"--device {device} is not to be had: {first_line(error)}") from error
    try:
        with torch.no_grad():
            model.eval()(*inputs)
    except Exception as error:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
        raise UsageError(f"{name} does not take an input of shape {shapes}: {first_line(error)}") from error
    return model, inputs


def _random_inputs(model: "nn.Module", shapes: list[list[int]]) -> "tuple[Tensor, ...]":
    """One example of each shape, in the dtype of the model's parameters."""
    import torch

    generator = torch.Generator().manual_seed(0)
    dtypes = [parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()]
    dtype = dtypes[0] if dtypes else torch.float32
    return tuple(torch.randn(1, *shape, generator=generator, device="cpu").to(dtype) for shape in shapes)


def _imported(name: str) -> tuple["nn.Module", "tuple[Tensor, ...] | None"]:
    """Return the module ``pkg.module:model``, or call a factory for a module, or a module and its input (or inputs)."""
    from torch import Tensor, nn

    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise UsageError(f"{name!r} is not of the form pkg.module:factory")
    if os.getcwd() not in sys.path:  # as `python -m` would have it
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise UsageError(f"cannot import {name}: {first_line(error)}") from error
    if isinstance(found, nn.Module):
        return found, None
    if not callable(found):
        raise UsageError(
            f"{name} is of type {type(found).__name__}, and neither a model nor a function that returns one"
        )
    try:
        made = found()
    except Exception as error:
        raise UsageError(f"{name}() failed: {first_line(error)}") from error
    model, inputs = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    inputs = (inputs,) if isinstance(inputs, Tensor) else inputs
    are_tensors = isinstance(inputs, (tuple, list)) and all(isinstance(tensor, Tensor) for tensor in inputs)
    if not isinstance(model, nn.Module) or not (inputs is None or are_tensors):
        raise UsageError(
            f"{name}() must return a torch.nn.Module, or one with its input; it returned {type(made).__name__}"
        )
    return model, None if inputs is None else tuple(inputs)
