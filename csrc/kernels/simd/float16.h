// IEEE half precision, carried as its bits; conversion to float is exact.
#pragma once
#include "kernels/simd/vector.h"

BAYESOPS_ISA_BEGIN

struct Float16 {
  uint16_t bits;
};

template <>
__attribute__((always_inline)) inline float convert<float, Float16>(Float16 x) {
  // The exponent's bias is 112 less than a float's. Subnormal numbers come out right, too; infinity and NaN do not.
  const uint32_t magnitude = (uint32_t)(x.bits & 0x7FFFu) << 13;
  float f;
  memcpy(&f, &magnitude, sizeof f);
  f *= 0x1p112f;
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  if (magnitude >= 0x0F800000u) bits = magnitude | 0x7F800000u;
  bits |= (uint32_t)(x.bits & 0x8000u) << 16;
  memcpy(&f, &bits, sizeof f);
  return f;
}

template <class T>
BAYESOPS_INLINE Vec<T> load_as(const Float16* p, uint32_t bits) {
  static_assert(sizeof(T) == 4, "float16 computes in float");
#if defined(BAYESOPS_AVX512)
  return (Vec<T>)_mm512_cvtph_ps(_mm256_maskz_loadu_epi16((__mmask16)bits, p));
#else
  Vec<T> v{};
  for (int i = 0; i < kLanes<T>; ++i)
    if (bits >> i & 1) v[i] = convert<float>(p[i]);
  return v;
#endif
}

BAYESOPS_ISA_END
