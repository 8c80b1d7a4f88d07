// The checks and shapes of the streams as tensors, on every device.
#pragma once
#include "ops/tensors.h"

namespace bayesops::ops {

struct RandomArguments {
  RandomArguments(const char* op, const Tensor& seed, const Sizes& shape, int64_t given_stream, ScalarType dtype)
      : seeds(read_seeds(op, seed)), stream(static_cast<uint32_t>(given_stream)) {
    check_stream(op, given_stream);
    out = empty(seeds.lead(shape), dtype, seed);
    elements = 1;
    for (const int64_t size : shape) elements *= size;
  }

  Seeds seeds;
  uint32_t stream;
  int64_t elements;  // of one sample
  Tensor out;        // [(S,) shape...]
};

struct SampleSeedsArguments {
  SampleSeedsArguments(const Tensor& seed, int64_t num_samples) : seeds(read_seeds("sample_seeds", seed)) {
    STD_TORCH_CHECK(!seeds.batched, "sample_seeds: seed must have shape [], not ", describe(sizes_of(seed)));
    STD_TORCH_CHECK(num_samples >= 0, "sample_seeds: num_samples must not be negative, not ", num_samples);
    out = empty({num_samples}, ScalarType::Long, seed);
  }

  Seeds seeds;
  Tensor out;  // [num_samples]
};

}  // namespace bayesops::ops
