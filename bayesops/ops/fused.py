"""The convolutions as a prediction runs them: batch normalisation, a shortcut and relu in the same pass.

Each takes the arguments of the operator whose name it has (`bayesops.ops.masked_conv2d` and so on, the number of
spatial dimensions being that of the weight), and an `Epilogue`. It makes the same draw, and returns
``act(result * scale + shift + residual)``, formed before the result is rounded to its dtype: of local
reparameterisation that is the draw with its noise. An epilogue of nothing leaves the bits of the plain operator.
`lrt_draw` is local reparameterisation where mean and standard deviation are there already.

On the CPU nothing is rounded before that. On CUDA we write the masked or drawn weights, and a convolution of the
library's own stores its results, both in the dtype of the input. In bfloat16 and float16 these are rounded first, then:
the weights, the results of the convolution, of Flipout those of the mean and of the deviation, of local
reparameterisation the squared input, means and variances. From there on, with bias, noise and epilogue, all is float32
and rounded once. In float32 and float64 there is no such difference.

They have no derivative: call them under `torch.no_grad`, or with nothing that requires one.
"""

import torch
from torch import Tensor

from bayesops._arguments import Seed, check_floating, check_stream, seed_tensor, wrong_value
from bayesops.ops import _fused_conv_rules, _lrt_draw_rules  # noqa: F401  register fake, autocast, vmap
from bayesops.ops._conv_arguments import IntPerDim, Padding, check_shape
from bayesops.ops._dispatch import call
from bayesops.ops._epilogue import Epilogue, check_per_channel, check_residual
from bayesops.ops._gaussian_arguments import sampled_weight_conv, sampled_weight_linear
from bayesops.ops.lrt_conv import _lrt_conv, _lrt_linear
from bayesops.ops.masked_conv import _masked_conv, _masked_linear

__all__ = ["Epilogue", "flipout_conv_fused", "lrt_conv_fused", "lrt_draw", "masked_conv_fused", "sampled_conv_fused"]


def masked_conv_fused(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    epilogue: Epilogue,
    p: float,
    seed: Seed,
    mask: Tensor | None = None,
    granularity: str = "weight",
    rescale: bool = True,
    per_example: bool = False,
    stream: int = 0,
    stride: IntPerDim = 1,
    padding: Padding = 0,
    dilation: IntPerDim = 1,
    groups: int = 1,
) -> Tensor:
    """`masked_conv1d`, ``2d``, ``3d`` or `masked_linear`, and `epilogue`."""
    mask_options = (p, seed, mask, granularity, rescale, per_example, stream)
    if weight.dim() == 2:
        return _masked_linear("masked_conv_fused", input, weight, bias, *mask_options, epilogue)
    geometry = (stride, padding, dilation, groups)
    return _masked_conv(
        "masked_conv_fused", weight.dim() - 2, input, weight, bias, *mask_options, *geometry, epilogue
    )  # fmt: skip


def lrt_conv_fused(
    input: Tensor,
    weight_mu: Tensor,
    weight_var: Tensor,
    bias_mu: Tensor | None = None,
    bias_var: Tensor | None = None,
    *,
    epilogue: Epilogue,
    seed: Seed,
    stream: int = 0,
    stride: IntPerDim = 1,
    padding: Padding = 0,
    dilation: IntPerDim = 1,
    groups: int = 1,
) -> Tensor:
    """`lrt_conv1d`, ``2d``, ``3d`` or `lrt_linear`, and `epilogue`."""
    arguments = (input, weight_mu, weight_var, bias_mu, bias_var, seed, stream)
    if weight_mu.dim() == 2:
        return _lrt_linear("lrt_conv_fused", *arguments, epilogue)
    return _lrt_conv(
        "lrt_conv_fused", weight_mu.dim() - 2, *arguments, stride, padding, dilation, groups, epilogue
    )  # fmt: skip


