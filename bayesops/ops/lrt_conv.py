"""Convolutions and linear layers with Gaussian weights, drawn at their output: local reparameterisation.

A sum of independent Gaussian weights times inputs is Gaussian, so each output can be drawn by itself, from its mean
``conv(x, mu) + bias_mu`` and its variance ``conv(x**2, var) + bias_var``: they are those of the output under a drawn
weight, while a gradient has less noise. The draws are independent for each example, channel *and pixel*, which they are
not under a weight that all pixels share: neighbouring outputs, covariant in `sampled_conv2d` and `flipout_conv2d`, are
not so here. A linear layer loses the covariance between examples only; where a map of uncertainties is pooled or
compared between pixels, it matters.

Images that S draws share are convolved once, and S times only noise is added. The noise is a function of the seed
(`bayesops.random.normal` in channels-last order); the backward pass keeps the standard deviation and draws it again.

Source: Kingma, Salimans and Welling, "Variational dropout and the local reparameterization trick", NIPS 2015, section
2.2, equation 6; two convolutions, for mean and variance: Shridhar, Laumann and Liwicki, "A comprehensive guide to
Bayesian convolutional neural network with variational inference", 2019, "Applying two sequential convolutional
operations (mean and variance)".
"""

import torch
from torch import Tensor

from bayesops._arguments import Seed, check_floating
from bayesops.ops import _lrt_conv_rules  # noqa: F401  registers fake, autograd, vmap and autocast
from bayesops.ops._conv_arguments import (
    IntPerDim,
    Padding,
    check_shape,
    flatten_rows,
    has_rows_per_sample,
    unflatten_rows,
)
from bayesops.ops._dispatch import call
from bayesops.ops._epilogue import Epilogue, check_epilogue, flatten_residual
from bayesops.ops._gaussian_arguments import check_bias_spread, check_convolution

_operator = torch.ops.bayesops.lrt_conv.default
_fused_operator = torch.ops.bayesops.lrt_conv_fused.default


def lrt_conv2d(
    input: Tensor,
    weight_mu: Tensor,
    weight_var: Tensor,
    bias_mu: Tensor | None = None,
    bias_var: Tensor | None = None,
    *,
    seed: Seed,
    stream: int = 0,
    stride: IntPerDim = 1,
    padding: Padding = 0,
    dilation: IntPerDim = 1,
    groups: int = 1,
) -> Tensor:
    """2-d convolution with a Gaussian weight, drawn at each output by itself, once or S times.

    Where the variance is zero (a zero input, zero variances) the result is the mean exactly, and the gradient of the
    variance is taken as 0: everything stays finite.

    Parameters
    ----------
    input : Tensor
        ``[N, I, H, W]``, shared by all draws, or ``[S, N, I, H, W]``, one for each draw. NCHW or channels-last.
    weight_mu : Tensor
        Mean of the weight, ``[O, I / groups, kH, kW]``.
    weight_var : Tensor
        Variance of the weight, of its shape, not negative: ``softplus(rho)**2``, or ``alpha * weight_mu**2``.
    bias_mu, bias_var : Tensor, optional
        Mean and variance of the bias, ``[O]``; without `bias_var` it is `bias_mu` itself.
    seed : int or int64 Tensor
        ``[]`` for one draw, ``[S]`` for S draws.
    stream : int
        Which layer: draws of different streams are independent. In [0, 2**32).
    stride, padding, dilation, groups
        As in `torch.nn.functional.conv2d`.

    Returns
    -------
    Tensor
        ``[N, O, H', W']``, or ``[S, N, O, H', W']`` where `seed` is ``[S]``; channels-last where `input` is.

    Raises
    ------
    ValueError
        A shape that does not fit.
    TypeError
        A dtype that is not float32, float64, bfloat16 (float16 on CUDA), or differs between input and parameters; a
        seed that is not int64; `bias_var` without `bias_mu`.
    RuntimeError
        Tensors on different devices, or a negative variance.

    Examples
    --------
    >>> x, mu, var = torch.randn(8, 3, 32, 32), torch.randn(16, 3, 3, 3), torch.full((16, 3, 3, 3), 1e-4)
    >>> seeds = bo.random.sample_seeds(0, 100)
    >>> bo.ops.lrt_conv2d(x, mu, var, seed=seeds, padding=1).shape
    torch.Size([100, 8, 16, 32, 32])
    """
    return _lrt_conv(
        "lrt_conv2d", 2, input, weight_mu, weight_var, bias_mu, bias_var, seed, stream, stride, padding, dilation,
        groups,
    )  # fmt: skip


