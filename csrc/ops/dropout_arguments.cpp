#include "ops/dropout_arguments.h"

namespace bayesops::ops {

DropoutArguments::DropoutArguments(const Tensor& given, const Tensor& seed, const std::optional<Tensor>& given_mask,
                                   double p, int64_t granularity, int64_t stream, bool shared_input)
    : seeds(read_seeds("dropout", seed)) {
  const char* op = "dropout";
  check_same_device(op, given, "seed", seed);
  const bool sampled = seeds.batched && !shared_input;
  const int64_t channel = sampled ? 2 : 1;
  const Sizes sizes = sizes_of(given);
  STD_TORCH_CHECK(given.dim() > channel, op, ": input must have at least ", channel + 1, " dimensions, not shape ",
                  describe(sizes));
  STD_TORCH_CHECK(granularity == 0 || granularity == 1, op, ": granularity must be 0 (element) or 1 (channel), not ",
                  granularity);
  STD_TORCH_CHECK(!sampled || sizes[0] == seeds.count, op, ": input has ", sizes[0], " samples and seed ", seeds.count);
  problem.dtype = dtype_of(op, "input", given);
  problem.samples = seeds.count;
  problem.examples = sizes[static_cast<size_t>(channel - 1)];
  problem.channels = sizes[static_cast<size_t>(channel)];
  problem.pixels = 1;
  for (size_t i = static_cast<size_t>(channel) + 1; i < sizes.size(); ++i) problem.pixels *= sizes[i];
  problem.shared_input = !sampled;
  problem.channels_last = is_channels_last(given, channel);
  problem.whole_channels = granularity == 1;
  problem.scale = 1.0 / (1.0 - p);

  const Sizes of_sample(sizes.begin() + (sampled ? 1 : 0), sizes.end());
  const Sizes base = problem.whole_channels ? Sizes{problem.examples, problem.channels} : of_sample;
  mask = read_mask(op, given_mask, base, kGranularityWeight, p, seeds, stream, false, problem.examples);
  problem.mask = mask.source;

  input = dense(given, channel, problem.channels_last);
  out = empty_dense(seeds.lead(of_sample), seeds.batched ? 2 : 1, problem.channels_last, given);
}

}  // namespace bayesops::ops
