// Dropout of activations: single elements or whole channels.
#pragma once
#include "kernels/conv/problem.h"

namespace bayesops {

// Images of `pixels` x `channels`, contiguous, channels first or last. The draw of element (example, pixel, channel)
// has index (example * pixels + pixel) * channels + channel; with whole channels it is example * channels + channel.
struct DropoutProblem {
  DType dtype;
  int64_t samples, examples, channels, pixels;
  bool shared_input;   // one input for all samples
  bool channels_last;  // of input and output
  bool whole_channels;
  double scale;
  MaskSource mask;  // given masks are contiguous, channels first
};

}  // namespace bayesops
