// gaussian_kl: the divergence of normally distributed weights from a normal prior in one pass, and its gradient.
#include <tuple>

#include "kernels/isa_table.h"
#include "ops/gaussian_kl_arguments.h"
#include "ops/pool.h"

namespace bayesops::ops {

namespace {

Tensor gaussian_kl(const Tensor mu, const Tensor rho, double prior_mu, double prior_sigma) {
  const GaussianKlArguments a("gaussian_kl", mu, rho, prior_mu, prior_sigma);
  Tensor out = empty({}, ScalarType::Double, mu);
  double* partial = scratch<double>(kScratchSharedTables, gaussian_pieces(a.problem.elements));
  *static_cast<double*>(out.data_ptr()) = kernels().pointwise.gaussian_kl(a.problem, partial, pool());
  return out;
}

std::tuple<Tensor, Tensor> gaussian_kl_grad(const Tensor grad, const Tensor mu, const Tensor rho, double prior_mu,
                                            double prior_sigma) {
  const GaussianKlArguments a("gaussian_kl_grad", mu, rho, prior_mu, prior_sigma);
  GaussianKlArguments::check_cotangent(grad, mu);
  Tensor grad_mu = empty_as(a.mu), grad_rho = empty_as(a.mu);
  kernels().pointwise.gaussian_kl_gradient(a.problem, *static_cast<const double*>(grad.data_ptr()), grad_mu.data_ptr(),
                                           grad_rho.data_ptr(), pool());
  return {grad_mu, grad_rho};
}

}  // namespace

#define BAYESOPS_GAUSSIAN_KL_ARGUMENTS "Tensor mu, Tensor rho, float prior_mu, float prior_sigma"

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  // The sum over all elements of KL(N(mu, softplus(rho)²) || N(prior_mu, prior_sigma²)), float64 [].
  m.def("gaussian_kl(" BAYESOPS_GAUSSIAN_KL_ARGUMENTS ") -> Tensor");
  m.def("gaussian_kl_grad(Tensor grad, " BAYESOPS_GAUSSIAN_KL_ARGUMENTS ") -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) {
  m.impl("gaussian_kl", TORCH_BOX(&gaussian_kl));
  m.impl("gaussian_kl_grad", TORCH_BOX(&gaussian_kl_grad));
}

}  // namespace bayesops::ops
