// max_pool2d_activation on the device. The library's own also writes down where each maximum was.
#include "cuda/launch.cuh"
#include "cuda/types.cuh"
#include "kernels/flat/max_pool.h"
#include "ops/max_pool_arguments.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

Tensor max_pool2d_activation(const Tensor input, const Sizes kernel_size, const Sizes stride, const Sizes padding,
                             bool ceil_mode, int64_t activation) {
  const MaxPoolArguments a(input, kernel_size, stride, padding, ceil_mode, activation);
  if (a.out.numel() == 0) return a.out;
  with_type(a.problem.dtype, [&](auto type) {
    using S = decltype(type);
    const auto launch_runs = [&](const auto& f) { launch(f, f.total(f), a.out); };
    const void* from = a.input.data_ptr();
    void* to = a.out.data_ptr();
    if (a.problem.channels % 4 == 0) {
      launch_runs(FlatMaxPool<S, 4>(a.problem, from, to));
    } else {
      launch_runs(FlatMaxPool<S, 1>(a.problem, from, to));
    }
  });
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) { m.impl("max_pool2d_activation", TORCH_BOX(&max_pool2d_activation)); }

}  // namespace bayesops::cuda
