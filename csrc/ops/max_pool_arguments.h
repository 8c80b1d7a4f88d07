// The arguments of max_pool2d_activation, checked, on every device.
#pragma once
#include "kernels/pointwise/max_pool.h"
#include "ops/tensors.h"

namespace bayesops::ops {

struct MaxPoolArguments {
  MaxPoolArguments(const Tensor& input, const Sizes& kernel_size, const Sizes& stride, const Sizes& padding,
                   bool ceil_mode, int64_t activation);

  Tensor input, out;  // in the memory format of the input
  MaxPoolProblem problem;
};

}  // namespace bayesops::ops
