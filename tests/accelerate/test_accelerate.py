"""What is replaced, what is left and listed, and that the copy is one."""

import subprocess
import sys

import pytest
import torch
from torch import nn

import bayesops as bo


def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Dropout2d(0.75), nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 5))


def test_dropout_is_kept_on():
    model = network().eval()
    fast = bo.accelerate(model)
    assert fast.replaced == {
        "1": "torch Dropout2d -> bayesops.nn.Dropout, channels, on in eval, too",
        "3": "torch Dropout -> bayesops.nn.Dropout, elements, on in eval, too",
    }
    assert fast.left == {}
    assert [type(fast.model[i]) for i in (1, 3)] == [bo.nn.Dropout] * 2
    assert (fast.model[1].p, fast.model[1].granularity) == (0.75, "channel")
    assert not fast.model.training
    image = torch.ones(4, 6, 5, 5)
    dropped = fast.model[1](image)
    assert set(dropped.unique().tolist()) <= {0.0, 4.0}
    assert (dropped == dropped[:, :, :1, :1]).all()
    prediction = torch.stack([fast.model(torch.ones(2, 1, 8, 8)) for _ in range(5)])
    assert (prediction.var(0) > 0).all()


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_dropout_of_channels_takes_what_torchs_takes(dims):
    """A single image too, where torch does: ``[C, L]`` and ``[C, D, H, W]``, but ``[N, C, L]`` for Dropout2d."""
    dropout = getattr(nn, f"Dropout{dims}d")(0.5)
    fast = bo.accelerate(dropout).model
    for shape in ((4, 32, *[3] * dims), (32, *[3] * dims)):
        with bo.sampling(seed=1):
            output = fast(torch.ones(shape))
        assert output.shape == shape
        assert set(output.unique().tolist()) == {0.0, 2.0}
        pixels = output if dims == 2 and len(shape) == 3 else output.flatten(-dims)
        assert (pixels == pixels[..., :1]).all()


def test_dropout_of_one_image_and_the_batch_of_it():
    fast, image = bo.accelerate(nn.Dropout3d(0.5)).model, torch.ones(32, 2, 2, 2)
    with bo.sampling(seed=1):
        alone = fast(image)
    with bo.sampling(seed=1):
        assert torch.equal(alone, fast(image[None])[0])


def test_dropout_can_stay():
    fast = bo.accelerate(network(), dropout=False)
    assert fast.replaced == {}
    assert fast.left == {"1": "torch Dropout2d: dropout=False", "3": "torch Dropout: dropout=False"}


class OwnDropout(nn.Dropout):
    def forward(self, input):
        return input


class DropPath(nn.Module):
    def forward(self, x):
        return x


class NoisyLinear(nn.Module):
    """As in noisy networks."""

    def __init__(self):
        super().__init__()
        self.weight_mu, self.weight_sigma = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))


class Policy(nn.Module):
    """Has a spread of its own, and layers besides."""

    def __init__(self):
        super().__init__()
        self.log_std = nn.Parameter(torch.zeros(2))
        self.dropout = nn.Dropout(0.5)


class BayesianHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(2))


class BayesianNetwork(nn.Sequential):
    """Its name alone says nothing."""


def test_all_that_is_left_is_listed():
    model = BayesianNetwork(
        nn.AlphaDropout(0.5), nn.FeatureAlphaDropout(0.5), nn.Dropout(1.0), OwnDropout(0.5), DropPath(), NoisyLinear(),
        Policy(), BayesianHead(), nn.MultiheadAttention(4, 2, dropout=0.1), nn.LSTM(2, 2, num_layers=2, dropout=0.1),
        nn.TransformerEncoderLayer(4, 2), nn.LSTM(2, 2), nn.MultiheadAttention(4, 2), nn.BatchNorm2d(3),
    )  # fmt: skip
    fast = bo.accelerate(model)
    assert fast.replaced == {"6.dropout": "torch Dropout -> bayesops.nn.Dropout, elements, on in eval, too"}
    expected = {
        "0": "torch AlphaDropout: keeps the statistics",
        "1": "torch FeatureAlphaDropout: keeps the statistics",
        "2": "torch Dropout: p = 1.0 drops everything",
        "3": "OwnDropout is a subclass of torch's dropout",
        "4": "DropPath: looks as if it drew",
        "5": "NoisyLinear: has a parameter weight_sigma",
        "6": "Policy: has a parameter log_std",
        "7": "BayesianHead: looks as if it drew",
        "8": "torch MultiheadAttention: its dropout is a number",
        "9": "torch LSTM: its dropout is a number",
        "10": "torch TransformerEncoderLayer: its fast path",
    }
    assert list(fast.left) == list(expected)
    for name, beginning in expected.items():
        assert fast.left[name].startswith(beginning)


def test_peers_layers_that_are_left(tools):
    layers = tools.package("bayesian_torch.layers")
    quantised = layers.LinearReparameterization(3, 2)
    quantised.prepare()
    model = nn.ModuleDict({
        "transposed": layers.ConvTranspose2dFlipout(1, 2, 3),
        "lstm": layers.LSTMReparameterization(3, 2),
        "quantised": quantised,
        "dropout": layers.Dropout(0.5),
        "taken": layers.LinearFlipout(3, 2),
    })  # fmt: skip
    fast = bo.accelerate(model)
    assert list(fast.replaced) == ["taken"]
    assert fast.left == {
        "transposed": "bayesian-torch ConvTranspose2dFlipout: transposed",
        "lstm": "bayesian-torch LSTMReparameterization: recurrent",
        "quantised": "bayesian-torch LinearReparameterization: prepared for quantisation",
        "dropout": "bayesian-torch Dropout: takes and returns (output, KL); use torch's",
    }


