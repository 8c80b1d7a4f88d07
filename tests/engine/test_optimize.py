"""An optimised model makes the same draws with less, alone and under `predict`."""

import pytest
import torch
from torch import nn

import bayesops as bo
from bayesops.engine.plan import plan_of
from bayesops.nn.fused import Fused

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
ESTIMATORS = ["local_reparam", "weight_sample", "flipout"]


class Block(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.conv1, self.bn1 = make(6), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = make(6), nn.BatchNorm2d(6)

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + x)


def network(make):
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), Block(make), nn.MaxPool2d(2),
        Block(make), nn.Flatten(), nn.Linear(96, 8), nn.BatchNorm1d(8), nn.ReLU(), bo.nn.GaussianLinear(8, 4),
    )  # fmt: skip
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)  # some are negative
            nn.init.normal_(module.bias)
    return model.eval()


def bernoulli(channels):
    return bo.nn.BernoulliConv2d(channels, channels, 3, padding=1, p=0.2)


def gaussian(estimator):
    return lambda channels: bo.nn.GaussianConv2d(
        channels, channels, 3, padding=1, estimator=estimator, rho_init=-3.0, bias=False
    )


MAKERS = {"bernoulli": bernoulli, **{estimator: gaussian(estimator) for estimator in ESTIMATORS}}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("gradients", [False, True])
def test_same_draws(maker, gradients):
    model = network(MAKERS[maker])
    optimized = bo.optimize(model)
    for seed in range(3):
        with torch.set_grad_enabled(gradients):
            with bo.sampling(seed=seed):
                expected = model(IMAGES)
            with bo.sampling(seed=seed):
                found = optimized(IMAGES)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
        assert found.requires_grad is gradients


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("path", ["plan", "vmap", "loop"])
def test_same_predictions(maker, path):
    model = network(MAKERS[maker])
    options = {"num_samples": 9, "return_samples": True, "link": "identity"}
    expected = bo.predict(model, IMAGES, path="loop", **options)
    found = bo.predict(bo.optimize(model), IMAGES, path=path, chunk_size=4, **options)
    torch.testing.assert_close(found.samples, expected.samples, rtol=1e-3, atol=1e-4)


@pytest.mark.cpu_only
def test_what_is_gone():
    model = network(bernoulli)
    optimized = bo.optimize(model)
    left = [module for module in optimized.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert [type(module) for module in left] == [nn.BatchNorm1d]  # behind a linear layer: of what, the input decides
    fused = [module for module in optimized.modules() if isinstance(module, Fused)]
    assert len(fused) == 4
    assert all(module.scale is not None for module in fused)
    assert [module.relu for module in fused].count(False) == 1  # this one is left to the pooling behind it
    assert "batch_norm=True, relu=True" in repr(fused[0])
    assert len(plan_of(optimized).each) < len(list(model.modules()))


@pytest.mark.cpu_only
def test_model_is_left_alone():
    model = network(bernoulli)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimized = bo.optimize(model)
    with torch.no_grad():
        for parameter in optimized.parameters():
            parameter.zero_()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_layer_that_is_used_twice():
    """Its two uses are followed by different things; it draws once."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.plain = bernoulli(3), nn.Conv2d(3, 3, 1)
            self.bn = nn.BatchNorm2d(3)

        def forward(self, x):
            return torch.relu(self.conv(x)) - self.bn(self.conv(self.plain(self.bn(self.plain(x)))))

    model = Twice().eval()
    model.bn.running_mean.normal_()
    optimized = bo.optimize(model)
    with torch.no_grad(), bo.sampling(seed=1):
        expected = model(IMAGES)
    with torch.no_grad(), bo.sampling(seed=1):
        torch.testing.assert_close(optimized(IMAGES), expected, rtol=1e-4, atol=1e-5)


def test_mean_and_frozen_layers_stay_so():
    model = network(gaussian("weight_sample"))
    for change in (bo.nn.use_mean, lambda m: bo.nn.freeze_noise(bo.nn.use_mean(m, False), 3)):
        change(model)
        with torch.no_grad():
            torch.testing.assert_close(bo.optimize(model)(IMAGES), model(IMAGES), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("linear", [nn.Linear, bo.nn.BernoulliLinear, bo.nn.GaussianLinear])
def test_batch_normalisation_behind_linear_layers(linear):
    """Of ``[N, L, O]`` it normalises L, even where O is as large."""
    model = nn.Sequential(linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), bo.nn.BernoulliLinear(3, 3)).eval()
    for statistic in (model[1].running_mean, model[1].weight.data, model[1].bias.data):
        statistic.normal_()
    optimized = bo.optimize(model)
    for inputs in (torch.randn(5, 4), torch.randn(5, 3, 4)):
        with torch.no_grad(), bo.sampling(seed=1):
            expected = model(inputs)
        with torch.no_grad(), bo.sampling(seed=1):
            torch.testing.assert_close(optimized(inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dims", [1, 3])
def test_other_dimensions(dims):
    conv, norm = getattr(bo.nn, f"GaussianConv{dims}d"), getattr(nn, f"BatchNorm{dims}d")
    plain = getattr(nn, f"Conv{dims}d")
    model = nn.Sequential(plain(2, 3, 1), norm(3), conv(3, 4, 3, estimator="weight_sample"), norm(4), nn.ReLU()).eval()
    model[3].running_mean.normal_()
    inputs = torch.randn(2, 2, *[5] * dims)
    optimized = bo.optimize(model)
    with torch.no_grad(), bo.sampling(seed=1):
        expected = model(inputs)
    with torch.no_grad(), bo.sampling(seed=1):
        torch.testing.assert_close(optimized(inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (lambda x: x, TypeError, "'model' must be a Module, got function"),
        (nn.Linear(2, 2), ValueError, "'model' must be in eval mode, got training mode"),
    ],
)
def test_errors(model, error, message):
    with pytest.raises(error, match=message):
        bo.optimize(model)


@pytest.mark.cpu_only
def test_model_that_cannot_be_traced():
    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(
        ValueError, match=r"'model' must be a model that torch\.fx can trace, got torch\.fx: TraceError"
    ):
        bo.optimize(Branching().eval())
