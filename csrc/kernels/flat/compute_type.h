// In what type a functor computes with a storage type: float, but for double. Storage types convert through it. And the
// operations of both that are rounded alike on the host and on the device.
#pragma once
#include "kernels/rng/elementary.h"

namespace bayesops {

template <class S>
struct ComputeOf {
  using T = float;
};
template <>
struct ComputeOf<double> {
  using T = double;
};

template <class T>
struct ElementaryOf {
  using Math = ScalarElementary;
};
template <>
struct ElementaryOf<double> {
  using Math = DoubleElementary;
};

BAYESOPS_HD float root(float x) { return ScalarMath::sqrt(x); }
BAYESOPS_HD double root(double x) {
#if defined(__CUDA_ARCH__)
  return __dsqrt_rn(x);
#else
  return __builtin_sqrt(x);
#endif
}

// a * b + c, rounded once.
BAYESOPS_HD float exact_multiply_add(float a, float b, float c) { return ScalarMath::fma(a, b, c); }
BAYESOPS_HD double exact_multiply_add(double a, double b, double c) {
#if defined(__CUDA_ARCH__)
  return __fma_rn(a, b, c);
#else
  return __builtin_fma(a, b, c);
#endif
}

}  // namespace bayesops
