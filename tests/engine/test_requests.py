"""What may be asked of a prediction: batches, links, entropies, intervals, as many draws as are needed."""

import math
import sys
from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import bayesops as bo


@pytest.fixture
def model():
    return nn.Sequential(
        bo.nn.GaussianConv2d(1, 4, 3, rho_init=-1.0, estimator="weight_sample"), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), bo.nn.BernoulliLinear(36, 5, p=0.3),
    ).eval()  # fmt: skip


IMAGES = torch.randn(10, 1, 8, 8, generator=torch.Generator().manual_seed(0))
FIELDS = ("mean", "variance", "expected_entropy", "quantiles", "samples")


def assert_same(prediction, expected, fields=FIELDS):
    for field in fields:
        torch.testing.assert_close(getattr(prediction, field), getattr(expected, field), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["list", "generator", "loader", "labelled", "named"])
def test_batches(model, kind):
    whole = bo.predict(model, IMAGES, 12, quantiles=(0.1, 0.9), return_samples=True)
    batches = {
        "list": list(IMAGES.split(4)),
        "generator": (part for part in IMAGES.split(4)),
        "loader": DataLoader(IMAGES, batch_size=4),
        "labelled": DataLoader(TensorDataset(IMAGES, torch.arange(10)), batch_size=4),
        "named": [((part,), "name") for part in IMAGES.split(4)],
    }[kind]
    prediction = bo.predict(model, batches, 12, quantiles=(0.1, 0.9), return_samples=True)
    assert_same(prediction, whole)
    assert prediction.num_samples == 12
    assert prediction.plan.startswith("3 batches: plan")


def test_several_arguments_in_batches():
    layer = bo.nn.BernoulliLinear(4, 3)

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x, y):
            return self.layer(x + y)

    x = torch.randn(6, 4)
    expected = bo.predict(layer, 2 * x, 5)
    for kind in (tuple, list):  # a DataLoader makes lists of tuples
        batches = [(kind((part, part)), None) for part in x.split(2)]
        assert_same(bo.predict(Two().eval(), batches, 5), expected, ("mean", "variance"))
    with pytest.raises(ValueError, match=r"must be as many tensors as Two takes arguments .*, got a tuple of 3"):
        bo.predict(Two(), x.split(2), 5)


@pytest.mark.cpu_only
@pytest.mark.parametrize("inputs", [[], 3, None, [3], [[]], ["text"]])
def test_inputs_that_are_none(model, inputs):
    with pytest.raises((TypeError, ValueError), match="argument 'inputs' must be"):
        bo.predict(model, inputs, 2)


