"""The two parts of a predictive variance, for classification and for regression."""

from numbers import Real

from torch import Tensor

from bayesops._arguments import check_floating, wrong_type, wrong_value
from bayesops._dtypes import at_least_float32
from bayesops.engine.prediction import Prediction
from bayesops.metrics._arguments import check_device, check_shape, probabilities_of
from bayesops.metrics._draws import check_draws, mean_over_draws
from bayesops.metrics.results import Variances


def classification_variances(samples: Tensor | Prediction) -> Variances:
    r"""Split the variance of each class's indicator into noise and what the weights leave open.

    .. math:: \underbrace{\frac{1}{T} \sum_t p_t (1 - p_t)}_{aleatoric}
              + \underbrace{\frac{1}{T} \sum_t (p_t - \bar p)^2}_{epistemic} = \bar p (1 - \bar p)

    Parameters
    ----------
    samples : Tensor or Prediction
        Probabilities of each draw, ``[T, N, C, *]``; of a prediction mean and variance are enough.

    Returns
    -------
    Variances
        Each ``[N, C, *]``, from 0 to 1/4, at least float32: the diagonals of the matrices of the source.

    Raises
    ------
    ValueError
        Not of shape ``[T, N, C, *]``, no draws, a prediction that is no classification.
    TypeError
        Something else than a floating tensor or a prediction.

    Notes
    -----
    Source: Kwon, Won, Kim and Paik, "Uncertainty quantification using Bayesian neural networks in classification",
    Computational Statistics and Data Analysis 142, 2020.
    """
    function = "classification_variances"
    if isinstance(samples, Prediction):
        mean, epistemic = probabilities_of(function, samples, "samples"), samples.variance
        return Variances((mean * (1 - mean) - epistemic).clamp(min=0), epistemic)
    check_draws(function, "samples", samples, 3)
    return Variances(mean_over_draws(samples, lambda part: part * (1 - part)), _population_variance(samples))


def regression_variances(means: Tensor | Prediction, variances: Tensor | float | None = None) -> Variances:
    r"""Split the variance of a prediction into noise and what the weights leave open: the law of total variance.

    .. math:: \underbrace{\frac{1}{T} \sum_t \sigma_t^2}_{aleatoric}
              + \underbrace{\frac{1}{T} \sum_t (\mu_t - \bar\mu)^2}_{epistemic}

    Parameters
    ----------
    means : Tensor or Prediction
        The mean that each draw tells, ``[T, N, *]``; or a prediction with ``link="gaussian"``, which carries all.
    variances : Tensor or float
        The variance that each draw tells, ``[T, N, *]``, or one number for all (a homoscedastic model).

    Returns
    -------
    Variances
        Each ``[N, *]``, in the units of the target squared; at least float32.

    Raises
    ------
    ValueError
        Shapes that differ, no draws, a negative number, a prediction without `variances` that carries none.
    TypeError
        Something else than floating tensors or a prediction, no `variances`.

    Notes
    -----
    Source: Kendall and Gal, "What uncertainties do we need in Bayesian deep learning for computer vision?", NIPS 2017,
    equation 9.
    """
    function = "regression_variances"
    if isinstance(means, Prediction):
        if variances is not None:
            wrong_value(function, "variances", "left out where a Prediction is given", type(variances).__name__)
        if means.aleatoric_variance is None:
            wanted = "draws, or a Prediction with link='gaussian'"
            wrong_value(function, "means", wanted, f"one with link={means.link!r}")
        return Variances(means.aleatoric_variance, means.variance)
    check_draws(function, "means", means)
    epistemic = _population_variance(means)
    if isinstance(variances, Real):
        if not variances >= 0:
            wrong_value(function, "variances", "at least 0", variances)
        return Variances(epistemic.new_full(epistemic.shape, float(variances)), epistemic)
    if not isinstance(variances, Tensor):
        wrong_type(function, "variances", "a tensor or a number", type(variances).__name__)
    check_floating(function, "variances", variances)
    check_shape(function, "variances", variances, means.shape)
    check_device(function, "variances", variances, means.device)
    return Variances(mean_over_draws(variances, lambda part: part), epistemic)


def _population_variance(samples: Tensor) -> Tensor:
    return at_least_float32(samples).var(0, correction=0)
