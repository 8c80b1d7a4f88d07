#include "ops/gaussian_weight_arguments.h"

namespace bayesops::ops {

GaussianWeightArguments::GaussianWeightArguments(const std::optional<Tensor>& given_mu, const Tensor& given_sigma,
                                                 const Tensor& seed, int64_t given_stream, bool channels_last)
    : seeds(read_seeds("gaussian_weight", seed)),
      stream(static_cast<uint32_t>(given_stream)),
      dtype(dtype_of("gaussian_weight", "sigma", given_sigma)),
      layout(layout_of(sizes_of(given_sigma), channels_last)),
      sigma(given_sigma) {
  const char* op = "gaussian_weight";
  channels_last = channels_last && given_sigma.dim() > 2;
  sigma = dense(given_sigma, 1, channels_last);
  check_stream(op, given_stream);
  check_same_device(op, given_sigma, "seed", seed);
  if (given_mu.has_value()) {
    check_parameter(op, "mu", *given_mu, given_sigma, sizes_of(given_sigma));
    mu = dense(*given_mu, 1, channels_last);
  }
  out = empty_dense(seeds.lead(sizes_of(given_sigma)), seeds.batched ? 2 : 1, channels_last, given_sigma);
}

}  // namespace bayesops::ops
