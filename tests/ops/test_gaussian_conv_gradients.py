"""Gradients of the Gaussian convolutions, of first and second order."""

import pytest
import torch

from bayesops import ops

SEEDS = torch.tensor([3, -8])


def gradients(operator, tensors, cotangent, **options):
    leaves = [t.detach().clone().requires_grad_() for t in tensors]
    operator(*leaves, **options).backward(cotangent.to(leaves[0].dtype))
    return [leaf.grad for leaf in leaves]


@pytest.mark.parametrize("sharing", ["one-draw", "shared-input", "input-per-sample"])
def test_match_reference(estimator, problem, sharing, layout, assert_as_exact_as_torch):
    # Few images, because a weight's gradient is summed in float32, image after image: from a dozen on, dilated and
    # grouped convolutions of torch, which sum each image by itself, are more than twice as exact (1e-7 of the size
    # against 5e-7).
    seed = SEEDS[0] if sharing == "one-draw" else SEEDS
    tensors = estimator.tensors(problem, lead=(2, 2) if sharing == "input-per-sample" else (3,))
    operator, options = estimator.operator(problem), {"seed": seed, "stream": 3, **problem.options}
    cotangent = torch.randn_like(operator(*tensors, **options))
    laid_out = (layout(tensors[0], problem.spatial), *tensors[1:])
    ours = gradients(operator, laid_out, layout(cotangent, problem.spatial), **options)
    plain = gradients(estimator.reference, tensors, cotangent, **options)
    exact = gradients(estimator.reference, [t.double() for t in tensors], cotangent, **options)
    for triple in zip(ours, plain, exact, strict=True):
        assert_as_exact_as_torch(*triple)


