// 16-bit storage types on the device.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace bayesops::cuda {

using BFloat16 = __nv_bfloat16;
using Half = __half;

}  // namespace bayesops::cuda
