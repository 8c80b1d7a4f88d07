// gaussian_kl and its gradient on the device.
#include <cmath>
#include <tuple>

#include "cuda/launch.cuh"
#include "cuda/types.cuh"
#include "kernels/flat/gaussian_kl.h"
#include "ops/gaussian_kl_arguments.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

Tensor gaussian_kl(const Tensor mu, const Tensor rho, double prior_mu, double prior_sigma) {
  const GaussianKlArguments a("gaussian_kl", mu, rho, prior_mu, prior_sigma);
  Tensor partial;
  with_type(a.problem.dtype, [&](auto type) {
    using F = FlatGaussianKl<decltype(type)>;
    const int64_t total = F::total(a.problem);
    partial = empty({total}, ScalarType::Double, mu);
    launch(F{a.problem, std::log(prior_sigma) - 0.5, static_cast<double*>(partial.data_ptr())}, total, mu);
  });
  return sum_over(partial, 0);
}

std::tuple<Tensor, Tensor> gaussian_kl_grad(const Tensor grad, const Tensor mu, const Tensor rho, double prior_mu,
                                            double prior_sigma) {
  const GaussianKlArguments a("gaussian_kl_grad", mu, rho, prior_mu, prior_sigma);
  GaussianKlArguments::check_cotangent(grad, mu);
  Tensor grad_mu = empty_as(a.mu), grad_rho = empty_as(a.mu);
  with_type(a.problem.dtype, [&](auto type) {
    using S = decltype(type);
    using F = FlatGaussianKlGradient<S>;
    launch(F{a.problem, static_cast<const double*>(grad.data_ptr()), static_cast<S*>(grad_mu.data_ptr()),
             static_cast<S*>(grad_rho.data_ptr())},
           F::total(a.problem), mu);
  });
  return {grad_mu, grad_rho};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) {
  m.impl("gaussian_kl", TORCH_BOX(&gaussian_kl));
  m.impl("gaussian_kl_grad", TORCH_BOX(&gaussian_kl_grad));
}

}  // namespace bayesops::cuda
