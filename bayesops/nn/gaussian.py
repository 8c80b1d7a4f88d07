"""Convolutions and linear layers whose weights are normally distributed, mean and spread learned: Bayes by Backprop.

One set of parameters and three estimators, which may be exchanged at any time:

- ``"local_reparam"`` draws the outputs, each from the normal distribution that the weights give it (Kingma, Salimans
  and Welling, "Variational dropout and the local reparameterization trick", NIPS 2015, eq. 6), every pixel by itself:
  the least noise in gradients, at two convolutions.
- ``"weight_sample"`` draws one weight for the whole batch (Blundell et al., "Weight uncertainty in neural networks",
  ICML 2015, section 3.2): the only one whose outputs, taken together, come from one network.
- ``"flipout"`` turns the signs of one weight draw for each example (Wen et al., "Flipout: efficient pseudo-independent
  weight perturbations on mini-batches", ICLR 2018, eq. 4): covariance within an image as under ``"weight_sample"``,
  little of it between the images of a batch.
"""

import functools
import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd

from bayesops import ops
from bayesops._arguments import check_choice, check_count, check_number
from bayesops.nn._padding import pad_input
from bayesops.nn._posterior import Posterior
from bayesops.nn._samples import check_tensor, has_samples, over_examples
from bayesops.nn._stochastic import Stochastic
from bayesops.ops._epilogue import apply_epilogue
from bayesops.ops._gaussian_arguments import BIAS_STREAM
from bayesops.ops._softplus_variance_rules import variance_of
from bayesops.ops.fused import Epilogue, flipout_conv_fused, lrt_conv_fused, lrt_draw, sampled_conv_fused
from bayesops.priors import Prior, as_prior
from bayesops.random import sample_seeds

ESTIMATORS = ("local_reparam", "weight_sample", "flipout")
VARIANCES = ("rho", "alpha")
REDUCTIONS = ("sum", "mean")


class _Operators(NamedTuple):
    """The layer without noise, and by its estimators."""

    plain: Callable[..., Tensor]
    local_reparam: Callable[..., Tensor]
    weight_sample: Callable[..., Tensor]
    flipout: Callable[..., Tensor]


_FUSED_OPERATORS: dict[str, Callable[..., Tensor]] = {
    "local_reparam": lrt_conv_fused, "weight_sample": sampled_conv_fused, "flipout": flipout_conv_fused,
}  # fmt: skip


