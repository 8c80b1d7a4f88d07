"""Noise on the logits of a classifier that predicts their variance, for prediction."""

from torch import Tensor

from bayesops import random
from bayesops._arguments import wrong_type, wrong_value
from bayesops.nn._stochastic import Stochastic


class LogitNoise(Stochastic):
    """Draw logits from their predicted means and log variances.

    A network that was trained with `bayesops.losses.LogitNoiseCrossEntropy` means its label to be drawn from
    softmax(f + exp(s / 2) ε). Put after it, this layer lets `bayesops.predict` average over ε and the weights alike.

    Parameters
    ----------
    stream : int, optional
        Which stream of the seed to draw from; None takes the next free one of the `bayesops.sampling` block.

    Notes
    -----
    Input: the pair of logits ``[N, C, *]`` and their log variances, of the same shape or ``[N, 1, *]``; output ``[N, C,
    *]``. The noise is ``bayesops.random.normal(seed, (N, *, C), stream)``: that of a place depends on its number in the
    batch. `use_mean` gives the logits without noise.

    A draw of the network is then a draw of its noise, too: `Prediction.mean` and `entropy` are right, but
    `mutual_information` counts the noise with the weights. For what the weights alone leave open, predict without this
    layer (``bo.predict(network, images, output=0)``).

    Source: Kendall and Gal, "What uncertainties do we need in Bayesian deep learning for computer vision?", NeurIPS
    2017, equation 12.

    Examples
    --------
    >>> prediction = bo.predict(nn.Sequential(network, bo.nn.LogitNoise()).eval(), images)
    """

    def __init__(self, *, stream: int | None = None) -> None:
        super().__init__()
        self.stream = stream

    def forward(self, output: tuple[Tensor, Tensor]) -> Tensor:
        """Return one draw of the logits."""
        if not isinstance(output, (tuple, list)) or len(output) != 2:
            wrong_type("LogitNoise", "output", "a pair, logits and log variances", type(output).__name__)
        logits, log_var = output
        for part in output:
            if not isinstance(part, Tensor):
                wrong_type("LogitNoise", "output", "a pair of tensors", f"one with {type(part).__name__}")
        if logits.dim() < 2:
            wrong_value("LogitNoise", "output", "of logits [N, C, *]", f"shape {tuple(logits.shape)}")
        examples, classes, *space = logits.shape
        if tuple(log_var.shape) not in (tuple(logits.shape), (examples, 1, *space)):
            wanted = f"of log variances {tuple(logits.shape)} or {(examples, 1, *space)}"
            wrong_value("LogitNoise", "output", wanted, f"shape {tuple(log_var.shape)}")
        if self.uses_mean:
            return logits
        seed, stream = self._draw_from(logits.device)
        noise = random.normal(seed, (examples, *space, classes), stream).movedim(-1, 1)
        return logits + (log_var / 2).exp() * noise.to(logits.dtype)

    def extra_repr(self) -> str:
        """Show the constructor's arguments."""
        return self._stochastic_repr().removeprefix(", ")
