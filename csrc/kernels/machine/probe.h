// What the machine can do at best, measured in the same process as the kernels it is compared with.
#pragma once
#include <stdint.h>

namespace bayesops {

struct ProbeKernels {
  // Runs `steps` rounds of independent fused multiply-adds in registers; returns the floating-point operations done.
  double (*multiply_add)(int64_t steps, float* sink);
  // The same as convolutions in bfloat16 do it: in pairs, where the set has an instruction for them.
  double (*multiply_add_bfloat16)(int64_t steps, float* sink);
};

}  // namespace bayesops
