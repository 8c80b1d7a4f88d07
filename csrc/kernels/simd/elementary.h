// rng/elementary.h on vectors of single precision.
#pragma once
#include "kernels/rng/elementary.h"
#include "kernels/rng/normal_vectors.h"

BAYESOPS_ISA_BEGIN

struct VectorElementary : VectorMath {
  using Element = float;
  BAYESOPS_HD_MEMBER F select(I which, F a, F b) { return which ? a : b; }
  BAYESOPS_HD_MEMBER F absolute(F x) { return bits_float(float_bits(x) & 0x7FFFFFFF); }
  BAYESOPS_HD_MEMBER F exp(F x) { return exponential<VectorElementary>(x); }
  BAYESOPS_HD_MEMBER F log(F x) { return logarithm<VectorElementary>(x); }
  BAYESOPS_HD_MEMBER F log_abs(F x) { return log_magnitude<VectorElementary>(x); }
  BAYESOPS_HD_MEMBER F log1p_over(F t) { return log1p_ratio<VectorElementary>(t); }
};

BAYESOPS_ISA_END
