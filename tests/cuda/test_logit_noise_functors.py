"""What CUDA threads compute for logit_noise_cross_entropy, on the host: the reference's losses and gradients."""

import ctypes
import math
from ctypes import c_int64, c_void_p

import pytest
import torch

from bayesops import random
from bayesops.reference.logit_noise_cross_entropy import logit_noise_cross_entropy

SIGNATURES = {
    "run_float32": [c_void_p, c_void_p, c_int64], "run_float64": [c_void_p, c_void_p, c_int64],
    "target_weights_float32": [c_void_p] * 3, "target_weights_float64": [c_void_p] * 3,
}  # fmt: skip
STEPS = (-1, -(2**20))  # one place after another, and all at once
SEEDS, STREAM, IGNORED = random.sample_seeds(5, 19), 3, -100


class Problem(ctypes.Structure):
    _fields_ = [
        *(
            (name, c_int64)
            for name in ("draws", "examples", "classes", "pixels", "stream", "ignore_index", "mean_of_losses")
        ),
        ("strides", (c_int64 * 3) * 2),
    ]


@pytest.fixture(scope="session")
def functors(compile_library):
    return compile_library("logit_noise_functors.cpp", SIGNATURES)


def run(functors, logits, log_var, target, *, weight=None, total=None, mean_of_losses=False, most=0, gradients=True):
    """Losses and gradients of ``[N, C, P]``."""
    examples, classes, pixels = logits.shape
    problem = Problem(len(SEEDS), examples, classes, pixels, STREAM, IGNORED, mean_of_losses)
    problem.strides[0][:] = logits.stride()
    problem.strides[1][:] = log_var.stride()
    if log_var.shape[1] == 1:
        problem.strides[1][1] = 0
    results = [torch.full_like(target, math.nan, dtype=logits.dtype)]
    if gradients:
        results += [torch.empty_like(t).fill_(math.nan) for t in (logits, log_var)]
    tensors = (logits, log_var, target, SEEDS, weight, total, *results)
    data = (c_void_p * 9)(*(None if t is None else t.data_ptr() for t in tensors))
    call = functors.run_float32 if logits.dtype == torch.float32 else functors.run_float64
    call(ctypes.byref(problem), data, most)
    return results


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("mean_of_losses", [False, True])
@pytest.mark.parametrize("shared", [False, True], ids=["per class", "shared"])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    ("shape", "most"),
    [
        ((3, 5, 7), 12), ((2, 12, 9), 12), ((2, 19, 3), 24), ((2, 30, 5), 0), ((1, 67, 2), 0), ((1, 301, 2), 0),
        ((4, 1, 1), 12),
    ],
)  # fmt: skip
def test_is_the_reference(functors, shape, most, channels_last, shared, mean_of_losses, dtype):
    logits = (3 * torch.randn(shape)).to(dtype)
    log_var = torch.randn(shape[0], 1 if shared else shape[1], shape[2]).to(dtype)
    target = torch.randint(shape[1], (shape[0], shape[2]))
    target.view(-1)[::3] = IGNORED
    weight = torch.rand(shape[1]).to(dtype) + 0.1
    if channels_last:
        logits, log_var = (t.movedim(1, -1).contiguous().movedim(-1, 1) for t in (logits, log_var))
    exact = [t.double().requires_grad_() for t in (logits, log_var)]
    losses = logit_noise_cross_entropy(
        *exact, target, num_samples=len(SEEDS), seed=SEEDS, stream=STREAM, weight=weight.double(), reduction="none",
        average="losses" if mean_of_losses else "probabilities",
    )  # fmt: skip
    total = torch.tensor(2.5, dtype=torch.float64)
    expected = [t / 2.5 for t in (losses.detach(), *torch.autograd.grad(losses.sum(), exact))]
    tolerance = 200 * torch.finfo(dtype).eps
    for kept in {0, most, *STEPS}:
        options = {"weight": weight, "total": total, "mean_of_losses": mean_of_losses, "most": kept}
        ours = run(functors, logits, log_var, target, **options)
        for a, b in zip(ours, expected, strict=True):
            torch.testing.assert_close(a.double(), b, rtol=tolerance, atol=tolerance)
        (alone,) = run(functors, logits, log_var, target, gradients=False, **options)
        assert torch.equal(alone, ours[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("most", [0, 12, *STEPS])
def test_extremes(functors, most, dtype):
    """A target that is no class is NaN: the device cannot raise without being waited for."""
    inf, nan = math.inf, math.nan
    logits = torch.tensor([[0, -inf, 1], [-inf, 0, 1], [nan, 0, 1], [0, 500, 0], [0, 0, 0], [0, 0, 0]], dtype=dtype)
    logits = logits[..., None]
    target = torch.tensor([0, 0, 1, 0, 3, IGNORED])[:, None]
    log_var = torch.zeros_like(logits)
    log_var[5] = nan
    losses, *gradients = run(functors, logits, log_var, target, most=most)
    losses = losses.flatten()
    assert losses[0].isfinite()
    assert losses[1] == inf
    assert losses[2].isnan()
    assert 490 < losses[3] < 505
    assert losses[4].isnan()
    assert losses[5] == 0
    for gradient in gradients:
        assert gradient[[0, 3]].isfinite().all()
        assert not gradient[5].any()


@pytest.mark.parametrize("most", [0, 12, *STEPS])
def test_the_mean_of_nothing_is_nan(functors, most):
    """As in torch and on the CPU, where all targets are ignored; the gradients are zero."""
    logits, target = torch.randn(2, 3, 4), torch.full((2, 4), IGNORED)
    losses, *gradients = run(
        functors, logits, torch.zeros_like(logits), target, total=torch.zeros((), dtype=torch.float64), most=most
    )
    assert losses.isnan().all()
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_targets_count_by_their_weight(functors, weighted, dtype):
    target = torch.tensor([[0, 2, IGNORED], [-1, 1, 5]])
    weight = torch.tensor([0.25, 3, 0], dtype=dtype) if weighted else None
    problem, found = Problem(1, 2, 3, 3, STREAM, IGNORED, 0), torch.zeros(2, 3, dtype=torch.float64)
    data = (c_void_p * 9)(None, None, target.data_ptr(), None, None if weight is None else weight.data_ptr())
    call = functors.target_weights_float32 if dtype == torch.float32 else functors.target_weights_float64
    call(ctypes.byref(problem), data, found.data_ptr())
    nan = math.nan
    expected = [[0.25, 0, 0], [nan, 3, nan]] if weighted else [[1, 1, 0], [nan, 1, nan]]
    assert torch.equal(found.nan_to_num(-1), torch.tensor(expected, dtype=torch.float64).nan_to_num(-1))
