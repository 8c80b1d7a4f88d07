"""CUDA graphs, streams, devices: seeds are read from device memory when a kernel runs, and it runs where torch says."""

import contextlib

import pytest
import torch
from torch import nn

import bayesops as bo

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("exact_library")]
DEVICE = "cuda"


def captured(function):
    """Run `function` often enough to have all that it keeps, then capture it; return the graph and its results."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = function()
    return graph, results


def assert_near(ours, expected):
    for a, b in zip(ours, expected, strict=True):
        if b.is_floating_point():
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * b.abs().max().item())
        else:
            assert torch.equal(a, b)


def assert_replays(step, input, seed):
    """What is captured of `step` reads both as they are at each replay."""
    graph, results = captured(step)
    replayed = []
    for value in (5, 6):
        seed.fill_(value)
        input.normal_()
        graph.replay()
        replayed.append([result.clone() for result in results])
        assert_near(replayed[-1], step())
    assert not torch.equal(replayed[0][0], replayed[1][0])


def test_replay_draws_from_the_seeds_of_the_moment(seeded_operation):
    tensors = seeded_operation.on(DEVICE)
    graph, results = captured(lambda: seeded_operation.run(tensors))
    replayed = []
    for seeds in ((3, -8, 21), (4, 2**62 + 5, -1)):
        tensors["seed"].copy_(torch.tensor(seeds))
        graph.replay()
        replayed.append([result.clone() for result in results])
        assert_near(replayed[-1], seeded_operation.run(tensors))
    assert not torch.equal(replayed[0][0], replayed[1][0])


def test_replay_of_a_layer():
    """Outputs and gradients, the seed given by a block."""
    layer, input = bo.nn.GaussianConv2d(3, 6, 3, rho_init=-1.0).to(DEVICE), torch.randn(2, 3, 8, 7, device=DEVICE)
    seed = torch.tensor(1, device=DEVICE)

    def step():
        with bo.sampling(seed=seed):
            output = layer(input)
            loss = output.square().mean() + layer.kl_loss(reduction="mean")
        return output.detach(), *torch.autograd.grad(loss, list(layer.parameters()))

    assert_replays(step, input, seed)


def test_a_layer_without_a_block_draws_afresh_at_each_replay():
    """Its seed comes from torch's generator, which graphs advance."""
    layer, input = bo.nn.BernoulliLinear(40, 30).to(DEVICE), torch.randn(2, 40, device=DEVICE)
    graph, (output,) = captured(lambda: (layer(input).detach(),))
    draws = []
    for _ in range(3):
        graph.replay()
        draws.append(output.clone())
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[1], draws[2])


def test_replay_of_a_prediction():
    model = nn.Sequential(
        bo.nn.BernoulliConv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        bo.nn.GaussianLinear(36, 5, rho_init=-1.0),
    ).eval().to(DEVICE)  # fmt: skip
    images, seed = torch.randn(2, 1, 8, 8, device=DEVICE), torch.tensor(1, device=DEVICE)

    def predict():
        prediction = bo.predict(model, images, 20, seed=seed, path="plan", chunk_size=8, quantiles=(0.1, 0.9))
        return prediction.mean, prediction.variance, prediction.entropy, prediction.quantiles

    assert_replays(predict, images, seed)


def test_work_is_done_on_the_current_stream(operation):
    """On a stream that is busy, what comes next in it sees what came before; on another stream it would see zeros."""
    expected = operation.run(operation.on(DEVICE))
    tensors, late = operation.on(DEVICE), operation.on(DEVICE)
    with torch.no_grad():
        for tensor in tensors.values():
            tensor.zero_()
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        torch.cuda._sleep(50_000_000)  # cycles: tens of milliseconds
        with torch.no_grad():
            for name, tensor in tensors.items():
                tensor.copy_(late[name])
        ours = operation.run(tensors)
    side.synchronize()
    assert_near(ours, expected)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_work_is_done_on_the_device_of_the_tensors(operation):
    """Whatever the current device is."""
    assert torch.cuda.current_device() == 0
    expected, ours = (operation.run(operation.on(device)) for device in ("cuda:0", "cuda:1"))
    assert all(result.get_device() == 1 for result in ours)
    assert_near([result.to("cuda:0") for result in ours], expected)


@contextlib.contextmanager
def deterministic_algorithms():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def test_deterministic_algorithms_give_the_same_bits_twice(operation):
    """And none is refused; what torch allocates is filled with NaN then, so that nothing unwritten is read."""
    with deterministic_algorithms():
        first, second = (operation.run(operation.on(DEVICE)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)
        assert not a.is_floating_point() or a.isfinite().all()
