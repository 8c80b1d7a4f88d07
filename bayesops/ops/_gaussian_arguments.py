"""From a Gaussian posterior's parameters to the arguments of the compiled convolutions: checks, sigma, bias draws."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch._ops import OpOverload

from bayesops._arguments import Seed, check_floating, check_stream, seed_tensor, wrong_type, wrong_value
from bayesops._sums import expand
from bayesops.ops._arguments import check_like_input
from bayesops.ops._conv_arguments import (
    IntPerDim,
    Padding,
    check_input_shape,
    check_shape,
    check_weight,
    flatten_rows,
    has_rows_per_sample,
    unflatten_rows,
    window,
)
from bayesops.ops._dispatch import call
from bayesops.ops._epilogue import Epilogue, check_epilogue, flatten_residual
from bayesops.ops._softplus_rules import softplus

# A layer's weights and biases draw from streams of their own: this bit of the stream's number says which.
BIAS_STREAM = 0x80000000

_random_normal = torch.ops.bayesops.random_normal.default


def sampled_weight_conv(
    op: OpOverload,
    operator: str,
    dims: int,
    input: Tensor,
    weight_mu: Tensor,
    weight_rho: Tensor | None,
    bias_mu: Tensor | None,
    bias_rho: Tensor | None,
    weight_log_alpha: Tensor | None,
    seed: Seed,
    stream: int,
    stride: IntPerDim,
    padding: Padding,
    dilation: IntPerDim,
    groups: int,
    epilogue: Epilogue | None = None,
) -> Tensor:
    """Check, compute the weight's standard deviation, draw the bias, and call `op`.

    That is sampled_conv or flipout_conv, or the form of these that takes an `epilogue`.
    """
    seed, *geometry, groups = check_convolution(
        operator, dims, input, weight_mu, bias_mu, seed, stream, stride, padding, dilation, groups
    )
    sigma = _weight_sigma(operator, weight_mu, weight_rho, weight_log_alpha, input)
    if bias_rho is None:
        bias = bias_mu
    else:
        bias_mu = check_bias_spread(operator, "bias_rho", bias_rho, bias_mu, input)
        bias = _draw_bias(bias_mu, bias_rho, seed, stream)
    arguments = (input, weight_mu, sigma, bias, seed, stream, *geometry, groups)
    if epilogue is None:
        return call(op, *arguments)
    check_epilogue(operator, epilogue, input, weight_mu, seed, *geometry)
    return call(op, *arguments, *epilogue)


def sampled_weight_linear(
    op: OpOverload,
    operator: str,
    input: Tensor,
    weight_mu: Tensor,
    weight_rho: Tensor | None,
    bias_mu: Tensor | None,
    bias_rho: Tensor | None,
    weight_log_alpha: Tensor | None,
    seed: Seed,
    stream: int,
    epilogue: Epilogue | None = None,
) -> Tensor:
    """Make rows of the input's leading dimensions, and of those of the epilogue's residual."""
    check_floating(operator, "input", input)
    rows, leading = flatten_rows(operator, input, has_rows_per_sample(input, seed))
    output = sampled_weight_conv(
        op, operator, 0, rows, weight_mu, weight_rho, bias_mu, bias_rho, weight_log_alpha, seed, stream, 1, 0, 1, 1,
        flatten_residual(operator, epilogue, leading),
    )  # fmt: skip
    return unflatten_rows(output, leading)


def check_convolution(
    operator: str,
    dims: int,
    input: Tensor,
    weight_mu: Tensor,
    bias_mu: Tensor | None,
    seed: Seed,
    stream: int,
    stride: IntPerDim,
    padding: Padding,
    dilation: IntPerDim,
    groups: int,
) -> tuple[Tensor, list[int], list[int], list[int], int]:
    """Check what all estimators have in common; return the seed's tensor, stride, padding, dilation (lists), groups."""
    check_stream(operator, stream)
    check_floating(operator, "input", input)
    groups = check_weight(operator, "weight_mu", dims, weight_mu, input, groups)
    if bias_mu is not None:
        check_shape(operator, "bias_mu", bias_mu, weight_mu.shape[:1], input)
    stride, padding, dilation = window(operator, dims, input, weight_mu, stride, padding, dilation)
    seed = seed_tensor(operator, seed, input.device)
    check_input_shape(operator, dims, input, seed, weight_mu.shape[1] * groups)
    return seed, stride, padding, dilation, groups


def check_bias_spread(operator: str, argument: str, spread: Tensor, bias_mu: Tensor | None, input: Tensor) -> Tensor:
    """Check the bias's rho or variance, which needs a mean: return it."""
    if bias_mu is None:
        wrong_type(operator, "bias_mu", f"a tensor where '{argument}' is given", "None")
    check_shape(operator, argument, spread, bias_mu.shape, input)
    return bias_mu


def _weight_sigma(operator: str, mu: Tensor, rho: Tensor | None, log_alpha: Tensor | None, input: Tensor) -> Tensor:
    """``softplus(rho)`` or ``sqrt(alpha) |mu|``, whichever is given."""
    if rho is not None and log_alpha is None:
        check_shape(operator, "weight_rho", rho, mu.shape, input)
        return softplus(rho)
    if rho is not None or log_alpha is None:
        got = "neither" if rho is None else "both"
        wrong_type(operator, "weight_rho", "given, or else 'weight_log_alpha'", got)
    check_like_input(operator, "weight_log_alpha", log_alpha, input)
    if not _broadcasts(log_alpha.shape, mu.shape):
        wanted = f"of a shape that broadcasts to {tuple(mu.shape)}"
        wrong_value(operator, "weight_log_alpha", wanted, f"shape {tuple(log_alpha.shape)}")
    return torch.exp(expand(log_alpha, mu.shape) / 2) * mu.abs()


def _broadcasts(shape: Sequence[int], target: Sequence[int]) -> bool:
    if len(shape) > len(target):
        return False
    return all(size in (1, wanted) for size, wanted in zip(reversed(shape), reversed(target), strict=False))


def _draw_bias(mu: Tensor, rho: Tensor, seed: Tensor, stream: int) -> Tensor:
    """``[O]``, or ``[S, O]`` where `seed` is ``[S]``."""
    eps = _random_normal(seed, [mu.shape[0]], stream ^ BIAS_STREAM)
    bias = torch.addcmul(mu, softplus(rho), eps)  # in float32 at least
    return bias if bias.dtype == mu.dtype else bias.to(mu.dtype)
