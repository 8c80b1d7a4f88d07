"""Negative log likelihoods for regression whose noise is learned, with all their constants.

A network that says how noisy its target is has a log variance beside the mean: one number for all data (homoscedastic
noise), or an output for each input (heteroscedastic noise). Source: Kendall and Gal, "What uncertainties do we need in
Bayesian deep learning for computer vision?", NIPS 2017, sections 2.2 and 3.1.
"""

import math
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

from bayesops._arguments import check_choice, check_floating, wrong_type, wrong_value

REDUCTIONS = ("none", "mean", "sum")


def gaussian_nll(
    mean: Tensor, target: Tensor, log_var: Tensor | float, *, mask: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    r"""Compute −log N(target; mean, exp(log_var)), in nats.

    .. math:: \tfrac12 (y - \mu)^2 e^{-s} + \tfrac12 s + \tfrac12 \log 2 \pi, \qquad s = \log \sigma^2

    Parameters
    ----------
    mean : Tensor
        Of any shape, ``[N, *]`` for instance.
    target : Tensor
        Of the very shape of `mean`: ``[N]`` against ``[N, 1]`` is an error, where broadcasting would compare everything
        with everything.
    log_var : Tensor or float
        The logarithm of the *variance*, of one of these shapes: that of `mean`, any of its dimensions 1; ``[C]``, one
        for each output, which are dimension 1 of `mean` (``[N, C]``, ``[N, C, H, W]``); ``[]``, one for all.
    mask : bool Tensor, optional
        True where the target counts, of the shape of `mean`, any of its dimensions 1. Elsewhere the target may be
        anything, NaN too; the value there is 0, and the gradient.
    reduction : {"none", "mean", "sum"}
        ``"mean"`` divides by the number of elements that count (and is NaN where there are none, as the mean of an
        empty tensor).

    Returns
    -------
    Tensor
        At least float32, in which everything is computed: ``[]``, or of the shape of `mean` for ``"none"``.

    Raises
    ------
    ValueError
        Shapes that do not fit, an unknown reduction.
    TypeError
        Arguments that are no tensors, or of other dtypes.

    Notes
    -----
    Values and gradients are finite for log variances of ±50 and beyond, in float32 and bfloat16 (float16 cannot hold
    the gradient: exp(50) is past its range). A point that is fitted perfectly gives ½ log 2π + ½ log_var, which has
    no lower bound: its gradient pulls `log_var` down at a rate of ½ as long as the residual stays 0. Whoever fits
    targets exactly must bound `log_var` himself.

    Source: Kendall and Gal, 2017, equations 5 and 8 (there without the constant); 8 explains why the network's output
    is the logarithm.

    Examples
    --------
    Homoscedastic: a parameter, which the optimiser gets as well.

    >>> log_var = torch.nn.Parameter(torch.zeros(()))
    >>> bo.losses.gaussian_nll(model(x), y, log_var)

    Heteroscedastic: a second output of the network.

    >>> mean, log_var = model(x).chunk(2, dim=1)
    >>> bo.losses.gaussian_nll(mean, y, log_var)
    """
    residual, log_var = _residual_and_log_var("gaussian_nll", mean, target, log_var, mask)
    # Scaled before it is squared: neither factor leaves float32 where their product does not.
    scaled = residual * torch.exp(-0.5 * log_var)
    return _reduced("gaussian_nll", 0.5 * (scaled.square() + log_var + math.log(2 * math.pi)), mask, reduction)


def laplace_nll(
    mean: Tensor, target: Tensor, log_var: Tensor | float, *, mask: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    r"""Compute −log Laplace(target; mean, b), in nats, for the scale b whose variance is exp(log_var).

    .. math:: |y - \mu| / b + \log 2 b, \qquad 2 b^2 = e^s, \quad \log b = \tfrac12 (s - \log 2)

    so that it is :math:`\sqrt 2 |y - \mu| e^{-s/2} + \tfrac12 s + \tfrac12 \log 2`. `log_var` is the logarithm of the
    *variance* 2b², as it is for `gaussian_nll`, and as `bayesops.predict` takes it with ``link="gaussian"``: not of b.

    Parameters, results and errors are those of `gaussian_nll`. A point that is fitted perfectly gives
    ½ log 2 + ½ log_var, and no gradient in `mean`.

    Notes
    -----
    Source: Kendall and Gal, 2017, section 4: for depth, an L1 distance serves better than squares do.
    """
    residual, log_var = _residual_and_log_var("laplace_nll", mean, target, log_var, mask)
    scaled = residual.abs() * torch.exp(-0.5 * log_var)
    value = math.sqrt(2) * scaled + 0.5 * (log_var + math.log(2))
    return _reduced("laplace_nll", value, mask, reduction)


def _residual_and_log_var(
    name: str, mean: Tensor, target: Tensor, log_var: Tensor | float, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Check, and bring to one dtype; the residual is 0 where `mask` is False."""
    check_floating(name, "mean", mean)
    if not isinstance(target, Tensor):
        wrong_type(name, "target", "a tensor", type(target).__name__)
    if target.shape != mean.shape:
        wrong_value(name, "target", f"of the mean's shape {tuple(mean.shape)}", f"shape {tuple(target.shape)}")
    if isinstance(log_var, (int, float, Real)):
        log_var = torch.full((), log_var, dtype=torch.promote_types(mean.dtype, torch.float32), device=mean.device)
    check_floating(name, "log_var", log_var)
    log_var = _aligned(name, log_var, mean.shape)
    dtype = torch.promote_types(torch.promote_types(mean.dtype, log_var.dtype), torch.float32)
    residual = target.to(dtype) - mean.to(dtype)
    if mask is not None:
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
            got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
            wrong_type(name, "mask", "a bool tensor", got)
        if not _broadcasts(mask.shape, mean.shape):
            wanted = f"of the mean's shape {tuple(mean.shape)}, any dimension 1"
            wrong_value(name, "mask", wanted, f"shape {tuple(mask.shape)}")
        residual = torch.where(mask, residual, 0.0)
    return residual, log_var.to(dtype)


def _aligned(name: str, log_var: Tensor, shape: Sequence[int]) -> Tensor:
    """Give `log_var` the dimensions of a mean of `shape`."""
    if log_var.dim() <= 1 and log_var.numel() == 1:
        return log_var.reshape(())
    if log_var.dim() == 1 and len(shape) > 1 and len(log_var) == shape[1]:
        return log_var.reshape(-1, *[1] * (len(shape) - 2))
    if not _broadcasts(log_var.shape, shape):
        per_output = f", ({shape[1]},) for one per output" if len(shape) > 1 else ""
        wanted = f"of the mean's shape {tuple(shape)}, any dimension 1{per_output}, or () for one"
        wrong_value(name, "log_var", wanted, f"shape {tuple(log_var.shape)}")
    return log_var


def _broadcasts(shape: Sequence[int], to: Sequence[int]) -> bool:
    """Whether the dimensions are as many, and each the same or 1."""
    return len(shape) == len(to) and all(size in (1, wanted) for size, wanted in zip(shape, to, strict=True))


def _reduced(name: str, value: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
    check_choice(name, "reduction", reduction, REDUCTIONS)
    if mask is not None:
        value = torch.where(mask, value, 0.0)
    if reduction == "none":
        return value
    if reduction == "mean" and mask is not None:
        return value.sum() / mask.expand(value.shape).sum()
    return value.mean() if reduction == "mean" else value.sum()
