#include "ops/lrt_arguments.h"

namespace bayesops::ops {

OutputNoise::OutputNoise(const char* op, const char* name, const Tensor& statistic, const Tensor& seed,
                         int64_t given_stream, int64_t spatial)
    : seeds(read_seeds(op, seed)), stream(static_cast<uint32_t>(given_stream)), samples(seeds.count) {
  check_stream(op, given_stream);
  check_same_device(op, statistic, "seed", seed);
  const Sizes all = sizes_of(statistic);
  STD_TORCH_CHECK(spatial >= 0 && spatial <= 3, op, ": spatial must be 0 to 3, not ", spatial);
  const bool own = seeds.batched && statistic.dim() == spatial + 3;
  STD_TORCH_CHECK(own || statistic.dim() == spatial + 2, op, ": ", name, " must have ", spatial + 2,
                  " dimensions, or with seeds [S] ", spatial + 3, " (one for each sample), not shape ", describe(all));
  STD_TORCH_CHECK(!own || all[0] == samples, op, ": ", name, " has ", all[0], " samples and seed ", samples);
  shared = seeds.batched && !own;
  sizes = Sizes(all.begin() + (own ? 1 : 0), all.end());
  examples = sizes[0];
  channels = sizes[1];
  pixels = 1;
  for (size_t i = 2; i < sizes.size(); ++i) pixels *= sizes[i];
}

Sizes OutputNoise::output() const {
  Sizes all = sizes;
  if (seeds.batched) all.insert(all.begin(), samples);
  return all;
}

LrtEpilogueArguments::LrtEpilogueArguments(const Tensor& given_mean, const Tensor& given_variance, const Tensor& seed,
                                           int64_t given_stream, int64_t spatial)
    : noise("lrt_epilogue", "mean", given_mean, seed, given_stream, spatial),
      dtype(dtype_of("lrt_epilogue", "mean", given_mean)) {
  const char* op = "lrt_epilogue";
  check_same_device(op, given_mean, "variance", given_variance);
  STD_TORCH_CHECK(given_variance.scalar_type() == given_mean.scalar_type(), op,
                  ": variance must have the dtype of mean");
  STD_TORCH_CHECK(sizes_of(given_variance) == sizes_of(given_mean), op, ": variance must have the shape of mean, ",
                  describe(sizes_of(given_mean)), ", not ", describe(sizes_of(given_variance)));
  const int64_t channel = noise.statistic_channel();
  channels_last = is_channels_last(given_mean, channel);
  mean = dense(given_mean, channel, channels_last);
  variance = dense(given_variance, channel, channels_last);
  std = empty_dense(sizes_of(given_mean), channel, channels_last, given_mean);
  out = empty_dense(noise.output(), noise.output_channel(), channels_last, given_mean);
  // No sample writes it, and nothing depends on it: a zero has finite gradients.
  if (noise.samples == 0) torch::stable::zero_(std);
}

LrtVarianceGradArguments::LrtVarianceGradArguments(const Tensor& given_grad, const Tensor& given_std,
                                                   const Tensor& seed, int64_t given_stream, int64_t spatial)
    : noise("lrt_variance_grad", "std", given_std, seed, given_stream, spatial),
      dtype(dtype_of("lrt_variance_grad", "std", given_std)) {
  const char* op = "lrt_variance_grad";
  check_same_device(op, given_std, "grad_output", given_grad);
  STD_TORCH_CHECK(given_grad.scalar_type() == given_std.scalar_type(), op, ": grad_output must have the dtype of std");
  const Sizes wanted = noise.output();
  STD_TORCH_CHECK(sizes_of(given_grad) == wanted, op, ": grad_output must have shape ", describe(wanted), ", not ",
                  describe(sizes_of(given_grad)));
  grad_channels_last = is_channels_last(given_grad, noise.output_channel());
  std_channels_last = is_channels_last(given_std, noise.statistic_channel());
  grad_output = dense(given_grad, noise.output_channel(), grad_channels_last);
  std = dense(given_std, noise.statistic_channel(), std_channels_last);
  out = empty_dense(sizes_of(given_std), noise.statistic_channel(), std_channels_last, given_std);
}

}  // namespace bayesops::ops
