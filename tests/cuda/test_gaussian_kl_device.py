"""gaussian_kl on a GPU, where it is a composite, against the CPU."""

import pytest
import torch

from bayesops import ops

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU and a CUDA torch"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_is_that_of_the_cpu(dtype):
    tensors = torch.randn(31, 331).to(dtype), (4 * torch.randn(31, 331)).to(dtype)

    def run(device):
        mu, rho = (t.to(device).requires_grad_() for t in tensors)
        kl = ops.gaussian_kl(mu, rho, 0.1, 0.5)
        return kl.detach().cpu(), *(g.cpu() for g in torch.autograd.grad(kl, (mu, rho)))

    ours, expected = run("cuda"), run("cpu")
    compute = torch.float64 if dtype == torch.float64 else torch.float32
    torch.testing.assert_close(ours[0], expected[0], rtol=4 * torch.finfo(compute).eps, atol=0)
    for a, b in zip(ours[1:], expected[1:], strict=True):
        assert a.dtype == dtype
        rounding = 16 * torch.finfo(dtype).eps
        torch.testing.assert_close(a, b, rtol=rounding, atol=rounding * b.abs().max().item())


def test_float16_and_second_derivatives():
    mu, rho = (torch.randn(500, device="cuda").half().requires_grad_() for _ in range(2))
    first = torch.autograd.grad(ops.gaussian_kl(mu, rho, 0.0, 0.5), (mu, rho), create_graph=True)
    second, _ = torch.autograd.grad(first[0].sum(), (mu, rho), materialize_grads=True)
    torch.testing.assert_close(second, torch.full_like(mu, 4.0))
