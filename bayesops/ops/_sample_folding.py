"""How convolutions with a weight for each sample (or example) become one convolution of the library's own.

A draw is an output-channel block where the images are shared, and a group of the convolution where they are not: with
one weight for several samples of shared images, the samples' output channels stand side by side within each group:
``[N, I, *]`` with ``[g S O/g, I/g, *]`` gives ``[N, g S O/g, *]``. With images or examples of their own, each draw is
``g`` groups. The forms of tensors are those of `_sample_convolution`.

Samples keep their memory format, and with it weights, images and gradients have the same one: where two differ, the
library brings one of them into the other's before it convolves. (Examples with weights of their own are in none.)
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from bayesops.ops._layout import is_channels_last


class Folding(NamedTuple):
    """How the samples and examples of one call stand in the channels and groups of the one convolution."""

    spatial: int
    groups: int
    draws: int  # weights, of samples and examples
    sampled: bool  # there is a sample axis
    per_sample: bool  # the input has it, too
    per_example: bool

    @classmethod
    def of(
        cls, input_size: Sequence[int], weights_size: Sequence[int], spatial: int, groups: int, per_example: bool
    ) -> "Folding":
        lead = weights_size[: len(weights_size) - spatial - 2]
        sampled, per_sample = len(lead) > per_example, len(input_size) == spatial + 3
        return cls(spatial, groups, math.prod(lead), sampled, per_sample, per_example)

    @property
    def is_wide(self) -> bool:
        return self.sampled and not self.per_sample and not self.per_example

    @property
    def all_groups(self) -> int:
        return self.groups if self.is_wide else self.groups * self.draws

    def images(self, input: Tensor) -> Tensor:
        if self.per_example:
            if self.sampled and not self.per_sample:
                input = input.expand(self.draws // input.shape[0], *input.shape)
            return input.reshape(1, -1, *input.shape[-self.spatial :])
        return _side_by_side(input, 1, self.spatial) if self.per_sample else input

    def images_size(self, input_size: Sequence[int]) -> list[int]:
        *examples, channels = input_size[: -self.spatial]
        image = input_size[-self.spatial :]
        if self.per_example:
            return [1, self.draws * channels, *image]
        return [examples[-1], (examples[0] if self.per_sample else 1) * channels, *image]

    def kernels(self, weights: Tensor) -> Tensor:
        if not self.is_wide:
            return weights.flatten(0, weights.dim() - self.spatial - 2)
        grouped = weights.unflatten(1, (self.groups, -1)).transpose(0, 1)  # g S O/g I/g *
        if is_channels_last(weights, self.spatial):
            return grouped.movedim(3, -1).flatten(0, 2).movedim(-1, 1)
        return grouped.flatten(0, 2)

    def kernels_size(self, weights_size: Sequence[int]) -> list[int]:
        return [math.prod(weights_size[: -self.spatial - 1]), *weights_size[-self.spatial - 1 :]]

    def output(self, output: Tensor) -> Tensor:
        """Bring an output ``[S, N, O, *]`` into the form of the one convolution's output."""
        if self.per_example:
            return output.reshape(1, -1, *output.shape[-self.spatial :])
        if not self.sampled:
            return output
        return _side_by_side(output, self.groups if self.is_wide else 1, self.spatial)

    def unfold_output(self, folded: Tensor, samples: int, examples: int) -> Tensor:
        """Bring the one convolution's output into the form ``[S or 1, N, groups, O / groups, *]``, as a view."""
        if self.per_example:
            return folded.unflatten(1, (samples, examples, self.groups, -1)).squeeze(0)
        if not self.sampled:
            return folded.unflatten(1, (self.groups, -1)).unsqueeze(0)
        if self.per_sample:
            return folded.unflatten(1, (samples, self.groups, -1)).transpose(0, 1)
        return folded.unflatten(1, (self.groups, samples, -1)).movedim(2, 0)

    def unfold_images(self, images: Tensor, shape: Sequence[int]) -> Tensor:
        if self.per_example:
            if self.sampled and not self.per_sample:
                return images.reshape(-1, *shape).sum(0)
            return images.reshape(shape)
        return images.unflatten(1, (shape[0], shape[2])).transpose(0, 1) if self.per_sample else images

    def unfold_kernels(self, kernels: Tensor, shape: Sequence[int]) -> Tensor:
        if not self.is_wide:
            return kernels.reshape(shape)
        grouped = kernels.unflatten(0, (self.groups, shape[0], shape[1] // self.groups))  # g S O/g I/g *
        return grouped.transpose(0, 1).reshape(shape)


def _side_by_side(samples: Tensor, groups: int, spatial: int) -> Tensor:
    """Bring ``[S, N, C, *]`` into ``[N, groups S C/groups, *]`` of the same memory format."""
    grouped = samples.unflatten(2, (groups, -1))  # S N g C/g *
    image = range(4, grouped.dim())
    if is_channels_last(samples, spatial):
        return grouped.permute(1, *image, 2, 0, 3).flatten(-3).movedim(-1, 1)
    return grouped.permute(1, 2, 0, 3, *image).flatten(1, 3)
