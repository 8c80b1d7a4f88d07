"""What a prediction says: moments of the draws, and what follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bayesops.engine.moments import bernoulli_entropy

# From the fastest.
PATHS = ("plan", "vmap", "loop")


@dataclass(frozen=True, eq=False)
class Prediction:
    """What `predict` returns.

    N is the number of images, ``*`` whatever the model's output has after the batch: ``[N, classes]``, ``[N, classes,
    H, W]``.

    Attributes
    ----------
    mean : Tensor
        Mean of the draws, of the shape of the model's output: for a classifier the predictive probabilities.
    variance : Tensor
        Population variance of the draws (divided by T, so 0 for one draw), of the same shape: what the weights leave
        open (the epistemic part).
    num_samples : int or Tensor
        T; with ``num_samples="auto"`` over several batches int64 ``[N]``, since each batch stops by itself.
    path : str
        ``"plan"``, ``"vmap"`` or ``"loop"``: how the draws were made. Of several batches the last of these that ran.
    plan : str
        The same in words: with what steps and chunks, and why no faster path did.
    link : str
        What was applied to the model's output.
    expected_entropy : Tensor or None
        Mean entropy of the draws in nats: ``[N, *]`` without the dimension of the classes for ``link="softmax"``, of
        each element for ``"sigmoid"``, else None.
    aleatoric_variance : Tensor or None
        Mean of the variances that the model's second output tells; ``link="gaussian"`` only.
    quantiles : Tensor or None
        ``[Q, *mean.shape]`` at `quantile_levels`, if asked for.
    quantile_levels : tuple of float
        The levels asked for.
    samples : Tensor or None
        The draws, ``[T, *mean.shape]``, if asked for.
    """

    mean: Tensor
    variance: Tensor
    num_samples: int | Tensor
    path: str
    plan: str
    link: str
    expected_entropy: Tensor | None = None
    aleatoric_variance: Tensor | None = None
    quantiles: Tensor | None = None
    quantile_levels: tuple[float, ...] = ()
    samples: Tensor | None = None

    @property
    def entropy(self) -> Tensor | None:
        """Entropy of the mean in nats, of the shape of `expected_entropy`: all that is uncertain."""
        if self.link == "sigmoid":
            return bernoulli_entropy(self.mean)
        if self.link != "softmax":
            return None
        return -torch.special.xlogy(self.mean, self.mean).sum(min(1, self.mean.dim() - 1))

    @property
    def mutual_information(self) -> Tensor | None:
        """Entropy of the mean less the mean entropy, in nats, at least 0: what the weights leave open.

        Notes
        -----
        Houlsby, Huszár, Ghahramani and Lengyel, "Bayesian active learning for classification and preference learning",
        2011, equation 2.
        """
        if self.entropy is None or self.expected_entropy is None:
            return None
        return (self.entropy - self.expected_entropy).clamp_(min=0)

    @property
    def total_variance(self) -> Tensor:
        """Variance of what is predicted: of the draws, and, for ``link="gaussian"``, what each of them leaves open.

        Notes
        -----
        Kendall and Gal, "What uncertainties do we need in Bayesian deep learning for computer vision?", 2017,
        equation 9.
        """
        return self.variance if self.aleatoric_variance is None else self.variance + self.aleatoric_variance

    @property
    def standard_error(self) -> Tensor:
        """Standard error of `mean`: ``sqrt(variance / (T - 1))``, infinite for one draw."""
        count = self.num_samples
        if isinstance(count, Tensor):
            count = count.reshape(-1, *[1] * (self.variance.dim() - 1))
            return torch.where(count > 1, (self.variance / (count - 1).clamp(min=1)).sqrt(), torch.inf)
        return (self.variance / (count - 1)).sqrt() if count > 1 else torch.full_like(self.variance, torch.inf)


def concatenated(parts: Sequence[Prediction], same_count: bool) -> Prediction:
    """Join the predictions of several batches; `same_count` says that all have the same number of draws."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]

    def join(name: str, dim: int = 0) -> Tensor | None:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else torch.cat(values, dim)

    counts: int | Tensor = first.num_samples
    if not same_count:
        device = first.mean.device
        counts = torch.cat([torch.full((len(part.mean),), int(part.num_samples), device=device) for part in parts])
    plans = list(dict.fromkeys(part.plan for part in parts))
    mean, variance = join("mean"), join("variance")
    assert mean is not None
    assert variance is not None
    path = max((part.path for part in parts), key=PATHS.index)
    plan = f"{len(parts)} batches: {' | '.join(plans)}"
    return Prediction(
        mean, variance, counts, path, plan, first.link, join("expected_entropy"), join("aleatoric_variance"),
        join("quantiles", 1), first.quantile_levels, join("samples", 1),
    )  # fmt: skip
