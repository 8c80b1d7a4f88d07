// rng/elementary.h on several vectors of single precision at a time.
//
// A polynomial is one long chain: each step waits for the one before. So four chains run side by side (two where there
// are few registers), written as one: a Pair does everything to both its halves, which may be pairs themselves.
#pragma once
#include "kernels/rng/elementary.h"
#include "kernels/simd/vector.h"

BAYESOPS_ISA_BEGIN

template <class V>
struct Pair {
  V low, high;
  template <class W>
  __attribute__((always_inline)) inline explicit operator Pair<W>() const {
    return {(W)low, (W)high};
  }
};

#define BAYESOPS_PAIRWISE(OP)                                                      \
  template <class V>                                                               \
  BAYESOPS_INLINE auto operator OP(Pair<V> a, Pair<V> b) {                         \
    return Pair<decltype(a.low OP b.low)>{a.low OP b.low, a.high OP b.high};       \
  }                                                                                \
  template <class V>                                                               \
  BAYESOPS_INLINE auto operator OP(Pair<V> a, decltype(Element<V>::of(a.low)) b) { \
    return Pair<decltype(a.low OP b)>{a.low OP b, a.high OP b};                    \
  }

// The number that a vector, or a pair of them, is made of.
template <class V>
struct Element {
  static auto of(V v) { return v[0]; }
};
template <class V>
struct Element<Pair<V>> {
  static auto of(Pair<V> v) { return Element<V>::of(v.low); }
};

BAYESOPS_PAIRWISE(+)
BAYESOPS_PAIRWISE(-)
BAYESOPS_PAIRWISE(*)
BAYESOPS_PAIRWISE(/)
BAYESOPS_PAIRWISE(&)
BAYESOPS_PAIRWISE(<<)
BAYESOPS_PAIRWISE(>>)
BAYESOPS_PAIRWISE(<)
BAYESOPS_PAIRWISE(>)
BAYESOPS_PAIRWISE(==)
#undef BAYESOPS_PAIRWISE

template <class V>
BAYESOPS_INLINE Pair<V> operator-(Pair<V> a) {
  return {-a.low, -a.high};
}
template <class V>
BAYESOPS_INLINE void operator+=(Pair<V>& a, Pair<V> b) {
  a = a + b;
}

BAYESOPS_INLINE VFloat from_integers(VInt a) { return __builtin_convertvector(a, VFloat); }
BAYESOPS_INLINE VFloat choose(VInt which, VFloat a, VFloat b) { return which ? a : b; }
// x where it is NaN, as `x < bound ? bound : x` has it.
BAYESOPS_INLINE VFloat greater(VFloat bound, VFloat x) {
#if defined(BAYESOPS_AVX512)
  return (VFloat)_mm512_max_ps((__m512)bound, (__m512)x);
#elif defined(BAYESOPS_AVX2)
  return (VFloat)_mm256_max_ps((__m256)bound, (__m256)x);
#else
  return x < bound ? bound : x;
#endif
}
BAYESOPS_INLINE VFloat less(VFloat bound, VFloat x) {
#if defined(BAYESOPS_AVX512)
  return (VFloat)_mm512_min_ps((__m512)bound, (__m512)x);
#elif defined(BAYESOPS_AVX2)
  return (VFloat)_mm256_min_ps((__m256)bound, (__m256)x);
#else
  return x > bound ? bound : x;
#endif
}
#if defined(BAYESOPS_AVX512)
// y * 2^whole with one rounding, as times_power_of_two.
BAYESOPS_INLINE VFloat scale_by(VFloat y, VFloat whole) { return (VFloat)_mm512_scalef_ps((__m512)y, (__m512)whole); }
template <class F>
BAYESOPS_INLINE Pair<F> scale_by(Pair<F> y, Pair<F> whole) {
  return {scale_by(y.low, whole.low), scale_by(y.high, whole.high)};
}
#endif
template <class F>
BAYESOPS_INLINE Pair<F> greater(Pair<F> bound, Pair<F> x) {
  return {greater(bound.low, x.low), greater(bound.high, x.high)};
}
template <class F>
BAYESOPS_INLINE Pair<F> less(Pair<F> bound, Pair<F> x) {
  return {less(bound.low, x.low), less(bound.high, x.high)};
}
template <class V>
BAYESOPS_INLINE auto from_integers(Pair<V> a) {
  return Pair<decltype(from_integers(a.low))>{from_integers(a.low), from_integers(a.high)};
}
template <class I, class F>
BAYESOPS_INLINE Pair<F> choose(Pair<I> which, Pair<F> a, Pair<F> b) {
  return {choose(which.low, a.low, b.low), choose(which.high, a.high, b.high)};
}
template <class F>
BAYESOPS_INLINE Pair<F> exact_fma(Pair<F> a, Pair<F> b, Pair<F> c) {
  return {exact_fma(a.low, b.low, c.low), exact_fma(a.high, b.high, c.high)};
}

// A vector, a pair or a pair of pairs.
template <class V, int Count>
struct Several {
  using T = Pair<typename Several<V, Count / 2>::T>;
};
template <class V>
struct Several<V, 1> {
  using T = V;
};
constexpr int kChains = kVectorRegisters == 32 ? 4 : 2;

template <int Chains>
struct VectorElementaryOf {
  using Element = float;
  using F = typename Several<VFloat, Chains>::T;
  using I = typename Several<VInt, Chains>::T;
  using U = typename Several<VUint, Chains>::T;
  BAYESOPS_HD_MEMBER F constant(float x) { return F{} + x; }
  BAYESOPS_HD_MEMBER F to_float(I i) { return from_integers(i); }
  BAYESOPS_HD_MEMBER F fma(F a, F b, F c) { return exact_fma(a, b, c); }
  BAYESOPS_HD_MEMBER I float_bits(F a) { return (I)a; }
  BAYESOPS_HD_MEMBER F bits_float(I a) { return (F)a; }
  BAYESOPS_HD_MEMBER F select(I which, F a, F b) { return choose(which, a, b); }
  BAYESOPS_HD_MEMBER F absolute(F x) { return bits_float(float_bits(x) & 0x7FFFFFFF); }
  BAYESOPS_HD_MEMBER F at_least(F x, F bound) { return greater(bound, x); }
  BAYESOPS_HD_MEMBER F at_most(F x, F bound) { return less(bound, x); }
  BAYESOPS_HD_MEMBER F scale(F y, F shifted) {
#if defined(BAYESOPS_AVX512)
    return scale_by(y, shifted - 12582912.0f);
#else
    return times_power_of_two<VectorElementaryOf>(y, shifted);
#endif
  }
  BAYESOPS_HD_MEMBER F exp(F x) { return exponential<VectorElementaryOf, false>(x); }
  BAYESOPS_HD_MEMBER F exp_minus(F magnitude) { return exponential<VectorElementaryOf, true>(-magnitude); }
  BAYESOPS_HD_MEMBER F log(F x) { return logarithm<VectorElementaryOf>(x); }
  BAYESOPS_HD_MEMBER F log_abs(F x) { return log_magnitude<VectorElementaryOf>(x); }
  BAYESOPS_HD_MEMBER F log1p_over(F t) { return log1p_ratio<VectorElementaryOf>(t); }
};
using VectorElementary = VectorElementaryOf<kChains>;

BAYESOPS_ISA_END
