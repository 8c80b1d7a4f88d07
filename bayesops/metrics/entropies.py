"""How uncertain a classification is, and which part of it the weights leave open."""

import math
from numbers import Real

import torch
from torch import Tensor

from bayesops._arguments import check_floating, wrong_type, wrong_value
from bayesops._dtypes import at_least_float32
from bayesops.engine.prediction import Prediction
from bayesops.metrics._arguments import probabilities_of
from bayesops.metrics._draws import check_draws, class_dim, mean_over_draws


def predictive_entropy(probabilities: Tensor | Prediction, *, dim: int = 1, base: float | None = None) -> Tensor:
    r"""Compute the entropy of the predictive distribution: all that is uncertain.

    .. math:: H[\bar p] = -\sum_c \bar p_c \log \bar p_c, \qquad \bar p = \frac{1}{T} \sum_t p_t

    Parameters
    ----------
    probabilities : Tensor or Prediction
        ``[N, C, *]``, the arithmetic mean over the draws.
    dim : int
        Where the classes of a tensor are.
    base : float, optional
        Of the logarithm: 2 for bits. Nats without it.

    Returns
    -------
    Tensor
        ``[N, *]``, from 0 to ``log C``; at least float32.

    Raises
    ------
    ValueError
        No such dimension, a base that is not above 0 or is 1, a prediction that is no classification.
    TypeError
        Something else than a floating tensor or a prediction, a base that is no number.

    Notes
    -----
    A probability of 0 adds 0; NaN, and a negative number, make NaN. Source: Shannon, 1948; as a measure of predictive
    uncertainty, Gal, "Uncertainty in deep learning", 2016, section 3.3.1.
    """
    function = "predictive_entropy"
    if isinstance(probabilities, Prediction):
        return _in_base(function, _entropy(probabilities_of(function, probabilities), 1), base)
    check_floating(function, "probabilities", probabilities)
    dim = class_dim(function, dim, probabilities, 0)
    return _in_base(function, _entropy(at_least_float32(probabilities), dim), base)


def expected_entropy(samples: Tensor | Prediction, *, dim: int = 2, base: float | None = None) -> Tensor:
    r"""Compute the mean entropy of the draws: what is uncertain even if the weights are known (aleatoric).

    .. math:: \frac{1}{T} \sum_t H[p_t]

    Parameters
    ----------
    samples : Tensor or Prediction
        Probabilities of each draw, ``[T, N, C, *]``; a prediction carries the result whether or not draws were kept.
    dim : int
        Where the classes of a tensor are.
    base : float, optional
        Of the logarithm: 2 for bits. Nats without it.

    Returns
    -------
    Tensor
        ``[N, *]``, at least float32.

    Raises
    ------
    ValueError
        Not of shape ``[T, N, C, *]``, no draws, no such dimension, a wrong base, a prediction without entropies.
    TypeError
        Something else than a floating tensor or a prediction, a base that is no number.

    Notes
    -----
    Source: Depeweg, Hernández-Lobato, Doshi-Velez and Udluft, "Decomposition of uncertainty in Bayesian deep learning
    for efficient and risk-sensitive learning", ICML 2018.
    """
    function = "expected_entropy"
    if isinstance(samples, Prediction):
        return _in_base(function, _carried(function, samples, samples.expected_entropy), base)
    check_draws(function, "samples", samples, 3)
    dim = class_dim(function, dim, samples, 1)
    return _in_base(function, mean_over_draws(samples, lambda part: _entropy(part, dim)), base)