def lrt_conv1d(
    input: Tensor,
    weight_mu: Tensor,
    weight_var: Tensor,
    bias_mu: Tensor | None = None,
    bias_var: Tensor | None = None,
    *,
    seed: Seed,
    stream: int = 0,
    stride: IntPerDim = 1,
    padding: Padding = 0,
    dilation: IntPerDim = 1,
    groups: int = 1,
) -> Tensor:
    """1-d convolution with a Gaussian weight, drawn at each output by itself; arguments and errors as in `lrt_conv2d`.

    `input` is ``[N, I, L]`` or ``[S, N, I, L]``, `weight_mu` ``[O, I / groups, k]``, the result ``[N, O, L']`` or
    ``[S, N, O, L']``.
    """
    return _lrt_conv(
        "lrt_conv1d", 1, input, weight_mu, weight_var, bias_mu, bias_var, seed, stream, stride, padding, dilation,
        groups,
    )  # fmt: skip


def lrt_conv3d(
    input: Tensor,
    weight_mu: Tensor,
    weight_var: Tensor,
    bias_mu: Tensor | None = None,
    bias_var: Tensor | None = None,
    *,
    seed: Seed,
    stream: int = 0,
    stride: IntPerDim = 1,
    padding: Padding = 0,
    dilation: IntPerDim = 1,
    groups: int = 1,
) -> Tensor:
    """3-d convolution with a Gaussian weight, drawn at each output by itself; arguments and errors as in `lrt_conv2d`.

    `input` is ``[N, I, D, H, W]`` or ``[S, N, I, D, H, W]``, `weight_mu` ``[O, I / groups, kD, kH, kW]``, the result
    ``[N, O, D', H', W']`` or ``[S, N, O, D', H', W']``.
    """
    return _lrt_conv(
        "lrt_conv3d", 3, input, weight_mu, weight_var, bias_mu, bias_var, seed, stream, stride, padding, dilation,
        groups,
    )  # fmt: skip


def lrt_linear(
    input: Tensor,
    weight_mu: Tensor,
    weight_var: Tensor,
    bias_mu: Tensor | None = None,
    bias_var: Tensor | None = None,
    *,
    seed: Seed,
    stream: int = 0,
) -> Tensor:
    """Linear map with a Gaussian weight, drawn at each output by itself; arguments and errors as in `lrt_conv2d`.

    Parameters
    ----------
    input : Tensor
        ``[*, I]`` with any number of leading dimensions, as in torch, shared by all draws. Where `seed` is ``[S]``, an
        input of three or more dimensions is ``[S, *, I]``: one for each draw. Every row is an
        example, with noise of its own.
    weight_mu, weight_var : Tensor
        ``[O, I]``.
    bias_mu, bias_var : Tensor, optional
        ``[O]``.

    Returns
    -------
    Tensor
        ``[*, O]``, or ``[S, *, O]`` where `seed` is ``[S]``.
    """
    return _lrt_linear("lrt_linear", input, weight_mu, weight_var, bias_mu, bias_var, seed, stream)


def _lrt_linear(
    operator: str,
    input: Tensor,
    weight_mu: Tensor,
    weight_var: Tensor,
    bias_mu: Tensor | None,
    bias_var: Tensor | None,
    seed: Seed,
    stream: int,
    epilogue: Epilogue | None = None,
) -> Tensor:
    """Make rows of the input's leading dimensions, and of those of the epilogue's residual."""
    check_floating(operator, "input", input)
    rows, leading = flatten_rows(operator, input, has_rows_per_sample(input, seed))
    output = _lrt_conv(
        operator, 0, rows, weight_mu, weight_var, bias_mu, bias_var, seed, stream, 1, 0, 1, 1,
        flatten_residual(operator, epilogue, leading),
    )  # fmt: skip
    return unflatten_rows(output, leading)


def _lrt_conv(
    operator: str,
    dims: int,
    input: Tensor,
    weight_mu: Tensor,
    weight_var: Tensor,
    bias_mu: Tensor | None,
    bias_var: Tensor | None,
    seed: Seed,
    stream: int,
    stride: IntPerDim,
    padding: Padding,
    dilation: IntPerDim,
    groups: int,
    epilogue: Epilogue | None = None,
) -> Tensor:
    """Check, bring the arguments into the compiled operator's form, and call it."""
    seed, *geometry, groups = check_convolution(
        operator, dims, input, weight_mu, bias_mu, seed, stream, stride, padding, dilation, groups
    )
    check_shape(operator, "weight_var", weight_var, weight_mu.shape, input)
    if bias_var is not None:
        check_bias_spread(operator, "bias_var", bias_var, bias_mu, input)
    arguments = (input, weight_mu, weight_var, bias_mu, bias_var, seed, stream, *geometry, groups)
    if epilogue is None:
        return call(_operator, *arguments)
    check_epilogue(operator, epilogue, input, weight_mu, seed, *geometry)
    return call(_fused_operator, *arguments, *epilogue)
