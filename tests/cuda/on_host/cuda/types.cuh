// Stands in for csrc/cuda/types.cuh: storage types on the host.
#pragma once
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include "kernels/conv/problem.h"

namespace bayesops::cuda {

// Calls f(S{}) with the storage type S of a dtype.
template <class F>
void with_type(DType dtype, const F& f) {
  switch (dtype) {
    case kFloat32:
      return f(float{});
    case kFloat64:
      return f(double{});
    case kBFloat16:
      return f(torch::headeronly::BFloat16{});
    case kFloat16:
      return f(torch::headeronly::Half{});
  }
}

}  // namespace bayesops::cuda
