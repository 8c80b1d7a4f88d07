// Gradient of the variance of local reparameterisation: what reaches sqrt(variance) * eps, with eps drawn again.
#pragma once
#include "kernels/conv/problem.h"

namespace bayesops {

// out = sum over draws of grad * eps / (2 std), 0 where std is. Dense images, channels first or last; `std` and `out`
// are laid out alike. eps is drawn for the logical tensor [examples, pixels, channels] of every sample.
struct VarianceGradProblem {
  DType dtype;
  int64_t samples, examples, channels, pixels;
  bool shared_std;  // one standard deviation for all samples, whose gradients are added up
  bool grad_channels_last, std_channels_last;
  const int64_t* seeds;
  uint32_t stream;
};

}  // namespace bayesops