def test_entropies(model):
    prediction = bo.predict(model, IMAGES, 20, return_samples=True)
    samples = prediction.samples.double()
    expected = -(samples * samples.log()).sum(2).mean(0)
    entropy = -(samples.mean(0) * samples.mean(0).log()).sum(1)
    torch.testing.assert_close(prediction.expected_entropy.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(prediction.entropy.double(), entropy, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(prediction.mutual_information.double(), entropy - expected, rtol=1e-3, atol=1e-5)
    assert (prediction.mutual_information > 0).all()


@pytest.mark.parametrize("chunk_size", [3, "auto"])
def test_sigmoid_takes_each_output_by_itself(model, chunk_size):
    """Several labels, two classes by one output, masks."""
    options = {"return_samples": True, "quantiles": (0.1, 0.9), "chunk_size": chunk_size}
    prediction = bo.predict(model, IMAGES, 20, link="sigmoid", **options)
    logits = bo.predict(model, IMAGES, 20, link="identity", return_samples=True).samples
    samples = logits.double().sigmoid()
    torch.testing.assert_close(prediction.samples.double(), samples, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(prediction.mean.double(), samples.mean(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(prediction.variance.double(), samples.var(0, correction=0), rtol=1e-4, atol=1e-6)
    expected = torch.distributions.Bernoulli(samples).entropy().mean(0)
    entropy = torch.distributions.Bernoulli(samples.mean(0)).entropy()
    torch.testing.assert_close(prediction.expected_entropy.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(prediction.entropy.double(), entropy, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(prediction.mutual_information.double(), entropy - expected, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(prediction.quantiles.double(), samples.quantile(torch.tensor([0.1, 0.9]).double(), 0))


@pytest.mark.filterwarnings("ignore:predict. nothing in the model draws")
def test_sigmoid_of_sure_outputs_has_no_entropy():
    prediction = bo.predict(_TwoClasses().eval(), torch.ones(3, 1), 3, link="sigmoid")
    assert torch.equal(prediction.entropy[:, 0], torch.zeros(3))
    torch.testing.assert_close(prediction.entropy[:, 1], torch.full((3,), math.log(2)))
    assert torch.equal(prediction.mutual_information, torch.zeros(3, 2))


@pytest.mark.parametrize("shape", [(4, 1), (4, 1, 3, 3)])
def test_softmax_of_a_single_class_is_refused(shape):
    model = bo.nn.Dropout(0.5)
    with pytest.raises(ValueError, match="predict: argument 'link' must be 'sigmoid' or 'identity' where the model"):
        bo.predict(model, torch.randn(shape), 3)
    assert bo.predict(model, torch.randn(shape), 3, link="sigmoid").mean.shape == shape


def test_entropy_where_members_disagree():
    """Two members, each sure of another class: one bit of entropy, all of it of the weights."""

    layer = bo.nn.BernoulliLinear(1, 1, p=0.5, bias=False, rescale=False)
    nn.init.ones_(layer.weight)
    doubtful = nn.Sequential(layer, _TwoClasses()).eval()
    prediction = bo.predict(doubtful, torch.ones(1, 1), 4000)
    share = prediction.mean[0, 0].item()
    expected = -share * math.log(share) - (1 - share) * math.log(1 - share)
    assert prediction.expected_entropy.item() == 0
    assert prediction.mutual_information.item() == pytest.approx(expected, rel=1e-5)
    assert expected == pytest.approx(math.log(2), abs=0.01)  # a share off by 0.05: once in 10^9


class _TwoClasses(nn.Module):
    def forward(self, x):
        return torch.cat([x, 1 - x], 1) * 1e4


@pytest.mark.filterwarnings("ignore:predict. nothing in the model draws")
def test_entropy_at_zero_probability_is_zero():
    prediction = bo.predict(_TwoClasses().eval(), torch.ones(3, 1), 3)
    assert torch.equal(prediction.entropy, torch.zeros(3))
    assert torch.equal(prediction.expected_entropy, torch.zeros(3))
    assert torch.equal(prediction.mutual_information, torch.zeros(3))


def test_identity_has_no_entropy(model):
    prediction = bo.predict(model, IMAGES, 3, link="identity")
    assert prediction.entropy is None
    assert prediction.expected_entropy is None
    assert prediction.mutual_information is None
    torch.testing.assert_close(prediction.total_variance, prediction.variance)


def test_dense_output():
    model = nn.Sequential(bo.nn.GaussianConv2d(1, 6, 3, padding=1, rho_init=-1.0), nn.ReLU(), nn.Conv2d(6, 4, 1)).eval()
    prediction = bo.predict(model, IMAGES, 9, quantiles=(0.5,), return_samples=True)
    assert prediction.mean.shape == (10, 4, 8, 8)
    assert prediction.mean.is_contiguous()
    assert prediction.entropy.shape == prediction.expected_entropy.shape == (10, 8, 8)
    torch.testing.assert_close(prediction.mean, prediction.samples.mean(0))
    torch.testing.assert_close(prediction.variance, prediction.samples.var(0, correction=0))
    torch.testing.assert_close(prediction.quantiles[0], prediction.samples.quantile(0.5, 0))


def test_intervals(model):
    prediction = bo.predict(model, IMAGES, 400, quantiles=(0.025, 0.5, 0.975), return_samples=True)
    expected = torch.quantile(prediction.samples, torch.tensor([0.025, 0.5, 0.975]), dim=0)
    torch.testing.assert_close(prediction.quantiles, expected)
    assert prediction.quantile_levels == (0.025, 0.5, 0.975)


class _Heteroscedastic(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = bo.nn.GaussianLinear(4, 6, rho_init=-1.0)

    def forward(self, x):
        return self.layer(x).chunk(2, 1)


@pytest.mark.parametrize("path", ["plan", "vmap", "loop"])
def test_gaussian_link(path):
    """Kendall and Gal: what the draws differ by, and the mean of what each leaves open."""
    model, rows = _Heteroscedastic().eval(), torch.randn(5, 4)
    prediction = bo.predict(model, rows, 30, link="gaussian", path=path, chunk_size=7)
    pairs = bo.predict(model.layer, rows, 30, link="identity", return_samples=True).samples
    means, log_variances = pairs.chunk(2, 2)
    torch.testing.assert_close(prediction.mean, means.mean(0))
    torch.testing.assert_close(prediction.variance, means.var(0, correction=0))
    torch.testing.assert_close(prediction.aleatoric_variance, log_variances.exp().mean(0))
    torch.testing.assert_close(prediction.total_variance, prediction.variance + prediction.aleatoric_variance)


def test_output_says_which():
    model, rows = _Heteroscedastic().eval(), torch.randn(5, 4)
    second = bo.predict(model, rows, 6, link="identity", output=1)
    expected = bo.predict(lambda x: model.layer(x)[:, 3:], rows, 6, link="identity")
    assert_same(second, expected, ("mean", "variance"))
    both = bo.predict(model, rows, 6, link="identity", output=lambda pair: pair[0] - pair[1])
    torch.testing.assert_close(both.mean, bo.predict(model, rows, 6, link="identity", output=0).mean - second.mean)
    with pytest.raises(ValueError, match="argument 'output' must be an index or key"):
        bo.predict(model, rows, 6, link="identity", output="loc")


@dataclass
class Result:
    """What a model may return."""

    rows: torch.Tensor
    count: int


Pair = namedtuple("Pair", ["rows", "count"])


@pytest.mark.parametrize("kind", [Result, Pair])
@pytest.mark.parametrize("path", ["auto", "vmap", "loop"])
@pytest.mark.parametrize("output", ["rows", lambda result: result.rows])
def test_output_of_a_record(kind, path, output):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = bo.nn.BernoulliLinear(6, 4)

        def forward(self, x):
            return kind(self.layer(x), 3)

    model, rows = Model().eval(), torch.randn(5, 6)
    prediction = bo.predict(model, rows, 6, link="identity", output=output, path=path)
    torch.testing.assert_close(prediction.mean, bo.predict(model.layer, rows, 6, link="identity").mean)
    with pytest.raises(ValueError, match="argument 'output'"):
        bo.predict(model, rows, 6, link="identity", output="columns", path=path)


def test_auto_stops_when_the_error_is_small(model):
    loose = bo.predict(model, IMAGES, "auto", tolerance=0.05)
    tight = bo.predict(model, IMAGES, "auto", tolerance=0.01)
    assert 16 <= loose.num_samples < tight.num_samples
    assert loose.standard_error.max() <= 0.05
    assert tight.standard_error.max() <= 0.01
    assert_same(tight, bo.predict(model, IMAGES, tight.num_samples), ("mean", "variance"))


@pytest.mark.parametrize("chunk_size", [1, 5, 16, 1000])
def test_auto_does_not_depend_on_chunks(model, chunk_size):
    expected = bo.predict(model, IMAGES, "auto", tolerance=0.03)
    prediction = bo.predict(model, IMAGES, "auto", tolerance=0.03, chunk_size=chunk_size)
    assert prediction.num_samples == expected.num_samples
    assert_same(prediction, expected, ("mean", "variance"))


@pytest.mark.filterwarnings("ignore:predict. nothing in the model draws")
def test_auto_ends(model):
    assert bo.predict(model, IMAGES, "auto", tolerance=1e-9, max_samples=40).num_samples == 40
    assert bo.predict(model, IMAGES, "auto", tolerance=1e-9, max_samples=5).num_samples == 5
    assert bo.predict(nn.Linear(3, 2), torch.randn(2, 3), "auto", tolerance=1e-3).num_samples == 16


def test_auto_stops_for_each_batch(model):
    batches = [IMAGES[:4], 0 * IMAGES[4:]]
    prediction = bo.predict(model, batches, "auto", tolerance=0.02)
    alone = [bo.predict(model, batch, "auto", tolerance=0.02) for batch in batches]
    assert prediction.num_samples.tolist() == [alone[0].num_samples] * 4 + [alone[1].num_samples] * 6
    torch.testing.assert_close(prediction.standard_error, torch.cat([one.standard_error for one in alone]))


def test_standard_error_is_that_of_the_mean(model):
    """Over 60 predictions, the mean's own spread: chi-squared with 59 degrees, within 1 ± 0.45 but once in 10^5."""
    predictions = [bo.predict(model, IMAGES[:1], 50, seed=seed) for seed in range(60)]
    spread = torch.stack([one.mean for one in predictions]).var(0)
    claimed = torch.stack([one.standard_error.square() for one in predictions]).mean(0)
    ratio = (spread / claimed)[0]
    assert ((ratio > 0.4) & (ratio < 1.9)).all()


def test_one_draw_has_no_standard_error(model):
    assert bo.predict(model, IMAGES, 1).standard_error.isinf().all()


@pytest.mark.cpu_only
def test_progress(model, capsys):
    pytest.importorskip("tqdm")
    bo.predict(model, DataLoader(IMAGES, batch_size=5), 12, progress=True)
    assert "24/24" in capsys.readouterr().err
    bo.predict(model, IMAGES, "auto", tolerance=0.05, progress=True)
    assert "100%" in capsys.readouterr().err


@pytest.mark.cpu_only
def test_progress_without_tqdm(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ModuleNotFoundError, match="pip install tqdm"):
        bo.predict(model, IMAGES, 2, progress=True)


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": 0.0}, "'tolerance' must be above 0"),
        ({"max_samples": 0}, "'max_samples' must be an int of at least 1"),
        ({"num_samples": "many"}, "'num_samples' must be 'auto' or an int"),
        ({"quantiles": (0.5, 1.5)}, r"'quantiles' must be in \[0, 1\]"),
        ({"path": "fast"}, "'path' must be 'auto' or one of 'plan', 'vmap', 'loop'"),
        ({"shard": "rows"}, "'shard' must be one of 'samples', 'batches'"),
        ({"link": "gaussian"}, "mean and log variance"),
    ],
)
def test_errors(model, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        bo.predict(model, IMAGES, **{"num_samples": 2, **options})


@pytest.mark.cpu_only
@pytest.mark.parametrize("model_", [lambda x: x.argmax(1), lambda x: x.sum()])
def test_outputs_that_have_no_classes(model_):
    with pytest.raises((ValueError, TypeError), match="argument 'model' must be"):
        bo.predict(model_, torch.randn(3, 4), 2)
