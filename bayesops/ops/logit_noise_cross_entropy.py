"""Cross entropy of logits that carry Gaussian noise of their own, for classification with aleatoric uncertainty.

Source: Kendall and Gal, "What uncertainties do we need in Bayesian deep learning for computer vision?", NeurIPS 2017,
section 3.3, equation 12: the network predicts a mean and a variance of each logit, and the likelihood of a label is the
mean of the softmax over Monte-Carlo draws of the logits.
"""

import torch
from torch import Tensor

from bayesops._arguments import Seed, check_choice, check_floating, check_stream, seed_tensor, wrong_type, wrong_value
from bayesops.ops._arguments import check_like_input
from bayesops.ops._dispatch import call
from bayesops.ops._logit_noise_cross_entropy_rules import REDUCTIONS
from bayesops.random import sample_seeds

_operator = torch.ops.bayesops.logit_noise_cross_entropy.default

_NAME = "logit_noise_cross_entropy"
AVERAGES = {"probabilities": False, "losses": True}


def logit_noise_cross_entropy(
    logits: Tensor,
    log_var: Tensor,
    target: Tensor,
    *,
    num_samples: int,
    seed: Seed,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    average: str = "probabilities",
    stream: int = 0,
) -> Tensor:
    r"""Cross entropy of the mean softmax over T draws of noisy logits.

    .. math:: L = -\log \frac{1}{T} \sum_{t=1}^{T} \mathrm{softmax}(f + \sigma \odot \epsilon_t)_y,
              \qquad \sigma = \exp(s / 2), \quad \epsilon_t \sim N(0, I)

    for each place, an example or one of its pixels, with logits f, their log variance s and target y.

    Parameters
    ----------
    logits : Tensor
        f, ``[N, C, *]``, or ``[C]`` for a single example: C classes; ``[N, C]`` for classification, ``[N, C, H, W]``
        for segmentation.
    log_var : Tensor
        s, the logarithm of a variance: of the shape of `logits`, or with 1 in place of C, where all classes of a place
        share it.
    target : Tensor
        int64 ``[N, *]`` (or ``[]``): classes, or `ignore_index`.
    num_samples : int
        T, the number of draws.
    seed : int or int64 Tensor
        An int or ``[]``: the draws are those of ``bayesops.random.sample_seeds(seed, num_samples)``. ``[T]``: one seed
        for each.
    weight : Tensor, optional
        ``[C]``, floating: weights of the classes, without a gradient.
    ignore_index : int
        A place with this target has a loss of 0, no gradient, and does not count in the mean.
    reduction : {"mean", "none", "sum"}
        As in `torch.nn.functional.cross_entropy`: the mean divides by the weights of the targets together.
    average : {"probabilities", "losses"}
        What is averaged over the draws: the probabilities, as above; or the losses of the single draws, an upper bound
        of it (Jensen), which draws of one class cannot leave to the others.
    stream : int
        Draws of different streams are independent. In [0, 2**32).

    Returns
    -------
    Tensor
        ``[]``, or ``[N, *]`` without reduction; float32 (of float64 logits float64), in nats.

    Raises
    ------
    ValueError
        A shape that does not fit, `num_samples` below 1, an unknown reduction or average, a stream out of range, a
        `weight` that requires a gradient.
    TypeError
        Logits that are not floating, a target or seed that is not int64.
    RuntimeError
        Tensors on different devices; a target that is neither a class nor `ignore_index` (on CUDA its loss, and so the
        mean, is NaN instead: nothing waits for the device).

    Notes
    -----
    Nothing of the size of T is stored: each draw's noise lives in registers and cache. Where a gradient is wanted, the
    forward pass forms it there and then, before the noise is gone, and keeps it in the computing dtype, a number for
    each of logits and log_var; the backward pass scales it. The noise of place i is
    ``bayesops.random.normal(seed_t, (N, *, C), stream)[i]``. Results are the same bits for any number of threads.

    16-bit logits are computed in float32. Half precision runs on CUDA only. Derivatives of any order: those from the
    second on are plain PyTorch, with all draws in memory.

    A constant added to all logits of a place changes nothing, so noise that they share is invisible: what is learned
    are the variances of differences.

    Examples
    --------
    >>> logits, log_var = network(images).chunk(2, dim=1)
    >>> loss = bo.ops.logit_noise_cross_entropy(logits, log_var, labels, num_samples=10, seed=step, ignore_index=255)
    """
    check_floating(_NAME, "logits", logits)
    check_floating(_NAME, "log_var", log_var)
    check_like_input(_NAME, "log_var", log_var, logits)
    _check_options(num_samples, reduction, average)
    check_stream(_NAME, stream)
    _check_shapes(logits, log_var, target)
    compute = torch.promote_types(torch.promote_types(logits.dtype, log_var.dtype), torch.float32)
    if weight is not None:
        weight = _checked_weight(weight, logits).to(compute)
    seeds = seed_tensor(_NAME, seed, logits.device)
    if seeds.dim() == 0:
        seeds = sample_seeds(seeds, num_samples)
    elif len(seeds) != num_samples:
        wrong_value(_NAME, "seed", f"one seed, or {num_samples} (num_samples)", f"shape {tuple(seeds.shape)}")
    if logits.dtype != log_var.dtype or (logits.dtype == torch.float16 and logits.device.type == "cpu"):
        # autocast lets dtypes differ; float16 has no CPU kernel
        logits, log_var = logits.to(compute), log_var.to(compute)
    single = logits.dim() == 1
    if single:
        logits, log_var, target = logits[None], log_var[None], target[None]
    options = stream, weight, ignore_index, AVERAGES[average], REDUCTIONS[reduction]
    losses = call(_operator, logits, log_var, target, seeds, *options)
    return losses[0] if single and reduction == "none" else losses


