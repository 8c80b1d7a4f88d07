"""Moments of draws that come chunk by chunk: what a prediction is made of."""

import torch
from torch import Tensor

from bayesops._dtypes import at_least_float32
from bayesops.ops.predictive_moments import add_predictive_moments


class Moments:
    """Mean, sum of squared deviations and expected entropy of all draws so far; in float32 where these are half.

    Attributes
    ----------
    link : str
        Of draws that are logits: ``softmax``, or ``sigmoid``, each element by itself. Anything else: they are taken as
        they are.
    count : int
        How many draws.
    mean, deviations : Tensor
        Of a draw's shape.
    expected_entropy : Tensor or None
        Mean entropy of the draws in nats, of logits only: without the dimension of the classes for ``softmax``.
    """

    def __init__(self, link: str = "identity") -> None:
        self.link = link
        self.count = 0
        self.mean = torch.empty(0)
        self.deviations = torch.empty(0)
        self.expected_entropy: Tensor | None = None

    def add(self, samples: Tensor) -> None:
        """Take the draws ``[S, ...]``."""
        softmax = self.link == "softmax"
        if self.link == "sigmoid":
            samples = at_least_float32(samples).sigmoid()
        if self.count == 0:
            dtype = torch.promote_types(samples.dtype, torch.float32)
            self.mean = torch.empty_like(samples[0], dtype=dtype)
            self.deviations = torch.empty_like(self.mean)
            if softmax:
                classes = min(1, self.mean.dim() - 1)
                self.expected_entropy = self.mean.new_empty(self.mean.shape[:classes] + self.mean.shape[classes + 1 :])
        add_predictive_moments(
            samples, softmax=softmax, count=self.count, mean=self.mean, deviations=self.deviations,
            expected_entropy=self.expected_entropy if softmax else None,
        )  # fmt: skip
        if self.link == "sigmoid":
            total = bernoulli_entropy(samples).sum(0)
            known = 0 if self.expected_entropy is None else self.expected_entropy * self.count
            self.expected_entropy = (known + total) / (self.count + len(samples))
        self.count += len(samples)


def bernoulli_entropy(probability: Tensor) -> Tensor:
    """Entropy of yes and no in nats, for each element."""
    return -(torch.special.xlogy(probability, probability) + torch.special.xlog1py(1 - probability, -probability))
