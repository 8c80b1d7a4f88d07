"""Networks of the field: their shapes and sizes, by name and by class, deterministic and Bayesian."""

import pytest
import torch
from torch import nn

import bayesops as bo
from bayesops.cli import main

# Parameters as the sources have them: weights and biases, layer by layer.
SIZES = {
    "lenet5": 156 + 2416 + 48120 + 10164 + 850,
    "3conv3fc": 2432 + 51264 + 204928 + 513000 + 1001000 + 10010,
    "alexnet": 23296 + 307392 + 663936 + 884992 + 295040 + 1290,
    "mlp": 314000 + 160400 + 4010,
    "1conv1fc": 208 + 1290,
    "2conv1fc": 416 + 12832 + 15690,
}


@pytest.mark.parametrize("name", SIZES)
def test_parameters_are_those_of_the_source(name):
    assert sum(parameter.numel() for parameter in bo.models.build(name).parameters()) == SIZES[name]


@pytest.mark.parametrize("name", bo.models.MODELS)
def test_a_name_gives_a_model_and_an_input_that_fits(name):
    model, images = bo.models.build(name).eval(), bo.models.example_input(name, 2, seed=3)
    assert model(images).shape == (2, 10)
    assert torch.equal(images, bo.models.example_input(name, 2, seed=3))
    assert not torch.equal(images, bo.models.example_input(name, 2, seed=4))


@pytest.mark.cuda
def test_an_input_is_the_same_on_the_default_device():
    with torch.device("cuda"):
        images = bo.models.example_input("lenet5")
    assert images.is_cuda
    assert torch.equal(images.cpu(), bo.models.example_input("lenet5"))


@pytest.mark.parametrize("posterior", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("name", SIZES)
def test_every_layer_with_weights_becomes_bayesian(name, posterior):
    plain = bo.models.build(name)
    model = bo.models.build(name, bayesian=True, posterior=posterior).eval()
    family = bo.nn.BernoulliLinear, bo.nn.BernoulliConv2d, bo.nn.GaussianLinear, bo.nn.GaussianConv2d
    bayesian = [layer for layer in model.modules() if isinstance(layer, family)]
    assert len(bayesian) == sum(isinstance(layer, (nn.Conv2d, nn.Linear)) for layer in plain.modules()) > 0
    prediction = bo.predict(model, bo.models.example_input(name, 2), num_samples=3)
    assert prediction.path == "plan"
    assert prediction.mean.shape == (2, 10)
    assert prediction.variance.max() > 0


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (bo.models.LeNet5(3, 7, image_size=32), (3, 32, 32)),
        (bo.models.AlexNet(1, 7), (1, 32, 32)),
        (bo.models.MLP(12, 7, hidden=()), (3, 2, 2)),
        (bo.models.OneConvOneFC(3, 7), (3, 28, 28)),
        (bo.models.TwoConvOneFC(3, 7, channels=(4, 5)), (3, 28, 28)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_channels_classes_and_widths_can_be_chosen(model, shape):
    assert model(torch.randn(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize(
    ("name", "default"), [("lenet5", nn.ReLU), ("3conv3fc", nn.Softplus), ("alexnet", nn.Softplus), ("mlp", nn.ReLU)]
)
def test_the_activation_can_be_chosen(name, default):
    for activation, options in ((default, {}), (nn.Tanh, {"activation": nn.Tanh})):
        kinds = [type(layer) for layer in bo.models.build(name, **options)]
        layers = sum(kind in (nn.Conv2d, nn.Linear) for kind in kinds)
        assert kinds.count(activation) == layers - 1  # behind all but the last


def test_an_mlp_has_the_widths_that_are_asked_for():
    widths = [layer.out_features for layer in bo.models.MLP(6, 2, hidden=(5, 4, 3)) if isinstance(layer, nn.Linear)]
    assert widths == [5, 4, 3, 2]


def test_kernels_of_two_convolutions_are_masked_whole():
    model = bo.models.build("2conv1fc", bayesian=True, granularity="kernel", p=0.4, where=nn.Conv2d)
    masked = [layer for layer in model if isinstance(layer, bo.nn.BernoulliConv2d)]
    assert [(layer.granularity, layer.p) for layer in masked] == [("kernel", 0.4)] * 2
    assert type(model[-1]) is nn.Linear


@pytest.mark.parametrize("size", [27, 30, 36, "a"])
def test_lenet_takes_images_of_two_sizes(size):
    with pytest.raises(ValueError, match="LeNet5: argument 'image_size' must be one of 28, 32, got"):
        bo.models.LeNet5(image_size=size)


def test_an_unknown_name_is_refused():
    with pytest.raises(
        ValueError, match=r"models\.example_input: argument 'name' must be one of 'lenet5', .*got 'vgg'"
    ):
        bo.models.example_input("vgg")
    with pytest.raises(ValueError, match=r"models\.build: argument 'name' must be one of 'lenet5', .*, got 'vgg'"):
        bo.models.build("vgg")


@pytest.mark.parametrize("option", [{"p": 0.1}, {"where": nn.Linear}, {"posterior": "gaussian"}])
def test_options_without_effect_are_refused(option):
    (name,) = option
    with pytest.raises(ValueError, match=rf"models\.build: argument '{name}' must be left out where bayesian=False"):
        bo.models.build("mlp", **option)
    assert isinstance(bo.models.build("mlp", bayesian=True, **option), bo.models.MLP)


def test_the_command_names_every_model(capsys):
    with pytest.raises(SystemExit):
        main(["profile", "--help"])
    said = capsys.readouterr().out
    assert [name for name in bo.models.MODELS if name not in said] == []
