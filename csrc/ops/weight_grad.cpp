// gaussian_weight_grad and masked_weight_grad: sums of the gradients that each sample's weight has, as convolutions of
// the library's own leave them on CUDA. Noise and masks are drawn where they are multiplied with. On the CPU, where
// only tests call them, they do what CUDA threads do.
#include "ops/weight_grad_arguments.h"

#include <tuple>

#include "ops/run_flat.h"

namespace bayesops::ops {

namespace {

std::tuple<Tensor, Tensor> gaussian_weight_grad(const Tensor gradients, const Tensor seed, int64_t stream) {
  const GaussianWeightGradArguments a(gradients, seed, stream);
  run_flat(a);
  return {a.out, a.sigma};
}

Tensor masked_weight_grad(const Tensor gradients, const Tensor seed, const std::optional<Tensor> mask, double p,
                          int64_t granularity, bool rescale, int64_t num_examples, int64_t groups, int64_t stream) {
  const MaskedWeightGradArguments a(gradients, seed, mask, p, granularity, rescale, num_examples, groups, stream);
  run_flat(a);
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  // gradients [(S,) weight...]: their sum, and that of their products with the noise of gaussian_weight.
  m.def("gaussian_weight_grad(Tensor gradients, Tensor seed, int stream) -> (Tensor mu, Tensor sigma)");
  // gradients [(S,) (N,) weight...], summed, each times what masked_weight makes of a weight of ones.
  m.def(
      "masked_weight_grad(Tensor gradients, Tensor seed, Tensor? mask, float p, int granularity, bool rescale, int "
      "num_examples, int groups, int stream) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) {
  m.impl("gaussian_weight_grad", TORCH_BOX(&gaussian_weight_grad));
  m.impl("masked_weight_grad", TORCH_BOX(&masked_weight_grad));
}

}  // namespace bayesops::ops