def _check_options(num_samples: int, reduction: str, average: str) -> None:
    if not isinstance(num_samples, (int, torch.SymInt)):
        wrong_type(_NAME, "num_samples", "an int", type(num_samples).__name__)
    if num_samples < 1:
        wrong_value(_NAME, "num_samples", "at least 1", num_samples)
    for argument, value, known in (("reduction", reduction, REDUCTIONS), ("average", average, AVERAGES)):
        check_choice(_NAME, argument, value, known)


def _check_shapes(logits: Tensor, log_var: Tensor, target: Tensor) -> None:
    shape = logits.shape
    classes = min(1, len(shape) - 1)
    if len(shape) == 0 or shape[classes] == 0:
        wrong_value(_NAME, "logits", "of shape [N, C, *] or [C], with one class at least", f"shape {tuple(shape)}")
    shared = (*shape[:classes], 1, *shape[classes + 1 :])
    if log_var.shape not in (shape, shared):
        wrong_value(_NAME, "log_var", f"of shape {tuple(shape)} or {shared}", f"shape {tuple(log_var.shape)}")
    if not isinstance(target, Tensor):
        wrong_type(_NAME, "target", "a tensor", type(target).__name__)
    if target.dtype != torch.int64:
        wrong_type(_NAME, "target", "int64, a class for each place", target.dtype)
    places = (*shape[:classes], *shape[classes + 1 :])
    if target.shape != places:
        wrong_value(_NAME, "target", f"of shape {places}", f"shape {tuple(target.shape)}")
    _check_device("target", target, logits)


def _checked_weight(weight: Tensor, logits: Tensor) -> Tensor:
    check_floating(_NAME, "weight", weight)
    classes = logits.shape[min(1, logits.dim() - 1)]
    if weight.shape != (classes,):
        wrong_value(_NAME, "weight", f"of shape ({classes},)", f"shape {tuple(weight.shape)}")
    if weight.requires_grad:
        wrong_value(_NAME, "weight", "without a gradient (use weight.detach())", "one that requires it")
    _check_device("weight", weight, logits)
    return weight


def _check_device(argument: str, tensor: Tensor, logits: Tensor) -> None:
    if tensor.device != logits.device:
        raise RuntimeError(
            f"{_NAME}: argument '{argument}' must be on the logits' device {logits.device}, got {tensor.device}"
        )
