"""Convolutions and linear layers whose weights are Gaussian draws: weight sampling, Bayes by Backprop.

A draw of the layer is a plain convolution with the weight ``mu + softplus(rho) * eps``, and a bias drawn likewise, one
for all examples and pixels. The noise is a function of the seed, so neither it nor the weight is kept for the backward
pass: both are drawn again (on the CPU while the weights are packed; on CUDA a kernel writes them). Anyone can draw the
noise again with `bayesops.random.normal`.

Source: Blundell, Cornebise, Kavukcuoglu and Wierstra, "Weight uncertainty in neural networks", ICML 2015, section 3.2.
The variance ``alpha * mu**2``: Kingma, Salimans and Welling, "Variational dropout and the local reparameterization
trick", NIPS 2015, section 3.
"""

import torch
from torch import Tensor

from bayesops._arguments import Seed
from bayesops.ops import _sampled_conv_rules  # noqa: F401  registers fake, autograd, vmap and autocast
from bayesops.ops._conv_arguments import IntPerDim, Padding
from bayesops.ops._gaussian_arguments import sampled_weight_conv, sampled_weight_linear

_operator = torch.ops.bayesops.sampled_conv.default


def sampled_conv2d(
    input: Tensor,
    weight_mu: Tensor,
    weight_rho: Tensor | None = None,
    bias_mu: Tensor | None = None,
    bias_rho: Tensor | None = None,
    *,
    seed: Seed,
    weight_log_alpha: Tensor | None = None,
    stream: int = 0,
    stride: IntPerDim = 1,
    padding: Padding = 0,
    dilation: IntPerDim = 1,
    groups: int = 1,
) -> Tensor:
    """2-d convolution with a weight drawn from a Gaussian, one draw or S draws at once.

    Parameters
    ----------
    input : Tensor
        ``[N, I, H, W]``, shared by all draws, or ``[S, N, I, H, W]``, one for each draw. NCHW or channels-last.
    weight_mu : Tensor
        Mean of the weight, ``[O, I / groups, kH, kW]``.
    weight_rho : Tensor, optional
        The weight's standard deviation is ``softplus(weight_rho)``; of the weight's shape.
    bias_mu : Tensor, optional
        Mean of the bias, ``[O]``; without `bias_rho` the bias itself.
    bias_rho : Tensor, optional
        The bias's standard deviation is ``softplus(bias_rho)``; ``[O]``.
    seed : int or int64 Tensor
        ``[]`` for one draw, ``[S]`` for S draws.
    weight_log_alpha : Tensor, optional
        In place of `weight_rho`: the weight's variance is ``exp(weight_log_alpha) * weight_mu**2``. Of any shape that
        broadcasts to the weight's.
    stream : int
        Which layer: draws of different streams are independent. In [0, 2**32); biases draw from ``stream ^ 2**31``.
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
        seed that is not int64; neither or both of `weight_rho` and `weight_log_alpha`; `bias_rho` without
        `bias_mu`.
    RuntimeError
        Tensors on different devices.

    Examples
    --------
    >>> x, mu, rho = torch.randn(8, 3, 32, 32), torch.randn(16, 3, 3, 3), torch.full((16, 3, 3, 3), -5.0)
    >>> seeds = bo.random.sample_seeds(0, 100)
    >>> bo.ops.sampled_conv2d(x, mu, rho, seed=seeds, padding=1).shape
    torch.Size([100, 8, 16, 32, 32])
    """
    return sampled_weight_conv(
        _operator, "sampled_conv2d", 2, input, weight_mu, weight_rho, bias_mu, bias_rho, weight_log_alpha, seed, stream,
        stride, padding, dilation, groups,
    )  # fmt: skip


def sampled_conv1d(
    input: Tensor,
    weight_mu: Tensor,
    weight_rho: Tensor | None = None,
    bias_mu: Tensor | None = None,
    bias_rho: Tensor | None = None,
    *,
    seed: Seed,
    weight_log_alpha: Tensor | None = None,
    stream: int = 0,
    stride: IntPerDim = 1,
    padding: Padding = 0,
    dilation: IntPerDim = 1,
    groups: int = 1,
) -> Tensor:
    """1-d convolution with a weight drawn from a Gaussian; arguments and errors as in `sampled_conv2d`.

    `input` is ``[N, I, L]`` or ``[S, N, I, L]``, `weight_mu` ``[O, I / groups, k]``, the result ``[N, O, L']`` or
    ``[S, N, O, L']``.
    """
    return sampled_weight_conv(
        _operator, "sampled_conv1d", 1, input, weight_mu, weight_rho, bias_mu, bias_rho, weight_log_alpha, seed, stream,
        stride, padding, dilation, groups,
    )  # fmt: skip


def sampled_conv3d(
    input: Tensor,
    weight_mu: Tensor,
    weight_rho: Tensor | None = None,
    bias_mu: Tensor | None = None,
    bias_rho: Tensor | None = None,
    *,
    seed: Seed,
    weight_log_alpha: Tensor | None = None,
    stream: int = 0,
    stride: IntPerDim = 1,
    padding: Padding = 0,
    dilation: IntPerDim = 1,
    groups: int = 1,
) -> Tensor:
    """3-d convolution with a weight drawn from a Gaussian; arguments and errors as in `sampled_conv2d`.

    `input` is ``[N, I, D, H, W]`` or ``[S, N, I, D, H, W]``, `weight_mu` ``[O, I / groups, kD, kH, kW]``, the result
    ``[N, O, D', H', W']`` or ``[S, N, O, D', H', W']``.
    """
    return sampled_weight_conv(
        _operator, "sampled_conv3d", 3, input, weight_mu, weight_rho, bias_mu, bias_rho, weight_log_alpha, seed, stream,
        stride, padding, dilation, groups,
    )  # fmt: skip


def sampled_linear(
    input: Tensor,
    weight_mu: Tensor,
    weight_rho: Tensor | None = None,
    bias_mu: Tensor | None = None,
    bias_rho: Tensor | None = None,
    *,
    seed: Seed,
    weight_log_alpha: Tensor | None = None,
    stream: int = 0,
) -> Tensor:
    """Linear map with a weight drawn from a Gaussian; arguments and errors as in `sampled_conv2d`.

    Parameters
    ----------
    input : Tensor
        ``[*, I]`` with any number of leading dimensions, as in torch, shared by all draws. Where `seed` is ``[S]``, an
        input of three or more dimensions is ``[S, *, I]``: one for each draw.
    weight_mu, weight_rho : Tensor
        ``[O, I]``.
    bias_mu, bias_rho : Tensor, optional
        ``[O]``.

    Returns
    -------
    Tensor
        ``[*, O]``, or ``[S, *, O]`` where `seed` is ``[S]``.
    """
    return sampled_weight_linear(
        _operator, "sampled_linear", input, weight_mu, weight_rho, bias_mu, bias_rho, weight_log_alpha, seed, stream
    )
