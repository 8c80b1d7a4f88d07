"""What is drawn on a GPU is what is drawn on the CPU, bit for bit: dropped elements, masked weights, a layer's seeds.

The streams themselves: `tests/test_random.py`. Gaussian weights and noise: `test_gaussian_device.py`.
"""

import pytest
import torch

import bayesops as bo

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("exact_library")]
SEEDS = torch.tensor([3, -8, 2**62 + 5])
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)


@DTYPES
@pytest.mark.parametrize("granularity", ["element", "channel"])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("p", [1e-3, 0.3, 0.9])
def test_dropout(p, channels_last, granularity, dtype):
    input = torch.randn(2, 17, 6, 5).to(dtype)
    if channels_last:
        input = input.contiguous(memory_format=torch.channels_last)
    options = {"p": p, "granularity": granularity, "stream": 4, "shared_input": True}
    expected = bo.ops.dropout(input, seed=SEEDS, **options)
    ours = bo.ops.dropout(input.cuda(), seed=SEEDS.cuda(), **options)
    assert torch.equal(ours.cpu(), expected)
    assert ours.stride() == expected.stride()


@DTYPES
@pytest.mark.parametrize("granularity", range(5))
@pytest.mark.parametrize("num_examples", [0, 4])
@pytest.mark.parametrize("given", [False, True], ids=["drawn", "given"])
def test_masked_weights(mask_shape, masked_weight, given, num_examples, granularity, dtype):
    weight = torch.randn(6, 2, 3, 5).to(dtype)
    base = mask_shape(granularity, weight.shape, 2)
    examples = [num_examples] if num_examples else []
    for seed in (SEEDS[0], SEEDS):
        mask = torch.rand(*seed.shape, *examples, *base) < 0.6 if given else None
        options = 0.3, granularity, True, num_examples, 2, 5
        expected = masked_weight(weight, seed, mask, *options)
        on_device = None if mask is None else mask.cuda()
        ours = torch.ops.bayesops.masked_weight(weight.cuda(), seed.cuda(), on_device, *options)
        assert torch.equal(ours.cpu(), expected)


LAYERS = {
    **{
        f"bernoulli {granularity}": lambda granularity=granularity: bo.nn.BernoulliConv2d(
            4, 6, 3, groups=2, padding=1, granularity=granularity
        )
        for granularity in ("weight", "kernel", "in_channel", "out_channel", "channel")
    },
    "bernoulli per example": lambda: bo.nn.BernoulliConv2d(4, 6, 3, per_example=True),
    "bernoulli linear": lambda: bo.nn.BernoulliLinear(7, 3),
    **{
        estimator: lambda estimator=estimator: bo.nn.GaussianConv2d(4, 6, 3, estimator=estimator, rho_init=-1.0)
        for estimator in ("local_reparam", "weight_sample", "flipout")
    },
    "alpha": lambda: bo.nn.GaussianConv2d(4, 6, 3, estimator="weight_sample", variance="alpha", log_alpha_init=-1.0),
    "gaussian linear": lambda: bo.nn.GaussianLinear(7, 3, rho_init=-1.0, prior=bo.priors.ScaleMixture(0.25, 1.0, 0.1)),
    "dropout": lambda: bo.nn.Dropout(0.3, "channel"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_draw_what_they_draw_on_the_cpu(name):
    """Outputs, gradients of parameters and the divergence, which an estimate takes at the weights drawn."""
    layer, input = LAYERS[name](), torch.randn(3, 4, 8, 7)

    def run(device):
        layer.to(device).zero_grad()
        with bo.sampling(seed=11):
            output = layer(input.to(device))
            divergence = layer.kl_loss() if hasattr(layer, "kl_loss") else output.sum()
        if not list(layer.parameters()):
            return [output.cpu()]
        (output.square().sum() + divergence).backward()
        gradients = [p.grad.to("cpu", copy=True) for p in layer.parameters()]  # the layer takes its own along
        return [output.detach().cpu(), divergence.detach().cpu(), *gradients]

    expected = run("cpu")
    for ours, theirs in zip(run("cuda"), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * theirs.abs().max().item())


@pytest.mark.parametrize("path", ["plan", "vmap", "loop"])
def test_predictions_are_those_of_the_cpu(path):
    model = torch.nn.Sequential(
        bo.nn.GaussianConv2d(1, 4, 3, rho_init=-1.0), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        bo.nn.Dropout(0.2), torch.nn.Flatten(), bo.nn.BernoulliLinear(36, 5, p=0.3),
    ).eval()  # fmt: skip
    images = torch.randn(6, 1, 8, 8)
    options = {"num_samples": 20, "quantiles": (0.1, 0.9), "return_samples": True, "path": path}
    expected = bo.predict(model, images, **options)
    ours = bo.predict(model.cuda(), images.cuda(), **options)
    for field in ("mean", "variance", "expected_entropy", "mutual_information", "quantiles", "samples"):
        torch.testing.assert_close(getattr(ours, field).cpu(), getattr(expected, field), rtol=1e-3, atol=1e-5)


def test_as_many_draws_as_each_batch_needs():
    """Numbers of draws are the CPU's, and what follows from them the device's."""
    model = bo.nn.BernoulliLinear(6, 3).eval()
    batches = list(torch.randn(10, 6).split(4))
    options = {"tolerance": 0.02, "link": "identity"}
    expected = bo.predict(model, batches, "auto", **options)
    ours = bo.predict(model.cuda(), [batch.cuda() for batch in batches], "auto", **options)
    assert ours.num_samples.tolist() == expected.num_samples.tolist()
    torch.testing.assert_close(ours.standard_error.cpu(), expected.standard_error, rtol=1e-3, atol=1e-6)
