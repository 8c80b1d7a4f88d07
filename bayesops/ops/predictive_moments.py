"""Mean, spread and expected entropy of a prediction's draws, added to what earlier draws left: one pass over a chunk.

Sources: Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics 4(3), 1962;
Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979, equation
2.1; what the entropies are for: Depeweg et al., "Decomposition of uncertainty in Bayesian deep learning", ICML 2018.
"""

import torch
from torch import Tensor

from bayesops._arguments import check_floating, wrong_type, wrong_value
from bayesops.ops._dispatch import call

_operator = torch.ops.bayesops.add_predictive_moments.default


def add_predictive_moments(
    samples: Tensor,
    *,
    softmax: bool,
    count: int,
    mean: Tensor,
    deviations: Tensor,
    expected_entropy: Tensor | None = None,
) -> None:
    """Add S draws of a prediction to the moments of `count` earlier ones, in place.

    Parameters
    ----------
    samples : Tensor
        The draws. With `softmax` logits ``[S, N, C, *]``, or ``[S, C]`` where a draw has no batch; otherwise anything,
        ``[S, *]``.
    softmax : bool
        Take moments of the probabilities that softmax over the classes C makes of a draw, not of the draw itself.
    count : int
        How many draws the tensors below hold. With 0 they are written without being read: ``torch.empty`` will do.
    mean : Tensor
        Mean of the draws, of the shape of one of them; float32, or float64 with float64 samples, as are those below.
    deviations : Tensor
        Sum of the squared deviations from the mean, of the same shape: divided by the number of draws it is the
        population variance.
    expected_entropy : Tensor, optional
        Mean of the draws' entropies in nats, ``[N, *]``, or ``[]`` for draws ``[C]``: that of the mean less this one is
        the mutual information. It needs `softmax`.

    Raises
    ------
    ValueError
        Samples that do not have a dimension of draws, and with `softmax` classes; a negative `count`; a result of
        another shape; an entropy without `softmax`.
    TypeError
        Samples that are not floating, results of another dtype, a `count` that is not an int.
    RuntimeError
        Tensors on different devices; a result that is expanded, so that its elements share memory; samples that require
        a gradient where one would be recorded: there is none.

    Notes
    -----
    Tensors may lie in memory as they like, none is copied. Half precision is read as such. Draws are summed in their
    order, and in the same way for every number of threads; how they are cut into calls shows in the rounding only.
    Deviations are formed around a number next to the draws, so that a mean far from 0 takes nothing from those of one
    call. Between calls the mean is kept, and so rounded, in its dtype: a spread that is not well above that rounding
    wants few calls of many draws. The moments of an element that has drawn NaN or infinity are NaN; those of its
    neighbours are what they were, but softmax makes it the classes of one pixel that share the fate. A logit of minus
    infinity is a probability of 0.

    Examples
    --------
    >>> mean, deviations, entropy = torch.empty(N, C), torch.empty(N, C), torch.empty(N)
    >>> for i, chunk in enumerate(chunks):  # [50, N, C] each
    ...     bo.ops.add_predictive_moments(
    ...         chunk, softmax=True, count=50 * i, mean=mean, deviations=deviations, expected_entropy=entropy
    ...     )
    """
    operator = "add_predictive_moments"
    check_floating(operator, "samples", samples)
    if not isinstance(count, (int, torch.SymInt)):
        wrong_type(operator, "count", "an int", type(count).__name__)
    if count < 0:
        wrong_value(operator, "count", "at least 0", count)
    shape = samples.shape
    if len(shape) < (2 if softmax else 1):
        wanted = "of shape [S, N, C, *] or [S, C]" if softmax else "of shape [S, *]"
        wrong_value(operator, "samples", wanted, f"shape {tuple(shape)}")
    one = shape[1:]
    dtype = torch.float64 if samples.dtype == torch.float64 else torch.float32
    _check_result(operator, "mean", mean, samples, one, dtype)
    _check_result(operator, "deviations", deviations, samples, one, dtype)
    if softmax:
        classes = min(1, len(one) - 1)
        if one[classes] == 0:
            wrong_value(operator, "samples", "of one class at least", f"shape {tuple(shape)}")
        if expected_entropy is not None:
            places = one[:classes] + one[classes + 1 :]
            _check_result(operator, "expected_entropy", expected_entropy, samples, places, dtype)
    elif expected_entropy is not None:
        wrong_value(operator, "expected_entropy", "None without softmax: draws are no probabilities", "a tensor")
    if samples.requires_grad and torch.is_grad_enabled():
        raise RuntimeError(
            f"{operator}: argument 'samples' requires a gradient, but there is none; use torch.no_grad()"
        )
    call(_operator, samples, softmax, count, mean, deviations, expected_entropy)


def _check_result(
    operator: str, argument: str, tensor: Tensor, samples: Tensor, shape: torch.Size, dtype: torch.dtype
) -> None:
    if not isinstance(tensor, Tensor):
        wrong_type(operator, argument, "a tensor", type(tensor).__name__)
    if tensor.shape != shape:
        wrong_value(operator, argument, f"of shape {tuple(shape)}", f"shape {tuple(tensor.shape)}")
    if tensor.dtype != dtype:
        wrong_type(operator, argument, f"{dtype} for samples of {samples.dtype}", tensor.dtype)
    if tensor.device != samples.device:
        raise RuntimeError(
            f"{operator}: argument '{argument}' must be on the samples' device {samples.device}, got {tensor.device}"
        )


@torch.library.register_fake("bayesops::add_predictive_moments")
def _fake(
    samples: Tensor, softmax: bool, count: int, mean: Tensor, deviations: Tensor, expected_entropy: Tensor | None
) -> None:
    return None