@pytest.mark.parametrize("lead", [(3,), (2, 3)], ids=["shared", "per-sample"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_dtypes(estimator, problem, dtype, lead, assert_as_exact_as_torch):
    tensors = estimator.tensors(problem, dtype, lead)
    operator, options = estimator.operator(problem), {"seed": SEEDS, **problem.options}
    cotangent = torch.randn_like(operator(*tensors, **options))
    ours = gradients(operator, tensors, cotangent, **options)
    plain = gradients(estimator.reference, tensors, cotangent, **options)
    exact = gradients(estimator.reference, [t.double() for t in tensors], cotangent, **options)
    for triple in zip(ours, plain, exact, strict=True):
        assert_as_exact_as_torch(*triple)


@pytest.mark.parametrize("estimator", ["sampled", "flipout"], indirect=True)
def test_of_alpha(estimator, problem):
    input, mu, *_ = estimator.tensors(problem, torch.float64)
    tensors = (input, mu, torch.randn(len(mu), *[1] * (mu.dim() - 1), dtype=torch.float64) - 1)
    options = {"seed": SEEDS, **problem.options}

    def by_alpha(function):
        return lambda input, mu, alpha, **options: function(input, mu, weight_log_alpha=alpha, **options)

    cotangent = torch.randn_like(by_alpha(estimator.operator(problem))(*tensors, **options))
    ours = gradients(by_alpha(estimator.operator(problem)), tensors, cotangent, **options)
    expected = gradients(by_alpha(estimator.reference), tensors, cotangent, **options)
    for pair in zip(ours, expected, strict=True):
        torch.testing.assert_close(*pair)


@pytest.mark.parametrize("lead", [(3,), (2, 3)], ids=["shared", "per-sample"])
def test_layouts_of_gradients(estimator, problem, lead, layout):
    """The input's gradient follows the incoming one's layout where it is not summed; a parameter's is contiguous."""
    input, *parameters = (t.requires_grad_() for t in estimator.tensors(problem, lead=lead))
    output = estimator.operator(problem)(input, *parameters, seed=SEEDS, **problem.options)
    cotangent = layout(torch.randn_like(output), problem.spatial)
    grad_input, *grads = torch.autograd.grad(output, (input, *parameters), cotangent)
    channels_last = cotangent.stride(2) == 1 and cotangent.shape[2] > 1 and cotangent[0, 0, 0].numel() > 1
    if len(lead) == 2:
        last = channels_last and problem.spatial
        assert (grad_input.movedim(2, -1) if last else grad_input).is_contiguous()
    assert all(grad.is_contiguous() for grad in grads)


@pytest.mark.parametrize("sharing", ["one-draw", "shared-input", "input-per-sample"])
@pytest.mark.parametrize("name", ["linear", "1d", "2d", "2d-groups", "3d"])
def test_gradcheck_and_gradgradcheck(estimator, name, sharing, device):
    image, weight_shape, options = {
        "linear": ((3,), (2, 3), {}),
        "1d": ((2, 5), (3, 2, 2), {"padding": "same", "dilation": 2}),
        "2d": ((2, 4, 3), (2, 2, 3, 2), {"padding": (1, 0), "stride": (2, 1)}),
        "2d-groups": ((4, 3, 3), (2, 2, 2, 2), {"groups": 2}),
        "3d": ((1, 3, 2, 2), (2, 1, 2, 1, 2), {}),
    }[name]
    operator = getattr(ops, f"{estimator.name}_{'linear' if name == 'linear' else f'conv{len(image) - 1}d'}")
    seed = SEEDS[0] if sharing == "one-draw" else SEEDS
    input = torch.randn(*((2, 2) if sharing == "input-per-sample" else (2,)), *image, dtype=torch.float64)
    mu, bias_mu = torch.randn(weight_shape, dtype=torch.float64), torch.randn(weight_shape[0], dtype=torch.float64)
    spread, bias_spread = torch.rand_like(mu) + 0.1, torch.rand_like(bias_mu) + 0.1
    tensors = [t.requires_grad_() for t in (input, mu, spread, bias_mu, bias_spread)]

    def function(*tensors):
        return operator(*tensors, seed=seed, **options)

    fast = device == "cuda"  # along random directions: element by element takes thousands of small launches
    assert torch.autograd.gradcheck(function, tensors, fast_mode=fast)
    assert torch.autograd.gradgradcheck(function, tensors, fast_mode=fast)


def test_only_what_is_wanted_is_computed(estimator, problem):
    """A parameter or an input without gradient gets none, and does not keep the others from theirs."""
    for wanted in range(5):
        tensors = estimator.tensors(problem)
        tensors[wanted].requires_grad_()
        estimator.operator(problem)(*tensors, seed=1, **problem.options).sum().backward()
        assert [t.grad is not None for t in tensors] == [i == wanted for i in range(5)]


def test_samples_average(estimator, problem):
    """Trap 1: the gradient over S samples is the sum of single-sample gradients at the same seeds."""
    tensors = estimator.tensors(problem, torch.float64)
    operator = estimator.operator(problem)
    cotangent = torch.randn_like(operator(*tensors, seed=SEEDS, **problem.options))
    together = gradients(operator, tensors, cotangent, seed=SEEDS, **problem.options)
    single = [gradients(operator, tensors, c, seed=s, **problem.options) for s, c in zip(SEEDS, cotangent, strict=True)]
    for ours, parts in zip(together, zip(*single, strict=True), strict=True):
        torch.testing.assert_close(ours, sum(parts))


def test_two_draws_before_one_backward_pass(estimator, problem):
    """Trap 1, the way it shows elsewhere: a second draw overwrites the noise that the first one's gradient needs."""
    tensors = [t.requires_grad_() for t in estimator.tensors(problem, torch.float64)]
    operator = estimator.operator(problem)

    def loss(seed):
        return operator(*tensors, seed=seed, **problem.options).square().sum()

    first, second = loss(1), loss(2)
    together = torch.autograd.grad(first + second, tensors)
    alone = [torch.autograd.grad(loss(seed), tensors) for seed in (1, 2)]
    for ours, a, b in zip(together, *alone, strict=True):
        torch.testing.assert_close(ours, a + b)
