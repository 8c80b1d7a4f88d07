// logit_noise_cross_entropy on the device: a thread per place, and all its draws, where there are many places of few
// classes; in steps otherwise.
#include <tuple>

#include "cuda/launch.cuh"
#include "cuda/types.cuh"
#include "kernels/flat/logit_noise_cross_entropy.h"
#include "kernels/flat/logit_noise_steps.h"
#include "ops/logit_noise_cross_entropy_arguments.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

Tensor total_of(const Tensor& places) {
  const int64_t dims = places.dim();
  Sizes all(dims);
  for (int64_t i = 0; i < dims; ++i) all[i] = i;
  return torch::stable::sum(places, torch::headeronly::IntHeaderOnlyArrayRef(all.data(), all.size()));
}

template <class S, bool kGradients>
void run_in_steps(const LogitNoiseProblem& p, const Tensor& like) {
  constexpr int64_t kMostNumbers = 1 << 24;  // that are between the steps
  using T = typename ComputeOf<S>::T;
  Tensor room;
  const auto allocate = [&](int64_t count) {
    room = empty({count}, sizeof(T) == sizeof(double) ? ScalarType::Double : ScalarType::Float, like);
    return static_cast<T*>(room.data_ptr());
  };
  logit_noise_in_steps<S, kGradients>(p, kMostNumbers, allocate, [&](const auto& f) { launch(f, f.total(f), like); });
}

template <bool kGradients>
Tensor run(LogitNoiseArguments& a, const Tensor& like) {
  LogitNoiseProblem& p = a.problem;
  const int64_t places = LogitNoiseProblem::places(p);
  Tensor losses = a.empty_losses(), total;
  p.losses = losses.data_ptr();
  with_type(p.dtype, [&](auto type) {
    using S = decltype(type);
    if (a.reduction == kReductionMean) {
      Tensor weights = empty(sizes_of(losses), ScalarType::Double, like);
      launch(FlatTargetWeight<S>{p, static_cast<double*>(weights.data_ptr())}, places, like);
      total = total_of(weights);
      p.total = static_cast<const double*>(total.data_ptr());
    }
    // Doubles are there for checks of gradients: they do without the quick form.
    constexpr bool quick = sizeof(S) < sizeof(double);
    constexpr int64_t kManyPlaces = 1 << 14;  // that are enough threads
    if constexpr (quick) {
      if (places >= kManyPlaces && p.classes <= 12) return launch(FlatLogitNoise<S, kGradients, 12>{p}, places, like);
      if (places >= kManyPlaces && p.classes <= 24) return launch(FlatLogitNoise<S, kGradients, 24>{p}, places, like);
    }
    run_in_steps<S, kGradients>(p, like);
  });
  if (a.reduction == kReductionNone) return losses;
  Tensor loss = total_of(losses);
  if (a.reduction == kReductionMean && places == 0) torch::stable::fill_(loss, __builtin_nan(""));
  return loss;
}

Tensor logit_noise_cross_entropy(const Tensor logits, const Tensor log_var, const Tensor target, const Tensor seed,
                                 int64_t stream, const std::optional<Tensor> weight, int64_t ignore_index,
                                 bool mean_of_losses, int64_t reduction) {
  LogitNoiseArguments a(logits, log_var, target, seed, stream, weight, ignore_index, mean_of_losses, reduction, false);
  return run<false>(a, logits);
}

std::tuple<Tensor, Tensor, Tensor> logit_noise_cross_entropy_gradients(
    const Tensor logits, const Tensor log_var, const Tensor target, const Tensor seed, int64_t stream,
    const std::optional<Tensor> weight, int64_t ignore_index, bool mean_of_losses, int64_t reduction) {
  LogitNoiseArguments a(logits, log_var, target, seed, stream, weight, ignore_index, mean_of_losses, reduction, true);
  Tensor losses = run<true>(a, logits);
  return {losses, *a.grad_logits, *a.grad_log_var};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) {
  m.impl("logit_noise_cross_entropy", TORCH_BOX(&logit_noise_cross_entropy));
  m.impl("logit_noise_cross_entropy_gradients", TORCH_BOX(&logit_noise_cross_entropy_gradients));
}

}  // namespace bayesops::cuda
