"""What is kept of the draws of one batch, and the prediction that it makes."""

from typing import Any

import torch
from torch import Tensor

from bayesops._arguments import wrong_type, wrong_value
from bayesops._messages import warn_user
from bayesops.engine.moments import Moments
from bayesops.engine.prediction import Prediction
from bayesops.engine.quantiles import QuantileSketch


class Tally:
    """Moments, and on request quantiles and the draws themselves; the arguments are those of `predict`.

    `examples` is the number of the inputs, where it is known to be one.
    """

    def __init__(
        self,
        link: str,
        quantiles: tuple[float, ...],
        return_samples: bool,
        examples: int | None = None,
    ) -> None:
        self._examples = examples
        self._link, self._levels, self._return_samples = link, quantiles, return_samples
        self.moments, self.aleatoric = Moments(link), Moments()
        self.sketch = QuantileSketch()
        self.kept: list[list[Tensor]] = []  # of each round

    def begin_round(self) -> None:
        """Say that what comes now comes after all that other ranks have drawn so far."""
        self.kept.append([])

    def empty(self) -> "Tally":
        """Return a tally of the same kind without draws."""
        return Tally(self._link, self._levels, self._return_samples, self._examples)

    def add(self, outputs: Any) -> None:
        """Take what the model returned (and was selected of it) for some draws, ``[S, ...]``."""
        if self._link == "gaussian":
            outputs, log_variances = _mean_and_log_variance(outputs)
            self.aleatoric.add(log_variances.double().exp())  # far beyond the range of half precision
        if not isinstance(outputs, Tensor):
            wanted = "a callable that returns one tensor (or say which by 'output')"
            # The graph of a plan has immutable lists and dicts, where the model has plain ones.
            wrong_type("predict", "model", wanted, type(outputs).__name__.removeprefix("immutable_"))
        if not outputs.is_floating_point():
            wrong_type("predict", "model", "a callable that returns floating numbers", outputs.dtype)
        if self._link == "softmax" and outputs.dim() < 2:
            wrong_value("predict", "model", "a callable that returns classes where link is 'softmax'", "a number")
        if self._link == "softmax" and outputs.shape[min(2, outputs.dim() - 1)] == 1:
            got = "'softmax', whose probability is 1 whatever it returns"
            wrong_value("predict", "link", "'sigmoid' or 'identity' where the model returns a single class", got)
        if self._link == "softmax" and outputs.shape[1:] == (self._examples,) and self.moments.count == 0:
            warn_user(
                "predict: the model returns as many numbers as there are inputs, and link='softmax' takes them for "
                "classes (link='identity' if there is one for each)"
            )
        self.moments.add(outputs)
        if self._levels or self._return_samples:
            values = outputs.softmax(min(2, outputs.dim() - 1)) if self._link == "softmax" else outputs
            values = outputs.sigmoid() if self._link == "sigmoid" else values
            if self._levels:
                self.sketch.add(values)
            if self._return_samples:
                self.kept[-1].append(values)

    def is_settled(self, tolerance: float) -> bool:
        """Whether no element of the mean has a standard error above `tolerance`."""
        moments = self.moments
        if moments.count < 2:
            return False
        squares = moments.deviations / (moments.count * (moments.count - 1))
        return not bool((squares > tolerance**2).any())  # more draws do not settle what is NaN

    def prediction(self, path: str, plan: str) -> Prediction:
        """Put everything together."""
        moments = self.moments
        return Prediction(
            mean=moments.mean.contiguous(),
            variance=(moments.deviations / moments.count).contiguous(),
            num_samples=moments.count,
            path=path,
            plan=plan,
            link=self._link,
            expected_entropy=moments.expected_entropy,
            aleatoric_variance=self.aleatoric.mean.to(moments.mean).contiguous() if self._link == "gaussian" else None,
            quantiles=self.sketch.quantiles(self._levels) if self._levels else None,
            quantile_levels=self._levels,
            samples=torch.cat([part for parts in self.kept for part in parts]).contiguous()
            if self._return_samples
            else None,
        )


def _mean_and_log_variance(outputs: Any) -> tuple[Tensor, Tensor]:
    pair = tuple(outputs) if isinstance(outputs, (tuple, list)) else ()
    if len(pair) != 2 or not all(isinstance(part, Tensor) for part in pair) or pair[0].shape != pair[1].shape:
        got = f"{type(outputs).__name__} of {', '.join(str(tuple(getattr(p, 'shape', '?'))) for p in pair)}"
        wanted = "a callable that returns mean and log variance, of one shape, where link is 'gaussian'"
        wrong_type("predict", "model", wanted, got if pair else type(outputs).__name__)
    return pair[0], pair[1]
