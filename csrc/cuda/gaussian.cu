// The noise of the Gaussian convolutions on the device: gaussian_weight, lrt_epilogue, lrt_variance_grad.
#include <tuple>

#include "cuda/launch.cuh"
#include "cuda/types.cuh"
#include "kernels/flat/gaussian.h"
#include "ops/gaussian_weight_arguments.h"
#include "ops/lrt_arguments.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

// Runs the functor of `arguments` for its dtype.
template <class Arguments>
void launch_as(const Arguments& arguments) {
  with_type(arguments.dtype, [&](auto type) {
    const auto f = arguments.template functor<decltype(type)>();
    launch(f, f.total(f), arguments.out);
  });
}

Tensor gaussian_weight(const std::optional<Tensor> mu, const Tensor sigma, const Tensor seed, int64_t stream) {
  const GaussianWeightArguments a(mu, sigma, seed, stream);
  launch_as(a);
  return a.out;
}

std::tuple<Tensor, Tensor> lrt_epilogue(const Tensor mean, const Tensor variance, const Tensor seed, int64_t stream,
                                        int64_t spatial) {
  const LrtEpilogueArguments a(mean, variance, seed, stream, spatial);
  launch_as(a);
  return {a.out, a.std};
}

Tensor lrt_variance_grad(const Tensor grad_output, const Tensor std, const Tensor seed, int64_t stream,
                         int64_t spatial) {
  const LrtVarianceGradArguments a(grad_output, std, seed, stream, spatial);
  launch_as(a);
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) {
  m.impl("gaussian_weight", TORCH_BOX(&gaussian_weight));
  m.impl("lrt_epilogue", TORCH_BOX(&lrt_epilogue));
  m.impl("lrt_variance_grad", TORCH_BOX(&lrt_variance_grad));
}

}  // namespace bayesops::cuda
