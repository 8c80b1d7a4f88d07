// gaussian_weight_grad and masked_weight_grad: sums of the gradients that each sample's weight has, as convolutions of
// the library's own leave them on CUDA. Noise and masks are drawn where they are multiplied with. On the CPU only tests
// call them.
#include "ops/weight_grad.h"

#include "ops/run_flat.h"

namespace bayesops::ops {

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  // gradients [(S,) weight...]: their sum, and that of their products with the noise of gaussian_weight.
  m.def("gaussian_weight_grad(Tensor gradients, Tensor seed, int stream) -> (Tensor mu, Tensor sigma)");
  // gradients [(S,) (N,) weight...], summed, each times what masked_weight makes of a weight of ones.
  m.def(
      "masked_weight_grad(Tensor gradients, Tensor seed, Tensor? mask, float p, int granularity, bool rescale, int "
      "num_examples, int groups, int stream) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) { WeightGrad<FlatOnHost>::implement(m); }

}  // namespace bayesops::ops
