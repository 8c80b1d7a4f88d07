"""sample_gaussian on a GPU against the CPU: single precision bit for bit, sums and double precision within rounding."""

import pytest
import torch

from bayesops import ops, priors

pytestmark = pytest.mark.cuda
SEEDS = torch.tensor([3, -8, 2**62 + 5])
PRIORS = [None, priors.Gaussian(0.1, 0.5), priors.Laplace(0.1, 0.5), priors.ScaleMixture(0.25, 1.0, 0.05)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("prior", PRIORS, ids=str)
@pytest.mark.parametrize("spread", ["rho", "log_alpha"])
@pytest.mark.parametrize("seed", [SEEDS[0], SEEDS], ids=["one seed", "seeds"])
def test_is_that_of_the_cpu(seed, spread, prior, dtype):
    tensors = torch.randn(31, 331).to(dtype), (4 * torch.randn(31, 331)).to(dtype)
    cotangents = torch.randn(*seed.shape, 31, 331).to(dtype), *(torch.randn(seed.shape).double() for _ in range(2))

    def run(device):
        mu, by = (t.to(device).requires_grad_() for t in tensors)
        sample = ops.sample_gaussian(mu, **{spread: by}, seed=seed.to(device), prior=prior)
        gradients = torch.autograd.grad(sample, (mu, by), [c.to(device) for c in cotangents])
        return [*(t.detach().cpu() for t in sample), *(g.cpu() for g in gradients)]

    weights, *sums = range(3)
    ours, expected = run("cuda"), run("cpu")
    for i in sums:
        torch.testing.assert_close(ours[i], expected[i], rtol=1e-12, atol=1e-9)
    for i in (weights, 3, 4):
        if dtype == torch.float64:
            torch.testing.assert_close(ours[i], expected[i])
        else:
            assert torch.equal(ours[i], expected[i])


def test_float16():
    mu, rho = torch.randn(5000, device="cuda").half(), torch.randn(5000, device="cuda").half()
    ours = ops.sample_gaussian(mu, rho, seed=1, prior=PRIORS[3])
    expected = ops.sample_gaussian(mu.float(), rho.float(), seed=1, prior=PRIORS[3])
    assert torch.equal(ours.weights, expected.weights.half())
    assert torch.equal(ours.log_q, expected.log_q)
    assert torch.equal(ours.log_prior, expected.log_prior)
