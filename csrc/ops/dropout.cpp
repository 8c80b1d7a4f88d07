// dropout: single elements or whole channels of an activation, by a mask that is drawn or given.
#include "ops/tensors.h"

namespace bayesops::ops {

namespace {

Tensor dropout(const Tensor input, const Tensor seed, const std::optional<Tensor> mask, double p, int64_t granularity,
               int64_t stream, bool shared_input) {
  const char* op = "dropout";
  check_cpu(op, "input", input);
  const Seeds seeds = read_seeds(op, seed);
  const bool sampled = seeds.batched && !shared_input;
  const int64_t channel = sampled ? 2 : 1;
  STD_TORCH_CHECK(input.dim() > channel, op, ": input must have at least ", channel + 1, " dimensions, not shape ",
                  describe(sizes_of(input)));
  STD_TORCH_CHECK(granularity == 0 || granularity == 1, op, ": granularity must be 0 (element) or 1 (channel), not ",
                  granularity);
  const Sizes in_sizes = sizes_of(input);
  STD_TORCH_CHECK(!sampled || in_sizes[0] == seeds.count, op, ": input has ", in_sizes[0], " samples and seed ",
                  seeds.count);
  DropoutProblem problem;
  problem.dtype = dtype_of(op, "input", input);
  problem.samples = seeds.count;
  problem.examples = in_sizes[channel - 1];
  problem.channels = in_sizes[channel];
  problem.pixels = 1;
  for (size_t i = channel + 1; i < in_sizes.size(); ++i) problem.pixels *= in_sizes[i];
  problem.shared_input = !sampled;
  problem.channels_last = is_channels_last(input, channel);
  problem.whole_channels = granularity == 1;
  problem.scale = 1.0 / (1.0 - p);

  const Sizes base = problem.whole_channels ? Sizes{problem.examples, problem.channels}
                                            : Sizes(in_sizes.begin() + (sampled ? 1 : 0), in_sizes.end());
  const Mask drawn = read_mask(op, mask, base, kGranularityWeight, p, seeds, stream, false, problem.examples);
  problem.mask = drawn.source;

  Sizes out_sizes = in_sizes;
  if (seeds.batched && shared_input) out_sizes.insert(out_sizes.begin(), seeds.count);
  const Sizes in_strides = dense_strides(in_sizes, channel, problem.channels_last);
  const Sizes out_strides =
      dense_strides(out_sizes, static_cast<int64_t>(out_sizes.size() - in_sizes.size()) + channel, problem.channels_last);
  Tensor x = input;
  for (size_t i = 0; i < in_sizes.size(); ++i) {
    if (in_sizes[i] <= 1 || input.stride(static_cast<int64_t>(i)) == in_strides[i]) continue;
    x = empty_strided(in_sizes, in_strides, input.scalar_type(), input);
    torch::stable::copy_(x, input);
    break;
  }
  Tensor out = empty_strided(out_sizes, out_strides, input.scalar_type(), input);
  if (out.numel() == 0) return out;
  if (!problem.mask.masked) {  // p = 0: nothing is dropped
    torch::stable::copy_(out, x);
    return out;
  }
  kernels().pointwise.dropout(problem, x.data_ptr(), out.data_ptr(), pool());
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  m.def(
      "dropout(Tensor input, Tensor seed, Tensor? mask, float p, int granularity, int stream, bool shared_input) -> "
      "Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) { m.impl("dropout", TORCH_BOX(&dropout)); }

}  // namespace bayesops::ops
