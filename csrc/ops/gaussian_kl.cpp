// gaussian_kl: the divergence of normally distributed weights from a normal prior in one pass, and its gradient. On
// CUDA both are composites (bayesops/ops/_gaussian_kl_rules.py).
#include <cmath>
#include <tuple>

#include "kernels/isa_table.h"
#include "ops/pool.h"
#include "ops/tensors.h"

namespace bayesops::ops {

namespace {

struct Arguments {
  Arguments(const char* op, const Tensor& given_mu, const Tensor& given_rho, double prior_mu, double prior_sigma) {
    problem.dtype = dtype_of(op, "mu", given_mu);
    check_same_dtype(op, given_mu, "rho", given_rho);
    check_same_device(op, given_mu, "rho", given_rho);
    STD_TORCH_CHECK(sizes_of(given_rho) == sizes_of(given_mu), op, ": rho must have mu's shape ",
                    describe(sizes_of(given_mu)), ", not ", describe(sizes_of(given_rho)));
    STD_TORCH_CHECK(prior_sigma > 0.0 && std::isfinite(prior_sigma), op,
                    ": prior_sigma must be greater than 0 and finite, not ", prior_sigma);
    mu = torch::stable::contiguous(given_mu);
    rho = torch::stable::contiguous(given_rho);
    problem.elements = mu.numel();
    problem.mu = mu.data_ptr();
    problem.rho = rho.data_ptr();
    problem.prior_mu = prior_mu;
    problem.prior_sigma = prior_sigma;
  }

  Tensor mu, rho;
  GaussianKlProblem problem;
};

Tensor gaussian_kl(const Tensor mu, const Tensor rho, double prior_mu, double prior_sigma) {
  const Arguments a("gaussian_kl", mu, rho, prior_mu, prior_sigma);
  Tensor out = empty({}, ScalarType::Double, mu);
  double* partial = scratch<double>(kScratchSharedTables, gaussian_pieces(a.problem.elements));
  *static_cast<double*>(out.data_ptr()) = kernels().pointwise.gaussian_kl(a.problem, partial, pool());
  return out;
}

std::tuple<Tensor, Tensor> gaussian_kl_grad(const Tensor grad, const Tensor mu, const Tensor rho, double prior_mu,
                                            double prior_sigma) {
  const char* op = "gaussian_kl_grad";
  const Arguments a(op, mu, rho, prior_mu, prior_sigma);
  STD_TORCH_CHECK(grad.scalar_type() == ScalarType::Double && grad.dim() == 0, op,
                  ": grad must be float64 of shape [], as the divergence is");
  check_same_device(op, mu, "grad", grad);
  Tensor grad_mu = empty_as(a.mu), grad_rho = empty_as(a.mu);
  kernels().pointwise.gaussian_kl_gradient(a.problem, *static_cast<const double*>(grad.data_ptr()), grad_mu.data_ptr(),
                                           grad_rho.data_ptr(), pool());
  return {grad_mu, grad_rho};
}

}  // namespace

#define BAYESOPS_POSTERIOR "Tensor mu, Tensor rho, float prior_mu, float prior_sigma) -> "

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  // The sum over all elements of KL(N(mu, softplus(rho)²) || N(prior_mu, prior_sigma²)), float64 [].
  m.def("gaussian_kl(" BAYESOPS_POSTERIOR "Tensor");
  m.def("gaussian_kl_grad(Tensor grad, " BAYESOPS_POSTERIOR "(Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) {
  m.impl("gaussian_kl", TORCH_BOX(&gaussian_kl));
  m.impl("gaussian_kl_grad", TORCH_BOX(&gaussian_kl_grad));
}

}  // namespace bayesops::ops
