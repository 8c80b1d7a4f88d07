"""Nothing waits for the device: each public operator, the layers and `predict` under torch's watch for it."""

import contextlib

import pytest
import torch
from torch import nn

import bayesops as bo

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("exact_library")]


@contextlib.contextmanager
def no_waiting():
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_watch_sees_a_wait():
    with no_waiting(), pytest.raises(RuntimeError, match="synchroniz"):
        torch.ones((), device="cuda").item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_operators_and_their_gradients(operation, dtype):
    tensors = operation.on("cuda", dtype)
    with no_waiting():
        operation.run(tensors)


def test_seeds_that_are_numbers(seeded_operation):
    tensors = seeded_operation.on("cuda")
    if tensors.keys() == {"seed"}:
        pytest.skip("the seed alone says where to draw")
    tensors["seed"] = 7
    if "residual" in tensors:  # of one draw
        tensors["residual"] = tensors["residual"][0]
    with no_waiting():
        seeded_operation.run(tensors)


def layers():
    yield bo.nn.BernoulliConv2d(4, 4, 3, padding=1)
    yield bo.nn.BernoulliConv2d(4, 4, 3, padding=1, padding_mode="reflect", granularity="channel", per_example=True)
    for estimator in ("local_reparam", "weight_sample", "flipout"):
        yield bo.nn.GaussianConv2d(4, 4, 3, padding=1, estimator=estimator)
    yield bo.nn.GaussianConv2d(4, 4, 3, padding=1, variance="alpha", prior=bo.priors.ScaleMixture(0.5, 1.0, 0.1))
    yield bo.nn.GaussianConv2d(4, 4, 3, padding=1, prior=torch.distributions.StudentT(3.0))
    yield bo.nn.Dropout(0.3)


@pytest.mark.parametrize("index", range(len(list(layers()))))
def test_layers(index):
    """With seeds of their own, in a block of one seed, and their divergence."""
    layer, input = list(layers())[index].cuda(), torch.randn(2, 4, 6, 5, device="cuda", requires_grad=True)
    seed = torch.tensor(3, device="cuda")
    with no_waiting():
        loss = layer(input).square().mean()
        with bo.sampling(seed=seed):
            loss = loss + layer(input).square().mean()
            if hasattr(layer, "kl_loss"):
                loss = loss + layer.kl_loss(reduction="mean")
        loss.backward()


@pytest.mark.parametrize("path", ["plan", "vmap", "loop"])
@pytest.mark.parametrize("link", ["softmax", "identity"])
def test_prediction(link, path):
    """With quantiles of more draws than are kept whole."""
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), bo.nn.GaussianConv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),
        nn.MaxPool2d(2), bo.nn.Dropout(0.2), nn.Flatten(), bo.nn.BernoulliLinear(16, 5),
    ).eval().cuda()  # fmt: skip
    images = torch.randn(3, 1, 8, 8, device="cuda")
    samples = 1500 if path != "loop" else 20
    bo.predict(model, images, 1)  # a new plan is compared with the model, which waits
    options = {"link": link, "path": path, "quantiles": (0.1, 0.9), "return_samples": True, "chunk_size": 500}
    seed = torch.tensor(3, device="cuda")
    # A loop asks for its seeds, once a chunk: they may be for torch's own generators, which take numbers.
    with contextlib.nullcontext() if path == "loop" else no_waiting():
        prediction = bo.predict(model, images, samples, seed=seed, **options)
        entropy = prediction.mutual_information
    assert (entropy is None) == (link == "identity")
    assert prediction.variance.min() > 0
