"""Small networks of the field, deterministic or Bayesian: for the studies, the benchmarks, the demo and the tests."""

from bayesops.models.alexnet import AlexNet
from bayesops.models.build import MODELS, build, example_input
from bayesops.models.encoder_decoder import EncoderDecoder
from bayesops.models.lenet import LeNet5
from bayesops.models.mlp import MLP
from bayesops.models.one_conv_one_fc import OneConvOneFC
from bayesops.models.resnet import ResNet18
from bayesops.models.three_conv_three_fc import ThreeConvThreeFC
from bayesops.models.two_conv_one_fc import TwoConvOneFC

__all__ = [
    "MLP",
    "MODELS",
    "AlexNet",
    "EncoderDecoder",
    "LeNet5",
    "OneConvOneFC",
    "ResNet18",
    "ThreeConvThreeFC",
    "TwoConvOneFC",
    "build",
    "example_input",
]
