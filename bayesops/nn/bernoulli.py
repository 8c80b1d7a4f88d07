"""Convolutions and linear layers whose kernel is masked by Bernoulli draws, in training and at prediction."""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.utils import _pair, _single, _triple

from bayesops import ops
from bayesops._arguments import check_choice, check_probability
from bayesops.nn._padding import pad_input
from bayesops.nn._samples import check_tensor, has_samples, over_examples
from bayesops.nn._stochastic import Stochastic
from bayesops.ops._epilogue import apply_epilogue
from bayesops.ops.fused import Epilogue, masked_conv_fused
from bayesops.ops.masked_conv import GRANULARITIES


class BernoulliLayer(Stochastic):
    """The options of the mask, which all layers of the family have."""

    def _set_mask_options(
        self, p: float, granularity: str, rescale: bool, per_example: bool, stream: int | None
    ) -> None:
        name = type(self).__name__
        self.granularity = check_choice(name, "granularity", granularity, GRANULARITIES)
        self.p = check_probability(name, p)
        self.rescale = rescale
        self.per_example = per_example
        self.stream = stream

    def _mask_options(self, input: Tensor, mask: Tensor | None, per_sample: bool) -> dict[str, Any]:
        seed, stream = self._draw_for(input, per_sample) if mask is None else (None, 0)
        return {
            "p": self.p, "seed": seed, "mask": mask, "granularity": self.granularity, "rescale": self.rescale,
            "per_example": self.per_example, "stream": stream,
        }  # fmt: skip

    def _mask_repr(self) -> str:
        text = f", p={self.p}, granularity={self.granularity!r}"
        if not self.rescale:
            text += ", rescale=False"
        if self.per_example:
            text += ", per_example=True"
        return text + self._stochastic_repr()

    def _mean_weight(self) -> Tensor:
        """Return the mean of the masked weight (weight scaling: Srivastava et al., "Dropout", 2014, section 7.1)."""
        weight: Any = self.weight
        return weight if self.rescale else weight * (1 - self.p) ** (2 if self.granularity == "channel" else 1)


class _BernoulliConv(BernoulliLayer, _ConvNd):
    """A convolution of `torch.nn` in everything but its forward pass.

    Not a subclass of `torch.nn.Conv2d`, so that tools which look for one (fusion, quantisation, conversion) do not take
    it for deterministic.
    """

    _to_tuple: Callable[[Any], tuple[int, ...]]
    _operator: Callable[..., Tensor]
    _plain_operator: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] | str = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        p: float = 0.5,
        granularity: str = "weight",
        rescale: bool = True,
        per_example: bool = False,
        stream: int | None = None,
    ) -> None:
        to_tuple = type(self)._to_tuple
        window = to_tuple(kernel_size)
        super().__init__(
            in_channels, out_channels, window, to_tuple(stride),
            padding if isinstance(padding, str) else to_tuple(padding), to_tuple(dilation), False, to_tuple(0), groups,
            bias, padding_mode, device=device, dtype=dtype,
        )  # fmt: skip
        self._set_mask_options(p, granularity, rescale, per_example, stream)

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        """Convolve ``[N, I, *]`` with one draw of the kernel, or with the kernel under a given bool `mask`.

        True is kept. The mask's shape goes by the granularity, see `bayesops.ops.masked_conv2d`.
        """
        return self._convolve(input, mask, None)

    def forward_fused(self, input: Tensor, epilogue: Epilogue) -> Tensor:
        """`epilogue` of what `forward` returns, in the same pass and without a gradient; see `bayesops.ops.fused`.

        Where the engine calls it with S seeds at once, `input` is ``[N, I, *]``, shared by all, or ``[S, N, I, *]``.
        """
        return self._convolve(input, None, epilogue)

    def _convolve(self, input: Tensor, mask: Tensor | None, epilogue: Epilogue | None) -> Tensor:
        spatial = len(self.stride)
        input, padding = pad_input(self, input)
        geometry: dict[str, Any] = {
            "stride": self.stride, "padding": padding, "dilation": self.dilation, "groups": self.groups
        }  # fmt: skip
        if self.uses_mean and mask is None:
            plain = type(self)._plain_operator
            output = over_examples(plain, spatial, input, self._mean_weight(), self.bias, **geometry)
            return output if epilogue is None else apply_epilogue(output, epilogue, spatial)
        options = self._mask_options(input, mask, has_samples(spatial, input, epilogue)) | geometry
        if epilogue is None:
            return type(self)._operator(input, self.weight, self.bias, **options)
        return masked_conv_fused(input, self.weight, self.bias, epilogue=epilogue, **options)

    def extra_repr(self) -> str:
        """Show the constructor's arguments."""
        return super().extra_repr() + self._mask_repr()


