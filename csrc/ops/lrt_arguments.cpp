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

LrtEpilogueArguments::LrtEpilogueArguments(const char* op, const Tensor& given_mean, const Tensor& given_spread,
                                           bool is_std, const std::optional<Tensor>& given_bias_mu,
                                           const std::optional<Tensor>& given_bias_var, const Tensor& seed,
                                           int64_t given_stream, int64_t spatial, const EpilogueTensors& given_epilogue)
    : noise(op, "mean", given_mean, seed, given_stream, spatial),
      dtype(dtype_of(op, "mean", given_mean)),
      channels_last(is_channels_last(given_mean, noise.statistic_channel())),
      spread_is_std(is_std),
      mean(dense(given_mean, noise.statistic_channel(), channels_last)),
      spread(given_spread),
      bias_mu(per_channel(op, "bias_mu", given_bias_mu, noise.channels, given_mean)),
      bias_var(per_channel(op, "bias_var", given_bias_var, noise.channels, given_mean)),
      out(empty_dense(noise.output(), noise.output_channel(), channels_last, given_mean)),
      epilogue(op, given_epilogue, noise.sizes, noise.seeds.batched, out) {
  check_parameter(op, is_std ? "std" : "variance", given_spread, given_mean, sizes_of(given_mean));
  spread = dense(given_spread, noise.statistic_channel(), channels_last);
}

LrtEpilogueArguments LrtEpilogueArguments::with_std(const Tensor& mean, const Tensor& variance,
                                                    const std::optional<Tensor>& bias_mu,
                                                    const std::optional<Tensor>& bias_var, const Tensor& seed,
                                                    int64_t stream, int64_t spatial) {
  LrtEpilogueArguments a("lrt_epilogue", mean, variance, false, bias_mu, bias_var, seed, stream, spatial, {});
  a.std = empty_dense(sizes_of(mean), a.noise.statistic_channel(), a.channels_last, mean);
  // No sample writes it, and nothing depends on it: a zero has finite gradients.
  if (a.noise.samples == 0) torch::stable::zero_(*a.std);
  return a;
}

LrtEpilogueArguments LrtEpilogueArguments::fused(const Tensor& mean, const Tensor& spread, bool spread_is_std,
                                                 const std::optional<Tensor>& bias_mu,
                                                 const std::optional<Tensor>& bias_var, const Tensor& seed,
                                                 int64_t stream, int64_t spatial, const EpilogueTensors& epilogue) {
  // With standard deviations it is lrt_draw, and says what that does on the CPU.
  const char* op = spread_is_std ? "lrt_draw" : "lrt_epilogue_fused";
  STD_TORCH_CHECK(!spread_is_std || (mean.dim() >= 2 && mean.dim() <= 5), op,
                  ": mean must have 2 to 5 dimensions, not shape ", describe(sizes_of(mean)));
  return LrtEpilogueArguments(op, mean, spread, spread_is_std, bias_mu, bias_var, seed, stream, spatial, epilogue);
}

LrtVarianceGradArguments::LrtVarianceGradArguments(const Tensor& given_grad, const Tensor& given_std,
                                                   const Tensor& seed, int64_t given_stream, int64_t spatial)
    : noise("lrt_variance_grad", "std", given_std, seed, given_stream, spatial),
      dtype(dtype_of("lrt_variance_grad", "std", given_std)) {
  check_parameter("lrt_variance_grad", "grad_output", given_grad, given_std, noise.output());
  grad_channels_last = is_channels_last(given_grad, noise.output_channel());
  std_channels_last = is_channels_last(given_std, noise.statistic_channel());
  grad_output = dense(given_grad, noise.output_channel(), grad_channels_last);
  std = dense(given_std, noise.statistic_channel(), std_channels_last);
  out = empty_dense(sizes_of(given_std), noise.statistic_channel(), std_channels_last, given_std);
}

}  // namespace bayesops::ops
