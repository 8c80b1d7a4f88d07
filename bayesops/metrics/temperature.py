"""Temperature scaling: one number, found on held-out data, that makes logits more or less sure."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from bayesops._arguments import check_floating, wrong_value
from bayesops.engine.prediction import Prediction
from bayesops.metrics._arguments import check_ignore_index, counted, probabilities_of

_ELEMENTS_AT_ONCE = 2**22


class TemperatureScaling(nn.Module):
    r"""Divide logits by a temperature, chosen so that held-out targets are most likely.

    .. math:: \min_{T > 0} -\frac{1}{n} \sum_i \log softmax(z_i / T)_{y_i}

    The order of the classes stays, and so does the accuracy.

    Parameters
    ----------
    ignore_index : int
        A target that does not count.

    Attributes
    ----------
    temperature : Tensor
        float64 ``[]``, 1 before `fit`; a buffer, saved with the module's state.

    Raises
    ------
    TypeError
        `ignore_index` that is not an int.

    Notes
    -----
    The loss is convex in 1 / T; L-BFGS finds its minimum in float64, from sums over parts of the data, so that no copy
    of it is made. Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017,
    equation 9.

    Examples
    --------
    >>> scaling = bo.metrics.TemperatureScaling().fit(model(held_out), labels)
    >>> probabilities = scaling(model(images)).softmax(1)

    Of a Bayesian network the mean of the draws is scaled, by its logarithm:

    >>> scaling = bo.metrics.TemperatureScaling().fit(bo.predict(model, held_out), labels)
    >>> probabilities = scaling(bo.predict(model, images).mean.log()).softmax(1)
    """

    temperature: Tensor

    def __init__(self, *, ignore_index: int = -100) -> None:
        super().__init__()
        self.ignore_index = check_ignore_index("TemperatureScaling", ignore_index)
        self.register_buffer("temperature", torch.ones((), dtype=torch.float64))

    def forward(self, logits: Tensor) -> Tensor:
        """Return ``logits / temperature``, of the same shape and dtype."""
        check_floating("TemperatureScaling", "logits", logits)
        return logits / self.temperature.to(logits.dtype)

    @torch.no_grad()
    def fit(self, logits: Tensor | Prediction, target: Tensor) -> "TemperatureScaling":
        """Find the temperature.

        Parameters
        ----------
        logits : Tensor or Prediction
            ``[N, C, *]``; of a prediction, the logarithm of its probabilities. Not the data of the training.
        target : Tensor
            Classes, int64 ``[N, *]``.

        Returns
        -------
        TemperatureScaling
            This one.

        Raises
        ------
        ValueError
            Shapes that do not fit, classes out of range, no targets; logits that are NaN, plus infinity, or minus
            infinity for a target; and where no temperature is best: every target has the highest logit of its row (a
            lower one is never worse), or targets have on average no higher logits than other classes (a higher one is
            never worse).
        TypeError
            Logits that are not floating, targets that are not integers.
        """
        function = "TemperatureScaling.fit"
        if isinstance(logits, Prediction):
            probabilities = probabilities_of(function, logits, "logits")
            logits = probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()
        check_floating(function, "logits", logits)
        if logits.dim() < 2:
            wrong_value(function, "logits", "of shape [N, C, *]", f"shape {tuple(logits.shape)}")
        data = _Margins(logits.detach(), target, counted(function, target, logits, self.ignore_index))
        data.check(function)
        scale = data.scale()
        inverse = torch.ones((), dtype=torch.float64, device="cpu")  # scale / T
        inverse.grad = torch.zeros_like(inverse)
        optimizer = torch.optim.LBFGS(
            [inverse], max_iter=200, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
        )

        def closure() -> float:
            loss, slope = data.loss(float(inverse) / scale)
            inverse.grad = torch.full_like(inverse, slope / scale)
            return loss

        optimizer.step(closure)
        self.temperature.fill_(scale / float(inverse))
        return self


class _Margins:
    """The distances of all logits from their target's."""

    def __init__(self, logits: Tensor, target: Tensor, counts: Tensor) -> None:
        self._logits, self._target, self._counts = logits, target, counts
        self._count = int(counts.sum())

    def parts(self) -> Iterator[Tensor]:
        """Yield float64 ``[M, C]``."""
        at_once = max(1, _ELEMENTS_AT_ONCE // max(1, self._logits[:1].numel()))
        tensors = (self._logits, self._target, self._counts)
        for logits, target, counts in zip(*(tensor.split(at_once) for tensor in tensors), strict=True):
            rows = logits.movedim(1, -1)[counts].double()
            yield rows - rows.gather(1, target[counts].long()[:, None])

    def check(self, function: str) -> None:
        """Refuse data that have no best temperature."""
        if self._count == 0:
            wrong_value(function, "target", "of at least one class that counts", "none")
        all_right, slope = True, 0.0
        for margins in self.parts():
            if not (margins < torch.inf).all():  # also for NaN
                wanted = "free of NaN and plus infinity, and above minus infinity for targets"
                wrong_value(function, "logits", wanted, "others")
            all_right = all_right and bool((margins <= 0).all())
            # The derivative of the loss at 1 / T = 0. A logit of minus infinity is no class there.
            finite = margins.isfinite()
            slope += float((margins.where(finite, 0).sum(1) / finite.sum(1)).sum())
        if all_right:
            raise ValueError(
                f"{function}: no temperature is best: every target has the highest logit of its row, so that a lower "
                "one is never worse; more data may help"
            )
        if slope >= 0:
            raise ValueError(
                f"{function}: no temperature is best: the logits of targets are on average not above those of all "
                "classes, so that a higher one is never worse"
            )

    def scale(self) -> float:
        """Return the root of the mean square of the finite ones."""
        squares, number = 0.0, 0
        for margins in self.parts():
            finite = margins.isfinite()
            squares += float(margins.where(finite, 0).square().sum())
            number += int(finite.sum())
        return float((squares / number) ** 0.5)

    def loss(self, inverse: float) -> tuple[float, float]:
        """Return the mean loss at 1 / T, and its derivative."""
        total = slope = 0.0
        for margins in self.parts():
            scaled = (inverse * margins).where(margins > -torch.inf, -torch.inf)  # whatever the sign that is tried
            share = scaled.softmax(1)
            total += float(scaled.logsumexp(1).sum())
            slope += float((share * margins.where(share > 0, 0)).sum())
        return total / self._count, slope / self._count
