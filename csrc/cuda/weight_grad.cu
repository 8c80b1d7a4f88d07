// gaussian_weight_grad and masked_weight_grad on the device: every sample's gradient is read once.
#include <tuple>

#include "cuda/launch_as.cuh"
#include "ops/weight_grad_arguments.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

std::tuple<Tensor, Tensor> gaussian_weight_grad(const Tensor gradients, const Tensor seed, int64_t stream) {
  const GaussianWeightGradArguments a(gradients, seed, stream);
  launch_as(a);
  return {a.out, a.sigma};
}

Tensor masked_weight_grad(const Tensor gradients, const Tensor seed, const std::optional<Tensor> mask, double p,
                          int64_t granularity, bool rescale, int64_t num_examples, int64_t groups, int64_t stream) {
  const MaskedWeightGradArguments a(gradients, seed, mask, p, granularity, rescale, num_examples, groups, stream);
  launch_as(a);
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) {
  m.impl("gaussian_weight_grad", TORCH_BOX(&gaussian_weight_grad));
  m.impl("masked_weight_grad", TORCH_BOX(&masked_weight_grad));
}

}  // namespace bayesops::cuda
