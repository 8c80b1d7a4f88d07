"""Running moments of a prediction's draws in plain PyTorch, a chunk of draws at a time."""

import torch
from torch import Tensor


def add_predictive_moments(
    samples: Tensor,
    *,
    softmax: bool,
    count: int,
    mean: Tensor,
    deviations: Tensor,
    expected_entropy: Tensor | None = None,
) -> None:
    """`bayesops.ops.add_predictive_moments`: adds the draws `samples` to the other tensors, in place."""
    draws = samples.double()
    if len(draws) == 0:
        return
    if softmax:
        draws = draws.softmax(min(2, samples.dim() - 1))
    total = count + len(draws)
    if expected_entropy is not None:
        entropy = torch.special.entr(draws).sum(min(2, samples.dim() - 1)).mean(0)
        expected_entropy.copy_(_merged(expected_entropy, count, entropy, total))
    own = draws.mean(0)
    own_deviations = (draws - own).square().sum(0)
    if count > 0:
        own_deviations += deviations + (own - mean.double()).square() * (count * len(draws) / total)
    deviations.copy_(own_deviations)
    mean.copy_(_merged(mean, count, own, total))


def _merged(mean: Tensor, count: int, own: Tensor, total: int) -> Tensor:
    """Mean of `total` numbers, of which the first `count` have one mean and the others their own."""
    return own if count == 0 else mean + (own - mean.double()) * ((total - count) / total)
