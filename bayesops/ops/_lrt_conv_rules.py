"""How local reparameterisation behaves in PyTorch's transforms: fake tensors, autograd, vmap and autocast.

The output is ``mean + std * eps`` with ``mean = conv(x, mu) + bias_mu`` and ``std = sqrt(conv(x**2, var) + bias_var)``.
Where a gradient is wanted, `lrt_conv_std` runs in the place of `lrt_conv`: its second output, the standard deviation,
is all that is kept besides the arguments, and being an output it connects derivatives of higher order. The noise is
drawn again.

The operators of the backward pass have derivatives of their own, put together from PyTorch's operations and masked
convolutions that mask nothing, which are closed under differentiation: so every order exists.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bayesops._sums import sum_keeping
from bayesops.ops import _masked_conv_rules
from bayesops.ops._dispatch import batch_first, batched, call, register_autocast, register_autograd, vmap_by_loop
from bayesops.ops._layout import empty_images, empty_input_gradient, empty_output, is_channels_last

F = torch.ops.bayesops.lrt_conv.default
F_STD = torch.ops.bayesops.lrt_conv_std.default
I = torch.ops.bayesops.lrt_conv_input_grad.default  # noqa: E741  the names of the formulas
W = torch.ops.bayesops.lrt_conv_weight_grad.default
V = torch.ops.bayesops.lrt_variance_grad.default


# --- fake tensors: shapes and strides ---------------------------------------------------------------------------------


@torch.library.register_fake("bayesops::lrt_conv")
def _fake_forward(input: Tensor, mu: Tensor, var: Tensor, *rest: Any) -> Tensor:
    return _fake_forward_std(input, mu, var, *rest)[0]


@torch.library.register_fake("bayesops::lrt_conv_std")
def _fake_forward_std(
    input: Tensor, mu: Tensor, var: Tensor, bias_mu: Tensor | None, bias_var: Tensor | None, seed: Tensor, stream: int,
    stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    samples = input.shape[: input.dim() - mu.dim()]  # of the standard deviation: none where they share the input
    return (
        empty_output(input, mu, seed.shape, stride, padding, dilation),
        empty_output(input, mu, samples, stride, padding, dilation),
    )


@torch.library.register_fake("bayesops::lrt_conv_input_grad")
def _fake_input_grad(grad_mean: Tensor, grad_variance: Tensor, input: Tensor, mu: Tensor, *_: Any) -> Tensor:
    return empty_input_gradient(grad_mean, input.shape, mu.dim() - 2)


@torch.library.register_fake("bayesops::lrt_conv_weight_grad")
def _fake_weight_grad(
    grad_mean: Tensor, grad_variance: Tensor, input: Tensor, weight_size: Sequence[int], *_: Any
) -> tuple[Tensor, Tensor]:
    return grad_mean.new_empty(weight_size), grad_mean.new_empty(weight_size)


@torch.library.register_fake("bayesops::lrt_variance_grad")
def _fake_variance_grad(grad_output: Tensor, std: Tensor, seed: Tensor, stream: int, spatial: int) -> Tensor:
    return empty_images(std, std.shape, spatial, is_channels_last(std, spatial))


# --- autograd ---------------------------------------------------------------------------------------------------------


def _save_forward(ctx: Any, inputs: tuple, outputs: tuple[Tensor, Tensor]) -> None:
    input, mu, var, _, _, seed, ctx.stream, *ctx.geometry = inputs
    ctx.save_for_backward(input, mu, var, seed, outputs[1])
    ctx.set_materialize_grads(False)  # nobody asks for the gradient of std in a first derivative


def _backward_forward(ctx: Any, grad: Tensor | None, grad_std: Tensor | None) -> tuple:
    input, mu, var, seed, std = ctx.saved_tensors
    needs_input, needs_mu, needs_var, needs_bias_mu, needs_bias_var, *_ = ctx.needs_input_grad
    spatial = mu.dim() - 2
    if grad is None:
        grad_mean = grad_variance = torch.zeros_like(std)
    else:
        grad_mean = grad.sum(0) if grad.dim() > std.dim() else grad
        grad_variance = call(V, grad, std, seed, ctx.stream, spatial)
    if grad_std is not None:
        grad_variance = grad_variance + _quotient(grad_std, 2 * std)
    grad_mu = grad_var = None
    if needs_mu or needs_var:
        grad_mu, grad_var = call(W, grad_mean, grad_variance, input, mu.shape, *ctx.geometry)
    channel = [std.dim() - spatial - 1]
    return (
        call(I, grad_mean, grad_variance, input, mu, var, *ctx.geometry) if needs_input else None,
        grad_mu,
        grad_var,
        sum_keeping(grad_mean, channel) if needs_bias_mu else None,
        sum_keeping(grad_variance, channel) if needs_bias_var else None,
        *[None] * 6,
    )


def _save_variance_grad(ctx: Any, inputs: tuple, output: Tensor) -> None:
    _, std, seed, ctx.stream, ctx.spatial = inputs
    ctx.save_for_backward(std, seed, output)


def _backward_variance_grad(ctx: Any, cotangent: Tensor) -> tuple:
    std, seed, output = ctx.saved_tensors
    needs_output, needs_std, *_ = ctx.needs_input_grad
    grad_output = grad_std = None
    if needs_output:
        channel = std.dim() - ctx.spatial - 1
        examples, channels, *size = std.shape[channel - 1 :]
        eps = torch.ops.bayesops.random_normal(seed, [examples, *size, channels], ctx.stream)
        grad_output = _quotient(cotangent, 2 * std) * eps.movedim(-1, seed.dim() + 1).to(std.dtype)
    if needs_std:
        grad_std = -_quotient(cotangent * output, std)
    return grad_output, grad_std, None, None, None


def _quotient(numerator: Tensor, std: Tensor) -> Tensor:
    """``numerator / std``, and 0 where std is: there the square root has no derivative.

    std is replaced before it divides, so that no infinity reaches the derivatives of this.
    """
    certain = std == 0
    return torch.where(certain, 0, numerator / torch.where(certain, 1, std))


def _save_input_grad(ctx: Any, inputs: tuple, output: Tensor) -> None:
    *tensors, stride, padding, dilation, groups = inputs
    ctx.save_for_backward(*tensors)
    ctx.geometry = (stride, padding, dilation, groups)


def _backward_input_grad(ctx: Any, cotangent: Tensor) -> tuple:
    grad_mean, grad_variance, input, mu, var = ctx.saved_tensors
    needs_mean, needs_variance, needs_input, needs_mu, needs_var, *_ = ctx.needs_input_grad
    plain = _PlainConvolution(mu.shape, ctx.geometry)
    of_squares = 2 * input * cotangent if needs_variance or needs_var else cotangent
    return (
        plain.forward(cotangent, mu) if needs_mean else None,
        plain.forward(of_squares, var) if needs_variance else None,
        2 * cotangent * plain.input_grad(grad_variance, var, input.shape) if needs_input else None,
        plain.weight_grad(grad_mean, cotangent) if needs_mu else None,
        plain.weight_grad(grad_variance, of_squares) if needs_var else None,
        *[None] * 4,
    )


def _save_weight_grad(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    grad_mean, grad_variance, input, _, *ctx.geometry = inputs
    ctx.save_for_backward(grad_mean, grad_variance, input)


def _backward_weight_grad(ctx: Any, mu: Tensor, var: Tensor) -> tuple:
    grad_mean, grad_variance, input = ctx.saved_tensors
    needs_mean, needs_variance, needs_input, *_ = ctx.needs_input_grad
    plain = _PlainConvolution(mu.shape, ctx.geometry)
    return (
        plain.forward(input, mu) if needs_mean else None,
        plain.forward(input.square(), var) if needs_variance else None,
        I(grad_mean, grad_variance, input, mu, var, *ctx.geometry) if needs_input else None,
        *[None] * 5,
    )


class _PlainConvolution:
    """A convolution and its gradients, for images with and without a sample dimension: a mask with nothing masked."""

    def __init__(self, weight_size: Sequence[int], geometry: Sequence[Any]) -> None:
        self.weight_size = weight_size
        self.dims = len(weight_size)  # of images without samples
        p, granularity, rescale, per_example, stream = 0.0, 0, False, False, 0
        self.options = (p, granularity, rescale, per_example, stream, *geometry)

    def forward(self, input: Tensor, weight: Tensor) -> Tensor:
        output = _masked_conv_rules.F(self._fold(input), weight, None, self._seed(input), None, *self.options)
        return output.unflatten(0, input.shape[:2]) if input.dim() > self.dims else output

    def input_grad(self, grad: Tensor, weight: Tensor, input_size: Sequence[int]) -> Tensor:
        folded = self._fold(grad)
        folded_size = [folded.shape[0], *input_size[-self.dims + 1 :]]
        gradient = _masked_conv_rules.I(folded, weight, self._seed(grad), None, folded_size, *self.options)
        return gradient.unflatten(0, input_size[:2]) if len(input_size) > self.dims else gradient

    def weight_grad(self, grad: Tensor, input: Tensor) -> Tensor:
        return _masked_conv_rules.W(
            self._fold(grad), self._fold(input), self._seed(grad), None, self.weight_size, *self.options
        )

    def _fold(self, images: Tensor) -> Tensor:
        return images.flatten(0, 1) if images.dim() > self.dims else images

    @staticmethod
    def _seed(like: Tensor) -> Tensor:
        return torch.zeros((), dtype=torch.int64, device=like.device)


register_autograd(F, _save_forward, _backward_forward, saving=F_STD)
register_autograd(F_STD, _save_forward, _backward_forward)
register_autograd(V, _save_variance_grad, _backward_variance_grad)
register_autograd(I, _save_input_grad, _backward_input_grad)
register_autograd(W, _save_weight_grad, _backward_weight_grad)


# --- vmap -------------------------------------------------------------------------------------------------------------
#
# A batch over seeds is a batch of samples, and images that all of them share stay shared: one call, one mean and one
# standard deviation. Where only the images are batched, they are samples of equal seeds, for the noise goes by an
# example's place: one call. Where the weights are batched, or there are samples already, it goes one by one.


@torch.library.register_vmap("bayesops::lrt_conv")
def _vmap_forward(info: Any, in_dims: tuple, *args: Any) -> tuple[Any, Any]:
    if not _maps_images_and_seed(in_dims, args[5]):
        return vmap_by_loop(F, info.batch_size, in_dims, args)
    return F(*_as_samples(info.batch_size, in_dims, args)), 0


@torch.library.register_vmap("bayesops::lrt_conv_std")
def _vmap_forward_std(info: Any, in_dims: tuple, *args: Any) -> tuple[Any, Any]:
    if not _maps_images_and_seed(in_dims, args[5]):
        return vmap_by_loop(F_STD, info.batch_size, in_dims, args)
    outputs = F_STD(*_as_samples(info.batch_size, in_dims, args))
    return outputs, (0, None if in_dims[0] is None else 0)


def _maps_images_and_seed(in_dims: tuple, seed: Tensor) -> bool:
    return in_dims[1:5] == (None,) * 4 and seed.dim() == (in_dims[5] is not None)


def _as_samples(batch: int, in_dims: tuple, args: tuple) -> list[Any]:
    input, *weights, seed = args[:6]
    return [batch_first(input, in_dims[0]), *weights, batched(seed, in_dims[5], batch).contiguous(), *args[6:]]


@torch.library.register_vmap("bayesops::lrt_variance_grad")
def _vmap_variance_grad(
    info: Any, in_dims: tuple, grad_output: Tensor, std: Tensor, seed: Tensor, *options: Any
) -> tuple[Any, Any]:
    if seed.dim() != (in_dims[2] is not None):
        return vmap_by_loop(V, info.batch_size, in_dims, (grad_output, std, seed, *options))
    grad_output, std, seed = (
        batched(tensor, dim, info.batch_size) for tensor, dim in zip((grad_output, std, seed), in_dims[:3], strict=True)
    )
    return V(grad_output, std, seed.contiguous(), *options), 0


@torch.library.register_vmap("bayesops::lrt_conv_input_grad")
def _vmap_input_grad(
    info: Any, in_dims: tuple, grad_mean: Tensor, grad_variance: Tensor, input: Tensor, mu: Tensor, var: Tensor,
    *geometry: Any,
) -> tuple[Any, Any]:  # fmt: skip
    if in_dims[3] is not None or in_dims[4] is not None:
        return vmap_by_loop(I, info.batch_size, in_dims, (grad_mean, grad_variance, input, mu, var, *geometry))
    # There is no noise in it: the batch is more examples.
    images = [
        batched(t, dim, info.batch_size) for t, dim in zip((grad_mean, grad_variance, input), in_dims, strict=False)
    ]
    gradient = I(*[t.flatten(0, 1) for t in images], mu, var, *geometry)
    return gradient.unflatten(0, images[2].shape[:2]), 0


@torch.library.register_vmap("bayesops::lrt_conv_weight_grad")
def _vmap_weight_grad(info: Any, in_dims: tuple, *args: Any) -> tuple[Any, Any]:
    # The operator sums over examples, and here every element's own sum is wanted.
    return vmap_by_loop(W, info.batch_size, in_dims, args)


# --- autocast ---------------------------------------------------------------------------------------------------------

for _op in (F, F_STD, I, W, V):
    register_autocast(_op, float16=False)  # variances of weights are subnormal in float16, or 0: softplus(-8)² is 1e-7
