"""The loss of classifiers that predict the variance of their logits, as a module that finds its own seeds."""

from torch import Tensor, nn

from bayesops._arguments import check_choice, check_count, check_stream, wrong_type
from bayesops.ops.logit_noise_cross_entropy import AVERAGES, REDUCTIONS, logit_noise_cross_entropy
from bayesops.sampling import layer_seed


class LogitNoiseCrossEntropy(nn.Module):
    """Cross entropy of the mean softmax over T draws of noisy logits: `bayesops.ops.logit_noise_cross_entropy`.

    Each call draws anew: from torch's generator of the logits' device, or, within a `bayesops.sampling` block, from the
    block's seed, as Bayesian layers do. So it is an `nll` of `bayesops.losses.ELBO`, which draws weights and noise
    together.

    Parameters
    ----------
    num_samples : int
        T, the number of draws of the noise.
    weight : Tensor, optional
        ``[C]``: weights of the classes, kept as a buffer.
    ignore_index, reduction, average
        As in `bayesops.ops.logit_noise_cross_entropy`.
    stream : int, optional
        Which stream of the seed to draw from; None takes the next free one of the `bayesops.sampling` block.

    Raises
    ------
    ValueError
        `num_samples` below 1, an unknown reduction or average, a stream out of range.
    TypeError
        `num_samples` or `stream` that is no int.

    Notes
    -----
    Source: Kendall and Gal, "What uncertainties do we need in Bayesian deep learning for computer vision?", NeurIPS
    2017, equation 12.

    Examples
    --------
    >>> loss = bo.losses.LogitNoiseCrossEntropy(num_samples=10, ignore_index=255)
    >>> loss(network(images).chunk(2, dim=1), labels).backward()
    """

    weight: Tensor | None

    def __init__(
        self,
        num_samples: int,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        average: str = "probabilities",
        stream: int | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.num_samples = check_count(name, "num_samples", num_samples)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = check_choice(name, "reduction", reduction, REDUCTIONS)
        self.average = check_choice(name, "average", average, AVERAGES)
        self.stream = None if stream is None else check_stream(name, stream)

    def forward(self, output: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        """Return the loss of a network's output, the pair of logits ``[N, C, *]`` and their log variances.

        The log variances are of the logits' shape, or ``[N, 1, *]``; `target` is int64 ``[N, *]``.
        """
        if not isinstance(output, (tuple, list)) or len(output) != 2:
            wrong_type("LogitNoiseCrossEntropy", "output", "a pair, logits and log variances", type(output).__name__)
        logits, log_var = output
        seed, stream = layer_seed(self, self.stream, logits.device)
        return logit_noise_cross_entropy(
            logits, log_var, target, num_samples=self.num_samples, seed=seed, weight=self.weight,
            ignore_index=self.ignore_index, reduction=self.reduction, average=self.average, stream=stream,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """Show the constructor's arguments."""
        return f"num_samples={self.num_samples}, reduction={self.reduction!r}, average={self.average!r}"
