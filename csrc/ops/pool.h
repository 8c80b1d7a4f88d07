// libtorch's thread pool as kernels see it.
#pragma once
#include <torch/csrc/stable/ops.h>

#include "kernels/parallel.h"

namespace bayesops::ops {

inline Parallel pool() {
  return Parallel{[](int64_t count, int64_t grain, Parallel::Body body, void* context) {
                    torch::stable::parallel_for(0, count, grain,
                                                [&](int64_t begin, int64_t end) { body(begin, end, context); });
                  },
                  static_cast<int>(torch::stable::get_num_threads())};
}

}  // namespace bayesops::ops
