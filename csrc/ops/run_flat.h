// Runs on the CPU what CUDA threads do: operators that only composites call are the functors of kernels/flat there,
// too.
#pragma once
#include <torch/headeronly/util/BFloat16.h>

#include "ops/pool.h"
#include "ops/tensors.h"

namespace bayesops::ops {

struct FlatOnHost {
  // Runs the functor that `arguments` choose for their dtype.
  template <class Arguments>
  static void run(const Arguments& arguments) {
    const auto all = [](const auto& f) { run_all(f); };
    if (arguments.dtype == kFloat64) return arguments.template visit<double>(all);
    if (arguments.dtype == kBFloat16) return arguments.template visit<torch::headeronly::BFloat16>(all);
    arguments.template visit<float>(all);
  }

 private:
  template <class F>
  static void run_all(const F& f) {
    constexpr int64_t kGrain = 1 << 12;  // indices a job
    parallel_for(pool(), f.total(f), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t index = begin; index < end; ++index) f.run(f, index);
    });
  }
};

}  // namespace bayesops::ops
