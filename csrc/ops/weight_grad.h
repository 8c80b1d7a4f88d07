// gaussian_weight_grad and masked_weight_grad, as every device runs them: `Runner::run(arguments)` takes the functor of
// the arguments through its indices.
#pragma once
#include <tuple>

#include "ops/weight_grad_arguments.h"

namespace bayesops::ops {

template <class Runner>
struct WeightGrad {
  static std::tuple<Tensor, Tensor> gaussian_weight_grad(const Tensor gradients, const Tensor seed, int64_t stream) {
    const GaussianWeightGradArguments a(gradients, seed, stream);
    Runner::run(a);
    return {a.out, a.sigma};
  }

  static Tensor masked_weight_grad(const Tensor gradients, const Tensor seed, const std::optional<Tensor> mask,
                                   double p, int64_t granularity, bool rescale, int64_t num_examples, int64_t groups,
                                   int64_t stream) {
    const MaskedWeightGradArguments a(gradients, seed, mask, p, granularity, rescale, num_examples, groups, stream);
    Runner::run(a);
    return a.out;
  }

  template <class Library>
  static void implement(Library& m) {
    m.impl("gaussian_weight_grad", TORCH_BOX(&gaussian_weight_grad));
    m.impl("masked_weight_grad", TORCH_BOX(&masked_weight_grad));
  }
};

}  // namespace bayesops::ops
