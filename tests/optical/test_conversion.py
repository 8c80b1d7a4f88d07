"""A network with optical convolutions: the parameters and the masks of the electronic one, on every path of predict."""

import pytest
import torch
from torch import nn

import bayesops as bo

IMAGES = torch.rand(4, 1, 10, 10, generator=torch.Generator().manual_seed(1))
FAULTS = {"input_bits": 6, "kernel_bits": 6, "detection": "intensity", "sign": "split", "readout_noise": 0.01}


def network(**options):
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),
        bo.nn.BernoulliConv2d(4, 6, 3, padding=1, p=0.3, **options), nn.ReLU(), nn.MaxPool2d(2),
        bo.nn.Dropout(0.2), nn.Flatten(), bo.nn.BernoulliLinear(96, 5, p=0.3),
    ).eval()  # fmt: skip


def draws(model, path="auto", chunk_size=3):
    return bo.predict(model, IMAGES, 8, seed=3, path=path, chunk_size=chunk_size, return_samples=True).samples


@pytest.mark.parametrize("granularity", ["weight", "kernel", "channel"])
def test_ideal_optics_predict_what_the_electronic_network_predicts(granularity):
    model = network(granularity=granularity, rescale=False)
    expected = draws(model)
    torch.testing.assert_close(draws(bo.optical.convert(model)), expected, rtol=1e-4, atol=1e-5)
    optical = bo.optical.convert(model, detection="intensity", sign="split")
    torch.testing.assert_close(draws(optical), expected, rtol=1e-4, atol=1e-5)
    assert expected.var(0).min() > 0


def test_every_path_of_prediction_makes_the_same_draws():
    optical = bo.optical.convert(network(), **FAULTS, readout_bits=8)
    plan = draws(optical, "plan")
    assert bo.predict(optical, IMAGES, 4).path == "plan"
    for path, chunk_size in (("vmap", 5), ("loop", 8), ("plan", 8)):
        torch.testing.assert_close(draws(optical, path, chunk_size), plan, rtol=1e-4, atol=1e-5)
    assert (plan - draws(network())).abs().max() > 1e-3


def test_noise_alone_spreads_the_predictions_of_a_plain_network():
    plain = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.Flatten(), nn.Linear(72, 5)).eval()
    optical = bo.optical.convert(plain, readout_noise=0.02)
    assert [optical[0].stream, optical[2].stream] == [2**32 - 1, 2**32 - 2]
    samples = draws(optical)
    assert samples.var(0).min() > 0
    torch.testing.assert_close(draws(bo.optical.convert(plain))[0], plain(IMAGES).softmax(1), rtol=1e-4, atol=1e-5)


def test_noise_of_layers_that_were_plain_leaves_masks_as_they_are():
    model = network()
    optical = bo.optical.convert(model, readout_noise=1e-7)
    torch.testing.assert_close(draws(optical), draws(model), rtol=1e-3, atol=1e-4)


def test_parameters_and_buffers_are_shared_and_the_model_stays():
    model = network()
    optical = bo.optical.convert(model, **FAULTS)
    assert [type(layer) for layer in model][:4:3] == [nn.Conv2d, bo.nn.BernoulliConv2d]
    assert [type(layer) for layer in optical][:4:3] == [bo.optical.FourierConv2d] * 2
    ours, theirs = (dict([*m.named_parameters(), *m.named_buffers()]) for m in (optical, model))
    assert list(ours) == list(theirs)
    assert all(ours[name] is theirs[name] for name in ours)
    assert optical[3].extra_repr().endswith("sign='split', input_bits=6, kernel_bits=6, readout_noise=0.01")
    assert not optical[3].training


def test_options_of_layers_are_kept():
    layer = bo.nn.BernoulliConv2d(2, 4, 3, 2, 1, 2, 2, False, "circular", p=0.1, granularity="kernel", rescale=False)
    layer.stream = 5
    optical = bo.optical.convert(layer.freeze_noise(7))
    assert optical.extra_repr() == layer.extra_repr() + ", detection='complex'"
    input = torch.randn(2, 2, 7, 7)
    torch.testing.assert_close(optical(input), layer(input))
    torch.testing.assert_close(bo.optical.convert(layer.use_mean())(input), layer(input))


def test_where_and_what_is_left_alone():
    class Own(nn.Conv2d):
        pass

    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1), Own(1, 1, 1), nn.Conv2d(1, 1, 1))
    model[3].register_forward_hook(lambda *_: None)
    kinds = [type(layer) for layer in bo.optical.convert(model, where=lambda name, layer: name != "0")]
    assert kinds == [nn.Conv2d, bo.optical.FourierConv2d, Own, nn.Conv2d]


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (nn.Conv2d, {"0", "3"}),
        (bo.nn.BernoulliConv2d, {"1"}),
        ([nn.Linear, "1", "3"], {"1", "3"}),
        ("last", {"3"}),
        ("0", {"0"}),
        ([], set()),
    ],
)
def test_where_may_be_what_it_may_be_for_the_other_conversion(where, names):
    model = nn.Sequential(nn.Conv2d(1, 1, 1), bo.nn.BernoulliConv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 1))
    optical = bo.optical.convert(model, where=where)
    assert {name for name, layer in optical.named_children() if isinstance(layer, bo.optical.FourierConv2d)} == names


def test_every_way_to_a_layer_leads_to_the_optical_one():
    """A plain list, too, by which forward may reach it."""
    model = nn.Module()
    model.heads = [nn.Conv2d(1, 1, 3)]
    model.add_module("head", model.heads[0])
    optical = bo.optical.convert(model)
    assert isinstance(optical.head, bo.optical.FourierConv2d)
    assert optical.heads[0] is optical.head
    assert optical.head.weight is model.head.weight


def test_a_layer_in_two_places_stays_one():
    layer = nn.Conv2d(1, 1, 3, padding=1)
    optical = bo.optical.convert(nn.Sequential(layer, nn.ReLU(), layer))
    assert optical[0] is optical[2]


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        (
            nn.Linear(2, 2),
            {},
            ValueError,
            "optical.convert: argument 'model' must be one with Conv2d or BernoulliConv2d",
        ),
        (len, {}, TypeError, "optical.convert: argument 'model' must be a Module, got builtin_function_or_method"),
        (
            nn.Conv2d(1, 1, 1),
            {"where": 5},
            TypeError,
            "optical.convert: argument 'where' must be a predicate, names or types, got int",
        ),
        (
            nn.Conv2d(1, 1, 1),
            {"where": "0"},
            ValueError,
            "optical.convert: argument 'where' must be names of modules of the model, got '0'",
        ),
        (
            nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU()),
            {"where": "1"},
            ValueError,
            r"optical.convert: argument 'where' must be names of layers to convert \(Conv2d, BernoulliConv2d\)",
        ),
        (
            nn.Conv2d(1, 1, 1),
            {"kernel_bits": 0},
            ValueError,
            "FourierConv2d: argument 'kernel_bits' must be in 1 to 32",
        ),
    ],
)
def test_errors(model, options, error, message):
    with pytest.raises(error, match=f"^{message}"):
        bo.optical.convert(model, **options)
