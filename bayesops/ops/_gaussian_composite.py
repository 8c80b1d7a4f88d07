"""The Gaussian convolutions as composites: our operators write the noise, the library's own convolutions do the rest.

This is how the operators run on CUDA, as those of `_masked_conv_composite` do. It runs on any device, and the tests
hold it on the CPU against the reference.

- Weight sampling: `gaussian_weight` writes all samples' weights, for one convolution or some (`_sample_convolution`).
- Flipout: the convolution with the mean, once where the samples share the input, and that of the flipped input with
  sigma * eps, its output flipped. Of gradients, too, the mean's part is taken once, from the sum over the samples.
- Local reparameterisation: a convolution of means and one of variances; `lrt_epilogue` draws from both, and its fused
  form does what follows as well.

The gradients of all samples' weights are summed, with their noise, by `gaussian_weight_grad` in one pass. What follows
a convolution is one pass, too (`_composite_epilogue`, `lrt_epilogue_fused`). The forward functions serve the
operators whose names end in ``_fused``, too: those have the parts of an `Epilogue` as their last arguments.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bayesops.ops._composite_epilogue import convolve_and_finish
from bayesops.ops._epilogue import Epilogue
from bayesops.ops._layout import input_gradient_with_layout, is_channels_last, with_layout
from bayesops.ops._sample_convolution import Geometry, convolve, convolve_in_groups, input_gradient, weight_gradients

# --- weight sampling --------------------------------------------------------------------------------------------------


def sampled_conv(
    input: Tensor, weight_mu: Tensor, weight_sigma: Tensor, bias: Tensor | None, seed: Tensor, stream: int,
    *options: Any,
) -> Tensor:  # fmt: skip
    """Take and return what the operators ``bayesops::sampled_conv`` and ``bayesops::sampled_conv_fused`` do."""
    geometry, epilogue = _split(options)
    weights = _drawn(weight_mu, weight_sigma, seed, stream, input)
    return convolve_and_finish(input, weights, geometry, bias, seed, epilogue)


def sampled_conv_input_grad(
    grad_output: Tensor, weight_mu: Tensor, weight_sigma: Tensor, seed: Tensor, input_size: Sequence[int], stream: int,
    *geometry: Any,
) -> Tensor:  # fmt: skip
    """Take and return what the operator ``bayesops::sampled_conv_input_grad`` does."""
    weights = _drawn(weight_mu, weight_sigma, seed, stream, grad_output)
    gradient = input_gradient(grad_output, weights, input_size, Geometry(*geometry))
    return input_gradient_with_layout(gradient, grad_output, weight_mu.dim() - 2)


def sampled_conv_weight_grad(
    grad_output: Tensor, input: Tensor, seed: Tensor, weight_size: Sequence[int], stream: int, *geometry: Any
) -> tuple[Tensor, Tensor]:
    """Take and return what the operator ``bayesops::sampled_conv_weight_grad`` does."""
    gradients = weight_gradients(grad_output, input, [*seed.shape, *weight_size], Geometry(*geometry))
    return torch.ops.bayesops.gaussian_weight_grad(gradients, seed, stream)


# --- Flipout ----------------------------------------------------------------------------------------------------------


def flipout_conv(
    input: Tensor, weight_mu: Tensor, weight_sigma: Tensor, bias: Tensor | None, seed: Tensor, stream: int,
    *options: Any,
) -> Tensor:  # fmt: skip
    """Take and return what the operators ``bayesops::flipout_conv`` and ``bayesops::flipout_conv_fused`` do."""
    geometry, epilogue = _split(options)
    flip_input, flip_output = _signs(input, input.shape, weight_mu.shape, seed, stream)
    deviation = _drawn(None, weight_sigma, seed, stream, input)
    mean = convolve_in_groups(input, weight_mu, geometry)
    signs = flip_output.reshape(seed.numel(), input.shape[-weight_mu.dim()], weight_mu.shape[0])
    return convolve_and_finish(
        input * flip_input, deviation, geometry, bias, seed, epilogue, base=mean, signs=signs
    )  # fmt: skip


def flipout_conv_input_grad(
    grad_output: Tensor, weight_mu: Tensor, weight_sigma: Tensor, seed: Tensor, input_size: Sequence[int], stream: int,
    *geometry: Any,
) -> Tensor:  # fmt: skip
    """Take and return what the operator ``bayesops::flipout_conv_input_grad`` does."""
    spatial = weight_mu.dim() - 2
    flip_input, flip_output = _signs(grad_output, input_size, weight_mu.shape, seed, stream)
    deviation = _drawn(None, weight_sigma, seed, stream, grad_output)
    flipped_size = [*seed.shape, *input_size[-spatial - 2 :]]  # flipped, no sample's input is another's
    of_flipped = input_gradient(grad_output * flip_output, deviation, flipped_size, Geometry(*geometry))
    of_mean = input_gradient(_as_shared(grad_output, input_size), weight_mu, input_size, Geometry(*geometry))
    gradient = of_mean + (of_flipped * flip_input).sum_to_size(input_size)
    return input_gradient_with_layout(gradient, grad_output, spatial)


def flipout_conv_weight_grad(
    grad_output: Tensor, input: Tensor, seed: Tensor, weight_size: Sequence[int], stream: int, *geometry: Any
) -> tuple[Tensor, Tensor]:
    """Take and return what the operator ``bayesops::flipout_conv_weight_grad`` does."""
    flip_input, flip_output = _signs(input, input.shape, weight_size, seed, stream)
    grad_mu = weight_gradients(_as_shared(grad_output, input.shape), input, weight_size, Geometry(*geometry))
    gradients = weight_gradients(
        grad_output * flip_output, input * flip_input, [*seed.shape, *weight_size], Geometry(*geometry)
    )
    return grad_mu.contiguous(), torch.ops.bayesops.gaussian_weight_grad(gradients, seed, stream)[1]


# --- local reparameterisation -----------------------------------------------------------------------------------------


def lrt_conv(
    input: Tensor, weight_mu: Tensor, weight_var: Tensor, bias_mu: Tensor | None, bias_var: Tensor | None,
    seed: Tensor, stream: int, *options: Any,
) -> Tensor:  # fmt: skip
    """Take and return what the operators ``bayesops::lrt_conv`` and ``bayesops::lrt_conv_fused`` do."""
    if input.dtype == torch.float16:
        return lrt_conv(*_wide(input, weight_mu, weight_var, bias_mu, bias_var, seed, stream, *options)).half()
    geometry, epilogue = _split(options)
    return torch.ops.bayesops.lrt_epilogue_fused(
        *_moments(input, weight_mu, weight_var, geometry), False, bias_mu, bias_var, seed, stream, weight_mu.dim() - 2,
        *Epilogue(*epilogue),
    )  # fmt: skip


def lrt_conv_std(
    input: Tensor, weight_mu: Tensor, weight_var: Tensor, bias_mu: Tensor | None, bias_var: Tensor | None,
    seed: Tensor, stream: int, *geometry: Any,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Take and return what the operator ``bayesops::lrt_conv_std`` does."""
    if input.dtype == torch.float16:
        wide = lrt_conv_std(*_wide(input, weight_mu, weight_var, bias_mu, bias_var, seed, stream, *geometry))
        return wide[0].half(), wide[1].half()
    moments = _moments(input, weight_mu, weight_var, Geometry(*geometry))
    return torch.ops.bayesops.lrt_epilogue(*moments, seed, stream, weight_mu.dim() - 2, bias_mu, bias_var)


