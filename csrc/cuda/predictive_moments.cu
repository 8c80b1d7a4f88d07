// add_predictive_moments on the device: a thread a place, with all classes in registers if they are not too many; or,
// where places are few, a thread for each draw and then one for each class.
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
    using S = decltype(type);
    using First = FlatNormalisers<S>;
    using Second = FlatMomentsOfClasses<S>;
    if (!First::pays(problem)) {
      const auto launch_places = [&](const auto& f) { launch(f, f.total(problem), samples); };
      if (problem.classes == 1) return launch_places(FlatMomentsInRegisters<S, 1>{problem});
      // Doubles are there for checks: they do without the quick forms.
      constexpr bool quick = sizeof(S) < sizeof(double);
      if constexpr (quick) {
        if (problem.classes <= 12) return launch_places(FlatMomentsInRegisters<S, 12>{problem});
        if (problem.classes <= 24) return launch_places(FlatMomentsInRegisters<S, 24>{problem});
      }
      return launch_places(FlatPredictiveMoments<S>{problem});
    }
    const int64_t bytes = First::total(problem) * static_cast<int64_t>(sizeof(typename First::Normaliser));
    Tensor room = empty({bytes}, ScalarType::Byte, samples);
    auto* normalisers = static_cast<typename First::Normaliser*>(room.data_ptr());
    launch(First{problem, normalisers}, First::total(problem), samples);
    launch(Second{problem, normalisers}, Second::total(problem), samples);
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) { m.impl("add_predictive_moments", TORCH_BOX(&add_predictive_moments)); }

}  // namespace bayesops::cuda
