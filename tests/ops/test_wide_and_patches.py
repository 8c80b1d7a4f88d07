"""Gradients of weights that are cut into blocks of input channels, and of convolutions whose windows are patches."""

import pytest
import torch

from bayesops.reference.masked_conv import masked_conv

SEEDS = torch.tensor([3, -8])
GRANULARITIES = ("weight", "kernel", "in_channel", "out_channel", "channel")


def gradients(operator, tensors, cotangent, **options):
    leaves = [t.detach().clone().requires_grad_() for t in tensors]
    operator(*leaves, **options).backward(cotangent.to(leaves[0].dtype))
    return [leaf.grad for leaf in leaves]


def check(compare, operator, reference, tensors, cotangent, **options):
    ours = gradients(operator, tensors, cotangent, **options)
    plain = gradients(reference, tensors, cotangent, **options)
    exact = gradients(reference, [t.double() for t in tensors], cotangent, **options)
    for triple in zip(ours, plain, exact, strict=True):
        compare(*triple)


@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("sharing", ["one-draw", "shared-input", "input-per-sample"])
def test_masked(cut_problem, sharing, granularity, per_example, layout, assert_as_exact_as_torch):
    seed = SEEDS[0] if sharing == "one-draw" else SEEDS
    input, *parameters = cut_problem.tensors(lead=(2, 3) if sharing == "input-per-sample" else (3,))
    options = {"p": 0.3, "seed": seed, "granularity": granularity, "per_example": per_example, **cut_problem.options}
    cotangent = layout(torch.randn_like(cut_problem.operator(input, *parameters, **options)), cut_problem.spatial)
    tensors = (layout(input, cut_problem.spatial), *parameters)
    check(assert_as_exact_as_torch, cut_problem.operator, masked_conv, tensors, cotangent, **options)


@pytest.mark.parametrize("sharing", ["one-draw", "shared-input", "input-per-sample"])
def test_gaussian(estimator, cut_problem, sharing, layout, assert_as_exact_as_torch):
    seed = SEEDS[0] if sharing == "one-draw" else SEEDS
    input, *parameters = estimator.tensors(cut_problem, lead=(2, 2) if sharing == "input-per-sample" else (3,))
    operator, options = estimator.operator(cut_problem), {"seed": seed, "stream": 3, **cut_problem.options}
    cotangent = layout(torch.randn_like(operator(input, *parameters, **options)), cut_problem.spatial)
    tensors = (layout(input, cut_problem.spatial), *parameters)
    check(assert_as_exact_as_torch, operator, estimator.reference, tensors, cotangent, **options)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_dtypes(estimator, cut_problem, dtype, assert_as_exact_as_torch):
    tensors = estimator.tensors(cut_problem, dtype)
    operator, options = estimator.operator(cut_problem), {"seed": SEEDS, **cut_problem.options}
    cotangent = torch.randn_like(operator(*tensors, **options))
    check(assert_as_exact_as_torch, operator, estimator.reference, tensors, cotangent, **options)
    masked = {"p": 0.3, **options}
    tensors = cut_problem.tensors(dtype)
    check(assert_as_exact_as_torch, cut_problem.operator, masked_conv, tensors, cotangent, **masked)


@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize("cut_problem", ["wide-linear"], indirect=True)
def test_more_examples_than_a_slab_holds(cut_problem, per_example, assert_as_exact_as_torch):
    tensors = cut_problem.tensors(lead=(400,))
    options = {"p": 0.3, "seed": SEEDS[0], "per_example": per_example}
    cotangent = torch.randn_like(cut_problem.operator(*tensors, **options))
    check(assert_as_exact_as_torch, cut_problem.operator, masked_conv, tensors, cotangent, **options)


@pytest.mark.cpu_only
@pytest.mark.parametrize("cut_problem", ["patches-2d"], indirect=True)
def test_a_gradient_of_patches_is_that_of_windows_that_leave_a_rest(cut_problem):
    """The same sums, to the bit, by the way that windows take which do not tile the input."""
    input, weight, _ = cut_problem.tensors()
    longer = torch.nn.functional.pad(input, (0, 1, 0, 1))
    cotangent = torch.randn_like(cut_problem.operator(input, weight, p=0.3, seed=SEEDS[0], **cut_problem.options))

    def gradient(input):
        input = input.requires_grad_()
        cut_problem.operator(input, weight, p=0.3, seed=SEEDS[0], **cut_problem.options).backward(cotangent)
        return input.grad

    whole = gradient(longer)
    assert torch.equal(gradient(input), whole[..., :-1, :-1])
    assert not whole[..., -1, :].any()
    assert not whole[..., :, -1].any()
