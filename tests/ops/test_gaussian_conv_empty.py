"""Gaussian convolutions of no examples and of no samples: empty outputs, and gradients that are zero."""

import pytest
import torch

SEEDS = torch.tensor([3, -8, 2**62 + 5])


@pytest.mark.parametrize("lead", [(0,), (0, 2), (3, 0)], ids=str)
def test_no_examples_or_no_samples(estimator, problem, lead):
    tensors = [t.requires_grad_() for t in estimator.tensors(problem, lead=lead)]
    seed = SEEDS[: lead[0]] if len(lead) == 2 else SEEDS
    output = estimator.operator(problem)(*tensors, seed=seed, **problem.options)
    assert output.shape[:2] == (len(seed), lead[-1])
    output.sum().backward()
    for tensor in tensors:
        assert torch.equal(tensor.grad, torch.zeros_like(tensor))


def test_no_samples_of_a_shared_input(estimator, problem):
    tensors = [t.requires_grad_() for t in estimator.tensors(problem, lead=(2,))]
    output = estimator.operator(problem)(*tensors, seed=SEEDS[:0], **problem.options)
    assert output.shape[:2] == (0, 2)
    output.sum().backward()
    for tensor in tensors:
        assert torch.equal(tensor.grad, torch.zeros_like(tensor))
