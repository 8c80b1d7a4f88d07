// Storage types on the device.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

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
      return f(__nv_bfloat16{});
    case kFloat16:
      return f(__half{});
  }
}

}  // namespace bayesops::cuda
