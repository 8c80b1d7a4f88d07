// exp, log and log1p(t) / t in single precision, for scalars, vectors and the device: as in normal.h one text serves
// all, and every step is an integer operation, an IEEE addition, multiplication, division or a fused multiply-add, so
// that all of them give the same bits. Double precision calls the mathematical library.
//
// Polynomials: those of exp and log are minimax coefficients of Cephes (expf, logf), that of log1p is our own (Remez).
// Errors, in ULP of the exact value: exp 1.02, log 0.9, log1p(t) / t 1.4 (tests/cuda/test_sample_gaussian_functors.py
// goes through the arguments).
#pragma once
#include "kernels/rng/normal.h"

namespace bayesops {

// e^x; 0 for x below -104 and infinity above 89. NaN stays NaN.
template <class Math, bool never_positive>
BAYESOPS_HD typename Math::F exponential(typename Math::F x) {
  using F = typename Math::F;
  x = Math::at_least(x, Math::constant(-150.0f));
  if constexpr (!never_positive) x = Math::at_most(x, Math::constant(150.0f));
  // Adding 1.5 * 2^23 leaves x / ln 2, rounded, in the low bits.
  const F shift = Math::constant(12582912.0f);
  const F shifted = Math::fma(x, Math::constant(1.44269504088896341f), shift);
  const F whole = shifted - shift;
  F r = Math::fma(whole, Math::constant(-0.693359375f), x);
  r = Math::fma(whole, Math::constant(2.12194440e-4f), r);
  F y = Math::constant(1.9875691500e-4f);
  y = Math::fma(y, r, Math::constant(1.3981999507e-3f));
  y = Math::fma(y, r, Math::constant(8.3334519073e-3f));
  y = Math::fma(y, r, Math::constant(4.1665795894e-2f));
  y = Math::fma(y, r, Math::constant(1.6666665459e-1f));
  y = Math::fma(y, r, Math::constant(5.0000001201e-1f));
  y = Math::fma(y, r * r, r) + 1.0f;
  return Math::scale(y, shifted);
}

// y * 2^n, where the low bits of `shifted` are those of n: in two factors, neither of which leaves the range, so that
// the only rounding is that of a subnormal result.
template <class Math>
BAYESOPS_HD typename Math::F times_power_of_two(typename Math::F y, typename Math::F shifted) {
  using I = typename Math::I;
  using U = typename Math::U;
  const I n = Math::float_bits(shifted) - 0x4B400000;
  const I half = n >> 1;
  const U first = (U)(half + 127) << 23, second = (U)(n - half + 127) << 23;
  return y * Math::bits_float((I)first) * Math::bits_float((I)second);
}

// The natural logarithm of a positive normal number; NaN of NaN and of infinity.
template <class Math>
BAYESOPS_HD typename Math::F logarithm(typename Math::F x) {
  using F = typename Math::F;
  using I = typename Math::I;
  // x = m * 2^e with m in [sqrt(1/2), sqrt(2)).
  const I bits = Math::float_bits(x);
  const I e = (bits - 0x3F3504F3) >> 23;
  const F f = Math::bits_float(bits - e * (1 << 23)) - 1.0f;
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
  y = Math::fma(ef, Math::constant(0.693359375f), f + y);
  return Math::fma(x, F{}, y);
}

// log|x|, of zero and subnormal numbers as well.
template <class Math>
BAYESOPS_HD typename Math::F log_magnitude(typename Math::F x) {
  using F = typename Math::F;
  const F magnitude = Math::absolute(x);
  const auto subnormal = magnitude < Math::constant(0x1p-126f);
  const F log = logarithm<Math>(Math::select(subnormal, magnitude * 0x1p25f, magnitude)) -
                Math::select(subnormal, Math::constant((float)(25 * 0.69314718055994531)), F{});
  return Math::select(magnitude == F{}, Math::bits_float(Math::float_bits(F{}) + (int32_t)0xFF800000), log);
}

// log1p(t) / t for t in [0, 1], which is 1 at 0.
template <class Math>
BAYESOPS_HD typename Math::F log1p_ratio(typename Math::F t) {
  using F = typename Math::F;
  F y = Math::constant(-3.3184795681529e-3f);
  y = Math::fma(y, t, Math::constant(2.0204619590622957e-2f));
  y = Math::fma(y, t, Math::constant(-5.766451649204709e-2f));
  y = Math::fma(y, t, Math::constant(1.0680563776739915e-1f));
  y = Math::fma(y, t, Math::constant(-1.5355401926330145e-1f));
  y = Math::fma(y, t, Math::constant(1.9695402845848325e-1f));
  y = Math::fma(y, t, Math::constant(-2.4958587968614368e-1f));
  y = Math::fma(y, t, Math::constant(3.333051138676113e-1f));
  y = Math::fma(y, t, Math::constant(-4.9999932766618066e-1f));
  return Math::fma(y, t, Math::constant(1.0f));
}

// Single precision, one number at a time.
struct ScalarElementary : ScalarMath {
  using Element = float;
  BAYESOPS_HD_MEMBER F select(bool which, F a, F b) { return which ? a : b; }
  BAYESOPS_HD_MEMBER F at_least(F x, F bound) { return x < bound ? bound : x; }
  BAYESOPS_HD_MEMBER F at_most(F x, F bound) { return x > bound ? bound : x; }
  BAYESOPS_HD_MEMBER F absolute(F x) { return bits_float(float_bits(x) & 0x7FFFFFFF); }
  BAYESOPS_HD_MEMBER F scale(F y, F shifted) { return times_power_of_two<ScalarElementary>(y, shifted); }
  BAYESOPS_HD_MEMBER F exp(F x) { return exponential<ScalarElementary, false>(x); }
  BAYESOPS_HD_MEMBER F exp_minus(F magnitude) { return exponential<ScalarElementary, true>(-magnitude); }
  BAYESOPS_HD_MEMBER F log(F x) { return logarithm<ScalarElementary>(x); }
  BAYESOPS_HD_MEMBER F log_abs(F x) { return log_magnitude<ScalarElementary>(x); }
  BAYESOPS_HD_MEMBER F log1p_over(F t) { return log1p_ratio<ScalarElementary>(t); }
};

// Double precision.
struct DoubleElementary {
  using F = double;
  using Element = double;
  BAYESOPS_HD_MEMBER F constant(double x) { return x; }
  BAYESOPS_HD_MEMBER F fma(F a, F b, F c) { return a * b + c; }  // nothing hangs on its bits
  BAYESOPS_HD_MEMBER F select(bool which, F a, F b) { return which ? a : b; }
  BAYESOPS_HD_MEMBER F at_least(F x, F bound) { return x < bound ? bound : x; }
  BAYESOPS_HD_MEMBER F at_most(F x, F bound) { return x > bound ? bound : x; }
#if defined(__CUDA_ARCH__)
  BAYESOPS_HD_MEMBER F absolute(F x) { return ::fabs(x); }
  BAYESOPS_HD_MEMBER F exp(F x) { return ::exp(x); }
  BAYESOPS_HD_MEMBER F log(F x) { return ::log(x); }
  BAYESOPS_HD_MEMBER F log1p(F x) { return ::log1p(x); }
#else
  BAYESOPS_HD_MEMBER F absolute(F x) { return __builtin_fabs(x); }
  BAYESOPS_HD_MEMBER F exp(F x) { return __builtin_exp(x); }
  BAYESOPS_HD_MEMBER F log(F x) { return __builtin_log(x); }
  BAYESOPS_HD_MEMBER F log1p(F x) { return __builtin_log1p(x); }
#endif
  BAYESOPS_HD_MEMBER F exp_minus(F magnitude) { return exp(-magnitude); }
  BAYESOPS_HD_MEMBER F log_abs(F x) { return log(absolute(x)); }
  BAYESOPS_HD_MEMBER F log1p_over(F t) { return t > 0.0 ? log1p(t) / t : 1.0; }
};

}  // namespace bayesops
