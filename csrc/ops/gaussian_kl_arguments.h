// The arguments of gaussian_kl and its gradient, checked, on every device.
#pragma once
#include <cmath>

#include "kernels/pointwise/gaussian_kl.h"
#include "ops/tensors.h"

namespace bayesops::ops {

struct GaussianKlArguments {
  Tensor mu, rho;  // contiguous
  GaussianKlProblem problem;

  GaussianKlArguments(const char* op, const Tensor& given_mu, const Tensor& given_rho, double prior_mu,
                      double prior_sigma) {
    problem.dtype = dtype_of(op, "mu", given_mu);
    check_same_dtype(op, given_mu, "rho", given_rho);
    check_same_device(op, given_mu, "rho", given_rho);
    STD_TORCH_CHECK(sizes_of(given_rho) == sizes_of(given_mu), op, ": rho must have mu's shape ",
                    describe(sizes_of(given_mu)), ", not ", describe(sizes_of(given_rho)));
    STD_TORCH_CHECK(prior_sigma > 0.0 && std::isfinite(prior_sigma), op,
                    ": prior_sigma must be greater than 0 and finite, not ", prior_sigma);
    mu = dense(given_mu);
    rho = dense(given_rho);
    problem.elements = mu.numel();
    problem.mu = mu.data_ptr();
    problem.rho = rho.data_ptr();
    problem.prior_mu = prior_mu;
    problem.prior_sigma = prior_sigma;
  }

  static void check_cotangent(const Tensor& grad, const Tensor& mu) {
    constexpr const char* op = "gaussian_kl_grad";
    STD_TORCH_CHECK(grad.scalar_type() == ScalarType::Double && grad.dim() == 0, op,
                    ": grad must be float64 of shape [], as the divergence is");
    check_same_device(op, mu, "grad", grad);
  }
};

}  // namespace bayesops::ops
