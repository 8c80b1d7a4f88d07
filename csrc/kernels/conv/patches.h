// The input gradient of a convolution whose windows do not overlap: patches. Every input pixel meets one tap of one
// result, so the gradient is a map from a result's output channels to all pixels and channels of its window, which are
// the weight's rows as they lie in memory. Done in phases of the stride, each tap would be packed by itself.
#pragma once
#include "kernels/conv/problem.h"
#include "kernels/simd/vector.h"

BAYESOPS_ISA_BEGIN

// Whether the windows tile the input, and the elements of the weight can be taken for its columns.
template <class T>
bool is_of_patches(const ConvProblem& p, const Images& grad_output, const Images& grad_input) {
  const bool by_weight = !p.mask.masked || p.mask.granularity == kGranularityWeight;
  if (p.taps() == 1 || !by_weight || p.depthwise() || p.weight_channels_last) return false;
  // Channels that lie together are stored by whole vectors as they are.
  if (grad_input.channel_stride == 1 && p.group_in() >= kLanes<T>) return false;
  // Narrow windows are stored a few numbers at a time, which costs more than phases do where patches are many.
  const int64_t patches = p.examples * grad_output.size[0] * grad_output.size[1] * grad_output.size[2];
  if (p.kernel[2] < 4 && patches > 2 * p.out_channels * p.taps()) return false;
  int64_t last = (p.in_channels - 1) * grad_input.channel_stride;
  for (int a = 0; a < 3; ++a) {
    const bool apart = p.kernel[a] == p.stride[a] && p.pad_before[a] == 0 && (p.dilation[a] == 1 || p.kernel[a] == 1);
    if (!apart || grad_input.size[a] != grad_output.size[a] * p.stride[a]) return false;
    last += (p.kernel[a] - 1) * grad_input.axis_stride[a];
  }
  return last <= INT32_MAX;
}

// The convolution of one tap and its result: a pixel for each patch, a channel for each element of a patch.
static inline ConvProblem problem_of_patches(const ConvProblem& p) {
  ConvProblem one = p;
  one.in_channels = p.in_channels * p.taps();
  one.noise.sign_repeat = p.taps();
  for (int a = 0; a < 3; ++a) one.kernel[a] = one.stride[a] = one.dilation[a] = 1;
  return one;
}
static inline Images images_of_patches(const ConvProblem& p, const Images& images) {
  int32_t* offset = scratch<int32_t>(kScratchSharedOffsets, p.in_channels * p.taps());
  Images patches = images;
  patches.channel_offsets = offset;
  for (int64_t c = 0; c < p.in_channels; ++c)
    for (int64_t d = 0; d < p.kernel[0]; ++d)
      for (int64_t h = 0; h < p.kernel[1]; ++h)
        for (int64_t w = 0; w < p.kernel[2]; ++w)
          *offset++ = (int32_t)(c * images.channel_stride + d * images.axis_stride[0] + h * images.axis_stride[1] +
                                w * images.axis_stride[2]);
  for (int a = 0; a < 3; ++a) {
    patches.size[a] = images.size[a] / p.stride[a];
    patches.axis_stride[a] = images.axis_stride[a] * p.stride[a];
  }
  return patches;
}

BAYESOPS_ISA_END
