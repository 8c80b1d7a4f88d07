"""BLiTZ: Bayesian convolutions and linear layers with a scale mixture prior.

Its layers hold two parameters for each number, `weight_mu` and `weight_sampler.mu`, on the same memory; the draws and
so the gradients are those of the sampler, and are so here. `log_variational_posterior` and `log_prior`, of which its
losses are made, are functions of the weights of the last call: these are drawn again when somebody asks.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bayesops import random
from bayesops.accelerate._peer_layer import SAMPLED, PeerLayer, Weights
from bayesops.accelerate._takeover import Found, Takeover, known_class
from bayesops.ops._gaussian_arguments import BIAS_STREAM
from bayesops.ops._softplus_rules import softplus

PACKAGE = "blitz.modules"


class BayesianLayer(PeerLayer):
    """One draw of the weight for the batch; its mean while `freeze` is set."""

    _operators = SAMPLED

    bias: bool
    freeze: bool
    weight_sampler: Any
    weight_prior_dist: Any
    bias_sampler: Any
    bias_prior_dist: Any
    _last_draw: tuple[Tensor, int] | None = None

    @property
    def _draws(self) -> bool:
        return super()._draws and not self.freeze

    def forward(self, x: Tensor) -> Tensor:
        """Draw the output."""
        return self._estimate(x, self._draws)

    def _weights(self) -> Weights:
        weight = self.weight_sampler
        if not self.bias:  # the linear layer has one all the same
            return Weights(weight.mu, weight.rho, None, None)
        return Weights(weight.mu, weight.rho, self.bias_sampler.mu, self.bias_sampler.rho)

    def _draw_from(self, device: torch.device) -> tuple[Tensor, int]:
        self._last_draw = super()._draw_from(device)
        return self._last_draw

    @property
    def log_variational_posterior(self) -> Any:
        """Log q of the weights of the last call, by the peer's formula; 0 before the first, as there."""
        return self._of_last_draw("log_variational_posterior", lambda sampler, prior, w: sampler.log_posterior(w))

    @property
    def log_prior(self) -> Any:
        """Log prior of the weights of the last call, by the peer's formula; 0 before the first, as there."""
        return self._of_last_draw("log_prior", lambda sampler, prior, w: prior.log_prior(w))

    def _of_last_draw(self, name: str, density: Callable[[Any, Any, Tensor], Tensor]) -> Any:
        if self._last_draw is None:
            return 0
        seed, stream = self._last_draw
        if seed.dim() or _has_left_vmap(seed):
            raise RuntimeError(f"{name}: the last call of the layer made many draws at once; call the model by itself")
        parts = [(self.weight_sampler, self.weight_prior_dist, stream)]
        if self.bias:
            parts.append((self.bias_sampler, self.bias_prior_dist, stream ^ BIAS_STREAM))
        total: Any = 0
        for sampler, prior, own_stream in parts:
            sampler.sigma = softplus(sampler.rho)
            noise = random.normal(seed, sampler.mu.shape, own_stream).to(sampler.mu.dtype)
            sampler.w = sampler.mu + sampler.sigma * noise
            total = total + density(sampler, prior, sampler.w)
        return total


def _has_left_vmap(seed: Tensor) -> bool:
    """Whether `seed` is of a `torch.vmap` that is over."""
    if not torch._C._functorch.is_batchedtensor(seed):
        return False
    innermost = torch._C._functorch.peek_interpreter_stack()
    return innermost is None or torch._C._functorch.maybe_get_level(seed) > innermost.level()


LAYERS = {
    "BayesianLinear": "linear", "BayesianConv1d": "conv1d", "BayesianConv2d": "conv2d", "BayesianConv3d": "conv3d"
}  # fmt: skip
LEFT = {
    "BayesianLSTM": "recurrent", "BayesianGRU": "recurrent", "BayesianEmbedding": "no operator draws rows of a table"
}  # fmt: skip


def recognise(module: nn.Module) -> Found:
    """Say what becomes of a layer of BLiTZ."""
    name, reason = known_class(module, PACKAGE, LAYERS, LEFT)
    if name is None:
        return None if reason is None else f"blitz {type(module).__name__}: {reason}"
    what = f"blitz {name} -> bayesops.ops.sampled_{LAYERS[name]}"
    return Takeover(BayesianLayer, what, forgets=("log_variational_posterior", "log_prior"))
