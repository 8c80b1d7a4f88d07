"""The encoder-decoder: sizes, heads, and how it is sampled."""

import pytest
import torch
from torch import nn

import bayesops as bo
from bayesops.models import EncoderDecoder

WIDTHS = (4, 6, 8)


@pytest.mark.parametrize("size", [(16, 24), (45, 60), (37, 1), (180, 240)])
@pytest.mark.parametrize(("log_var", "channels"), [(None, None), ("each", 5), ("shared", 1)])
def test_outputs_have_the_size_of_the_image_whatever_it_is(size, log_var, channels):
    network = EncoderDecoder(2, 5, widths=WIDTHS, log_var=log_var).eval()
    output = network(torch.rand(3, 2, *size))
    if log_var is None:
        assert output.shape == (3, 5, *size)
    else:
        assert output[0].shape == (3, 5, *size)
        assert output[1].shape == (3, channels, *size)
        assert (output[1] == 0).all()  # a variance of 1 to begin with


def test_only_the_inner_scales_draw():
    network = EncoderDecoder(widths=(4, 4, 4, 4), p=0.3)
    drawing = [name for name, module in network.named_modules() if isinstance(module, bo.nn.Dropout)]
    assert drawing == ["encoder.2.2", "encoder.3.2", "decoder.0.3"]
    assert not any(isinstance(module, bo.nn.Dropout) for module in EncoderDecoder(widths=WIDTHS, p=0).modules())


@pytest.mark.parametrize("granularity", ["channel", "element"])
@pytest.mark.parametrize("log_var", [None, "each"])
def test_the_plan_draws_what_the_loop_draws(granularity, log_var):
    torch.manual_seed(0)
    network = EncoderDecoder(3, 4, widths=WIDTHS, p=0.4, granularity=granularity, log_var=log_var).eval()
    images = torch.rand(2, 3, 21, 30)
    options = {"num_samples": 5, "return_samples": True, "output": None if log_var is None else 0}
    planned = bo.predict(network, images, path="plan", **options)
    torch.testing.assert_close(planned.samples, bo.predict(network, images, path="loop", **options).samples)
    assert (planned.variance.amax((1, 2, 3)) > 0).all()


def test_mean_and_log_variance_go_to_predict_together():
    network = EncoderDecoder(1, 1, widths=WIDTHS, log_var="each").eval()
    prediction = bo.predict(network, torch.rand(2, 1, 9, 12), num_samples=3, link="gaussian", path="plan")
    torch.testing.assert_close(prediction.aleatoric_variance, torch.ones(2, 1, 9, 12))


def test_noisy_logits_are_predicted_with_a_shared_variance():
    network = nn.Sequential(EncoderDecoder(widths=WIDTHS, p=0, log_var="shared"), bo.nn.LogitNoise()).eval()
    prediction = bo.predict(network, torch.rand(1, 3, 10, 12), num_samples=4)
    assert prediction.mean.shape == (1, 11, 10, 12)
    assert (prediction.variance > 0).all()


@pytest.mark.parametrize("log_var", ["each", "shared"])
def test_every_parameter_learns(log_var):
    torch.manual_seed(0)
    network = EncoderDecoder(3, 4, widths=WIDTHS, log_var=log_var)
    images, labels = torch.rand(2, 3, 21, 30), torch.randint(4, (2, 21, 30))
    bo.losses.LogitNoiseCrossEntropy(4)(network(images), labels).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"widths": (8,)}, ValueError, "'widths' must be at least two"),
        ({"widths": (8, 0)}, ValueError, "'widths'"),
        ({"widths": (8, 16.0)}, TypeError, "'widths'"),
        ({"p": 1.0}, ValueError, "'p'"),
        ({"p": 0, "granularity": "row"}, ValueError, "'granularity'"),
        ({"log_var": True}, ValueError, "'log_var'"),
    ],
)
def test_wrong_arguments_are_named(options, error, message):
    with pytest.raises(error, match=f"EncoderDecoder: argument {message}"):
        EncoderDecoder(**options)
