"""The convolutions as a prediction runs them: batch normalisation, a shortcut and relu in the same pass.

Each takes the arguments of the operator whose name it has (`bayesops.ops.masked_conv2d` and so on, the number of
spatial dimensions being that of the weight), and an `Epilogue`. It makes the same draw, and returns
``act(result * scale + shift + residual)``, formed before the result is rounded to its dtype: of local
reparameterisation that is the draw with its noise. An epilogue of nothing leaves the bits of the plain operator.

They have no derivative: call them under `torch.no_grad`, or with nothing that requires one.
"""

import torch
from torch import Tensor

from bayesops.ops import _fused_conv_rules  # noqa: F401  registers fake, autocast, CUDA
from bayesops.ops._arguments import Seed
from bayesops.ops._conv_arguments import IntPerDim, Padding
from bayesops.ops._epilogue import Epilogue
from bayesops.ops._gaussian_arguments import sampled_weight_conv, sampled_weight_linear
from bayesops.ops.lrt_conv import _lrt_conv, _lrt_linear
from bayesops.ops.masked_conv import _masked_conv, _masked_linear

__all__ = ["Epilogue", "flipout_conv_fused", "lrt_conv_fused", "masked_conv_fused", "sampled_conv_fused"]


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
