// max_pool2d_activation: max pooling of images and an activation of the result, for prediction.
#include "kernels/isa_table.h"
#include "ops/max_pool_arguments.h"
#include "ops/pool.h"

namespace bayesops::ops {

namespace {

Tensor max_pool2d_activation(const Tensor input, const Sizes kernel_size, const Sizes stride, const Sizes padding,
                             bool ceil_mode, int64_t activation) {
  const MaxPoolArguments a(input, kernel_size, stride, padding, ceil_mode, activation);
  if (a.out.numel() != 0) kernels().pointwise.max_pool(a.problem, a.input.data_ptr(), a.out.data_ptr(), pool());
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  // activation: 0 none, 1 relu, 2 softplus
  m.def(
      "max_pool2d_activation(Tensor input, int[] kernel_size, int[] stride, int[] padding, bool ceil_mode, "
      "int activation) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) { m.impl("max_pool2d_activation", TORCH_BOX(&max_pool2d_activation)); }

}  // namespace bayesops::ops
