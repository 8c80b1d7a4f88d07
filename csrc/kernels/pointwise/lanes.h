// What sample_gaussian, gaussian_kl and the functions of map.h share: numbers several at a time, sums whose order no
// thread and no instruction set changes, and the pieces that a tensor is worked on in.
#pragma once
#include "kernels/pointwise/sample_gaussian.h"
#include "kernels/simd/elementary.h"

BAYESOPS_ISA_BEGIN

constexpr int64_t kPiece = kGaussianPiece;
constexpr int64_t kGrain = (1 << 14) / kPiece;  // pieces

// What a sum adds up, in double precision: the numbers themselves, or the squares of their distances from one.
struct Itself {
  template <class V>
  __attribute__((always_inline)) inline V operator()(V x) const {
    return x;
  }
};
struct SquaredDistance {
  double from;
  template <class V>
  __attribute__((always_inline)) inline V operator()(V x) const {
    return (x - from) * (x - from);
  }
};

// Single precision, several vectors at a time.
struct FloatLanes {
  using Math = VectorElementary;
  using T = float;
  using F = Math::F;
  static constexpr int n = kChains * kLanes<float>;

  // Calls each(vector, offset) for the vectors of `v`.
  template <class Each>
  BAYESOPS_HD_MEMBER void vectors(VFloat& v, int offset, const Each& each) {
    each(v, offset);
  }
  template <class V, class Each>
  BAYESOPS_HD_MEMBER void vectors(Pair<V>& v, int offset, const Each& each) {
    vectors(v.low, offset, each);
    vectors(v.high, offset + (int)(sizeof(V) / sizeof(float)), each);
  }
  BAYESOPS_HD_MEMBER F read(const float* p) {
    F all;
    vectors(all, 0, [=](VFloat& v, int offset) { v = load(p + offset); });
    return all;
  }
  BAYESOPS_HD_MEMBER void write(float* p, F all) {
    vectors(all, 0, [=](VFloat& v, int offset) { store(p + offset, v); });
  }
  BAYESOPS_HD_MEMBER F noise(const float* p) { return read(p); }

  // Sixteen sums in double precision: element i of a piece goes to sum i % 16, however many are worked on at a time, so
  // that every instruction set adds in the same order.
  struct Sums {
    static constexpr int kCount = 16, kWide = kLanes<double>;
    VDouble sum[kCount / kWide] = {};
    // Elements from i on, of which the first `count` are meant, each as `term` makes it of the number.
    template <class Term = Itself>
    BAYESOPS_HD_MEMBER void add(Sums& s, int64_t i, F all, int64_t count, const Term& term = {}) {
      if (count < n) {
        s = with_first(s, i, all, (int)count, term);
        return;
      }
      vectors(all, 0, [&](VFloat& v, int offset) {
        const int at = (n % kCount == 0 ? offset : (int)(i + offset)) % kCount;
#if defined(BAYESOPS_AVX512)
        s.sum[at / kWide] += term((VDouble)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)v)));
        s.sum[at / kWide + 1] += term((VDouble)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)v, 1)));
#elif defined(BAYESOPS_AVX2)
        s.sum[at / kWide] += term((VDouble)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)v)));
        s.sum[at / kWide + 1] += term((VDouble)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)v, 1)));
#else
        for (int k = 0; k < kLanes<float>; ++k) s.sum[(at + k) / kWide][k % kWide] += term((double)v[k]);
#endif
      });
    }
    // By value: sums whose address is taken would not stay in registers.
    template <class Term>
    static __attribute__((noinline)) Sums with_first(Sums s, int64_t i, F all, int count, Term term) {
      float numbers[n];
      write(numbers, all);
      for (int k = 0; k < count; ++k) {
        const int at = (int)((i + k) % kCount);
        s.sum[at / kWide][at % kWide] += term((double)numbers[k]);
      }
      return s;
    }
    BAYESOPS_HD_MEMBER double total(const Sums& s) {
      double total = 0;
      for (int k = 0; k < kCount; ++k) total += s.sum[k / kWide][k % kWide];
      return total;
    }
  };
};

// Double precision, a number at a time: for checks of gradients, not for speed.
struct DoubleLanes {
  using Math = DoubleElementary;
  using T = double;
  using F = double;
  static constexpr int n = 1;

  BAYESOPS_HD_MEMBER F read(const double* p) { return *p; }
  BAYESOPS_HD_MEMBER void write(double* p, F v) { *p = v; }
  BAYESOPS_HD_MEMBER F noise(const float* p) { return (double)*p; }

  struct Sums {
    double sum = 0;
    template <class Term = Itself>
    BAYESOPS_HD_MEMBER void add(Sums& s, int64_t, F v, int64_t, const Term& term = {}) {
      s.sum += term(v);
    }
    BAYESOPS_HD_MEMBER double total(const Sums& s) { return s.sum; }
  };
};

// A part of a tensor as kernels work on it: in the computing type, and with room for a last vector that is not full.
// That is the tensor itself where it will do.
template <class S, class T>
BAYESOPS_INLINE constexpr bool usable_as_is(int64_t count) {
  return sizeof(S) == sizeof(T) && count == kPiece;
}
template <class S, class T>
BAYESOPS_INLINE const T* bring_in(const S* from, int64_t count, T* room) {
  if (usable_as_is<S, T>(count)) return reinterpret_cast<const T*>(from);
  for (int64_t i = 0; i < count; ++i) room[i] = convert<T>(from[i]);
  for (int64_t i = count; i < kPiece && i % FloatLanes::n != 0; ++i) room[i] = 0;
  return room;
}
template <class S, class T>
BAYESOPS_INLINE T* place_for(S* to, int64_t count, T* room) {
  return usable_as_is<S, T>(count) ? reinterpret_cast<T*>(to) : room;
}
template <class S, class T>
BAYESOPS_INLINE void bring_out(const T* from, int64_t count, S* to) {
  if (usable_as_is<S, T>(count)) return;
  for (int64_t i = 0; i < count; ++i) to[i] = convert<S>(from[i]);
}

BAYESOPS_ISA_END
