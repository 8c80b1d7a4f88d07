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

// e^x of x <= 0 or NaN: within 2^-23 in all, and of itself within |x| 2^-24 and what the device's own function is off
// by. Enough for probabilities and sums of them, and a tenth of the instructions of Math::exp.
BAYESOPS_HD float quick_exp(float x) {
  const float power = x * 1.44269504088896341f;
#if defined(__CUDA_ARCH__)
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(power));
  return result;
#else
  return __builtin_exp2f(power);
#endif
}
BAYESOPS_HD double quick_exp(double x) { return DoubleElementary::exp(x); }

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
