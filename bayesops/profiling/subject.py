"""The model that is measured, with its twins, and the ways to T draws of it."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from bayesops.engine import Prediction, predict
from bayesops.engine.chunks import largest_activation
from bayesops.engine.output import Output, joined, selected
from bayesops.engine.plan import Watch
from bayesops.engine.predict import Request, predict_batch
from bayesops.profiling import twins
from bayesops.profiling.twins import peers

Batch = tuple[Tensor, ...]


class Subject:
    """A Bayesian model in ``eval`` mode, a copy, and its twins.

    Attributes
    ----------
    ours, plain, naive : Module
        The model; the same that draws nothing; and one that draws in plain PyTorch.
    """

    def __init__(self, model: nn.Module, link: str, output: Output, seed: int, device: torch.device) -> None:
        self.plain = twins.deterministic(model).eval()
        self.naive = twins.naive(model).eval()
        self.ours = copy.deepcopy(model).eval()
        self.link, self.output, self.seed, self.device = link, output, seed, device
        self._peers: dict[str, nn.Module] = {}

    def predict(self, batch: Batch, count: int, path: str = "auto") -> Prediction:
        """Make `count` draws with `bayesops.predict`."""
        return predict(self.ours, batch, count, self.seed, link=self.link, output=self.output, path=path)

    def predict_watched(self, batch: Batch, count: int, watch: Watch, path: str) -> Prediction:
        """Do the same with `watch` around each step, where the path is a plan."""
        request = Request(count, self.seed, "auto", self.link, False, (), 0.01, 1, self.output, path)
        with torch.no_grad():
            return predict_batch(self.ours, batch, request, watch=watch)

    def passes(self, batch: Batch, count: int) -> None:
        """Make `count` passes that draw nothing."""
        for _ in range(count):
            self.plain(*batch)

    def selected(self, model: Callable[..., Any], batch: Batch) -> Any:
        """Call a model once, and select from what it returns."""
        return selected(model(*batch), self.output)

    def loop(self, model: Callable[..., Any], batch: Batch, count: int) -> None:
        """Make `count` passes of a model that draws, and take moments as a user of torch does."""
        self._moments(joined(torch.stack, [self.selected(model, batch) for _ in range(count)]))

    def repeated(self, model: Callable[..., Any], batch: Batch, count: int) -> None:
        """Make one pass over the batch, repeated."""
        repeats = tuple(argument.repeat(count, *[1] * (argument.dim() - 1)) for argument in batch)
        self._moments(tree_map(lambda output: output.unflatten(0, (count, -1)), self.selected(model, repeats)))

    def vmapped(self, draw: Callable[[Tensor], Any], count: int) -> None:
        """Call what `torch.vmap` has made of `selected`, for `count` draws at once."""
        self._moments(draw(torch.empty(count, device=self.device)))

    def peer(self, name: str) -> nn.Module:
        """Return the model in the layers of a peer library; see `twins.peers.twin`."""
        if name not in self._peers:
            self._peers[name] = peers.twin(self.ours, name)
        return self._peers[name]

    def largest_activation(self, batch: Batch) -> int:
        """Bytes of the largest output of a module in one pass."""
        with largest_activation(self.plain) as largest:
            self.plain(*batch)
        return largest.num_bytes

    def _moments(self, outputs: Any) -> None:
        """Take mean and population variance of ``[T, ...]``, of probabilities where the link makes them."""
        if self.link == "gaussian":
            outputs, log_variances = outputs
            log_variances.exp().mean(0)
        if self.link == "softmax":
            outputs = outputs.softmax(min(2, outputs.dim() - 1))
        if self.link == "sigmoid":
            outputs = outputs.sigmoid()
        outputs.mean(0)
        outputs.var(0, correction=0)
