// Local reparameterisation whose mean and standard deviation are already there: only the draws are left.
#pragma once
#include "kernels/conv/problem.h"

namespace bayesops {

// out = mean + std * eps for each sample, and the epilogue of that. Dense images, channels first or last, all laid out
// alike; all samples share mean and std. eps is drawn for the logical tensor [examples, pixels, channels].
struct LrtDrawProblem {
  DType dtype;
  int64_t samples, examples, channels, pixels;
  bool channels_last;
  const int64_t* seeds;
  uint32_t stream;
  Epilogue epilogue;
};

}  // namespace bayesops