def mutual_information(samples: Tensor | Prediction, *, dim: int = 2, base: float | None = None) -> Tensor:
    r"""Compute the mutual information of prediction and weights: what the weights leave open (epistemic; BALD).

    .. math:: I = H[\bar p] - \frac{1}{T} \sum_t H[p_t]

    Parameters
    ----------
    samples : Tensor or Prediction
        Probabilities of each draw, ``[T, N, C, *]``; a prediction carries the result whether or not draws were kept.
    dim : int
        Where the classes of a tensor are.
    base : float, optional
        Of the logarithm: 2 for bits. Nats without it.

    Returns
    -------
    Tensor
        ``[N, *]``, at least 0 (draws that agree) and at most ``log T`` (each is sure of another class) and ``log C``;
        at least float32.

    Raises
    ------
    ValueError
        Not of shape ``[T, N, C, *]``, no draws, no such dimension, a wrong base, a prediction without entropies.
    TypeError
        Something else than a floating tensor or a prediction, a base that is no number.

    Notes
    -----
    From draws it is computed in float64: the difference of two entropies is often much smaller than these are. Source:
    Houlsby, Huszár, Ghahramani and Lengyel, "Bayesian active learning for classification and preference learning",
    2011, equation 2.
    """
    function = "mutual_information"
    if isinstance(samples, Prediction):
        return _in_base(function, _carried(function, samples, samples.mutual_information), base)
    check_draws(function, "samples", samples, 3)
    dim = class_dim(function, dim, samples, 1)
    mean = mean_over_draws(samples, lambda part: part.double())
    expected = mean_over_draws(samples, lambda part: _entropy(part.double(), dim))
    information = (_entropy(mean, dim - 1) - expected).clamp(min=0)
    return _in_base(function, information.to(torch.promote_types(samples.dtype, torch.float32)), base)


def variation_ratio(samples: Tensor | Prediction, *, dim: int = 2) -> Tensor:
    """Compute the share of draws that do not vote for the class with the most votes.

    Parameters
    ----------
    samples : Tensor or Prediction
        Probabilities (or logits) of each draw, ``[T, N, C, *]``; of a prediction it needs the draws
        (``return_samples=True``).
    dim : int
        Where the classes of a tensor are.

    Returns
    -------
    Tensor
        float32 ``[N, *]``, from 0 to ``1 - 1 / min(T, C)``.

    Raises
    ------
    ValueError
        Not of shape ``[T, N, C, *]``, no draws, no such dimension, a prediction without draws.
    TypeError
        Something else than a floating tensor or a prediction.

    Notes
    -----
    A draw that gives several classes the same probability votes for the first. Source: Freeman, "Elementary applied
    statistics", 1965; for draws of a network, Gal, "Uncertainty in deep learning", 2016, section 3.3.1.
    """
    function = "variation_ratio"
    if isinstance(samples, Prediction):
        samples = _carried(function, samples, samples.samples, " and return_samples=True")
    check_draws(function, "samples", samples, 3)
    dim = class_dim(function, dim, samples, 1)
    votes = samples.argmax(dim, keepdim=True)
    counts = torch.zeros_like(samples[0], dtype=torch.int64)
    for vote in votes:
        counts.scatter_add_(dim - 1, vote, torch.ones_like(vote))
    return 1 - counts.amax(dim - 1) / len(samples)


def _entropy(probabilities: Tensor, dim: int) -> Tensor:
    return -torch.special.xlogy(probabilities, probabilities).sum(dim)


def _in_base(function: str, nats: Tensor, base: float | None) -> Tensor:
    return nats if base is None else nats / log_base(function, base)


def log_base(function: str, base: float | None) -> float:
    """Return the natural logarithm of `base`; 1 for None, nats."""
    if base is None:
        return 1.0
    wanted = "a number above 0, not 1, or None for nats"
    if not isinstance(base, Real):
        wrong_type(function, "base", wanted, type(base).__name__)
    if not (base > 0 and base != 1):
        wrong_value(function, "base", wanted, base)
    return math.log(base)


def _carried(function: str, prediction: Prediction, value: Tensor | None, more: str = "") -> Tensor:
    if value is None or prediction.link != "softmax":
        wanted = f"draws, or a Prediction made with link='softmax'{more}"
        wrong_value(function, "samples", wanted, f"one with link={prediction.link!r} without them")
    return value
