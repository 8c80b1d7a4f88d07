"""The composites that CUDA runs, here on the CPU against the references: values, gradients, memory formats."""

import pytest
import torch

from bayesops import random
from bayesops.ops import _gaussian_composite as composite
from bayesops.ops import _sample_convolution
from bayesops.ops._arguments import padding_pairs, per_dim
from bayesops.ops._layout import is_channels_last
from bayesops.reference.flipout_conv import flipout_conv
from bayesops.reference.lrt_conv import lrt_conv
from bayesops.reference.sampled_conv import sampled_conv

pytestmark = pytest.mark.cpu_only  # where the draws are made by the compiled operators; on CUDA it is the operator

SEEDS = torch.tensor([3, -8, 21])
STREAM = 5
REFERENCES = {"sampled_conv": sampled_conv, "flipout_conv": flipout_conv}


@pytest.fixture(params=["one-draw", "shared-input", "input-per-sample", "each sample alone"])
def sharing(request, monkeypatch):
    if request.param == "each sample alone":
        monkeypatch.setattr(_sample_convolution, "ALONE_FROM", 0)
    return request.param


@pytest.fixture
def seed(sharing):
    return SEEDS[0] if sharing == "one-draw" else SEEDS


@pytest.fixture
def lead(sharing):
    return (2,) if sharing in ("one-draw", "shared-input") else (3, 2)


def native_options(problem):
    """The options of the operators, from those of the public functions."""
    dims = problem.spatial
    stride = per_dim("", "", problem.options.get("stride", 1), dims, 1)
    dilation = per_dim("", "", problem.options.get("dilation", 1), dims, 1)
    padding = padding_pairs("", problem.options.get("padding", 0), problem.weight[2:], stride, dilation)
    return stride, padding, dilation, problem.options.get("groups", 1)


def inverse_softplus(sigma):
    return sigma + torch.log(-torch.expm1(-sigma))


def leaves(*tensors):
    return [t.detach().requires_grad_() for t in tensors]


def assert_laid_out_as(images, like, spatial):
    """Channels last where `like` is: several channels, several pixels, neighbouring channels side by side."""
    if is_channels_last(like, spatial):
        images = images.movedim(-spatial - 1, -1)
    assert images.is_contiguous()


@pytest.mark.parametrize("name", REFERENCES)
def test_drawn_weights(problem, layout, name, sharing, seed, lead):
    """Forward and gradients, in float64, of the families that draw a weight for each sample."""
    input, mu, bias = problem.tensors(torch.float64, lead)
    sigma = torch.rand_like(mu) + 0.1
    input, mu, rho = leaves(layout(input, problem.spatial), mu, inverse_softplus(sigma))
    expected = REFERENCES[name](input, mu, rho, bias, seed=seed, stream=STREAM, **problem.options)
    cotangent = layout(torch.randn_like(expected), problem.spatial)
    gradients = torch.autograd.grad(expected, (input, mu, rho), cotangent)

    with torch.no_grad():
        options = (STREAM, *native_options(problem))
        ours = getattr(composite, name)(input, mu, sigma, bias, seed, *options)
        grad_input = getattr(composite, f"{name}_input_grad")(cotangent, mu, sigma, seed, input.shape, *options)
        grad_mu, grad_sigma = getattr(composite, f"{name}_weight_grad")(cotangent, input, seed, mu.shape, *options)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(grad_input, gradients[0])
    torch.testing.assert_close(grad_mu, gradients[1])
    torch.testing.assert_close(grad_sigma * torch.sigmoid(rho), gradients[2])
    assert_laid_out_as(ours, input, problem.spatial)
    if sharing == "shared-input":
        assert grad_input.is_contiguous()  # a sum over the samples
    else:
        assert_laid_out_as(grad_input, cotangent, problem.spatial)
    assert grad_mu.is_contiguous()
    assert grad_sigma.is_contiguous()


@pytest.mark.parametrize("stride", [1, 2, (2, 3)])
def test_windows_of_one_pixel_are_a_product(stride):
    """Of channels-last images of their own."""
    images = torch.randn(3, 2, 7, 6, 5, dtype=torch.float64).movedim(-1, 2)
    mu, sigma = torch.randn(4, 5, 1, 1, dtype=torch.float64), torch.rand(4, 5, 1, 1, dtype=torch.float64)
    geometry = _sample_convolution.Geometry([stride] * 2 if isinstance(stride, int) else stride, [0] * 4, [1, 1], 1)
    assert _sample_convolution.is_product(images, (3, *mu.shape), geometry)
    assert not _sample_convolution.is_product(images.contiguous(), (3, *mu.shape), geometry)
    ours = composite.sampled_conv(images, mu, sigma, None, SEEDS, STREAM, *geometry)
    expected = sampled_conv(images, mu, inverse_softplus(sigma), seed=SEEDS, stream=STREAM, stride=stride)
    torch.testing.assert_close(ours, expected)
    assert_laid_out_as(ours, images, 2)


