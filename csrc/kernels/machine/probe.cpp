#include "kernels/machine/probe.h"

#include "kernels/machine/entry.h"
#include "kernels/simd/bfloat16_pair.h"

BAYESOPS_ISA_BEGIN

namespace {

// As many chains as a tile has sums: enough to hide the latency, few enough to stay in registers.
constexpr int kChains = kVectorRegisters == 32 ? 24 : 12;

// Calls multiply_add(sum) for each chain, `steps` times.
template <class MultiplyAdd>
BAYESOPS_INLINE void run_chains(int64_t steps, const MultiplyAdd& multiply_add, float* sink) {
  VFloat sum[kChains];
  for (int i = 0; i < kChains; ++i) sum[i] = broadcast(1.0f + (float)i);
  for (int64_t s = 0; s < steps; ++s) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) sum[i] = multiply_add(sum[i]);
  }
  VFloat total = sum[0];
  for (int i = 1; i < kChains; ++i) total += sum[i];
  *sink = total[0];
}

constexpr double kOperations = kChains * kLanes<float> * 2.0;

}  // namespace

double probe_multiply_add(int64_t steps, float* sink) {
  const VFloat factor = broadcast(0.999f), add = broadcast(0.001f);
  run_chains(steps, [=](VFloat sum) { return fused_multiply_add(sum, factor, add); }, sink);
  return (double)steps * kOperations;
}

#if defined(BAYESOPS_AVX512_BF16)
double probe_multiply_add_in_pairs(int64_t steps, float* sink) {
  const VUint small = pairs_of(broadcast(0.03125f), broadcast(0.03125f));
  run_chains(steps, [=](VFloat sum) { return fused_multiply_add(small, small, sum); }, sink);
  return (double)steps * kOperations * 2;
}
#endif

BAYESOPS_ISA_END
