// The checks and shapes of dropout, on every device.
#pragma once
#include "kernels/pointwise/dropout.h"
#include "ops/tensors.h"

namespace bayesops::ops {

struct DropoutArguments {
  DropoutArguments(const Tensor& input, const Tensor& seed, const std::optional<Tensor>& mask, double p,
                   int64_t granularity, int64_t stream, bool shared_input);

  Seeds seeds;
  Mask mask;
  DropoutProblem problem;
  Tensor input;  // dense, channels first or last
  Tensor out;
};

}  // namespace bayesops::ops
