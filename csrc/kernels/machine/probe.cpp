#include "kernels/machine/probe.h"

#include "kernels/machine/entry.h"
#include "kernels/simd/vector.h"

BAYESOPS_ISA_BEGIN

double probe_multiply_add(int64_t steps, float* sink) {
  // As many chains as a tile has sums: enough to hide the latency, few enough to stay in registers.
  constexpr int kChains = kVectorRegisters == 32 ? 24 : 12;
  VFloat sum[kChains];
  for (int i = 0; i < kChains; ++i) sum[i] = broadcast(1.0f + (float)i);
  const VFloat factor = broadcast(0.999f), add = broadcast(0.001f);
  for (int64_t s = 0; s < steps; ++s) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) sum[i] = fused_multiply_add(sum[i], factor, add);
  }
  VFloat total = sum[0];
  for (int i = 1; i < kChains; ++i) total += sum[i];
  *sink = total[0];
  return (double)steps * kChains * kLanes<float> * 2.0;
}

BAYESOPS_ISA_END
