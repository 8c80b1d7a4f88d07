"""T draws: moments, chunks, paths."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import bayesops as bo
from bayesops.engine.chunks import drawn_weight_bytes, draws_at_once, growth
from bayesops.engine.fusion import folded
from bayesops.engine.paths import agree
from bayesops.engine.plan import Plan
from bayesops.engine.tally import Tally


def classifier():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), bo.nn.BernoulliConv2d(4, 6, 3, p=0.3), nn.BatchNorm2d(6), nn.ReLU(),
        bo.nn.Dropout(0.2), nn.AdaptiveAvgPool2d(2), nn.Flatten(), bo.nn.BernoulliLinear(24, 5, p=0.3),
    ).eval()  # fmt: skip


ESTIMATORS = ["local_reparam", "weight_sample", "flipout"]


def gaussian_classifier(estimator):
    options = {"estimator": estimator, "rho_init": -1.5}
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), bo.nn.GaussianConv2d(4, 6, 3, **options), nn.BatchNorm2d(6),
        nn.ReLU(), bo.nn.Dropout(0.2), nn.AdaptiveAvgPool2d(2), nn.Flatten(), bo.nn.GaussianLinear(24, 5, **options),
    ).eval()  # fmt: skip


class Unmappable(nn.Module):
    """Control flow on the data, which vmap cannot take."""

    def __init__(self, layer=None):
        super().__init__()
        self.layer = bo.nn.BernoulliLinear(6, 3) if layer is None else layer

    def forward(self, x):
        y = self.layer(x)
        return y if y.sum().item() > 0 else 2 * y


X = torch.randn(3, 1, 8, 8)


def draws(model, inputs, num_samples, seed=0):
    outputs = []
    with torch.no_grad():
        for s in bo.random.sample_seeds(seed, num_samples, device=inputs.device):
            with bo.sampling(seed=s):
                outputs.append(model(inputs))
    return torch.stack(outputs)


def test_moments_are_those_of_the_draws():
    model = classifier()
    prediction = bo.predict(model, X, num_samples=11, seed=5, return_samples=True)
    expected = draws(model, X, 11, seed=5).softmax(2)
    torch.testing.assert_close(prediction.samples, expected)
    torch.testing.assert_close(prediction.mean, expected.mean(0))
    torch.testing.assert_close(prediction.variance, expected.var(0, correction=0))
    torch.testing.assert_close(prediction.mean.sum(1), torch.ones(3))
    assert prediction.num_samples == 11
    assert prediction.path == "plan"


def test_identity_link():
    model = classifier()
    prediction = bo.predict(model, X, num_samples=7, link="identity")
    expected = draws(model, X, 7)
    torch.testing.assert_close(prediction.mean, expected.mean(0))
    torch.testing.assert_close(prediction.variance, expected.var(0, correction=0))
    assert prediction.samples is None


def test_trap_3_masks_differ_between_draws():
    """A mask shared by all T draws would make the variance zero."""
    prediction = bo.predict(classifier(), X, num_samples=20)
    assert (prediction.variance > 0).all()


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 10, 11, 50])
def test_draws_do_not_depend_on_the_chunks(chunk_size):
    model = classifier()
    whole = bo.predict(model, X, num_samples=11, return_samples=True)
    cut = bo.predict(model, X, num_samples=11, return_samples=True, chunk_size=chunk_size)
    torch.testing.assert_close(cut.samples, whole.samples)
    torch.testing.assert_close(cut.mean, whole.mean)
    torch.testing.assert_close(cut.variance, whole.variance)


@pytest.mark.parametrize("chunk_size", [1, 3, 11, "auto"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gaussian_layers(estimator, chunk_size):
    """The draws are those of blocks with the same seeds, however they are cut."""
    model = gaussian_classifier(estimator)
    prediction = bo.predict(model, X, num_samples=11, seed=5, chunk_size=chunk_size, return_samples=True)
    assert prediction.path == "plan"
    torch.testing.assert_close(prediction.samples, draws(model, X, 11, seed=5).softmax(2), rtol=1e-4, atol=1e-5)
    assert (prediction.variance > 0).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gaussian_first_layer_shares_its_input(estimator):
    model, inputs = bo.nn.GaussianConv2d(1, 4, 3, estimator=estimator, rho_init=-1.5), X
    prediction = bo.predict(model, inputs, num_samples=6, link="identity", return_samples=True, chunk_size=4)
    torch.testing.assert_close(prediction.samples, draws(model, inputs, 6), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gaussian_layers_by_the_loop(estimator):
    model = Unmappable(bo.nn.GaussianLinear(6, 3, estimator=estimator, rho_init=-1.5))
    inputs = torch.randn(2, 6)
    with pytest.warns(UserWarning, match="torch.vmap cannot take the model"):
        looped = bo.predict(model, inputs, num_samples=8, return_samples=True, link="identity")
    mapped = bo.predict(model.layer, inputs, num_samples=8, return_samples=True, link="identity").samples
    expected = torch.where(mapped.sum((1, 2), keepdim=True) > 0, mapped, 2 * mapped)
    torch.testing.assert_close(looped.samples, expected)


@pytest.mark.cpu_only
def test_first_chunk_is_guessed_from_gaussian_layers_too():
    for layer in (bo.nn.GaussianConv2d, bo.nn.BernoulliConv2d, nn.Conv2d):
        assert growth(nn.Sequential(nn.ReLU(), layer(3, 64, 3))) == 22
        assert growth(layer(8, 64, 3, groups=4)) == 8
    assert growth(nn.ReLU()) == 16


@pytest.mark.cpu_only
def test_drawn_weights_count_on_cuda():
    images = (torch.randn(5, 8, 4, 4),)
    options = {"kernel_size": 3, "estimator": "weight_sample"}
    for layer, weights in (
        (bo.nn.BernoulliConv2d(8, 4, 3), 1), (bo.nn.BernoulliConv2d(8, 4, 3, per_example=True), 5),
        (bo.nn.GaussianConv2d(8, 4, **options), 1), (bo.nn.GaussianConv2d(8, 4, 3), 0), (nn.Conv2d(8, 4, 3), 0),
    ):  # fmt: skip
        assert drawn_weight_bytes(nn.Sequential(nn.Linear(4, 4), layer), images) == weights * 4 * 8 * 9 * 4
    assert drawn_weight_bytes(lambda x: x, images) == 0
    assert draws_at_once(2**20, 3 * 2**20, "cuda") == 256
    assert draws_at_once(2**20, 2**40, "cuda") == 1
    assert draws_at_once(2**20, 2**40, "cpu") == 8


def test_a_few_draws_share_the_cost_of_a_call():
    sizes = [draws_at_once(n * 2**20, 0, "cpu") for n in (1, 2, 4, 8, 16, 32, 64)]
    assert sizes == [8, 4, 4, 4, 2, 1, 1]


@pytest.mark.parametrize("chunk_size", [7, "auto"])
@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("float32 [8, 9]: 288 bytes could not be allocated")],
)
def test_chunks_are_halved_where_memory_does_not_suffice(monkeypatch, chunk_size, error):
    plan_draw = Plan.draw

    def draw(plan, values, seeds, *arguments):
        if len(seeds) > 2:
            raise error
        return plan_draw(plan, values, seeds, *arguments)

    model = classifier()
    expected = bo.predict(model, X, num_samples=9, return_samples=True).samples
    monkeypatch.setattr(Plan, "draw", draw)
    prediction = bo.predict(model, X, num_samples=9, return_samples=True, chunk_size=chunk_size)
    torch.testing.assert_close(prediction.samples, expected)
    assert prediction.path == "plan"


class Hungry(nn.Module):
    """Too large for any memory, even for one draw."""

    def __init__(self):
        super().__init__()
        self.layer = bo.nn.BernoulliLinear(4, 4)

    def forward(self, x):
        raise torch.OutOfMemoryError("it is too much")


@pytest.mark.parametrize("path", ["auto", "vmap", "loop"])
def test_one_draw_that_does_not_fit_is_an_error(path):
    with pytest.raises(torch.OutOfMemoryError, match="it is too much"):
        bo.predict(Hungry(), torch.randn(2, 4), 4, path=path)


def test_a_batch_of_nothing():
    assert bo.predict(nn.Sequential(bo.nn.BernoulliLinear(4, 3)), torch.randn(0, 4), 7, 3).mean.shape == (0, 3)


def test_draws_suffice_by_their_standard_error():
    tally = Tally("identity", (), False)
    tally.begin_round()
    tally.add(torch.tensor([[0.0]]))
    assert not tally.is_settled(1e9)  # nobody knows yet
    tally.add(torch.tensor([[2.0]]))  # mean 1, standard error 1
    assert tally.is_settled(1.01)
    assert not tally.is_settled(0.99)


def test_draws_of_other_shapes_do_not_agree():
    assert not agree(torch.ones(2, 1), torch.ones(2, 4), 1e-2)
    assert agree(torch.ones(2, 4), torch.full((2, 4), 1.001), 1e-2)


def test_batch_normalisation_in_16_bits_is_folded_in_32():
    norm = nn.BatchNorm2d(64)
    with torch.no_grad():
        for tensor in (norm.running_mean, norm.weight, norm.bias):
            tensor.normal_()
        norm.running_var.uniform_(0.01, 3)
    norm.bfloat16()
    narrow = folded(norm)
    for ours, wide in zip(narrow, folded(norm.float()), strict=True):
        assert torch.equal(ours, wide.bfloat16())


def test_first_draws_do_not_depend_on_how_many():
    model = classifier()
    few = bo.predict(model, X, num_samples=4, return_samples=True).samples
    many = bo.predict(model, X, num_samples=9, return_samples=True).samples
    torch.testing.assert_close(many[:4], few)


def test_variance_keeps_its_digits_far_from_zero():
    """Welford, not E[x²] - E[x]²."""
    layer = bo.nn.BernoulliLinear(6, 3)
    with torch.no_grad():
        layer.bias += 1e4
    inputs = torch.randn(2, 6)
    prediction = bo.predict(layer, inputs, num_samples=100, link="identity", chunk_size=7)
    expected = draws(layer, inputs, 100).double().var(0, correction=0)
    torch.testing.assert_close(prediction.variance.double(), expected, rtol=1e-3, atol=0)


def test_one_draw_has_no_variance():
    prediction = bo.predict(classifier(), X, num_samples=1)
    assert torch.equal(prediction.variance, torch.zeros_like(prediction.mean))


@pytest.mark.filterwarnings("ignore:predict. nothing in the model draws")
def test_a_deterministic_model_has_no_variance():
    prediction = bo.predict(nn.Linear(6, 3), torch.randn(2, 6), num_samples=5)
    assert prediction.variance.abs().max() < 1e-12


def test_half_precision_is_accumulated_in_float32():
    model = classifier().bfloat16()
    prediction = bo.predict(model, X.bfloat16(), num_samples=9, chunk_size=2)
    assert prediction.mean.dtype == prediction.variance.dtype == torch.float32


def test_loop_where_vmap_refuses():
    model, inputs = Unmappable(), torch.randn(2, 6)
    with pytest.warns(UserWarning, match="torch.vmap cannot take the model") as caught:
        prediction = bo.predict(model, inputs, num_samples=8, chunk_size=3, return_samples=True)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    torch.testing.assert_close(prediction.samples, draws(model, inputs, 8).softmax(2))
    assert prediction.path == "loop"
    assert "item()" in prediction.plan


@pytest.mark.parametrize("path", ["auto", "vmap", "loop"])
def test_inputs_are_left_alone(path):
    layer, inputs = bo.nn.BernoulliLinear(6, 3), torch.randn(2, 6)
    before = inputs.clone()
    prediction = bo.predict(lambda x: layer(x.mul_(2)), inputs, 5, chunk_size=2, link="identity", path=path)
    assert torch.equal(inputs, before)
    torch.testing.assert_close(prediction.mean, bo.predict(layer, 2 * before, 5, link="identity").mean)


@pytest.mark.parametrize("training", [False, True])
def test_mode_is_left_alone(training):
    model = classifier().train(training)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # batch normalisation in training mode goes by the loop
        bo.predict(model, X, num_samples=2)
    assert all(module.training is training for module in model.modules())


def test_no_gradient_is_recorded():
    assert not bo.predict(classifier(), X, num_samples=2).mean.requires_grad
    assert torch.is_grad_enabled()


def test_several_inputs_and_a_plain_function():
    layer = bo.nn.BernoulliLinear(6, 3)
    a, b = torch.randn(2, 6), torch.randn(2, 6)
    prediction = bo.predict(lambda x, y: layer(x + y), (a, b), num_samples=6, link="identity")
    torch.testing.assert_close(prediction.mean, bo.predict(layer, a + b, num_samples=6, link="identity").mean)


def test_segmentation_output():
    model = bo.nn.BernoulliConv2d(1, 4, 3, padding=1)
    prediction = bo.predict(model, X, num_samples=5)
    assert prediction.mean.shape == (3, 4, 8, 8)
    torch.testing.assert_close(prediction.mean.sum(1), torch.ones(3, 8, 8))


def test_a_softmax_over_examples_is_warned_of():
    with pytest.warns(UserWarning, match="as many numbers as there are inputs"):
        bo.predict(nn.Sequential(bo.nn.BernoulliLinear(6, 1), nn.Flatten(0)).eval(), torch.randn(3, 6), 2)


@pytest.mark.cpu_only
def test_lazy_layers_meet_their_input_in_the_loop():
    model = nn.Sequential(nn.LazyLinear(6), nn.ReLU(), bo.nn.BernoulliLinear(6, 3)).eval()
    with pytest.warns(UserWarning, match="lazy layers that have not met an input"):
        bo.predict(model, torch.randn(2, 4), 3)
    assert bo.predict(model, torch.randn(2, 4), 3).path == "plan"


@pytest.mark.cpu_only
def test_integers_of_numpy():
    model, counts = classifier(), [np.int64(4), np.int32(3)]
    plain, ours = (bo.predict(model, X, n, chunk_size=c) for n, c in ((4, 3), counts))
    assert torch.equal(plain.mean, ours.mean)


def test_global_generator_is_left_alone(generator_state):
    model, state = classifier(), generator_state()
    bo.predict(model, X, num_samples=3)
    assert torch.equal(generator_state(), state)


def test_an_error_of_the_model_is_the_models():
    with pytest.raises(ValueError, match="masked_linear: argument 'input'"):
        bo.predict(bo.nn.BernoulliLinear(6, 3), torch.randn(2, 5))


@pytest.mark.parametrize("name", ["lenet5", "3conv3fc", "resnet18"])
@pytest.mark.parametrize("granularity", ["weight", "in_channel"])
def test_whole_models(name, granularity, device):
    options = {"width": 8} if name == "resnet18" else {}
    model = bo.models.build(name, bayesian=True, p=0.2, granularity=granularity, **options).eval()
    with torch.device("cpu"):  # it has a generator of the CPU
        inputs = bo.models.example_input(name, 2)
    inputs = inputs.to(device)
    prediction = bo.predict(model, inputs, num_samples=4, return_samples=True)
    assert prediction.path == "plan"
    torch.testing.assert_close(prediction.samples, draws(model, inputs, 4).softmax(2), rtol=1e-4, atol=1e-5)


class ReturnsList(nn.Module):
    def forward(self, x):
        return [x]


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_samples": 0}, ValueError, "'num_samples' must be 'auto' or an int of at least 1, got 0"),
        ({"num_samples": True}, ValueError, "'num_samples' must be 'auto' or an int of at least 1, got True"),
        ({"chunk_size": 0}, ValueError, "'chunk_size' must be 'auto' or an int of at least 1"),
        ({"chunk_size": "large"}, ValueError, "'chunk_size' must be"),
        ({"link": "probit"}, ValueError, "'link' must be one of 'softmax', 'sigmoid', 'identity', 'gaussian', got"),
        ({"seed": 0.1}, TypeError, "^predict: argument 'seed' must be an int or an int64 tensor, got float"),
        ({"seed": None}, TypeError, "^predict: argument 'seed' must be an int or an int64 tensor, got None"),
        (
            {"seed": torch.arange(2)},
            ValueError,
            r"^predict: argument 'seed' must be .* of shape \[\], got shape \(2,\)",
        ),
        ({"inputs": {"images": torch.randn(2, 3)}}, TypeError, "'inputs' must be a tensor, .*, got dict"),
        ({"inputs": ()}, TypeError, "'inputs' must be a tensor, a tuple of tensors"),
        ({"model": lambda x: (x, x)}, TypeError, "'model' must be a callable that returns one tensor .*, got tuple"),
        ({"model": ReturnsList()}, TypeError, "'model' must be a callable that returns one tensor .*, got list"),
        ({"model": "m"}, TypeError, "'model' must be a Module or another callable, got str"),
        ({"model": nn.Identity}, TypeError, "'model' must be a Module or another callable, got the class Identity"),
        ({"quantiles": 0.5}, TypeError, "'quantiles' must be a sequence of numbers, got 0.5"),
        ({"quantiles": ("a",)}, TypeError, "'quantiles' must be a sequence of numbers, got 'a'"),
        ({"tolerance": "x"}, TypeError, "'tolerance' must be a number, got 'x'"),
        ({"group": 3}, TypeError, r"'group' must be a torch\.distributed\.ProcessGroup, got int"),
        (
            {"inputs": [torch.randn(2, 3)] * 2, "num_samples": "auto", "return_samples": True},
            ValueError,
            "'return_samples' must be False where num_samples is 'auto', got True for several batches",
        ),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        bo.predict(**{"model": nn.Identity(), "inputs": torch.randn(2, 3), "num_samples": 2, **options})


def test_averaged_models_are_looked_into():
    model = classifier()
    averaged = torch.optim.swa_utils.AveragedModel(model)
    images = torch.randn(2, 1, 8, 8)
    ours, expected = bo.predict(averaged, images, 3), bo.predict(averaged.module, images, 3)
    assert (ours.path, ours.mean.tolist()) == ("plan", expected.mean.tolist())


def test_a_seed_of_the_host_goes_to_the_images(device):
    model, images = classifier(), torch.randn(2, 1, 8, 8)
    ours = bo.predict(model, images, 3, seed=torch.tensor(7, device="cpu"))
    assert torch.equal(ours.mean, bo.predict(model, images, 3, seed=7).mean)
