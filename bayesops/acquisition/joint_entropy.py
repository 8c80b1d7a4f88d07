"""What a label says about the weights beyond what the labels of a batch, not known yet either, will have said."""

import torch
from torch import Tensor

# Numbers of a configuration's predictive probabilities at a time.
_BLOCK_ELEMENTS = 2**21


class Configurations:
    """Labels that the points chosen so far may turn out to have together, each with its probability.

    All there are, C^n for n points, while these are not more than a limit; from then on a sample of them. Given the
    weights labels are independent, so p(y_1 … y_n) = 1/T Σ_t Π_i p(y_i | w_t).

    Attributes
    ----------
    probability : Tensor
        float64 ``[K]``, sums to 1.
    posterior : Tensor
        float64 ``[K, T]``: p(w_t | labels), each row sums to 1. (The likelihood itself would underflow.)
    """

    def __init__(self, num_samples: int, limit: int, device: torch.device) -> None:
        self.limit = limit
        self.probability = torch.ones(1, dtype=torch.float64, device=device)
        self.posterior = torch.full((1, num_samples), 1 / num_samples, dtype=torch.float64, device=device)

    def information(self, probabilities: Tensor) -> Tensor:
        """I(y; w | y_1 … y_n) of M points by themselves, in nats, ``[M]``; `probabilities` are float64 ``[T, M, C]``.

        H(y | y_1 … y_n) − H(y | w), the mean of the latter taken over the configurations as well: over all of them it
        is the mean over the draws, and of a sample it shares the noise of the first term, so that no value is below 0.
        """
        flat = probabilities.flatten(1)
        block = max(1, _BLOCK_ELEMENTS // len(self.probability))
        entropies = [self.probability @ torch.special.entr(self.posterior @ part) for part in flat.split(block, 1)]
        less = (self.probability @ self.posterior) @ torch.special.entr(flat)
        return (torch.cat(entropies) - less).reshape(probabilities.shape[1:]).sum(1)

    def add(self, probabilities: Tensor, offset: float) -> None:
        """Take one more point, ``[T, C]``; `offset`, uniform in [0, 1), is what a sample is drawn by.

        Where there are too many, `limit` configurations are drawn by systematic sampling: at equal distances along the
        cumulative probability. Each is drawn in proportion to its probability, and with less noise than by independent
        draws.
        """
        predictive = self.posterior @ probabilities  # [K, C]
        joint = (self.probability[:, None] * predictive).flatten()
        chosen = joint.nonzero()[:, 0]
        probability = joint[chosen]
        if len(chosen) > self.limit:
            cumulative = probability.cumsum(0)
            at = (torch.arange(self.limit, device=joint.device) + offset) * (cumulative[-1] / self.limit)
            drawn = torch.searchsorted(cumulative, at, right=True).clamp_(max=len(chosen) - 1)
            drawn, count = drawn.unique_consecutive(return_counts=True)
            chosen, probability = chosen[drawn], count.double() / self.limit
        num_classes = probabilities.shape[1]
        before, label = chosen // num_classes, chosen % num_classes
        self.probability = probability / probability.sum()
        self.posterior = self.posterior[before] * probabilities.T[label] / predictive.flatten()[chosen, None]