class BernoulliConv1d(_BernoulliConv):
    """1-d convolution whose kernel is masked by Bernoulli draws; see `BernoulliConv2d`. Input ``[N, I, L]``."""

    _to_tuple = staticmethod(_single)
    _operator = staticmethod(ops.masked_conv1d)
    _plain_operator = staticmethod(functional.conv1d)


class BernoulliConv2d(_BernoulliConv):
    """2-d convolution whose kernel is masked by Bernoulli draws, in training *and* at prediction.

    Parameters are `weight` and `bias`, initialised as in `torch.nn.Conv2d`; so are all arguments up to `dtype`.

    Parameters
    ----------
    p : float
        Probability of dropping, in [0, 1).
    granularity : {"weight", "kernel", "in_channel", "out_channel", "channel"}
        What one random bit switches, see `bayesops.ops.masked_conv2d`.
    rescale : bool
        Divide the masked kernel by its probability of being kept, so that its mean is `weight`.
    per_example : bool
        A mask for each example of a batch, in place of one for the batch.
    stream : int, optional
        Which stream of the seed to draw from; None takes the next free one of the `bayesops.sampling` block. The
        attribute may be set at any time.

    Notes
    -----
    Input ``[N, I, H, W]``, output ``[N, O, H', W']``, channels-last where the input is.

    Source: Gal and Ghahramani, "Bayesian convolutional neural networks with Bernoulli approximate variational
    inference", 2016.
    """

    _to_tuple = staticmethod(_pair)
    _operator = staticmethod(ops.masked_conv2d)
    _plain_operator = staticmethod(functional.conv2d)


class BernoulliConv3d(_BernoulliConv):
    """3-d convolution whose kernel is masked by Bernoulli draws; see `BernoulliConv2d`. Input ``[N, I, D, H, W]``."""

    _to_tuple = staticmethod(_triple)
    _operator = staticmethod(ops.masked_conv3d)
    _plain_operator = staticmethod(functional.conv3d)


class BernoulliLinear(BernoulliLayer):
    """Linear layer whose weight is masked by Bernoulli draws (DropConnect), in training *and* at prediction.

    Parameters are `weight` ``[O, I]`` and `bias` ``[O]``, initialised as in `torch.nn.Linear`; so are the arguments up
    to `dtype`. The others are those of `BernoulliConv2d`; ``"in_channel"`` is dropout of the layer's input features,
    one mask for the whole batch unless `per_example`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        p: float = 0.5,
        granularity: str = "weight",
        rescale: bool = True,
        per_example: bool = False,
        stream: int | None = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = nn.Parameter(torch.empty(out_features, in_features, device=device, dtype=dtype))
        if bias:
            self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()
        self._set_mask_options(p, granularity, rescale, per_example, stream)

    def reset_parameters(self) -> None:
        """Initialise as `torch.nn.Linear` does."""
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map ``[*, I]`` to ``[*, O]`` with one draw of the weight, or under a given bool `mask` (True = kept)."""
        return self._map(input, mask, None)

    def forward_fused(self, input: Tensor, epilogue: Epilogue) -> Tensor:
        """`epilogue` of what `forward` returns, in the same pass and without a gradient; see `bayesops.ops.fused`.

        Where the engine calls it with S seeds at once, `input` is ``[N, I]``, shared by all, or ``[S, *, I]``.
        """
        return self._map(input, None, epilogue)

    def _map(self, input: Tensor, mask: Tensor | None, epilogue: Epilogue | None) -> Tensor:
        if self.uses_mean and mask is None:
            output = functional.linear(input, self._mean_weight(), self.bias)
            return output if epilogue is None else apply_epilogue(output, epilogue, 0)
        check_tensor(self, input)
        options = self._mask_options(input, mask, has_samples(0, input, epilogue))
        if epilogue is None:
            return ops.masked_linear(input, self.weight, self.bias, **options)
        return masked_conv_fused(input, self.weight, self.bias, epilogue=epilogue, **options)

    def extra_repr(self) -> str:
        """Show the constructor's arguments."""
        shape = f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        return shape + self._mask_repr()
