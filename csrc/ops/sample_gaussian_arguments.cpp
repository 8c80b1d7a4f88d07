#include "ops/sample_gaussian_arguments.h"

#include <cmath>

namespace bayesops::ops {

namespace {

double positive(const char* op, double value) {
  STD_TORCH_CHECK(value > 0.0, op, ": a scale of the prior must be greater than 0, not ", value);
  return value;
}

PriorLaw gaussian(const char* op, double mu, double sigma) {
  PriorLaw law;
  law.kind = kPriorGaussian;
  law.location = mu;
  law.inverse_scale = 1.0 / positive(op, sigma);
  law.constant = -std::log(sigma) - kLogSqrt2Pi;
  return law;
}

PriorLaw laplace(const char* op, double mu, double scale) {
  PriorLaw law;
  law.kind = kPriorLaplace;
  law.location = mu;
  law.inverse_scale = 1.0 / positive(op, scale);
  law.constant = -std::log(2.0 * scale);
  return law;
}

PriorLaw mixture(const char* op, double pi, double sigma1, double sigma2) {
  STD_TORCH_CHECK(pi >= 0.0 && pi <= 1.0, op, ": pi of the prior must be in [0, 1], not ", pi);
  positive(op, sigma1);
  positive(op, sigma2);
  if (pi == 1.0) return gaussian(op, 0.0, sigma1);
  if (pi == 0.0) return gaussian(op, 0.0, sigma2);
  const bool first_is_wide = sigma1 >= sigma2;
  const double wide = first_is_wide ? sigma1 : sigma2, narrow = first_is_wide ? sigma2 : sigma1;
  const double log_wide = std::log(first_is_wide ? pi : 1.0 - pi) - std::log(wide);
  const double log_narrow = std::log(first_is_wide ? 1.0 - pi : pi) - std::log(narrow);
  PriorLaw law;
  law.kind = kPriorMixture;
  law.wide = 0.5 / (wide * wide);
  law.gap = 0.5 / (narrow * narrow) - law.wide;
  law.log_odds = log_wide - log_narrow;
  law.constant = log_wide - kLogSqrt2Pi;
  return law;
}

PriorLaw read_prior(const char* op, int64_t kind, const std::vector<double>& parameters) {
  constexpr size_t kCounts[] = {0, 2, 2, 3};
  STD_TORCH_CHECK(kind >= kPriorNone && kind <= kPriorMixture, op,
                  ": prior must be 0 (none), 1 (Gaussian), 2 (Laplace) or 3 (scale mixture), not ", kind);
  const size_t wanted = kCounts[kind];
  STD_TORCH_CHECK(parameters.size() == wanted, op, ": prior ", kind, " has ", wanted, " parameters, not ",
                  parameters.size());
  switch (kind) {
    case kPriorGaussian:
      return gaussian(op, parameters[0], parameters[1]);
    case kPriorLaplace:
      return laplace(op, parameters[0], parameters[1]);
    case kPriorMixture:
      return mixture(op, parameters[0], parameters[1], parameters[2]);
    default:
      return PriorLaw{};
  }
}

}  // namespace

SampleGaussianArguments::SampleGaussianArguments(const char* name, const Tensor& given_mu, const Tensor& given_spread,
                                                 const Tensor& seed, int64_t stream, bool alpha, int64_t prior,
                                                 const std::vector<double>& prior_parameters)
    : op(name), seeds(read_seeds(name, seed)) {
  const char* spread_name = alpha ? "log_alpha" : "rho";
  problem.dtype = dtype_of(op, "mu", given_mu);
  check_same_dtype(op, given_mu, spread_name, given_spread);
  check_same_device(op, given_mu, spread_name, given_spread);
  check_same_device(op, given_mu, "seed", seed);
  check_stream(op, stream);
  STD_TORCH_CHECK(sizes_of(given_spread) == sizes_of(given_mu), op, ": ", spread_name, " must have mu's shape ",
                  describe(sizes_of(given_mu)), ", not ", describe(sizes_of(given_spread)));
  mu = dense(given_mu);
  spread = dense(given_spread);
  problem.samples = seeds.count;
  problem.elements = mu.numel();
  problem.alpha = alpha;
  problem.mu = mu.data_ptr();
  problem.spread = spread.data_ptr();
  problem.seeds = seeds.data;
  problem.stream = static_cast<uint32_t>(stream);
  problem.prior = read_prior(op, prior, prior_parameters);
}

Sizes SampleGaussianArguments::sizes(bool of_weights) const { return seeds.lead(of_weights ? sizes_of(mu) : Sizes{}); }

Tensor SampleGaussianArguments::empty_weights() const { return empty(sizes(true), mu.scalar_type(), mu); }
Tensor SampleGaussianArguments::empty_logs() const { return empty(sizes(false), ScalarType::Double, mu); }

std::optional<Tensor> SampleGaussianArguments::cotangent(const char* name, const std::optional<Tensor>& given,
                                                         bool of_weights) const {
  if (!given.has_value()) return std::nullopt;
  const Sizes wanted = sizes(of_weights);
  STD_TORCH_CHECK(given->scalar_type() == (of_weights ? mu.scalar_type() : ScalarType::Double), op, ": ", name,
                  " must have the dtype of ", of_weights ? "mu" : "the sums, float64");
  check_same_device(op, mu, name, *given);
  STD_TORCH_CHECK(sizes_of(*given) == wanted, op, ": ", name, " must have shape ", describe(wanted), ", not ",
                  describe(sizes_of(*given)));
  return dense(*given);
}

}  // namespace bayesops::ops
