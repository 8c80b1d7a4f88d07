"""BatchBALD: a batch whose labels, taken together, say most about the weights."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bayesops._arguments import check_count, wrong_value
from bayesops._messages import warn_user
from bayesops.acquisition._pool import Pool, predictions
from bayesops.acquisition.joint_entropy import Configurations
from bayesops.acquisition.scores import random, top_k
from bayesops.engine import Prediction
from bayesops.nn import Dropout
from bayesops.nn._stochastic import Stochastic
from bayesops.nn.bernoulli import BernoulliLayer
from bayesops.nn.gaussian import GaussianLayer
from bayesops.random import sample_seeds

# Nats. Equal points differ by the rounding of float32, which must not decide between them.
_TIE = 1e-6


class AcquiredBatch(NamedTuple):
    """What `batch_bald` returns.

    Attributes
    ----------
    indices : Tensor
        int64 ``[k]``: positions in the pool, in the order in which they were chosen.
    scores : Tensor
        float64 ``[k]``: mutual information, in nats, of the weights and the labels of all points up to this one.
    """

    indices: Tensor
    scores: Tensor


def batch_bald(
    model: nn.Module | Callable[..., Any],
    pool: Pool,
    k: int,
    num_samples: int = 100,
    seed: int | Tensor = 0,
    *,
    candidates: int | None = 1000,
    max_configurations: int = 10_000,
    batch_size: int = 256,
    **options: Any,
) -> AcquiredBatch:
    """Choose `k` points greedily by the mutual information of their labels, taken together, and the weights.

    `bald` scores points one by one, so that its best `k` may all ask the same question. Here each next point is the one
    that adds most to those that were chosen before: H(y | labels of these) − H(y | w). A copy of a chosen point adds
    only what is noise in the label of the first.

    Parameters
    ----------
    model, pool, seed, batch_size, **options
        As for `bald`. Outputs are ``[N, C]``. The pool is gone through once.
    k : int
        How many points; meant for some ten. Each costs one multiplication of ``[K, T]`` by ``[T, M · C]``, K up to
        `max_configurations` and M `candidates`.
    num_samples : int
        T. The mutual information cannot exceed log T: a batch that approaches it wants more draws.
    candidates : int, optional
        M: only the points with the highest scores of `bald` are looked at. What a point adds to others is never above
        its own score. None: all points. T · C probabilities of each are kept.
    max_configurations : int
        While the C^n joint labels of n chosen points are no more than this, the joint entropy is exact (for the draws
        at hand); beyond, it is estimated from that many sampled joint labels.

    Returns
    -------
    AcquiredBatch
        Positions in the pool, and the joint mutual information. The same for a `seed`, whatever the chunks and the
        number of threads; of points that add the same, to a millionth of a nat, the first in the pool.

    Raises
    ------
    ValueError, TypeError
        `k` outside 1 to the number of candidates, counts that are not positive, dense outputs, points whose score
        is NaN; what `bald` raises.

    Warns
    -----
    UserWarning
        Where the model has layers whose noise is drawn for each example: a draw is then not one network for all points,
        and what their labels share is lost. Use ``estimator="weight_sample"``, Bernoulli layers without `per_example`.

    Notes
    -----
    Source: Kirsch, van Amersfoort and Gal, "BatchBALD: efficient and diverse batch acquisition for deep Bayesian active
    learning", NeurIPS 2019, section 3 and algorithm 1. They compute the joint entropy of all points anew; here what
    each point adds is computed, which is the same by the chain rule.
    """
    name = "batch_bald"
    counts = {"k": k, "num_samples": num_samples, "max_configurations": max_configurations}
    for argument, value in (counts if candidates is None else counts | {"candidates": candidates}).items():
        check_count(name, argument, value)
    _warn_of_noise_by_example(name, model)
    parts = predictions(name, model, pool, num_samples, seed, batch_size, options, return_samples=True)
    positions, probabilities = _candidates(parts, candidates)
    if k > len(positions):
        wrong_value(name, "k", f"no more than the number of candidates, {len(positions)}", k)
    # Uniform numbers for the sampling, by a seed that none of the draws has.
    offsets = random(k, seed=sample_seeds(seed, num_samples + 1)[-1])
    chosen, scores = _greedy(probabilities, k, max_configurations, offsets.tolist())
    return AcquiredBatch(positions[chosen], scores)


def _candidates(parts: Iterable[Prediction], limit: int | None) -> tuple[Tensor, Tensor]:
    """Positions of the best points by BALD, in the pool's order, and their draws of probabilities ``[T, M, C]``."""
    begin, kept = 0, []  # positions, scores, draws
    for prediction in parts:
        if prediction.mean.dim() != 2:
            wrong_value("batch_bald", "model", "one that returns [N, C]", f"shape {tuple(prediction.mean.shape)}")
        end = begin + len(prediction.mean)
        positions = torch.arange(begin, end, device=prediction.mean.device)
        _check_scores(positions, prediction.mutual_information)
        kept.append((positions, prediction.mutual_information, prediction.samples))
        begin = end
        if limit is not None and sum(len(part[0]) for part in kept) > limit:
            kept = [_best(*_joined(kept), limit)]
    positions, _, samples = _joined(kept)
    return positions, samples


def _check_scores(positions: Tensor, scores: Any) -> None:
    """Refuse NaN, which has no rank."""
    unknown = positions[scores.isnan()].tolist()
    if unknown:
        more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
        wanted = "of points whose mutual information is a number"
        wrong_value("batch_bald", "pool", wanted, f"NaN at positions {', '.join(map(str, unknown[:10]))}{more}")


def _joined(kept: list[Any]) -> tuple[Tensor, Tensor, Tensor]:
    positions, scores, samples = zip(*kept, strict=True)
    return torch.cat(positions), torch.cat(scores), torch.cat(samples, 1)


def _best(positions: Tensor, scores: Tensor, samples: Tensor, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    order = top_k(scores, limit).sort().values
    return positions[order], scores[order], samples[:, order]


def _greedy(probabilities: Tensor, k: int, limit: int, offsets: list[float]) -> tuple[Tensor, Tensor]:
    """Choose `k` of M points ``[T, M, C]``; return which, and the joint mutual information after each."""
    probabilities = probabilities.double()
    probabilities = probabilities / probabilities.sum(2, keepdim=True)
    configurations = Configurations(len(probabilities), limit, probabilities.device)
    chosen: list[int] = []
    gains: list[Tensor] = []
    for offset in offsets:
        gain = configurations.information(probabilities)
        gain[chosen] = -torch.inf
        best = int((gain >= gain.max() - _TIE).nonzero()[0])
        chosen.append(best)
        gains.append(gain[best])
        if len(chosen) < k:
            configurations.add(probabilities[:, best], offset)
    return torch.tensor(chosen, device=probabilities.device), torch.stack(gains).cumsum(0)


def _warn_of_noise_by_example(name: str, model: Any) -> None:
    for layer in model.modules() if isinstance(model, nn.Module) else ():
        if not isinstance(layer, Stochastic) or layer.uses_mean:
            continue
        if isinstance(layer, GaussianLayer) and layer.estimator != "weight_sample":
            why = f"has estimator={layer.estimator!r}"
        elif isinstance(layer, BernoulliLayer) and layer.per_example:
            why = "has per_example=True"
        elif isinstance(layer, Dropout):
            why = "drops activations"
        else:
            continue
        message = (
            f"{name}: {type(layer).__name__} {why}: its noise is each example's own, and what labels have in common is "
            "lost; use a layer that draws weights"
        )
        warn_user(message)
        return
