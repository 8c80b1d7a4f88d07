// Standard normals by Box and Muller (1958) from two Philox words, for scalars, vectors and the device.
//
// One text serves all: `Math` supplies the number types and the few operations. Every step is an integer operation, an
// IEEE addition or multiplication, a fused multiply-add or a square root, so every implementation gives the same bits.
// Polynomials: minimax coefficients of Cephes (logf, sinf, cosf). Against the exact transform of the same words the
// error is at most 4 ULP of the larger of the pair (tests/test_random.py).
#pragma once
#include "kernels/rng/philox.h"

#if !defined(__CUDACC__)
#include <string.h>
#endif

namespace bayesops {

// -2 ln((w + 1/2) / 2^32), at least 0.
template <class Math>
BAYESOPS_HD typename Math::F minus_two_log(typename Math::U w) {
  using F = typename Math::F;
  using I = typename Math::I;
  using U = typename Math::U;
  // w + 1/2 with a single rounding: both halves are exact in float.
  const F high = Math::to_float((I)(w >> 16));
  const F low = Math::to_float((I)(w & 0xFFFFu)) + 0.5f;
  const F u = Math::fma(high, Math::constant(65536.0f), low) * 0x1p-32f;
  // u = m * 2^e with m in [sqrt(1/2), sqrt(2)).
  const I bits = Math::float_bits(u);
  const I e = (bits - 0x3F3504F3) >> 23;
  const F reduced = Math::bits_float(bits - e * (1 << 23)) - 1.0f;
  // Next to 1 the rounding of u would be all there is of its logarithm: there m - 1 comes from 1 - u, which is exact.
  const U rest = ~w;
  const F below =
      Math::fma(Math::to_float((I)(rest >> 16)), Math::constant(65536.0f), Math::to_float((I)(rest & 0xFFFFu)) + 0.5f) *
      -0x1p-32f;
  const I far = (e | -e) >> 31;  // all bits set unless e is 0
  const F f = Math::bits_float((Math::float_bits(reduced) & far) | (Math::float_bits(below) & ~far));
  const F ef = Math::to_float(e);
  const F ff = f * f;
  F y = Math::constant(7.0376836292e-2f);
  y = Math::fma(y, f, Math::constant(-1.1514610310e-1f));
  y = Math::fma(y, f, Math::constant(1.1676998740e-1f));
  y = Math::fma(y, f, Math::constant(-1.2420140846e-1f));
  y = Math::fma(y, f, Math::constant(1.4249322787e-1f));
  y = Math::fma(y, f, Math::constant(-1.6668057665e-1f));
  y = Math::fma(y, f, Math::constant(2.0000714765e-1f));
  y = Math::fma(y, f, Math::constant(-2.4999993993e-1f));
  y = Math::fma(y, f, Math::constant(3.3333331174e-1f));
  y = y * (f * ff);
  y = Math::fma(ef, Math::constant(-2.12194440e-4f), y);
  y = Math::fma(ff, Math::constant(-0.5f), y);
  const F log_u = Math::fma(ef, Math::constant(0.693359375f), f + y);
  return log_u * -2.0f;
}

// Sine and cosine of w * 2 pi / 2^32.
template <class Math>
BAYESOPS_HD void sincos_turn(typename Math::U w, typename Math::F& sine, typename Math::F& cosine) {
  using F = typename Math::F;
  using I = typename Math::I;
  using U = typename Math::U;
  const U quadrant = (w + 0x20000000u) >> 30;
  const I rest = (I)(w - (quadrant << 30));                                  // in [-2^29, 2^29)
  const F x = Math::to_float(rest) * (float)(1.5707963267948966 * 0x1p-30);  // in [-pi/4, pi/4)
  const F xx = x * x;
  F s = Math::constant(-1.9515295891e-4f);
  s = Math::fma(s, xx, Math::constant(8.3321608736e-3f));
  s = Math::fma(s, xx, Math::constant(-1.6666654611e-1f));
  s = Math::fma(s * xx, x, x);
  F c = Math::constant(2.443315711809948e-5f);
  c = Math::fma(c, xx, Math::constant(-1.388731625493765e-3f));
  c = Math::fma(c, xx, Math::constant(4.166664568298827e-2f));
  c = Math::fma(c, xx, Math::constant(-0.5f));
  c = Math::fma(c, xx, Math::constant(1.0f));
  // Quadrants 1 and 3 swap the two; the sign bit of sine is bit 1 of the quadrant, that of cosine bit 1 of quadrant
  // + 1.
  const I swap = (I)(quadrant & 1u) * -1;
  const I sb = Math::float_bits(s), cb = Math::float_bits(c);
  const I si = (sb & ~swap) | (cb & swap), ci = (cb & ~swap) | (sb & swap);
  sine = Math::bits_float(si ^ (I)((quadrant & 2u) << 30));
  cosine = Math::bits_float(ci ^ (I)(((quadrant + 1u) & 2u) << 30));
}

// Words (w0, w1) to the normals of elements 2j (cosine) and 2j + 1 (sine).
template <class Math>
BAYESOPS_HD void box_muller(typename Math::U w0, typename Math::U w1, typename Math::F& z0, typename Math::F& z1) {
  using F = typename Math::F;
  const F radius = Math::sqrt(minus_two_log<Math>(w0));
  F sine, cosine;
  sincos_turn<Math>(w1, sine, cosine);
  z0 = radius * cosine;
  z1 = radius * sine;
}

struct ScalarMath {
  using F = float;
  using I = int32_t;
  using U = uint32_t;
  BAYESOPS_HD_MEMBER F constant(float x) { return x; }
  BAYESOPS_HD_MEMBER F to_float(I i) { return (float)i; }
#if defined(__CUDA_ARCH__)
  BAYESOPS_HD_MEMBER F fma(F a, F b, F c) { return __fmaf_rn(a, b, c); }
  BAYESOPS_HD_MEMBER F sqrt(F a) { return __fsqrt_rn(a); }
  BAYESOPS_HD_MEMBER I float_bits(F a) { return __float_as_int(a); }
  BAYESOPS_HD_MEMBER F bits_float(I a) { return __int_as_float(a); }
#else
  BAYESOPS_HD_MEMBER F fma(F a, F b, F c) { return __builtin_fmaf(a, b, c); }
  BAYESOPS_HD_MEMBER F sqrt(F a) { return __builtin_sqrtf(a); }
  BAYESOPS_HD_MEMBER I float_bits(F a) {
    I i;
    memcpy(&i, &a, sizeof i);
    return i;
  }
  BAYESOPS_HD_MEMBER F bits_float(I a) {
    F f;
    memcpy(&f, &a, sizeof f);
    return f;
  }
#endif
};

}  // namespace bayesops
