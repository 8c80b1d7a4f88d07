// softplus, its square, the closed divergence and max pooling as CUDA threads run them, run by the host.
// test_elementwise_functors.py compiles this file.
#include <initializer_list>

#include "kernels/flat/gaussian_kl.h"
#include "kernels/flat/map.h"
#include "kernels/flat/max_pool.h"
#include "kernels/pointwise/softplus.h"

namespace {

using namespace bayesops;

template <class F>
void run_all(const F& f, int64_t total) {
  for (int64_t index = total; index-- > 0;) F::run(f, index);
}

template <template <class> class Function, class S>
void map(int64_t elements, const S* x, const S* grad, S* out) {
  const FlatMap<S, Function> f{elements, x, grad, out};
  run_all(f, f.total(f));
}

GaussianKlProblem divergence_of(int64_t elements, const void* mu, const void* rho, double prior_mu,
                                double prior_sigma) {
  return {kFloat32, elements, mu, rho, prior_mu, prior_sigma};
}

template <class S>
void divergence_gradient(const GaussianKlProblem& p, const double* grad, S* grad_mu, S* grad_rho) {
  using F = FlatGaussianKlGradient<S>;
  run_all(F{p, grad, grad_mu, grad_rho}, F::total(p));
}

template <class S>
void pool(const MaxPoolProblem& p, int64_t run, const S* input, S* output) {
  if (run == 4) {
    const FlatMaxPool<S, 4> f(p, input, output);
    run_all(f, f.total(f));
  } else {
    const FlatMaxPool<S, 1> f(p, input, output);
    run_all(f, f.total(f));
  }
}

// Sizes as MaxPoolProblem has them.
MaxPoolProblem pooling_of(const int64_t* sizes, int64_t activation) {
  MaxPoolProblem p;
  p.dtype = kFloat32;
  p.images = *sizes++;
  p.channels = *sizes++;
  for (int64_t* pair : {p.size, p.out_size, p.kernel, p.stride, p.padding})
    for (int axis = 0; axis < 2; ++axis) pair[axis] = *sizes++;
  p.activation = static_cast<Activation>(activation);
  return p;
}

}  // namespace

extern "C" {

#define BAYESOPS_FUNCTORS(NAME, S)                                                                                     \
  void softplus_##NAME(int64_t elements, const S* x, const S* grad, S* out) { map<Softplus>(elements, x, grad, out); } \
  void softplus_variance_##NAME(int64_t elements, const S* x, const S* grad, S* out) {                                 \
    map<SoftplusVariance>(elements, x, grad, out);                                                                     \
  }                                                                                                                    \
  void gaussian_kl_grad_##NAME(int64_t elements, const double* grad, const S* mu, const S* rho, double prior_mu,       \
                               double prior_sigma, S* grad_mu, S* grad_rho) {                                          \
    divergence_gradient(divergence_of(elements, mu, rho, prior_mu, prior_sigma), grad, grad_mu, grad_rho);             \
  }                                                                                                                    \
  void max_pool_##NAME(const int64_t* sizes, int64_t activation, int64_t run, const S* input, S* output) {             \
    pool(pooling_of(sizes, activation), run, input, output);                                                           \
  }
BAYESOPS_FUNCTORS(float32, float)
BAYESOPS_FUNCTORS(float64, double)

}  // extern "C"
