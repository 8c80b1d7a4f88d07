"""The regularisation of dropout: by hand, against the expectation over drawn masks, and what counts."""

import pytest
import torch
from torch import nn

import bayesops as bo
from bayesops.losses import dropout_regularisation


def squares(parameter):
    return parameter.detach().double().square().sum()


def network(**options):
    return nn.Sequential(
        bo.nn.BernoulliConv2d(1, 4, 3, p=0.2, **options), nn.ReLU(), nn.Flatten(),
        nn.Linear(64, 8), bo.nn.BernoulliLinear(8, 3, p=0.5, **options),
    )  # fmt: skip


def test_by_hand():
    """(1 − p) / 2N · ‖θ‖², by each layer's p; the plain layer does not count."""
    model = network(rescale=False)
    expected = (0.8 * squares(model[0].weight) + 0.5 * squares(model[4].weight)) / 200
    torch.testing.assert_close(dropout_regularisation(model, 100), expected.float())


def test_what_rescaling_divides_by_belongs_to_the_weights():
    plain, rescaled = network(rescale=False), network()
    with torch.no_grad():
        for ours, theirs in ((plain[0], rescaled[0]), (plain[4], rescaled[4])):
            ours.weight.copy_(theirs.weight / (1 - ours.p))  # the same distribution of weights
    torch.testing.assert_close(dropout_regularisation(plain, 100), dropout_regularisation(rescaled, 100))
    expected = (squares(rescaled[0].weight) / 0.8 + squares(rescaled[4].weight) / 0.5) / 200
    torch.testing.assert_close(dropout_regularisation(rescaled, 100), expected.float())


@pytest.mark.parametrize("granularity", ["weight", "kernel", "in_channel", "out_channel", "channel"])
@pytest.mark.parametrize("rescale", [True, False])
def test_it_is_the_expected_log_prior_of_the_drawn_weights(granularity, rescale):
    """E_q[l² ‖w‖² / 2] from 20000 drawn weights, which a linear layer shows where its input is the identity.

    The standard error of the estimate is below 1 % of it.
    """
    layer = bo.nn.BernoulliLinear(6, 5, bias=False, p=0.3, granularity=granularity, rescale=rescale)
    seeds = bo.random.sample_seeds(1, 20_000)
    drawn = bo.ops.masked_linear(
        torch.eye(6), layer.weight.detach(), p=0.3, seed=seeds, granularity=granularity, rescale=rescale
    )
    expected = (1.5**2 * drawn.square().sum((1, 2)) / 2).mean() / 50
    torch.testing.assert_close(
        dropout_regularisation(layer, 50, length_scale=1.5).detach(), expected, rtol=0.03, atol=0
    )


def test_length_scale_precision_and_number_of_data():
    model = network()
    term = dropout_regularisation(model, 1)
    torch.testing.assert_close(dropout_regularisation(model, 40, length_scale=3.0, precision=2.0), term * 9 / 80)


def test_biases_and_plain_layers_count_on_request():
    model = network()
    conv, linear, head = model[0], model[3], model[4]
    weights = squares(conv.weight) / 0.8 + squares(head.weight) / 0.5
    biases = squares(conv.bias) + squares(head.bias)
    torch.testing.assert_close(dropout_regularisation(model, 1, biases=True), ((weights + biases) / 2).float())
    for plain_p in (0.1, {"3": 0.1}):
        expected = weights + squares(linear.weight) / 0.9
        torch.testing.assert_close(dropout_regularisation(model, 1, plain_p=plain_p), (expected / 2).float())
    expected = weights + squares(linear.weight) + biases + squares(linear.bias)
    torch.testing.assert_close(dropout_regularisation(model, 1, plain_p=0, biases=True), (expected / 2).float())
    torch.testing.assert_close(dropout_regularisation(model, 1, plain_p={}), (weights / 2).float())


def test_gradient():
    model = network()
    dropout_regularisation(model, 10).backward()
    torch.testing.assert_close(model[0].weight.grad, model[0].weight.detach() / 0.8 / 10)
    torch.testing.assert_close(model[4].weight.grad, model[4].weight.detach() / 0.5 / 10)
    assert model[0].bias.grad is None
    assert model[3].weight.grad is None


