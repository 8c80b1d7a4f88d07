"""logit_noise_cross_entropy on a GPU against the CPU."""

import pytest
import torch

from bayesops import ops

pytestmark = pytest.mark.cuda


def run(device, logits, log_var, target, weight, **options):
    tensors = [t.detach().to(device).requires_grad_() for t in (logits, log_var)]
    loss = ops.logit_noise_cross_entropy(
        *tensors, target.to(device), num_samples=20, seed=3, weight=weight.to(device), **options
    )
    return [t.detach().cpu() for t in (loss, *torch.autograd.grad(loss.sum(), tensors))]


def check(shape, dtype, shared, **options):
    logits = (3 * torch.randn(shape)).to(dtype)
    log_var = torch.randn(shape[0], 1 if shared else shape[1], *shape[2:]).to(dtype)
    target = torch.randint(shape[1], (shape[0], *shape[2:]))
    target.view(-1)[::3] = -100
    arguments = logits, log_var, target, torch.rand(shape[1]) + 0.1
    ours, expected = run("cuda", *arguments, **options), run("cpu", *arguments, **options)
    for a, b in zip(ours, expected, strict=True):
        assert a.dtype == b.dtype
        tolerance = (4 if a.dtype in (torch.bfloat16, torch.float16) else 1000) * torch.finfo(a.dtype).eps
        torch.testing.assert_close(a.double(), b.double(), rtol=tolerance, atol=tolerance * b.abs().max().item())


@pytest.mark.parametrize("average", ["probabilities", "losses"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shared", [False, True], ids=["per class", "shared"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("shape", [(2, 11, 30, 40), (3, 19, 8, 9), (64, 100)], ids=str)
def test_is_that_of_the_cpu(shape, dtype, shared, reduction, average):
    check(shape, dtype, shared, reduction=reduction, average=average)


@pytest.mark.parametrize("average", ["probabilities", "losses"])
@pytest.mark.parametrize("shared", [False, True], ids=["per class", "shared"])
@pytest.mark.parametrize("shape", [(2, 11, 90, 100), (1, 19, 129, 128), (1, 30, 129, 128)], ids=str)
def test_many_places(shape, shared, average):
    """Enough to be threads: classes that fit into registers, or do not."""
    check(shape, torch.float32, shared, average=average)


def test_a_target_that_is_no_class_is_nan():
    """To refuse it, as the CPU does, would wait for the device."""
    logits, log_var = (torch.randn(2, 5, 8, 8, device="cuda") for _ in range(2))
    target = torch.zeros(2, 8, 8, dtype=torch.int64, device="cuda")
    target[0, 0, 0] = 9
    assert ops.logit_noise_cross_entropy(logits, log_var, target, num_samples=5, seed=1).isnan()
