"""The loss as a module: whose seeds it draws from, and how it stands in the ELBO."""

import pytest
import torch
from torch import nn

import bayesops as bo
from bayesops import data

X, Y = torch.randn(6, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1, -100])


class Heads(nn.Module):
    """Logits and a log variance for each."""

    def __init__(self, classes=3, features=16):
        super().__init__()
        self.body = nn.Flatten()
        self.head = bo.nn.GaussianLinear(features, 2 * classes, rho_init=-2.0)

    def forward(self, x):
        return self.head(self.body(x)).chunk(2, 1)


def test_draws_from_torchs_generator():
    loss, output = bo.losses.LogitNoiseCrossEntropy(4), (torch.randn(6, 3), torch.zeros(6, 3))
    torch.manual_seed(1)
    first, second = loss(output, Y), loss(output, Y)
    torch.manual_seed(1)
    assert torch.equal(loss(output, Y), first)
    assert not torch.equal(first, second)


def test_draws_from_the_block():
    loss, output = bo.losses.LogitNoiseCrossEntropy(4), (torch.randn(6, 3), torch.zeros(6, 3))
    with bo.sampling(seed=5):
        ours = loss(output, Y)
    assert torch.equal(ours, bo.ops.logit_noise_cross_entropy(*output, Y, num_samples=4, seed=5))
    named = bo.losses.LogitNoiseCrossEntropy(4, stream=7)
    with bo.sampling(seed=5):
        ours = named(output, Y)
    assert torch.equal(ours, bo.ops.logit_noise_cross_entropy(*output, Y, num_samples=4, seed=5, stream=7))


def test_passes_its_options_on():
    output, weight = (torch.randn(6, 3), torch.zeros(6, 1)), torch.tensor([1.0, 2.0, 3.0])
    options = {"ignore_index": 2, "reduction": "none", "average": "losses"}
    loss = bo.losses.LogitNoiseCrossEntropy(4, weight=weight, **options)
    target = Y.clamp(min=0)
    with bo.sampling(seed=5):
        ours = loss(output, target)
    expected = bo.ops.logit_noise_cross_entropy(*output, target, num_samples=4, seed=5, weight=weight, **options)
    assert torch.equal(ours, expected)
    assert torch.equal(loss.state_dict()["weight"], weight)
    assert "num_samples=4, reduction='none', average='losses'" in repr(loss)


def test_in_the_elbo_weights_and_noise_are_drawn_together():
    model, loss = Heads(), bo.losses.LogitNoiseCrossEntropy(4)
    terms = bo.losses.ELBO(model, 100, num_samples=3, nll=loss).terms(X, Y, seed=8)
    singles = []
    for seed in bo.random.sample_seeds(8, 3):
        with bo.sampling(seed):
            singles.append(loss(model(X), Y))
    torch.testing.assert_close(terms.nll, torch.stack(singles).mean())
    apart = bo.losses.ELBO(model, 100, num_samples=3, nll=loss, batched=False).terms(X, Y, seed=8)
    torch.testing.assert_close(terms.loss, apart.loss)
    for a, b in zip(*(torch.autograd.grad(t.loss, model.parameters()) for t in (terms, apart)), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("output", [torch.zeros(6, 3), (torch.zeros(6, 3),)], ids=["tensor", "one"])
def test_output_that_is_no_pair(output):
    with pytest.raises(TypeError, match="LogitNoiseCrossEntropy: argument 'output' must be a pair, logits and log var"):
        bo.losses.LogitNoiseCrossEntropy(4)(output, Y)


@pytest.mark.parametrize("num_samples", ["a", 2.5, 0])
def test_num_samples_is_checked_before_the_first_call(num_samples):
    wanted = f"LogitNoiseCrossEntropy: argument 'num_samples' must be an int of at least 1, got {num_samples!r}"
    with pytest.raises(ValueError if num_samples == 0 else TypeError, match=wanted):
        bo.losses.LogitNoiseCrossEntropy(num_samples)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"reduction": "x"}, ValueError, "'reduction' must be one of 'none', 'mean', 'sum', got 'x'"),
        ({"average": "x"}, ValueError, "'average' must be one of 'probabilities', 'losses', got 'x'"),
        ({"stream": -1}, ValueError, "'stream' must be in "),
        ({"stream": "x"}, TypeError, "'stream' must be an int, got str"),
    ],
)
def test_options_are_checked_before_the_first_call(options, error, message):
    with pytest.raises(error, match=f"LogitNoiseCrossEntropy: argument {message}"):
        bo.losses.LogitNoiseCrossEntropy(4, **options)


def test_learns_which_examples_are_labelled_at_random():
    """Half of the digits, marked by a corner, have random labels: their logits get more noise."""
    digits = data.digits()
    images, labels = digits.train_images.clone(), digits.train_labels.clone()
    generator = torch.Generator().manual_seed(0)
    marked = torch.rand(len(labels), generator=generator) < 0.5
    images[:, 0, 0, 0] = marked.float()
    labels[marked] = torch.randint(10, (int(marked.sum()),), generator=generator)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 11))
    loss = bo.losses.LogitNoiseCrossEntropy(20)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for batch in torch.randint(len(labels), (300, 128), generator=generator):
        optimizer.zero_grad()
        loss(network(images[batch]).split([10, 1], dim=1), labels[batch]).backward()
        optimizer.step()
    test = digits.test_images.clone()
    with torch.no_grad():
        log_var = []
        for corner in (0.0, 1.0):
            test[:, 0, 0, 0] = corner
            log_var.append(network(test)[:, 10])
    clean, random = log_var
    assert (random > clean).float().mean() > 0.95
    assert random.mean() - clean.mean() > 1