class GaussianLayer(Stochastic):
    """What all layers of the family have: parameters, estimators and the divergence. Not to be made by itself."""

    weight_mu: Tensor
    weight_rho: Tensor | None
    weight_log_alpha: Tensor | None
    bias_mu: Tensor | None
    bias_rho: Tensor | None
    prior: Prior
    bias_prior: Prior | None
    _operators: _Operators

    def _set_posterior(
        self,
        plain: Any,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
        prior: Any,
        bias_prior: Any,
        estimator: str,
        variance: str,
        rho_init: float,
        log_alpha_init: float,
        stream: int | None,
    ) -> None:
        """Make the parameters, of the shapes of torch's layer `plain`."""
        name = type(self).__name__
        self.estimator = estimator
        self.variance = check_choice(name, "variance", variance, VARIANCES)
        check_number(name, "rho_init", rho_init)
        check_number(name, "log_alpha_init", log_alpha_init)
        self.rho_init, self.log_alpha_init = rho_init, log_alpha_init
        self.stream = stream
        weight, bias = plain.weight.shape, None if plain.bias is None else plain.bias.shape
        shapes = {
            "weight_mu": weight,
            "weight_rho": weight if variance == "rho" else None,
            "weight_log_alpha": weight if variance == "alpha" else None,
            "bias_mu": bias,
            "bias_rho": bias,
        }
        for parameter, shape in shapes.items():
            made = None if shape is None else nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
            self.register_parameter(parameter, made)
        self.prior = as_prior(prior, name, device=device)
        self.bias_prior = None if bias_prior is None else as_prior(bias_prior, name, "bias_prior", device)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise the means as torch's layers do, rho at `rho_init` and log alpha at `log_alpha_init`."""
        nn.init.kaiming_uniform_(self.weight_mu, a=math.sqrt(5))
        if self.bias_mu is not None:
            fan_in = math.prod(self.weight_mu.shape[1:])
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            nn.init.uniform_(self.bias_mu, -bound, bound)
        for rho in (self.weight_rho, self.bias_rho):
            if rho is not None:
                nn.init.constant_(rho, self.rho_init)
        if self.weight_log_alpha is not None:
            nn.init.constant_(self.weight_log_alpha, self.log_alpha_init)

    @property
    def estimator(self) -> str:
        """How outputs are drawn: "local_reparam", "weight_sample" or "flipout"; may be set at any time."""
        return self._estimator

    @estimator.setter
    def estimator(self, estimator: str) -> None:
        self._estimator = check_choice(type(self).__name__, "estimator", estimator, ESTIMATORS)

    def _estimate(self, input: Tensor, epilogue: Epilogue | None, **geometry: Any) -> Tensor:
        """Draw the output for `input`, padded already."""
        check_tensor(self, input)
        mu, bias_mu = self.weight_mu, self.bias_mu
        spatial = mu.dim() - 2
        if self.uses_mean:
            output = over_examples(self._operators.plain, spatial, input, mu, bias_mu, **geometry)
            return output if epilogue is None else apply_epilogue(output, epilogue, spatial)
        seed, stream = self._draw_for(input, has_samples(spatial, input, epilogue))
        operator: Callable[..., Tensor] = getattr(self._operators, self._estimator)
        if epilogue is not None:
            operator = functools.partial(_FUSED_OPERATORS[self._estimator], epilogue=epilogue)
        rho, bias_rho = self.weight_rho, self.bias_rho
        if self._estimator != "local_reparam":
            return operator(
                input, mu, rho, bias_mu, bias_rho, seed=seed, weight_log_alpha=self.weight_log_alpha, stream=stream,
                **geometry,
            )  # fmt: skip
        var, bias_var = self._variances()
        is_narrow = mu.dtype == torch.float16
        if is_narrow:
            input, mu, bias_mu = input.float(), mu.float(), None if bias_mu is None else bias_mu.float()
            if epilogue is not None:
                wide: list[Any] = [part.float() if isinstance(part, Tensor) else part for part in epilogue]
                operator = functools.partial(_FUSED_OPERATORS[self._estimator], epilogue=Epilogue(*wide))
        output = operator(input, mu, var, bias_mu, bias_var, seed=seed, stream=stream, **geometry)
        return output.half() if is_narrow else output

    def _variances(self) -> tuple[Tensor, Tensor | None]:
        """Return those of weight and bias; of float16 in float32, since they are squares, often of less than 1e-4."""

        def wide(parameter: Tensor) -> Tensor:
            return parameter.float() if parameter.dtype == torch.float16 else parameter

        if self.weight_rho is not None:
            var = variance_of(wide(self.weight_rho))
        else:
            var = wide(self.weight_log_alpha).exp() * wide(self.weight_mu).square()  # type: ignore[arg-type]
        return var, None if self.bias_rho is None else variance_of(wide(self.bias_rho))

    def _output_moments(self, input: Tensor, **geometry: Any) -> tuple[Tensor, Tensor]:
        var, bias_var = self._variances()
        mu, bias_mu = self.weight_mu, self.bias_mu
        is_narrow = mu.dtype == torch.float16
        if is_narrow:
            input, mu, bias_mu = input.float(), mu.float(), None if bias_mu is None else bias_mu.float()
        mean = self._operators.plain(input, mu, bias_mu, **geometry)
        variance = self._operators.plain(input.square(), var, bias_var, **geometry)
        std = variance.clamp_(min=0).sqrt_()  # a convolution may round a variance of zero to slightly less
        return (mean.half(), std.half()) if is_narrow else (mean, std)

    def draw_output(self, mean: Tensor, std: Tensor, epilogue: Epilogue) -> Tensor:
        """`epilogue` of a draw, or S of them, from `output_moments`: those of `forward` for the same input."""
        seed, stream = self._draw_from(mean.device)
        return lrt_draw(mean, std, epilogue=epilogue, seed=seed, stream=stream)

    def kl_loss(self, reduction: str = "sum", num_samples: int = 1) -> Tensor:
        """KL(q || prior) of weight and bias, in nats: the closed form where the prior has one, Monte Carlo otherwise.

        Parameters
        ----------
        reduction : {"sum", "mean"}
            Over the layer's weights and biases; an objective needs the sum.
        num_samples : int
            Draws of the Monte Carlo estimate log q(w) − log p(w) (Blundell et al. 2015, eq. 2). One uses the layer's
            seed itself, so that within a `bayesops.sampling` block w is the very weight that the forward pass draws
            with ``estimator="weight_sample"``; more use ``bayesops.random.sample_seeds(seed, num_samples)``.

        Returns
        -------
        Tensor
            float64 ``[]``, summed in float64, whatever the dtype of the parameters.

        Raises
        ------
        ValueError
            An unknown reduction, `num_samples` below 1, a prior whose tensors do not have the parameter's shape.
        """
        name = type(self).__name__
        check_choice(name, "reduction", reduction, REDUCTIONS)
        check_count(name, "num_samples", num_samples)
        parts = [part for part in (self._closed_form_kl(), self._monte_carlo_kl(num_samples)) if part is not None]
        total = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        if reduction == "sum":
            return total
        return total / sum(posterior.mu.numel() for posterior in self._posteriors())

    def _posteriors(self) -> Iterator[Posterior]:
        yield Posterior(self.weight_mu, self.weight_rho, self.weight_log_alpha, self.prior, 0)
        if self.bias_mu is not None:
            prior = self.prior if self.bias_prior is None else self.bias_prior
            yield Posterior(self.bias_mu, self.bias_rho, None, prior, BIAS_STREAM)

    def _closed_form_kl(self) -> Tensor | None:
        """Sum over what has a closed form; None where nothing has."""
        terms = [posterior.closed_form_kl() for posterior in self._posteriors() if posterior.prior.has_closed_form]
        return sum(terms[1:], terms[0]) if terms else None

    def _monte_carlo_kl(self, num_samples: int = 1) -> Tensor | None:
        """Estimate of the sum over what has no closed form; None, and no seed used, where all has one."""
        open_forms = [posterior for posterior in self._posteriors() if not posterior.prior.has_closed_form]
        if not open_forms:
            return None
        seed, stream = self._draw_from(self.weight_mu.device)
        if num_samples > 1:
            seed = sample_seeds(seed, num_samples)
        terms = [posterior.monte_carlo_kl(seed, stream) for posterior in open_forms]
        return sum(terms[1:], terms[0])

    def _posterior_repr(self) -> str:
        text = f", estimator={self._estimator!r}"
        if self.variance != "rho":
            text += f", variance={self.variance!r}"
        return text + self._stochastic_repr()


