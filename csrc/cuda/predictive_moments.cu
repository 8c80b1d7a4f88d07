// add_predictive_moments on the device: a thread per place, with all classes in registers if they are not too many; or,
// where places are few, in steps.
#include "cuda/launch.cuh"
#include "cuda/types.cuh"
#include "kernels/flat/predictive_moments_steps.h"
#include "ops/predictive_moments_arguments.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

void add_predictive_moments(const Tensor samples, bool softmax, int64_t count, const Tensor mean,
                            const Tensor deviations, const std::optional<Tensor> expected_entropy) {
  const PredictiveMomentsProblem problem =
      predictive_moments_problem(samples, softmax, count, mean, deviations, expected_entropy);
  with_type(problem.dtype, [&](auto type) {
    using S = decltype(type);
    const auto go = [&](const auto& f) { launch(f, f.total(f), samples); };
    if (!problem.softmax) return go(FlatMomentsOfNumbers<S>{problem});
    if (moments_in_steps_pay(problem)) {
      Tensor room;
      const auto allocate = [&](int64_t bytes) {
        room = empty({bytes}, ScalarType::Byte, samples);
        return room.data_ptr();
      };
      return moments_in_steps<S>(problem, allocate, go);
    }
    // Doubles are there for checks: they do without the quick forms.
    constexpr bool quick = sizeof(S) < sizeof(double);
    if constexpr (quick) {
      if (problem.classes <= 12) return go(FlatMomentsInRegisters<S, 12>{problem});
      if (problem.classes <= 24) return go(FlatMomentsInRegisters<S, 24>{problem});
    }
    go(FlatPredictiveMoments<S>{problem});
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) { m.impl("add_predictive_moments", TORCH_BOX(&add_predictive_moments)); }

}  // namespace bayesops::cuda
