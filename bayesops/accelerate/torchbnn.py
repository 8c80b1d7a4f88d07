"""torchbnn: `BayesConv2d` and `BayesLinear`, whose spread is the logarithm of the standard deviation.

Its `BKLLoss` goes by `isinstance` and reads parameters: it takes the new layers for its own.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bayesops.accelerate._peer_layer import PeerLayer, Weights
from bayesops.accelerate._takeover import Found, Takeover, known_class
from bayesops.ops._conv_arguments import flatten_rows, has_rows_per_sample, unflatten_rows
from bayesops.ops._dispatch import call
from bayesops.ops._gaussian_arguments import BIAS_STREAM, check_convolution

PACKAGE = "torchbnn.modules"

_sampled_conv = torch.ops.bayesops.sampled_conv.default
_random_normal = torch.ops.bayesops.random_normal.default


class BayesLayer(PeerLayer):
    """One draw of the weight for the batch; after torchbnn's `freeze`, the peer's own pass with the noise it keeps."""

    weight_mu: Tensor
    weight_log_sigma: Tensor
    weight_eps: Tensor | None
    bias_mu: Tensor | None
    bias_log_sigma: Tensor | None
    padding_mode: str

    @property
    def _draws(self) -> bool:
        return super()._draws and self.weight_eps is None

    def forward(self, input: Tensor) -> Tensor:
        """Draw the output."""
        if self.weight_eps is not None and not self.uses_mean:
            output: Tensor = super().forward(input)
            return output
        return self._estimate(input, self._draws)

    def _weights(self) -> Weights:
        return Weights(self.weight_mu, self.weight_log_sigma, self.bias_mu, self.bias_log_sigma)

    def _pad(self, input: Tensor) -> tuple[Tensor, Any]:
        if self.padding_mode != "circular":  # torchbnn takes any other for zeros
            return input, self.padding
        # As in torch 1.2: `padding` on both sides together.
        sides = [side for p in reversed(self.padding) for side in ((p + 1) // 2, p // 2)]
        return functional.pad(input, sides, mode="circular"), 0

    def _draw(self, spatial: int, input: Tensor, weights: Weights, geometry: dict[str, Any]) -> Tensor:
        """Weight sampling with the standard deviation itself, which the compiled operator takes."""
        operator = type(self).__name__
        seed, stream = self._draw_from(input.device)
        leading = None
        if spatial == 0:
            geometry = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
            input, leading = flatten_rows(operator, input, has_rows_per_sample(input, seed))
        seed, *window = check_convolution(
            operator, spatial, input, weights.mu, weights.bias_mu, seed, stream, **geometry
        )  # fmt: skip
        sigma = weights.spread.exp()
        bias = weights.bias_mu
        if bias is not None and weights.bias_spread is not None:
            eps = _random_normal(seed, [bias.shape[0]], stream ^ BIAS_STREAM)
            bias = torch.addcmul(bias, weights.bias_spread.exp(), eps).to(bias.dtype)
        output = call(_sampled_conv, input, weights.mu, sigma, bias, seed, stream, *window)
        return unflatten_rows(output, leading)


LAYERS = {"BayesConv2d": "conv2d", "BayesLinear": "linear"}
LEFT = {"BayesBatchNorm2d": "its weights are drawn for each batch, which no operator here does"}


def recognise(module: nn.Module) -> Found:
    """Say what becomes of a layer of torchbnn."""
    name, reason = known_class(module, PACKAGE, LAYERS, LEFT)
    if name is None:
        return None if reason is None else f"torchbnn {type(module).__name__}: {reason}"
    return Takeover(BayesLayer, f"torchbnn {name} -> the operator of bayesops.ops.sampled_{LAYERS[name]}")