@pytest.mark.parametrize("name", REFERENCES)
def test_bias_for_each_sample(problem, name, seed, lead):
    """A bias that is drawn comes with one row a sample."""
    input, mu, bias = problem.tensors(torch.float64, lead)
    sigma, bias_rho = torch.rand_like(mu) + 0.1, torch.randn_like(bias)
    drawn = bias + torch.nn.functional.softplus(bias_rho) * random.normal(seed, bias.shape, STREAM ^ 0x80000000)
    ours = getattr(composite, name)(input, mu, sigma, drawn, seed, STREAM, *native_options(problem))
    plain = REFERENCES[name](
        input, mu, inverse_softplus(sigma), bias, bias_rho, seed=seed, stream=STREAM, **problem.options
    )
    torch.testing.assert_close(ours, plain)


def test_local_reparameterisation_of_float16(problem, layout, seed, lead):
    """Squares that overflow there, variances of weights that are subnormal; all that follows is float16 again."""
    input, mu, bias = problem.tensors(torch.float64, lead)
    tensors = 300 * input, mu, torch.rand_like(mu) * 1e-6, bias, torch.rand_like(bias)
    half = [tensor.half() for tensor in tensors]
    half[0] = layout(half[0], problem.spatial)
    wide = [tensor.float() for tensor in half]
    geometry = native_options(problem)

    def run(input, mu, var, *biases):
        output, std = composite.lrt_conv_std(input, mu, var, *biases, seed, STREAM, *geometry)
        grad = torch.linspace(-1e-3, 1e-3, std.numel()).to(std.dtype).view(std.shape)
        return (
            output,
            composite.lrt_conv(input, mu, var, *biases, seed, STREAM, *geometry),
            std,
            composite.lrt_conv_input_grad(grad, grad, input, mu, var, *geometry),
            *composite.lrt_conv_weight_grad(grad, grad, input, mu.shape, *geometry),
        )

    ours, expected = run(*half), run(*wide)
    for values, exact in zip(ours, expected, strict=True):
        assert values.dtype == torch.float16
        torch.testing.assert_close(values.float(), exact, rtol=0, atol=4e-3 * exact.abs().max().item())
    assert_laid_out_as(ours[0], half[0], problem.spatial)


def test_local_reparameterisation(problem, layout, seed, lead):
    """Forward, standard deviation and gradients in float64."""
    input, mu, bias = problem.tensors(torch.float64, lead)
    var, bias_var = torch.rand_like(mu) + 0.1, torch.rand_like(bias) + 0.1
    input, mu, var, bias, bias_var = leaves(layout(input, problem.spatial), mu, var, bias, bias_var)
    expected = lrt_conv(input, mu, var, bias, bias_var, seed=seed, stream=STREAM, **problem.options)
    cotangent = layout(torch.randn_like(expected), problem.spatial)
    wanted = torch.autograd.grad(expected, (input, mu, var, bias, bias_var), cotangent)

    geometry = native_options(problem)
    with torch.no_grad():
        output, std = composite.lrt_conv_std(input, mu, var, bias, bias_var, seed, STREAM, *geometry)
        assert torch.equal(composite.lrt_conv(input, mu, var, bias, bias_var, seed, STREAM, *geometry), output)
        # Noise and its gradients, as the backward pass has them from the standard deviation.
        channels_last = [*expected.shape[-problem.spatial - 2 : -problem.spatial - 1]]
        channels_last += [*expected.shape[expected.dim() - problem.spatial :], mu.shape[0]]
        noise = random.normal(seed, channels_last, STREAM).movedim(-1, seed.dim() + 1)
        grad_mean, grad_variance = (g.sum_to_size(std.shape) for g in (cotangent, cotangent * noise / (2 * std)))
        grad_input = composite.lrt_conv_input_grad(grad_mean, grad_variance, input, mu, var, *geometry)
        grad_mu, grad_var = composite.lrt_conv_weight_grad(grad_mean, grad_variance, input, mu.shape, *geometry)
    torch.testing.assert_close(output, expected)
    assert std.dim() == input.dim()
    torch.testing.assert_close(grad_input, wanted[0])
    torch.testing.assert_close(grad_mu, wanted[1])
    torch.testing.assert_close(grad_var, wanted[2])
    for images, like in ((output, input), (std, input), (grad_input, grad_mean)):
        assert_laid_out_as(images, like, problem.spatial)
    assert grad_mu.is_contiguous()
    assert grad_var.is_contiguous()