def test_torchbnn_and_blitz_layers_that_are_left(tools):
    modules, torchbnn = tools.package("blitz.modules"), tools.package("torchbnn")
    flipout = tools.package("blitz.utils.layer_wrappers").Flipout(modules.BayesianLinear)

    class Own(torchbnn.BayesLinear):
        pass

    model = nn.ModuleDict({
        "lstm": modules.BayesianLSTM(3, 2),
        "embedding": modules.BayesianEmbedding(3, 2),
        "flipout": flipout(3, 2),
        "norm": torchbnn.modules.BayesBatchNorm2d(0, 0.1, 3),
        "own": Own(0, 0.1, 3, 2),
    })  # fmt: skip
    fast = bo.accelerate(model)
    assert fast.replaced == {}
    assert fast.left == {
        "lstm": "blitz BayesianLSTM: recurrent",
        "embedding": "blitz BayesianEmbedding: no operator draws rows of a table",
        "flipout": "blitz Flipout: Flipout is a subclass of BayesianLinear, and may compute something else",
        "norm": "torchbnn BayesBatchNorm2d: its weights are drawn for each batch, which no operator here does",
        "own": "torchbnn Own: Own is a subclass of BayesLinear, and may compute something else",
    }


def test_bayesian_cnn_layers_that_are_left(tools):
    kind = tools.BBB["outputs"].Linear

    class Own(kind):
        pass

    other = kind(3, 2)
    del other.W_rho
    assert bo.accelerate(Own(3, 2)).left[""].startswith("Own is a subclass of PyTorch-BayesianCNN's BBBLinear")
    assert bo.accelerate(other).left == {"": "BBBLinear is not as in PyTorch-BayesianCNN: it has no parameter W_rho"}


def test_a_parametrised_layer_is_left(tools):
    layer = tools.BBB["outputs"].Linear(3, 2)
    nn.utils.parametrize.register_parametrization(layer, "W_mu", nn.Identity())
    assert "is a subclass of" in bo.accelerate(layer).left[""]


def test_our_own_layers_stay_and_are_not_listed():
    model = nn.Sequential(bo.nn.GaussianLinear(3, 2), bo.nn.Dropout(0.5))
    again = bo.accelerate(bo.accelerate(nn.Sequential(*model, nn.Dropout(0.1))).model)
    assert again.replaced == again.left == {}


class Shared(nn.Module):
    """One layer in two places, and in a plain list as well; an attribute that is no module."""

    def __init__(self, layer):
        super().__init__()
        self.first = self.second = layer
        self.order = [layer, layer]
        self.settings = {"steps": [1, 2]}

    def forward(self, x):
        for layer in self.order:
            x = layer(x)
        return x


def test_layers_in_several_places_stay_one(tools):
    layer = tools.BBB["outputs"].Linear(3, 3)
    model = Shared(layer)
    fast = bo.accelerate(model)
    assert list(fast.replaced) == ["first", "second"]
    copied = fast.model
    assert copied.first is copied.second
    assert copied.order[0] is copied.order[1] is copied.first
    assert copied.first is not layer
    assert copied.settings == model.settings
    assert copied.settings is not model.settings
    with bo.sampling(seed=1):
        assert copied(torch.randn(2, 3)).shape == (2, 3)


def test_hooks_come_along(tools):
    layer, calls = tools.BBB["outputs"].Linear(3, 3), []
    layer.register_forward_hook(lambda module, args, output: calls.append(type(module).__name__))
    bo.accelerate(layer).model(torch.randn(2, 3))
    assert calls == ["AcceleratedBBBLinear"]


def test_repr(tools):
    layers = tools.BBB["weights"]
    model = nn.ModuleDict({"conv": layers.Conv2d(1, 2, 3), "drop": nn.Dropout(1.0)})
    assert repr(bo.accelerate(model)) == (
        "Accelerated(ModuleDict: 1 replaced, 1 left)\n"
        "  replaced:\n"
        "    conv  PyTorch-BayesianCNN BBBConv2d -> bayesops.ops.sampled_conv2d (weight sampling)\n"
        "  left:\n"
        "    drop  torch Dropout: p = 1.0 drops everything, where ours takes p below 1"
    )
    assert repr(bo.accelerate(nn.Linear(2, 2))) == "Accelerated(Linear: 0 replaced, 0 left)"
    alone = bo.accelerate(layers.Linear(2, 2))
    assert "    (the model)  PyTorch-BayesianCNN BBBLinear" in repr(alone)
    alone.model.stream = 3
    assert repr(alone.model) == "AcceleratedBBBLinear(stream=3)"


def test_result_unpacks():
    model, replaced, left = bo.accelerate(network())
    assert isinstance(model, nn.Sequential)
    assert (len(replaced), len(left)) == (2, 0)


def test_the_peers_need_not_be_there():
    """Nothing of ours imports them."""
    code = "import sys, bayesops; print([m for m in sys.modules if m.split('.')[0] in %r])"
    peers = ["bayesian_torch", "blitz", "torchbnn"]
    printed = subprocess.run([sys.executable, "-c", code % peers], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"


def test_only_modules():
    with pytest.raises(TypeError, match=r"accelerate: argument 'model' must be a torch.nn.Module, got function"):
        bo.accelerate(lambda x: x)
