// Stands in for csrc/cuda/launch.cuh: a launch is a loop on the host. Backwards, since the device keeps no order.
#pragma once
#include <torch/csrc/stable/library.h>

#include "ops/tensors.h"

#define CUDA CPU  // the dispatch key that what follows is registered for

namespace bayesops::cuda {

template <class F>
void launch(const F& f, int64_t total, const ops::Tensor& like) {
  (void)like;
  for (int64_t index = total - 1; index >= 0; --index) F::run(f, index);
}

}  // namespace bayesops::cuda
