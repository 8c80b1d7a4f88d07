"""add_predictive_moments on a GPU against the CPU."""

import pytest
import torch

from bayesops import ops

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU and a CUDA torch"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("channels_last", [False, True])
def test_is_that_of_the_cpu(channels_last, dtype):
    format = torch.channels_last if channels_last else torch.contiguous_format
    compute = torch.float64 if dtype == torch.float64 else torch.float32
    draws = (3 * torch.randn(20, 2, 11, 16, 24)).to(dtype)

    def run(device):
        mean, deviations = (torch.empty(2, 11, 16, 24, dtype=compute, device=device) for _ in range(2))
        entropy = torch.empty(2, 16, 24, dtype=compute, device=device)
        for first, last in ((0, 3), (3, 15), (15, 20)):
            chunk = draws[first:last].flatten(0, 1).contiguous(memory_format=format).unflatten(0, (last - first, 2))
            ops.add_predictive_moments(
                chunk.to(device),
                softmax=True,
                count=first,
                mean=mean,
                deviations=deviations,
                expected_entropy=entropy,
            )
        return [t.cpu() for t in (mean, deviations, entropy)]

    rounding = 16 * torch.finfo(compute).eps
    for ours, expected in zip(run("cuda"), run("cpu"), strict=True):
        torch.testing.assert_close(ours, expected, rtol=rounding, atol=rounding)
