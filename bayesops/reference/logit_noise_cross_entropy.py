"""Cross entropy of logits that carry Gaussian noise, in plain PyTorch: draw, softmax, average, take the logarithm."""

import math

import torch
from torch import Tensor

from bayesops import random


def logit_noise_cross_entropy(
    logits: Tensor,
    log_var: Tensor,
    target: Tensor,
    *,
    num_samples: int,
    seed: int | Tensor,
    stream: int = 0,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    average: str = "probabilities",
) -> Tensor:
    """`bayesops.ops.logit_noise_cross_entropy`, of logits ``[N, C, *]`` and seeds ``[]`` or ``[T]``."""
    seeds = torch.as_tensor(seed, dtype=torch.int64)
    if seeds.dim() == 0:
        seeds = random.sample_seeds(seeds, num_samples)
    examples, classes, *space = logits.shape
    noise = random.normal(seeds, (examples, *space, classes), stream).movedim(-1, 2).to(logits.dtype)
    noisy = logits + (log_var / 2).exp() * noise
    counts = target != ignore_index
    classes_of = target.where(counts, 0)
    index = classes_of[None, :, None].expand(len(seeds), examples, 1, *space)
    log_probability = noisy.log_softmax(2).gather(2, index).squeeze(2)
    if average == "probabilities":
        losses = math.log(len(seeds)) - log_probability.logsumexp(0)
    else:
        losses = -log_probability.mean(0)
    weights = torch.ones_like(losses) if weight is None else weight[classes_of].to(losses.dtype)
    weights = weights.where(counts, 0)
    losses = torch.where(counts, losses * weights, 0)
    if reduction == "none":
        return losses
    return losses.sum() / weights.sum() if reduction == "mean" else losses.sum()
