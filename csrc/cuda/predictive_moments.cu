// add_predictive_moments on the device: a thread a place.
#include "cuda/launch.cuh"
#include "cuda/types.cuh"
#include "kernels/flat/predictive_moments.h"
#include "ops/predictive_moments_arguments.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

void add_predictive_moments(const Tensor samples, bool softmax, int64_t count, const Tensor mean,
                            const Tensor deviations, const std::optional<Tensor> expected_entropy) {
  const PredictiveMomentsProblem problem =
      predictive_moments_problem(samples, softmax, count, mean, deviations, expected_entropy);
  with_type(problem.dtype, [&](auto type) {
    using F = FlatPredictiveMoments<decltype(type)>;
    launch(F{problem}, F::total(problem), samples);
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) { m.impl("add_predictive_moments", TORCH_BOX(&add_predictive_moments)); }

}  // namespace bayesops::cuda