def test_a_converted_model_is_regularised_as_one_that_was_built():
    model = bo.convert(bo.models.LeNet5(), p=0.1)
    weights = [parameter for name, parameter in model.named_parameters() if name.endswith("weight")]
    assert len(weights) == 5
    expected = sum(map(squares, weights)) / 0.9 / 2000
    torch.testing.assert_close(dropout_regularisation(model, 1000), expected.float())
    head = bo.convert(bo.models.LeNet5(), p=0.1, where="last")
    last = list(head.parameters())[-2]
    torch.testing.assert_close(dropout_regularisation(head, 1000), (squares(last) / 0.9 / 2000).float())


@pytest.mark.parametrize("accelerated", [False, True])
def test_dropout_of_activations_is_told_by_name(accelerated):
    """As Gal and Ghahramani have it: p of the layer's inputs, weights of the layer behind."""
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(0.25), nn.Linear(8, 3))
    layers = model[0], model[3]
    if accelerated:
        model = bo.accelerate(model).model
        assert isinstance(model[2], bo.nn.Dropout)
    expected = (squares(layers[0].weight) + squares(layers[1].weight) / 0.75) / 20
    torch.testing.assert_close(dropout_regularisation(model, 10, plain_p={"0": 0, "3": 0.25}), expected.float())


def test_a_layer_in_two_places_counts_once():
    layer, plain = bo.nn.BernoulliLinear(4, 4, p=0.5), nn.Linear(4, 4)
    model = nn.Sequential(layer, plain, layer, plain)
    expected = (squares(layer.weight) / 0.5 + squares(plain.weight)) / 2
    torch.testing.assert_close(dropout_regularisation(model, 1, plain_p={"1": 0, "3": 0}), expected.float())
    torch.testing.assert_close(dropout_regularisation(model, 1, plain_p=0.0), expected.float())


def test_half_precision_is_summed_in_float32():
    layer = bo.nn.BernoulliLinear(300, 300, p=0.5, rescale=False, dtype=torch.bfloat16)
    term = dropout_regularisation(layer, 1)
    assert term.dtype == torch.float32
    torch.testing.assert_close(term, (squares(layer.weight) / 4).float())
    assert dropout_regularisation(layer.double(), 1).dtype == torch.float64


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, {"model": nn.Linear(2, 2)}, "'model' must be one with Bernoulli layers .*'plain_p', got Linear"),
        (ValueError, {"model": bo.nn.GaussianLinear(2, 2), "plain_p": 0.5}, "'model' must be .*got GaussianLinear"),
        (ValueError, {"num_data": 0}, "'num_data' must be an int of at least 1, got 0"),
        (TypeError, {"num_data": 0.5}, "'num_data' must be an int of at least 1, got 0.5"),
        (ValueError, {"length_scale": 0.0}, "'length_scale' must be above 0, got 0.0"),
        (ValueError, {"precision": -1.0}, "'precision' must be above 0, got -1.0"),
        (TypeError, {"model": "m"}, r"'model' must be a torch\.nn\.Module, got str"),
        (TypeError, {"precision": "a"}, "'precision' must be a number, got str"),
        (TypeError, {"length_scale": None}, "'length_scale' must be a number, got NoneType"),
        (ValueError, {"plain_p": 1.0}, r"'plain_p' must be in \[0, 1\), .*got 1.0"),
        (TypeError, {"plain_p": {"3": None}}, "'plain_p' must be a number .*got NoneType"),
        (TypeError, {"plain_p": "3"}, "'plain_p' must be a number .*got str"),
        (ValueError, {"plain_p": {"9": 0.5}}, "'plain_p' must be by names of convolutions .*got '9'"),
        (ValueError, {"plain_p": {"1": 0.5}}, "'plain_p' must be by names .*got '1', which is a ReLU"),
        (ValueError, {"plain_p": {"4": 0.5}}, "'plain_p' must be by names .*got '4', which is a BernoulliLinear"),
    ],
)  # fmt: skip
def test_errors(error, arguments, message):
    with pytest.raises(error, match=f"dropout_regularisation: argument {message}"):
        dropout_regularisation(**({"model": network(), "num_data": 10} | arguments))
