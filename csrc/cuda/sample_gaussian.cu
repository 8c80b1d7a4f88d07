// sample_gaussian and its gradient on the device.
#include <tuple>

#include "cuda/launch.cuh"
#include "cuda/types.cuh"
#include "kernels/flat/sample_gaussian.h"
#include "ops/sample_gaussian_arguments.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

std::tuple<Tensor, Tensor, Tensor> sample_gaussian(const Tensor mu, const Tensor spread, const Tensor seed,
                                                   int64_t stream, bool alpha, int64_t prior,
                                                   std::vector<double> prior_parameters) {
  const SampleGaussianArguments a("sample_gaussian", mu, spread, seed, stream, alpha, prior, prior_parameters);
  const SampleGaussianProblem& problem = a.problem;
  Tensor weights = a.empty_weights();
  Sizes shares = sizes_of(a.empty_logs());
  shares.insert(shares.begin(), 2);
  Tensor log_q, log_prior;
  with_type(problem.dtype, [&](auto type) {
    using F = FlatSampleGaussian<decltype(type)>;
    shares.push_back(F::per_sample(problem));
    Tensor partial = empty(shares, ScalarType::Double, mu);
    launch(F{problem, static_cast<decltype(type)*>(weights.data_ptr()), static_cast<double*>(partial.data_ptr())},
           F::total(problem), mu);
    const int64_t last = static_cast<int64_t>(shares.size()) - 2;  // of one of the two
    log_q = sum_over(torch::stable::select(partial, 0, 0), last);
    log_prior = sum_over(torch::stable::select(partial, 0, 1), last);
  });
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
  with_type(a.problem.dtype, [&](auto type) {
    using S = decltype(type);
    const FlatSampleGaussianGradient<S> f{a.problem,
                                          static_cast<const S*>(data_of(of_weights)),
                                          static_cast<const double*>(data_of(of_log_q)),
                                          static_cast<const double*>(data_of(of_log_prior)),
                                          static_cast<S*>(grad_mu.data_ptr()),
                                          static_cast<S*>(grad_spread.data_ptr())};
    launch(f, FlatSampleGaussianGradient<S>::total(a.problem), mu);
  });
  return {grad_mu, grad_spread};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) {
  m.impl("sample_gaussian", TORCH_BOX(&sample_gaussian));
  m.impl("sample_gaussian_grad", TORCH_BOX(&sample_gaussian_grad));
}

}  // namespace bayesops::cuda
