"""Small networks of the field, deterministic or Bayesian: for the studies, the benchmarks, the demo and the tests."""

from bayesops.models.build import MODELS, build, example_input
from bayesops.models.lenet import LeNet5
from bayesops.models.resnet import ResNet18
from bayesops.models.three_conv_three_fc import ThreeConvThreeFC

__all__ = ["MODELS", "LeNet5", "ResNet18", "ThreeConvThreeFC", "build", "example_input"]
