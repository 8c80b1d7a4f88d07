"""Floating-point operations of our operators, for PyTorch's counter, which knows nothing of them."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Size
from torch._ops import OpOverloadPacket

Formula = Callable[..., int]

# Products of a family: how many each draw takes of its own, and how many draws share if they share their input.
_PRODUCTS = {"masked": (1, 0), "sampled": (1, 0), "flipout": (1, 1), "lrt": (0, 2)}


def flop_formulas() -> dict[OpOverloadPacket, Formula]:
    """Tell PyTorch's ``FlopCounterMode`` what convolutions and linear layers with random weights compute.

    As PyTorch does, only the multiply-adds of products are counted, as two operations each; not what is drawn, nor what
    follows. Flipout and local reparameterisation multiply by the mean, and the latter by the variance, once for all
    draws that share their input.

    Returns
    -------
    dict
        A formula of shapes for each operator: the argument `custom_mapping`.

    Examples
    --------
    >>> from torch.utils.flop_counter import FlopCounterMode
    >>> with FlopCounterMode(custom_mapping=bo.profiling.flop_formulas()) as counter:
    ...     bo.predict(model, images, num_samples=50)
    >>> counter.get_total_flops()
    """
    formulas: dict[str, Formula] = {}
    for family, products in _PRODUCTS.items():
        for name in ("conv", "conv_fused"):
            formulas[f"{family}_{name}"] = _of_output(*products)
        if family != "lrt":
            formulas[f"{family}_conv_input_grad"] = _of_input_gradient(*products)
            formulas[f"{family}_conv_weight_grad"] = _of_weight_gradient(*products)
    formulas |= {
        "lrt_conv_std": _of_output(*_PRODUCTS["lrt"]),
        "lrt_conv_input_grad": _of_gradients_of_moments,
        "lrt_conv_weight_grad": _of_gradients_of_moments,
    }
    return {getattr(torch.ops.bayesops, name): formula for name, formula in formulas.items()}


def _operations(output: Size, input: Size, weight: Size, own: int, shared: int) -> int:
    examples_first = len(output) - len(weight)  # 1 where there are samples
    draws, outputs = math.prod(output[:examples_first]), math.prod(output[examples_first:])
    inputs = draws if len(input) > len(weight) else 1
    return 2 * (own * draws + shared * inputs) * outputs * math.prod(weight[1:])


def _of_output(own: int, shared: int) -> Formula:
    def formula(input: Size, weight: Size, *rest: Any, out_shape: Any) -> int:
        return _operations(_first(out_shape), input, weight, own, shared)

    return formula


def _of_input_gradient(own: int, shared: int) -> Formula:
    def formula(grad_output: Size, weight: Size, *rest: Any, out_shape: Any) -> int:
        return _operations(grad_output, out_shape, weight, own, shared)

    return formula


def _of_weight_gradient(own: int, shared: int) -> Formula:
    def formula(grad_output: Size, input: Size, *rest: Any, out_shape: Any) -> int:
        return _operations(grad_output, input, _first(out_shape), own, shared)

    return formula


def _of_gradients_of_moments(
    grad_mean: Size, grad_variance: Size, input: Size, weight: Size, *rest: Any, out_shape: Any
) -> int:
    return 4 * math.prod(grad_mean) * math.prod(weight[1:])


def _first(shapes: Any) -> Size:
    """Of an operator's one or several results."""
    return shapes if isinstance(shapes, Size) else shapes[0]
