"""Moments of draws that come chunk by chunk: what a prediction is made of."""

import torch
from torch import Tensor

from bayesops.ops.predictive_moments import add_predictive_moments


class Moments:
    """Mean, sum of squared deviations and expected entropy of all draws so far; in float32 where these are half.

    Attributes
    ----------
    has_entropy : bool
        The draws are logits, of which the softmax is taken.
    count : int
        How many draws.
    mean, deviations : Tensor
        Of a draw's shape.
    expected_entropy : Tensor or None
        Mean entropy of the draws in nats, without the dimension of the classes; for ``softmax`` only.
    """

    def __init__(self, softmax: bool) -> None:
        self.has_entropy = softmax
        self.count = 0
        self.mean = torch.empty(0)
        self.deviations = torch.empty(0)
        self.expected_entropy: Tensor | None = None

    def add(self, samples: Tensor) -> None:
        """Take the draws ``[S, ...]``: logits where ``softmax``."""
        if self.count == 0:
            dtype = torch.promote_types(samples.dtype, torch.float32)
            self.mean = torch.empty_like(samples[0], dtype=dtype)
            self.deviations = torch.empty_like(self.mean)
            if self.has_entropy:
                classes = min(1, self.mean.dim() - 1)
                self.expected_entropy = self.mean.new_empty(self.mean.shape[:classes] + self.mean.shape[classes + 1 :])
        add_predictive_moments(
            samples, softmax=self.has_entropy, count=self.count, mean=self.mean, deviations=self.deviations,
            expected_entropy=self.expected_entropy,
        )  # fmt: skip
        self.count += len(samples)
