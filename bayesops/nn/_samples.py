"""Layers that are called with S seeds at once: inputs with a sample dimension, ``[S, N, C, *]``."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from bayesops._arguments import wrong_type
from bayesops.ops._epilogue import Epilogue


def check_tensor(layer: object, input: object) -> None:
    """Check that the input of `layer` is a tensor, before it is asked for its shape."""
    if not isinstance(input, Tensor):
        wrong_type(type(layer).__name__, "input", "a tensor", type(input).__name__)


def over_examples(function: Callable[..., Tensor], spatial: int, input: Tensor, *args: Any, **options: Any) -> Tensor:
    """Call `function`, which takes images ``[N, C, *]``, with those of all samples as more examples."""
    if input.dim() <= spatial + 2:
        return function(input, *args, **options)
    return function(input.flatten(0, 1), *args, **options).unflatten(0, input.shape[:2])


def has_samples(spatial: int, input: Tensor, epilogue: Epilogue | None) -> bool:
    """Whether a layer's input or residual is ``[S, N, C, *]``, so that its output must be, too."""
    residual = None if epilogue is None else epilogue.residual
    return input.dim() > spatial + 2 or (residual is not None and residual.dim() > spatial + 2)
