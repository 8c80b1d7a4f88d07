"""Dropout that stays on at prediction."""

from torch import Tensor

from bayesops import ops
from bayesops._arguments import check_choice, check_probability
from bayesops.nn._samples import check_tensor
from bayesops.nn._stochastic import Stochastic
from bayesops.ops.dropout import GRANULARITIES


class Dropout(Stochastic):
    """Dropout in training *and* at prediction: Monte Carlo dropout; `eval` does not switch it off.

    Parameters
    ----------
    p : float
        Probability of dropping, in [0, 1).
    granularity : {"element", "channel"}
        Single activations, or whole channels (as `torch.nn.Dropout2d`).
    stream : int, optional
        Which stream of the seed to draw from; None takes the next free one of the `bayesops.sampling` block.

    Notes
    -----
    Input ``[N, C, *]`` (or ``[C]``), output of the same shape. One module used in several places draws the same bits in
    each of them within a `bayesops.sampling` block: use a module for each place.

    Source: Gal and Ghahramani, "Dropout as a Bayesian approximation", ICML 2016.
    """

    def __init__(self, p: float = 0.5, granularity: str = "element", *, stream: int | None = None) -> None:
        super().__init__()
        self.granularity = check_choice("Dropout", "granularity", granularity, GRANULARITIES)
        self.p = check_probability("Dropout", p)
        self.stream = stream

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        """Drop, by a draw or by a given bool `mask` (True = kept): ``[N, C, *]``, or ``[N, C]`` for channels.

        Where the engine calls it with S seeds at once, `input` is ``[S, N, C, *]``; that S draws share an ``[N, C, *]``
        its shape does not tell, and `bayesops.ops.dropout` is called with `shared_input`.
        """
        if mask is not None:
            return ops.dropout(input, p=self.p, seed=None, mask=mask, granularity=self.granularity)
        if self.uses_mean:
            return input
        check_tensor(self, input)
        seed, stream = self._draw_for(input, per_sample=True)
        images = input if input.dim() >= 2 else input.reshape(1, -1)
        output = ops.dropout(images, p=self.p, seed=seed, granularity=self.granularity, stream=stream)
        return output if input.dim() >= 2 else output.reshape(input.shape)

    def extra_repr(self) -> str:
        """Show the constructor's arguments."""
        return f"p={self.p}, granularity={self.granularity!r}{self._stochastic_repr()}"
