"""Scores of the points of a pool, each by itself: the higher, the more there is to learn from its label."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bayesops._arguments import check_choice, check_count, wrong_type, wrong_value
from bayesops.acquisition._pool import Pool, predictions
from bayesops.engine import Prediction
from bayesops.engine.output import selected
from bayesops.random import sample_seeds

LINKS = ("softmax", "sigmoid")


def bald(
    model: nn.Module | Callable[..., Any],
    pool: Pool,
    num_samples: int | str = 100,
    seed: int | Tensor = 0,
    *,
    batch_size: int = 256,
    link: str = "softmax",
    **options: Any,
) -> Tensor:
    """Mutual information of each point's label and the weights, in nats: Bayesian active learning by disagreement.

    High where draws of the network are sure, each of something else; 0 where they agree, be it on not knowing.

    Parameters
    ----------
    model : Module or callable
        As for `bayesops.predict`, its outputs logits, the classes in dimension 1. Call ``model.eval()`` first.
    pool : Tensor, tuple of Tensors, or iterable of batches
        Points without labels. A tensor ``[N, *]`` is cut into batches of `batch_size`. Anything else is taken as
        `bayesops.predict` takes it: a tuple is the model's arguments, one batch; a `DataLoader` or another iterable
        gives batches, labels in them are not looked at. It is gone through once, and must not shuffle if its positions
        are to mean anything.
    num_samples : int or "auto"
        T, the number of draws. Every batch meets the same draws of the weights.
    seed : int or int64 Tensor
        The master seed of the draws.
    batch_size : int
        Points of a tensor that are predicted at once.
    link : {"softmax", "sigmoid"}
        Sigmoid: each output is a label by itself, of yes or no; a point's score is the mean of its labels'.
    **options
        `chunk_size`, `output`, `path`, `tolerance`, `max_samples` and `group` of `bayesops.predict`.

    Returns
    -------
    Tensor
        ``[N]``, at least float32, in the pool's order. Dense outputs ``[N, C, *]`` have one score per pixel, of which
        this is the mean over the image. Beside the scores memory is that of one batch.

    Raises
    ------
    ValueError, TypeError
        An empty pool, an unknown option or link; what `bayesops.predict` raises.

    Notes
    -----
    Noise that belongs to an example's place in the batch (local reparameterisation, Flipout, dropout of activations)
    makes scores depend a little on how the pool is cut.

    Source: Houlsby et al., 2011, equation 2; Gal, Islam and Ghahramani, ICML 2017, section 4.

    Examples
    --------
    >>> chosen = bo.acquisition.top_k(bo.acquisition.bald(model.eval(), pool), 10)
    """
    check_choice("bald", "link", link, LINKS)
    parts = predictions("bald", model, pool, num_samples, seed, batch_size, options, link=link)
    return _scores("bald", parts, lambda prediction: prediction.mutual_information)


def entropy(
    model: nn.Module | Callable[..., Any],
    pool: Pool,
    num_samples: int | str = 100,
    seed: int | Tensor = 0,
    *,
    batch_size: int = 256,
    link: str = "softmax",
    **options: Any,
) -> Tensor:
    """Entropy of each point's predictive probabilities, in nats: all that is uncertain, noise of the labels included.

    Parameters, result and errors are those of `bald`.
    """
    check_choice("entropy", "link", link, LINKS)
    parts = predictions("entropy", model, pool, num_samples, seed, batch_size, options, link=link)
    return _scores("entropy", parts, lambda prediction: prediction.entropy)


def variation_ratio(
    model: nn.Module | Callable[..., Any],
    pool: Pool,
    num_samples: int | str = 100,
    seed: int | Tensor = 0,
    *,
    batch_size: int = 256,
    **options: Any,
) -> Tensor:
    """Share of the draws that do not vote for the class that most vote for.

    Parameters (but for `link`), result and errors are those of `bald`. Votes are counted as they come: the draws are
    not kept.

    Notes
    -----
    Source: Freeman, "Elementary applied statistics", 1965; Gal, Islam and Ghahramani, ICML 2017, section 4.
    """
    output = options.pop("output", None)

    def votes(outputs: Any) -> Tensor:  # [N, C, *] to as many ones and zeros
        logits = selected(outputs, output)
        if not isinstance(logits, Tensor) or logits.dim() < 2:
            got = f"{logits.dim()} dimensions" if isinstance(logits, Tensor) else type(logits).__name__
            wrong_value("variation_ratio", "model", "a callable that returns one tensor [N, C, *]", got)
        return functional.one_hot(logits.argmax(1), logits.shape[1]).movedim(-1, 1).float()

    parts = predictions(
        "variation_ratio", model, pool, num_samples, seed, batch_size, options, output=votes, link="identity"
    )
    return _scores("variation_ratio", parts, _share_against)


def random(num_points: int, *, seed: int | Tensor = 0) -> Tensor:
    """Draw scores that say nothing, the control of an experiment: uniform in [0, 1), float64 ``[num_points]``.

    Parameters
    ----------
    num_points : int
        How many points the pool has.
    seed : int or int64 Tensor
        The scores are a function of it.

    Raises
    ------
    ValueError, TypeError
        A number of points that is negative or no int; a seed that is none.
    """
    check_count("random", "num_points", num_points, 0)
    return (sample_seeds(seed, num_points) & (2**53 - 1)).double() * 2.0**-53


def top_k(scores: Tensor, k: int) -> Tensor:
    """Choose the `k` points of the highest scores.

    Parameters
    ----------
    scores : Tensor
        ``[N]``.
    k : int
        How many, from 1 to N.

    Returns
    -------
    Tensor
        int64 ``[k]``: positions in the pool, best first; of equal scores the first in the pool.

    Raises
    ------
    ValueError
        Scores of another shape, or NaN among them; `k` outside 1 to N.
    TypeError
        Scores that are no tensor.
    """
    if not isinstance(scores, Tensor):
        wrong_type("top_k", "scores", "a tensor", type(scores).__name__)
    if scores.dim() != 1:
        wrong_value("top_k", "scores", "of shape [N]", f"shape {tuple(scores.shape)}")
    if check_count("top_k", "k", k) > len(scores):
        wrong_value("top_k", "k", f"no more than the number of scores, {len(scores)}", k)
    if scores.isnan().any():
        wrong_value("top_k", "scores", "without NaN", f"{int(scores.isnan().sum())} of them")
    return scores.sort(descending=True, stable=True).indices[:k]


def _scores(name: str, parts: Iterable[Prediction], score: Callable[[Prediction], Any]) -> Tensor:
    """Join the scores of all batches; those of a dense output are averaged over what follows the batch."""
    scores = []
    for prediction in parts:
        if prediction.mean.dim() < 2:
            got = f"shape {tuple(prediction.mean.shape)}"
            wrong_value(name, "model", "a callable that returns one tensor [N, C, *]", got)
        values = score(prediction)
        scores.append(values.flatten(1).mean(1) if values.dim() > 1 else values)
    return torch.cat(scores)


def _share_against(votes: Prediction) -> Tensor:
    # A running mean is rounded by the order of the votes, and equal shares would not be equal.
    return 1 - (votes.mean.amax(1) * votes.num_samples).round() / votes.num_samples
