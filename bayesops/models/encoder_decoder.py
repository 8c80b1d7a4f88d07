"""A small encoder-decoder for dense prediction: an answer, and what it leaves open, for each pixel."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from bayesops._arguments import check_choice, check_probability, wrong_type, wrong_value
from bayesops.nn import Dropout
from bayesops.ops.dropout import GRANULARITIES

HEADS = (None, "each", "shared")


class EncoderDecoder(nn.Module):
    """Halve the resolution step by step, and come back by way of shortcuts; the inner scales drop channels.

    For images ``[N, C, H, W]`` of any size: a side that cannot be halved is rounded up, and on the way back maps are
    interpolated to the size of their shortcut. `bayesops.predict` runs what lies before the first dropout once for all
    draws.

    Parameters
    ----------
    in_channels : int
        C of the images.
    out_channels : int
        Classes, or quantities of a regression.
    widths : sequence of int
        Channels of each scale. The first has half of the image's resolution, every further one half of that before.
    p : float
        Of the dropout after the two innermost scales of the encoder and the innermost of the decoder, which stays on
        at prediction. 0 makes a deterministic network.
    granularity : {"channel", "element"}
        What is dropped.
    log_var : {None, "each", "shared"}
        Whether there is a second output, the log variance: one for each channel of the first, or one for all.

    Raises
    ------
    ValueError
        Fewer than two widths, one below 1; p outside [0, 1); an unknown granularity or `log_var`.
    TypeError
        A width or p that is no number.

    Notes
    -----
    Output: ``[N, out_channels, H, W]``; with `log_var` a pair of it and ``[N, out_channels, H, W]`` (``"each"``) or
    ``[N, 1, H, W]`` (``"shared"``), as `bayesops.losses.LogitNoiseCrossEntropy`, `gaussian_nll` and `laplace_nll` take
    it. The log variance begins at 0 everywhere. Both are computed at half of the resolution and interpolated.

    Where to drop: Kendall, Badrinarayanan and Cipolla, "Bayesian SegNet", BMVC 2017. Shortcuts that are added:
    Chaurasia and Culurciello, "LinkNet", VCIP 2017. The two outputs: Kendall and Gal, "What uncertainties do we need in
    Bayesian deep learning for computer vision?", NIPS 2017.

    Examples
    --------
    >>> network = bo.models.EncoderDecoder(3, 11, log_var="each")
    >>> logits, log_var = network(torch.rand(1, 3, 180, 240))
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 11,
        *,
        widths: Sequence[int] = (32, 64, 96, 128),
        p: float = 0.2,
        granularity: str = "channel",
        log_var: str | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        widths = tuple(widths)
        if not all(isinstance(width, int) for width in widths):
            wrong_type(name, "widths", "ints", widths)
        if len(widths) < 2 or min(widths) < 1:
            wrong_value(name, "widths", "at least two ints of at least 1", widths)
        check_choice(name, "log_var", log_var, HEADS)
        check_choice(name, "granularity", granularity, GRANULARITIES)
        check_probability(name, p)

        def dropout(inner: bool) -> nn.Module:
            return Dropout(p, granularity) if inner and p > 0 else nn.Identity()

        scales = len(widths)
        self.encoder = nn.ModuleList(
            nn.Sequential(_step(before, width, stride=2), _step(width, width), dropout(scale >= scales - 2))
            for scale, (before, width) in enumerate(zip((in_channels, *widths), widths, strict=False))
        )
        # From the innermost outwards: what narrows the coarser maps, and what follows their sum with the shortcut.
        outwards = widths[::-1]
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1, bias=False) for coarse, fine in pairwise(outwards))
        self.decoder = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), _step(width, width), dropout(number == 0))
            for number, width in enumerate(outwards[1:])
        )
        self.answer = nn.Conv2d(widths[0], out_channels, 1)
        self.log_var: nn.Module | None = None
        if log_var is not None:
            self.log_var = nn.Conv2d(widths[0], out_channels if log_var == "each" else 1, 1)
            for parameter in self.log_var.parameters():
                nn.init.zeros_(parameter)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the answer for each pixel, and, where there is that head, its log variance."""
        shortcuts = []
        maps = images
        for scale in self.encoder:
            maps = scale(maps)
            shortcuts.append(maps)
        finer = shortcuts[-2::-1]
        for narrow, step, shortcut in zip(self.narrow, self.decoder, finer, strict=True):
            maps = step(_resized(narrow(maps), shortcut) + shortcut)
        answer = _resized(self.answer(maps), images)
        return answer if self.log_var is None else (answer, _resized(self.log_var(maps), images))


def _step(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def _resized(maps: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=False)
