// add_predictive_moments: running mean, deviations and entropy of predictive draws, in place.
#include "kernels/isa_table.h"
#include "ops/pool.h"
#include "ops/predictive_moments_arguments.h"

namespace bayesops::ops {

namespace {

void add_predictive_moments(const Tensor samples, bool softmax, int64_t count, const Tensor mean,
                            const Tensor deviations, const std::optional<Tensor> expected_entropy) {
  const PredictiveMomentsProblem problem =
      predictive_moments_problem(samples, softmax, count, mean, deviations, expected_entropy);
  if (problem.places > 0) kernels().pointwise.add_predictive_moments(problem, pool());
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  // samples [S, N, C, *], with softmax over C, or [S, *] without; the rest holds `count` draws and then S more.
  m.def(
      "add_predictive_moments(Tensor samples, bool softmax, int count, Tensor(a!) mean, Tensor(b!) deviations, "
      "Tensor(c!)? expected_entropy) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) { m.impl("add_predictive_moments", TORCH_BOX(&add_predictive_moments)); }

}  // namespace bayesops::ops
