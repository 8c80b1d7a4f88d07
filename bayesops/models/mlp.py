"""A network of linear layers."""

from collections.abc import Callable, Sequence

from torch import nn


class MLP(nn.Sequential):
    """Linear layers with an activation between them: ``[N, *]`` to ``[N, classes]``.

    By default 784-400-400-10, the network of Blundell et al., "Weight uncertainty in neural networks", ICML 2015,
    section 5.1, for images ``[N, 1, 28, 28]``, which are flattened.

    Parameters
    ----------
    in_features : int
        Elements of one input.
    num_classes : int
        Length of the output.
    hidden : sequence of int
        Widths of the layers between.
    activation : callable
        Makes the activation.
    """

    def __init__(
        self,
        in_features: int = 28 * 28,
        num_classes: int = 10,
        hidden: Sequence[int] = (400, 400),
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        for width in hidden:
            layers += [nn.Linear(in_features, width), activation()]
            in_features = width
        super().__init__(*layers, nn.Linear(in_features, num_classes))
