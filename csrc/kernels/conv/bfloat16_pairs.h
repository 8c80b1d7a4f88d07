// Which problems are multiplied in pairs of bfloat16, where the machine has an instruction for them.
#pragma once
#include "kernels/conv/single_row.h"

BAYESOPS_ISA_BEGIN

// Pairs are neighbouring channels that are summed over: there must be an even number of them, none left out.
static inline bool multiplies_pairs(const ConvProblem& p, const Roles& r, int64_t result_pixels) {
  const bool left_out = p.mask.masked && p.mask.granularity >= kGranularityInChannel;
  const bool paired = !r.depthwise && r.reduced > 0 && r.reduced % 2 == 0 && !left_out;
  const bool single_row = meets_single_rows(p, r, p.per_example ? 1 : p.examples, result_pixels);
  return p.dtype == kBFloat16 && paired && !single_row;
}

BAYESOPS_ISA_END
