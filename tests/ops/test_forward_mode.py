"""Forward-mode derivatives are not there. Every operator says so, inside other transforms as well: no silent zeros."""

import pytest
import torch
from torch.autograd import forward_ad

from bayesops import ops

WEIGHT, SPREAD = torch.randn(4, 3).double(), torch.rand(4, 3).double()
IMAGES = torch.randn(2, 3, 5, 5).double()
KERNEL, KERNEL_SPREAD = torch.randn(4, 3, 3, 3).double(), torch.rand(4, 3, 3, 3).double()
TARGET = torch.tensor([0, 2])
OPERATORS = {
    "dropout": lambda x: ops.dropout(x, p=0.5, seed=1),
    "masked": lambda x: ops.masked_linear(x, WEIGHT, p=0.5, seed=1),
    "masked_conv": lambda x: ops.masked_conv2d(IMAGES * x.sum(), KERNEL, p=0.5, seed=1),
    "sampled": lambda x: ops.sampled_linear(x, WEIGHT, SPREAD, seed=1),
    "flipout": lambda x: ops.flipout_linear(x, WEIGHT, SPREAD, seed=1),
    "lrt": lambda x: ops.lrt_linear(x, WEIGHT, SPREAD, seed=1),
    "lrt_conv": lambda x: ops.lrt_conv2d(IMAGES * x.sum(), KERNEL, KERNEL_SPREAD, seed=1),
    "sample_gaussian": lambda x: ops.sample_gaussian(x, x, seed=1).weights,
    "gaussian_kl": lambda x: ops.gaussian_kl(x, x, 0.0, 1.0),
    "logit_noise": lambda x: ops.logit_noise_cross_entropy(x, x, TARGET, num_samples=2, seed=1),
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("transform", [torch.func.jacfwd, torch.func.hessian])
def test_is_refused(name, transform):
    with pytest.raises(NotImplementedError, match="forward-mode derivatives"):
        transform(lambda x: OPERATORS[name](x).square().sum())(torch.randn(2, 3).double())


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad], ids=lambda mode: mode.__name__)
def test_is_refused_for_dual_numbers(name, mode):
    """Also where no gradient is recorded, and operators are called past their autograd kernel."""
    x, tangent = torch.randn(2, 3).double(), torch.randn(2, 3).double()
    with mode(), forward_ad.dual_level():
        assert OPERATORS[name](x).isfinite().all()
        with pytest.raises(NotImplementedError, match="forward-mode derivatives"):
            OPERATORS[name](forward_ad.make_dual(x, tangent))


@pytest.mark.parametrize("name", OPERATORS)
def test_reverse_mode_is_not(name):
    x = torch.randn(2, 3).double()
    twice = torch.func.jacrev(torch.func.jacrev(lambda x: OPERATORS[name](x).square().sum()))(x)
    assert twice.shape == (2, 3, 2, 3)
    assert twice.any()
