// libtorch's thread pool as kernels see it.
#pragma once
#include <torch/csrc/stable/ops.h>

#include <exception>
#include <mutex>

#include "kernels/parallel.h"

namespace bayesops::ops {

// What a worker throws is thrown again here: torch's stable ABI would say no more than that something was.
inline void run_in_pool(int64_t count, int64_t grain, Parallel::Body body, void* context) {
  std::exception_ptr failure;
  std::mutex one_at_a_time;
  torch::stable::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) {
    try {
      body(begin, end, context);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(one_at_a_time);
      if (!failure) failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
}

inline Parallel pool() { return Parallel{run_in_pool, static_cast<int>(torch::stable::get_num_threads())}; }

}  // namespace bayesops::ops