def gradients(function, tensors, cotangent):
    """The output and the gradients of all tensors, for a cotangent that is rounded to their dtype."""
    tensors = leaves(*tensors)
    output = function(*tensors)
    return output, *torch.autograd.grad(output, tensors, cotangent.to(output.dtype))


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_rounding_of_drawn_weights(problem, name, dtype, seed, lead, assert_as_exact_as_torch):
    input, mu, bias = problem.tensors(dtype, lead)
    rho = torch.randn(mu.shape).to(dtype)
    sigma = torch.nn.functional.softplus(rho)

    def reference(input, mu, rho, bias):
        return REFERENCES[name](input, mu, rho, bias, seed=seed, stream=STREAM, **problem.options)

    cotangent = torch.randn_like(reference(input, mu, rho, bias))
    plain = gradients(reference, (input, mu, rho, bias), cotangent)
    exact = gradients(reference, (input.double(), mu.double(), rho.double(), bias.double()), cotangent)
    options = (STREAM, *native_options(problem))
    grad_mu, grad_sigma = getattr(composite, f"{name}_weight_grad")(cotangent, input, seed, mu.shape, *options)
    ours = (
        getattr(composite, name)(input, mu, sigma, bias, seed, *options),
        getattr(composite, f"{name}_input_grad")(cotangent, mu, sigma, seed, input.shape, *options),
        grad_mu,
        grad_sigma * torch.sigmoid(rho),
    )
    for triple in zip(ours, plain[:4], exact[:4], strict=True):
        if triple[0].numel() > 1:  # the error of a single sum is a matter of luck
            assert_as_exact_as_torch(*triple)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_rounding_of_local_reparameterisation(problem, dtype, seed, lead, assert_as_exact_as_torch):
    input, mu, bias = problem.tensors(dtype, lead)
    var = (torch.rand(mu.shape) + 0.1).to(dtype)
    tensors = (input, mu, var, bias, bias.square())

    def reference(*tensors):
        return lrt_conv(*tensors, seed=seed, stream=STREAM, **problem.options)

    plain, exact = reference(*tensors), reference(*(t.double() for t in tensors))
    assert_as_exact_as_torch(composite.lrt_conv(*tensors, seed, STREAM, *native_options(problem)), plain, exact)


@pytest.mark.parametrize("spatial", [0, 2])
@pytest.mark.parametrize("lead", [(0,), (3, 0)], ids=str)
def test_no_examples(lead, spatial):
    """Nothing goes in: nothing comes out, and gradients of weights are zero."""
    image, window, pixels = [5] * spatial, [3] * spatial, [4] * spatial
    geometry = ([1] * spatial, [1, 0] * spatial, [1] * spatial, 1)
    input, mu = torch.randn(*lead, 4, *image), torch.randn(6, 4, *window)
    sigma, bias, zeros = torch.rand_like(mu), torch.randn(6), torch.zeros_like(mu)
    for name in REFERENCES:
        output = getattr(composite, name)(input, mu, sigma, bias, SEEDS, STREAM, *geometry)
        assert output.shape == (3, 0, 6, *pixels)
        grads = (output, mu, sigma, SEEDS, input.shape, STREAM, *geometry)
        assert getattr(composite, f"{name}_input_grad")(*grads).shape == input.shape
        for grad in getattr(composite, f"{name}_weight_grad")(output, input, SEEDS, mu.shape, STREAM, *geometry):
            assert torch.equal(grad, zeros)
    output, std = composite.lrt_conv_std(input, mu, sigma, bias, bias.square(), SEEDS, STREAM, *geometry)
    assert output.shape == (3, 0, 6, *pixels)
    assert std.shape == (*lead, 6, *pixels)
    assert composite.lrt_conv_input_grad(std, std, input, mu, sigma, *geometry).shape == input.shape
    for grad in composite.lrt_conv_weight_grad(std, std, input, mu.shape, *geometry):
        assert torch.equal(grad, zeros)
