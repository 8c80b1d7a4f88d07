// logit_noise_cross_entropy as CUDA threads run it, run by the host. test_logit_noise_functors.py compiles this file.
#include "kernels/flat/logit_noise_cross_entropy.h"

#include <vector>

#include "kernels/flat/logit_noise_steps.h"

namespace {

using namespace bayesops;

// What the operator makes of its tensors.
struct Problem {
  int64_t draws, examples, classes, pixels, stream, ignore_index, mean_of_losses;
  int64_t strides[2][3];  // of logits and of log variances: example, class, pixel

  LogitNoiseProblem with(DType dtype, void* const* data) const {
    LogitNoiseProblem p;
    p.dtype = dtype;
    p.draws = draws;
    p.examples = examples;
    p.classes = classes;
    p.pixels = pixels;
    p.stream = (uint32_t)stream;
    p.ignore_index = ignore_index;
    p.mean_of_losses = mean_of_losses != 0;
    p.logits = ClassImages{data[0], strides[0][0], strides[0][1], strides[0][2]};
    p.log_var = ClassImages{data[1], strides[1][0], strides[1][1], strides[1][2]};
    p.target = static_cast<const int64_t*>(data[2]);
    p.seeds = static_cast<const int64_t*>(data[3]);
    p.weight = data[4];
    p.total = static_cast<const double*>(data[5]);
    p.losses = data[6];
    p.grad_logits = p.logits;
    p.grad_logits.data = data[7];
    p.grad_log_var = p.log_var;
    p.grad_log_var.data = data[8];
    return p;
  }
};

template <class F>
void run_all(const F& f) {
  for (int64_t index = F::total(f); index-- > 0;) F::run(f, index);
}

// Classes in registers, at most so many; or memory for so many numbers between steps, negated; or neither.
template <class S, bool kGradients>
void run_as(const LogitNoiseProblem& p, int64_t most) {
  if (most == 12) return run_all(FlatLogitNoise<S, kGradients, 12>{p});
  if (most == 24) return run_all(FlatLogitNoise<S, kGradients, 24>{p});
  if (most == 0) return run_all(FlatLogitNoise<S, kGradients>{p});
  std::vector<S> room;
  const auto allocate = [&](int64_t count) {
    room.assign((size_t)count, (S)__builtin_nan(""));
    return room.data();
  };
  logit_noise_in_steps<S, kGradients>(p, -most, allocate, [](const auto& f) { run_all(f); });
}

}  // namespace

extern "C" {

void run_float32(const Problem* problem, void* const* data, int64_t most) {
  const LogitNoiseProblem p = problem->with(kFloat32, data);
  p.grad_logits.data != nullptr ? run_as<float, true>(p, most) : run_as<float, false>(p, most);
}
void run_float64(const Problem* problem, void* const* data, int64_t most) {
  const LogitNoiseProblem p = problem->with(kFloat64, data);
  p.grad_logits.data != nullptr ? run_as<double, true>(p, most) : run_as<double, false>(p, most);
}
void target_weights_float32(const Problem* problem, void* const* data, double* out) {
  run_all(FlatTargetWeight<float>{problem->with(kFloat32, data), out});
}
void target_weights_float64(const Problem* problem, void* const* data, double* out) {
  run_all(FlatTargetWeight<double>{problem->with(kFloat64, data), out});
}

}  // extern "C"
