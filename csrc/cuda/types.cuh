// Storage types by dtype.
#pragma once
#include "cuda/storage.cuh"
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
      return f(BFloat16{});
    case kFloat16:
      return f(Half{});
  }
}

}  // namespace bayesops::cuda
