// Masked weights written out: [samples, weight...] or, with a mask for each example, [samples, examples, weight...].
// What the convolutions form on the fly; needed where a library does the multiplying.
#include "kernels/conv/entry.h"
#include "kernels/conv/weight_set.h"

BAYESOPS_ISA_BEGIN

namespace {

template <class S, class T>
void write_masked(const ConvProblem& p, S* out, const Parallel& pool) {
  constexpr int n = kLanes<T>;
  const int64_t elements = p.out_channels * p.weight_row(), per_sample = p.per_example ? p.examples : 1;
  const S* weight = static_cast<const S*>(p.weight);
  const Roles roles = roles_of(p, false);
  parallel_for(pool, p.samples * per_sample, 1, [&](int64_t begin, int64_t end) {
    const SetRoom room = SetRoom::make(p, roles, kScratchBits, kScratchExpand, kScratchTables);
    for (int64_t set = begin; set < end; ++set) {
      BitRange bits{nullptr, 0};
      if (p.mask.masked)
        bits = weight_bits(p, mask_bits(p.mask, set / per_sample, set % per_sample, 0, p.mask.elements, room.bits),
                           room.expanded);
      for (int64_t i = 0; i < elements; i += n) {
        const int count = (int)(elements - i < n ? elements - i : n);
        const uint32_t keep = low_bits(count) & (p.mask.masked ? BitRange::read(bits, i) : ~0u);
        const Vec<T> w = load_as<T>(weight + i, keep) * broadcast<T>((T)p.scale);
        store_as<T, S>(out + set * elements + i, w, count);
      }
    }
  });
}

}  // namespace

void masked_weight(const ConvProblem& p, void* out, const Parallel& pool) {
  if (p.dtype == kFloat32) return write_masked<float, float>(p, static_cast<float*>(out), pool);
  if (p.dtype == kFloat64) return write_masked<double, double>(p, static_cast<double*>(out), pool);
  return write_masked<BFloat16, float>(p, static_cast<BFloat16*>(out), pool);
}

BAYESOPS_ISA_END