def lrt_draw(mean: Tensor, std: Tensor, *, epilogue: Epilogue, seed: Seed, stream: int = 0) -> Tensor:
    """Draws of a locally reparameterised layer whose output's mean and standard deviation are already there.

    They are those of `lrt_conv_fused`: its noise, and to rounding its results. So a prediction in several chunks of
    draws convolves images that all of them share once.

    Parameters
    ----------
    mean, std : Tensor
        ``[N, O, *]`` with up to three spatial dimensions; of a linear layer ``[N, O]``.
    epilogue : Epilogue
        What follows each draw.
    seed : int or int64 Tensor
        ``[]`` for one draw, ``[S]`` for S draws.
    stream : int
        That of the layer. In [0, 2**32).

    Returns
    -------
    Tensor
        ``[N, O, *]``, or ``[S, N, O, *]`` where `seed` is ``[S]``; channels-last where `mean` is.

    Raises
    ------
    ValueError
        A shape that does not fit.
    TypeError
        A dtype that is not float32, float64, bfloat16 (float16 on CUDA), or differs from that of `mean`; a seed that is
        not int64.
    RuntimeError
        Tensors on different devices, or one that requires a gradient.
    """
    operator = "lrt_draw"
    check_stream(operator, stream)
    check_floating(operator, "mean", mean)
    if not 2 <= mean.dim() <= 5:
        wrong_value(operator, "mean", "of shape [N, O, *] with 0 to 3 spatial dimensions", f"shape {tuple(mean.shape)}")
    check_shape(operator, "std", std, mean.shape, mean)
    seed = seed_tensor(operator, seed, mean.device)
    check_per_channel(operator, epilogue, mean.shape[1:2], mean)
    if epilogue.residual is not None:
        check_residual(operator, epilogue.residual, tuple(mean.shape), seed, mean)
    return call(torch.ops.bayesops.lrt_draw.default, mean, std, seed, stream, *epilogue)


def sampled_conv_fused(
    input: Tensor,
    weight_mu: Tensor,
    weight_rho: Tensor | None = None,
    bias_mu: Tensor | None = None,
    bias_rho: Tensor | None = None,
    *,
    epilogue: Epilogue,
    seed: Seed,
    weight_log_alpha: Tensor | None = None,
    stream: int = 0,
    stride: IntPerDim = 1,
    padding: Padding = 0,
    dilation: IntPerDim = 1,
    groups: int = 1,
) -> Tensor:
    """`sampled_conv1d`, ``2d``, ``3d`` or `sampled_linear`, and `epilogue`."""
    op, name = torch.ops.bayesops.sampled_conv_fused.default, "sampled_conv_fused"
    arguments = (input, weight_mu, weight_rho, bias_mu, bias_rho, weight_log_alpha, seed, stream)
    if weight_mu.dim() == 2:
        return sampled_weight_linear(op, name, *arguments, epilogue)
    return sampled_weight_conv(
        op, name, weight_mu.dim() - 2, *arguments, stride, padding, dilation, groups, epilogue
    )  # fmt: skip


def flipout_conv_fused(
    input: Tensor,
    weight_mu: Tensor,
    weight_rho: Tensor | None = None,
    bias_mu: Tensor | None = None,
    bias_rho: Tensor | None = None,
    *,
    epilogue: Epilogue,
    seed: Seed,
    weight_log_alpha: Tensor | None = None,
    stream: int = 0,
    stride: IntPerDim = 1,
    padding: Padding = 0,
    dilation: IntPerDim = 1,
    groups: int = 1,
) -> Tensor:
    """`flipout_conv1d`, ``2d``, ``3d`` or `flipout_linear`, and `epilogue`."""
    op, name = torch.ops.bayesops.flipout_conv_fused.default, "flipout_conv_fused"
    arguments = (input, weight_mu, weight_rho, bias_mu, bias_rho, weight_log_alpha, seed, stream)
    if weight_mu.dim() == 2:
        return sampled_weight_linear(op, name, *arguments, epilogue)
    return sampled_weight_conv(
        op, name, weight_mu.dim() - 2, *arguments, stride, padding, dilation, groups, epilogue
    )  # fmt: skip
