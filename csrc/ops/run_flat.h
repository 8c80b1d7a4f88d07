// Runs on the CPU what CUDA threads do: operators that only composites call are the functors of kernels/flat there,
// too.
#pragma once
#include <torch/headeronly/util/BFloat16.h>

#include "ops/pool.h"
#include "ops/tensors.h"

namespace bayesops::ops {

// Runs the functor that `arguments` are for their dtype.
template <class Arguments>
void run_flat(const Arguments& arguments) {
  const auto run = [](const auto& f) {
    constexpr int64_t kGrain = 1 << 12;  // indices a job
    parallel_for(pool(), f.total(f), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t index = begin; index < end; ++index) f.run(f, index);
    });
  };
  if (arguments.dtype == kFloat64) return run(arguments.template functor<double>());
  if (arguments.dtype == kBFloat16) return run(arguments.template functor<torch::headeronly::BFloat16>());
  run(arguments.template functor<float>());
}

}  // namespace bayesops::ops
