// logit_noise_cross_entropy: the loss, and the loss with its gradients.
#include <tuple>
#include <vector>

#include "kernels/isa_table.h"
#include "ops/logit_noise_cross_entropy_arguments.h"
#include "ops/pool.h"

namespace bayesops::ops {

namespace {

constexpr const char* kOp = "logit_noise_cross_entropy";

// The weights of all targets together. A target that is no class is an error, and found before anything is drawn.
double total_weight(const LogitNoiseProblem& p, ScalarType computing) {
  std::vector<int64_t> targets(static_cast<size_t>(p.classes));  // counted: millions of weights in one sum lose digits
  for (int64_t i = 0; i < LogitNoiseProblem::places(p); ++i) {
    const int64_t target = p.target[i];
    if (target == p.ignore_index) continue;
    STD_TORCH_CHECK(target >= 0 && target < p.classes, kOp, ": target must be in [0, ", p.classes,
                    ") or ignore_index (", p.ignore_index, "), not ", target);
    ++targets[static_cast<size_t>(target)];
  }
  double sum = 0;
  for (size_t c = 0; c < targets.size(); ++c) {
    if (targets[c] == 0) continue;
    const double weight = p.weight == nullptr               ? 1.0
                          : computing == ScalarType::Double ? static_cast<const double*>(p.weight)[c]
                                                            : static_cast<const float*>(p.weight)[c];
    sum += static_cast<double>(targets[c]) * weight;
  }
  return sum;
}

Tensor run(LogitNoiseArguments& a) {
  LogitNoiseProblem& p = a.problem;
  const double total = total_weight(p, a.computing);
  if (a.reduction == kReductionNone) {
    Tensor losses = a.empty_losses();
    p.losses = losses.data_ptr();
    kernels().pointwise.logit_noise_cross_entropy(p, nullptr, pool());
    return losses;
  }
  if (a.reduction == kReductionMean) p.total = &total;
  // Summed panel by panel, in their order: no number of threads shows.
  const int64_t panels = logit_noise_panels(p);
  double* partial = scratch<double>(kScratchSharedTables, panels);
  kernels().pointwise.logit_noise_cross_entropy(p, partial, pool());
  double sum = 0;
  for (int64_t i = 0; i < panels; ++i) sum += partial[i];
  if (p.total != nullptr && total == 0.0) sum = __builtin_nan("");  // the mean of nothing, as in torch
  Tensor loss = a.empty_scalar(a.computing);
  if (a.computing == ScalarType::Double) {
    *static_cast<double*>(loss.data_ptr()) = sum;
  } else {
    *static_cast<float*>(loss.data_ptr()) = static_cast<float>(sum);
  }
  return loss;
}

Tensor logit_noise_cross_entropy(const Tensor logits, const Tensor log_var, const Tensor target, const Tensor seed,
                                 int64_t stream, const std::optional<Tensor> weight, int64_t ignore_index,
                                 bool mean_of_losses, int64_t reduction) {
  LogitNoiseArguments a(logits, log_var, target, seed, stream, weight, ignore_index, mean_of_losses, reduction, false);
  return run(a);
}

std::tuple<Tensor, Tensor, Tensor> logit_noise_cross_entropy_gradients(
    const Tensor logits, const Tensor log_var, const Tensor target, const Tensor seed, int64_t stream,
    const std::optional<Tensor> weight, int64_t ignore_index, bool mean_of_losses, int64_t reduction) {
  LogitNoiseArguments a(logits, log_var, target, seed, stream, weight, ignore_index, mean_of_losses, reduction, true);
  Tensor losses = run(a);
  return {losses, *a.grad_logits, *a.grad_log_var};
}

}  // namespace

#define BAYESOPS_LOGIT_NOISE                                                                                  \
  "Tensor logits, Tensor log_var, Tensor target, Tensor seed, int stream, Tensor? weight, int ignore_index, " \
  "bool mean_of_losses, int reduction) -> "

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  // Reductions: 0 none, 1 mean, 2 sum. The seed has the shape [T]. Losses are float32, or float64 of float64.
  m.def("logit_noise_cross_entropy(" BAYESOPS_LOGIT_NOISE "Tensor");
  // The same, with the gradients of logits and log_var for a cotangent of ones, in the dtype of the losses.
  m.def("logit_noise_cross_entropy_gradients(" BAYESOPS_LOGIT_NOISE "(Tensor, Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) {
  m.impl("logit_noise_cross_entropy", TORCH_BOX(&logit_noise_cross_entropy));
  m.impl("logit_noise_cross_entropy_gradients", TORCH_BOX(&logit_noise_cross_entropy_gradients));
}

}  // namespace bayesops::ops
