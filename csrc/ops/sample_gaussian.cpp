// sample_gaussian: weights of a Gaussian posterior with log q and log prior in one pass, and its gradient.
#include "ops/sample_gaussian_arguments.h"

#include <tuple>

#include "kernels/isa_table.h"
#include "ops/pool.h"

namespace bayesops::ops {

namespace {

std::tuple<Tensor, Tensor, Tensor> sample_gaussian(const Tensor mu, const Tensor spread, const Tensor seed,
                                                   int64_t stream, bool alpha, int64_t prior,
                                                   std::vector<double> prior_parameters) {
  const SampleGaussianArguments a("sample_gaussian", mu, spread, seed, stream, alpha, prior, prior_parameters);
  Tensor weights = a.empty_weights(), log_q = a.empty_logs(), log_prior = a.empty_logs();
  const SampleGaussianProblem& problem = a.problem;
  double* partial = scratch<double>(kScratchSharedTables, 2 * problem.samples * gaussian_pieces(problem.elements));
  kernels().pointwise.sample_gaussian(problem, weights.data_ptr(), static_cast<double*>(log_q.data_ptr()),
                                      static_cast<double*>(log_prior.data_ptr()), partial, pool());
  return {weights, log_q, log_prior};
}

std::tuple<Tensor, Tensor> sample_gaussian_grad(const std::optional<Tensor> grad_weights,
                                                const std::optional<Tensor> grad_log_q,
                                                const std::optional<Tensor> grad_log_prior, const Tensor mu,
                                                const Tensor spread, const Tensor seed, int64_t stream, bool alpha,
                                                int64_t prior, std::vector<double> prior_parameters) {
  const SampleGaussianArguments a("sample_gaussian_grad", mu, spread, seed, stream, alpha, prior, prior_parameters);
  const auto of_weights = a.cotangent("grad_weights", grad_weights, true);
  const auto of_log_q = a.cotangent("grad_log_q", grad_log_q, false);
  const auto of_log_prior = a.cotangent("grad_log_prior", grad_log_prior, false);
  Tensor grad_mu = empty_as(a.mu), grad_spread = empty_as(a.mu);
  kernels().pointwise.sample_gaussian_gradient(
      a.problem, data_of(of_weights), static_cast<const double*>(data_of(of_log_q)),
      static_cast<const double*>(data_of(of_log_prior)), grad_mu.data_ptr(), grad_spread.data_ptr(), pool());
  return {grad_mu, grad_spread};
}

}  // namespace

#define BAYESOPS_SAMPLE_GAUSSIAN_ARGUMENTS \
  "Tensor mu, Tensor spread, Tensor seed, int stream, bool alpha, int prior, float[] prior_parameters"

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  // `spread` is rho (sigma = softplus(rho)) or, with alpha, log alpha (sigma = exp(log_alpha / 2) |mu|). `prior` and
  // its parameters: 0 none; 1 Gaussian: mu, sigma; 2 Laplace: mu, scale; 3 scale mixture: pi, sigma1, sigma2. Returns
  // weights, log q and log prior.
  m.def("sample_gaussian(" BAYESOPS_SAMPLE_GAUSSIAN_ARGUMENTS ") -> (Tensor, Tensor, Tensor)");
  // Gradients of mu and spread; a cotangent that is not given counts as zeros.
  m.def(
      "sample_gaussian_grad(Tensor? grad_weights, Tensor? grad_log_q, Tensor? "
      "grad_log_prior, " BAYESOPS_SAMPLE_GAUSSIAN_ARGUMENTS ") -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) {
  m.impl("sample_gaussian", TORCH_BOX(&sample_gaussian));
  m.impl("sample_gaussian_grad", TORCH_BOX(&sample_gaussian_grad));
}

}  // namespace bayesops::ops