class _GaussianConv(GaussianLayer):
    """A convolution of `torch.nn` in its arguments, but no subclass: it has no `weight` that a tool could take."""

    _torch_layer: Callable[..., nn.Module]

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
        prior: Prior | torch.distributions.Distribution | None = None,
        bias_prior: Prior | torch.distributions.Distribution | None = None,
        estimator: str = "local_reparam",
        variance: str = "rho",
        rho_init: float = -5.0,
        log_alpha_init: float = -5.0,
        stream: int | None = None,
    ) -> None:
        super().__init__()
        plain: Any = type(self)._torch_layer(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device="meta"
        )  # its checks, its shapes, its tuples
        self.in_channels: int = plain.in_channels
        self.out_channels: int = plain.out_channels
        self.kernel_size: tuple[int, ...] = plain.kernel_size
        self.stride: tuple[int, ...] = plain.stride
        self.padding: tuple[int, ...] | str = plain.padding
        self.dilation: tuple[int, ...] = plain.dilation
        self.groups: int = plain.groups
        self.padding_mode: str = plain.padding_mode
        self._reversed_padding_repeated_twice: list[int] = plain._reversed_padding_repeated_twice
        self._set_posterior(
            plain, device, dtype, prior, bias_prior, estimator, variance, rho_init, log_alpha_init, stream
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        """Convolve ``[N, I, *]`` with a draw."""
        return self._convolve(input, None)

    def forward_fused(self, input: Tensor, epilogue: Epilogue) -> Tensor:
        """`epilogue` of what `forward` returns, in the same pass and without a gradient; see `bayesops.ops.fused`.

        Where the engine calls it with S seeds at once, `input` is ``[N, I, *]``, shared by all, or ``[S, N, I, *]``.
        """
        return self._convolve(input, epilogue)

    def output_moments(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of what local reparameterisation draws for ``[N, I, *]``, without a gradient."""
        input, geometry = self._padded(input)
        return self._output_moments(input, **geometry)

    def _convolve(self, input: Tensor, epilogue: Epilogue | None) -> Tensor:
        input, geometry = self._padded(input)
        return self._estimate(input, epilogue, **geometry)

    def _padded(self, input: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """Return the input, padded where need be, and what is left to do to it."""
        input, padding = pad_input(self, input)
        return input, {
            "stride": self.stride, "padding": padding, "dilation": self.dilation, "groups": self.groups
        }  # fmt: skip

    def extra_repr(self) -> str:
        """Show the constructor's arguments."""
        as_torch: Any = SimpleNamespace(**vars(self), bias=self.bias_mu, output_padding=(0,) * len(self.stride))
        return _ConvNd.extra_repr(as_torch) + self._posterior_repr()


class GaussianConv1d(_GaussianConv):
    """1-d convolution with normally distributed weights; see `GaussianConv2d`. Input ``[N, I, L]``."""

    _torch_layer = nn.Conv1d
    _operators = _Operators(functional.conv1d, ops.lrt_conv1d, ops.sampled_conv1d, ops.flipout_conv1d)


class GaussianConv2d(_GaussianConv):
    """2-d convolution with normally distributed weights, drawn in training *and* at prediction.

    The arguments up to `dtype` are those of `torch.nn.Conv2d`. Parameters are `weight_mu` ``[O, I / groups, kH, kW]``
    and `bias_mu` ``[O]``, initialised as there, with `weight_rho` (or `weight_log_alpha`) and `bias_rho` of the same
    shapes. The state dict is the same for each estimator.

    Parameters
    ----------
    prior : Prior or torch distribution, optional
        Of the weights, see `bayesops.priors`; ``Gaussian(0.0, 1.0)`` unless given. Its tensors move to `device`.
    bias_prior : Prior or torch distribution, optional
        Of the bias; the attribute is None, and `prior` serves, unless given.
    estimator : {"local_reparam", "weight_sample", "flipout"}
        How outputs are drawn. The attribute may be changed at any time.
    variance : {"rho", "alpha"}
        The standard deviation of a weight: ``softplus(rho)``, or ``exp(log_alpha / 2) |mu|``, that is the variance
        ``alpha mu²`` of variational dropout. The bias always goes by rho.
    rho_init : float
        First value of rho: -5 is a standard deviation of 0.0067.
    log_alpha_init : float
        First value of log alpha: -5 is a standard deviation of 0.082 times the mean.
    stream : int, optional
        Which stream of the seed to draw from; None takes the next free one of the `bayesops.sampling` block. The
        attribute may be set at any time. The bias draws from that stream with its highest bit (``0x80000000``) turned.

    Raises
    ------
    ValueError
        An unknown estimator or variance, a stream out of range; what `torch.nn.Conv2d` refuses.
    TypeError
        A prior that is none, a first value that is no number.

    Notes
    -----
    Input ``[N, I, H, W]``, output ``[N, O, H', W']``, channels-last where the input is.

    Source: Blundell, Cornebise, Kavukcuoglu and Wierstra, "Weight uncertainty in neural networks", ICML 2015; for the
    estimators see `bayesops.nn.gaussian`; `variance="alpha"`: Molchanov, Ashukha and Vetrov, "Variational dropout
    sparsifies deep neural networks", ICML 2017.
    """

    _torch_layer = nn.Conv2d
    _operators = _Operators(functional.conv2d, ops.lrt_conv2d, ops.sampled_conv2d, ops.flipout_conv2d)


class GaussianConv3d(_GaussianConv):
    """3-d convolution with normally distributed weights; see `GaussianConv2d`. Input ``[N, I, D, H, W]``."""

    _torch_layer = nn.Conv3d
    _operators = _Operators(functional.conv3d, ops.lrt_conv3d, ops.sampled_conv3d, ops.flipout_conv3d)


class GaussianLinear(GaussianLayer):
    """Linear layer with normally distributed weights, drawn in training *and* at prediction.

    The arguments up to `dtype` are those of `torch.nn.Linear`, the others those of `GaussianConv2d`. Parameters are
    `weight_mu` ``[O, I]`` and `bias_mu` ``[O]``, initialised as there, with `weight_rho` (or `weight_log_alpha`) and
    `bias_rho` of the same shapes.
    """

    _operators = _Operators(functional.linear, ops.lrt_linear, ops.sampled_linear, ops.flipout_linear)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        prior: Prior | torch.distributions.Distribution | None = None,
        bias_prior: Prior | torch.distributions.Distribution | None = None,
        estimator: str = "local_reparam",
        variance: str = "rho",
        rho_init: float = -5.0,
        log_alpha_init: float = -5.0,
        stream: int | None = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        plain = nn.Linear(in_features, out_features, bias, device="meta")
        self._set_posterior(
            plain, device, dtype, prior, bias_prior, estimator, variance, rho_init, log_alpha_init, stream
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        """Map ``[*, I]`` to ``[*, O]`` with a draw."""
        return self._estimate(input, None)

    def forward_fused(self, input: Tensor, epilogue: Epilogue) -> Tensor:
        """`epilogue` of what `forward` returns, in the same pass and without a gradient; see `bayesops.ops.fused`.

        Where the engine calls it with S seeds at once, `input` is ``[N, I]``, shared by all, or ``[S, *, I]``.
        """
        return self._estimate(input, epilogue)

    def output_moments(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of what local reparameterisation draws for ``[N, I]``, without a gradient."""
        return self._output_moments(input)

    def extra_repr(self) -> str:
        """Show the constructor's arguments."""
        shape = f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias_mu is not None}"
        return shape + self._posterior_repr()
