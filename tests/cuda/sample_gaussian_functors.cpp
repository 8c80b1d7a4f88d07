// sample_gaussian as CUDA threads run it, and the elementary functions that they are made of, run by the
// host. test_sample_gaussian_functors.py compiles this file.
#include "kernels/flat/sample_gaussian.h"

namespace {

using namespace bayesops;

// What a problem says besides its tensors; the law of the prior as csrc/ops/sample_gaussian_arguments.cpp forms it.
struct Problem {
  const int64_t* seeds;
  int64_t samples, elements, stream, alpha, prior;
  double location, inverse_scale, wide, gap, log_odds, constant;

  SampleGaussianProblem with(DType dtype, const void* mu, const void* spread) const {
    SampleGaussianProblem p;
    p.dtype = dtype;
    p.samples = samples;
    p.elements = elements;
    p.alpha = alpha != 0;
    p.mu = mu;
    p.spread = spread;
    p.seeds = seeds;
    p.stream = (uint32_t)stream;
    p.prior = PriorLaw{(PriorKind)prior, location, inverse_scale, wide, gap, log_odds, constant};
    return p;
  }
};

template <class S>
void run_draw(const SampleGaussianProblem& p, S* weights, double* sums, double* partial) {
  using F = FlatSampleGaussian<S>;
  const F f{p, weights, partial};
  const int64_t total = F::total(p), indices = F::per_sample(p);
  for (int64_t index = total; index-- > 0;) F::run(f, index);
  for (int64_t sum = 0; sum < 2 * p.samples; ++sum) {
    sums[sum] = 0;
    for (int64_t i = 0; i < indices; ++i) sums[sum] += partial[sum * indices + i];
  }
}

template <class S>
void run_gradient(const SampleGaussianProblem& p, const S* grad_weights, const double* grad_log_q,
                  const double* grad_log_prior, S* grad_mu, S* grad_spread) {
  using F = FlatSampleGaussianGradient<S>;
  const F f{p, grad_weights, grad_log_q, grad_log_prior, grad_mu, grad_spread};
  for (int64_t index = F::total(p); index-- > 0;) F::run(f, index);
}

}  // namespace

extern "C" {

void room_for_sums(const Problem* problem, int64_t* room) {
  *room = 2 * FlatSampleGaussian<float>::total(problem->with(kFloat32, nullptr, nullptr));
}

void draw_float32(const Problem* problem, const float* mu, const float* spread, float* weights, double* sums,
                  double* partial) {
  run_draw(problem->with(kFloat32, mu, spread), weights, sums, partial);
}

void draw_float64(const Problem* problem, const double* mu, const double* spread, double* weights, double* sums,
                  double* partial) {
  run_draw(problem->with(kFloat64, mu, spread), weights, sums, partial);
}

void gradient_float32(const Problem* problem, const float* mu, const float* spread, const float* grad_weights,
                      const double* grad_log_q, const double* grad_log_prior, float* grad_mu, float* grad_spread) {
  run_gradient(problem->with(kFloat32, mu, spread), grad_weights, grad_log_q, grad_log_prior, grad_mu, grad_spread);
}

void gradient_float64(const Problem* problem, const double* mu, const double* spread, const double* grad_weights,
                      const double* grad_log_q, const double* grad_log_prior, double* grad_mu, double* grad_spread) {
  run_gradient(problem->with(kFloat64, mu, spread), grad_weights, grad_log_q, grad_log_prior, grad_mu, grad_spread);
}

#define BAYESOPS_EACH(NAME)                                                  \
  void elementary_##NAME(const float* x, float* y, int64_t count) {          \
    for (int64_t i = 0; i < count; ++i) y[i] = ScalarElementary::NAME(x[i]); \
  }
BAYESOPS_EACH(exp)
BAYESOPS_EACH(exp_minus)
BAYESOPS_EACH(log)
BAYESOPS_EACH(log_abs)
BAYESOPS_EACH(log1p_over)

}  // extern "C"