def lrt_conv_input_grad(
    grad_mean: Tensor, grad_variance: Tensor, input: Tensor, weight_mu: Tensor, weight_var: Tensor, *geometry: Any
) -> Tensor:
    """Take and return what the operator ``bayesops::lrt_conv_input_grad`` does."""
    if input.dtype == torch.float16:
        return lrt_conv_input_grad(*_wide(grad_mean, grad_variance, input, weight_mu, weight_var, *geometry)).half()
    of_mean = input_gradient(grad_mean, weight_mu, input.shape, Geometry(*geometry))
    of_squares = input_gradient(grad_variance, weight_var, input.shape, Geometry(*geometry))
    gradient = torch.addcmul(of_mean, input, of_squares, value=2)
    return input_gradient_with_layout(gradient, grad_mean, weight_mu.dim() - 2)


def lrt_conv_weight_grad(
    grad_mean: Tensor, grad_variance: Tensor, input: Tensor, weight_size: Sequence[int], *geometry: Any
) -> tuple[Tensor, Tensor]:
    """Take and return what the operator ``bayesops::lrt_conv_weight_grad`` does."""
    if input.dtype == torch.float16:
        of_mu, of_var = lrt_conv_weight_grad(*_wide(grad_mean, grad_variance, input, weight_size, *geometry))
        return of_mu.half(), of_var.half()
    grad_mu = weight_gradients(grad_mean, input, weight_size, Geometry(*geometry))
    grad_var = weight_gradients(grad_variance, input.square(), weight_size, Geometry(*geometry))
    return grad_mu.contiguous(), grad_var.contiguous()


# --- what they share --------------------------------------------------------------------------------------------------


def _split(options: Sequence[Any]) -> tuple[Geometry, Sequence[Any]]:
    """Geometry, and the parts of an epilogue if there are any."""
    return Geometry(*options[:4]), options[4:]


def _wide(*arguments: Any) -> list[Any]:
    """Tensors of float16 in float32: there squares overflow from 256 on, and variances of weights are subnormal."""
    return [a.float() if isinstance(a, Tensor) and a.dtype == torch.float16 else a for a in arguments]


def _drawn(mu: Tensor | None, sigma: Tensor, seed: Tensor, stream: int, images: Tensor) -> Tensor:
    """Weights ``[S or nothing, *sigma.shape]``, channels-last if those images are."""
    last = is_channels_last(images, sigma.dim() - 2)
    return torch.ops.bayesops.gaussian_weight(mu, sigma, seed, stream, last)


def _moments(input: Tensor, weight_mu: Tensor, weight_var: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
    """Means and variances of outputs, without those of biases."""
    spatial = weight_mu.dim() - 2
    mean, variance = convolve(input, weight_mu, geometry), convolve(input.square(), weight_var, geometry)
    # What is drawn from them lies in memory as the mean does.
    return with_layout(mean, spatial, is_channels_last(input, spatial)), variance


def _as_shared(grad_output: Tensor, input_size: Sequence[int]) -> Tensor:
    """Sum an output's gradient over samples that share the input."""
    return grad_output.sum(0) if grad_output.dim() > len(input_size) else grad_output


def _signs(
    like: Tensor, input_size: Sequence[int], weight_size: Sequence[int], seed: Tensor, stream: int
) -> tuple[Tensor, Tensor]:
    """Flipout's signs of inputs ``[S or nothing, N, I, 1...]`` and of outputs ``[S or nothing, N, O, 1...]``."""
    spatial = len(weight_size) - 2
    examples, inputs = input_size[-spatial - 2], input_size[-spatial - 1]
    signs = torch.ops.bayesops.random_signs(seed, [examples, inputs + weight_size[0]], stream)
    signs = signs.to(like.dtype).reshape(*signs.shape, *[1] * spatial)
    return signs.narrow(seed.dim() + 1, 0, inputs), signs.narrow(seed.dim() + 1, inputs, weight_size[0])
