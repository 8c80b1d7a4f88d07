// Box and Muller on vectors: the words of a vector pair become normals, in memory order.
#pragma once
#include "kernels/rng/normal.h"
#include "kernels/simd/vector.h"

BAYESOPS_ISA_BEGIN

struct VectorMath {
  using F = VFloat;
  using I = VInt;
  using U = VUint;
  BAYESOPS_HD_MEMBER F constant(float x) { return F{} + x; }
  BAYESOPS_HD_MEMBER F to_float(I i) { return __builtin_convertvector(i, F); }
  BAYESOPS_HD_MEMBER F fma(F a, F b, F c) { return exact_fma(a, b, c); }
  BAYESOPS_HD_MEMBER F sqrt(F a) { return square_root(a); }
  BAYESOPS_HD_MEMBER I float_bits(F a) { return (I)a; }
  BAYESOPS_HD_MEMBER F bits_float(I a) { return (F)a; }
};

// Two vectors of words in memory order become two vectors of normals in memory order.
BAYESOPS_INLINE void normal_vectors(VUint a, VUint b, VFloat& z0, VFloat& z1) {
  constexpr int n = kLanes<float>;
  VUint even, odd;
  VInt to_low, to_high;
#if defined(__clang__)
  for (int i = 0; i < n; ++i) {
    even[i] = i < n / 2 ? a[2 * i] : b[2 * i - n];
    odd[i] = i < n / 2 ? a[2 * i + 1] : b[2 * i + 1 - n];
  }
#else
  VInt evens, odds;
  for (int i = 0; i < n; ++i) {
    evens[i] = 2 * i;
    odds[i] = 2 * i + 1;
  }
  even = __builtin_shuffle(a, b, evens);
  odd = __builtin_shuffle(a, b, odds);
#endif
  VFloat cosine, sine;
  box_muller<VectorMath>(even, odd, cosine, sine);
#if defined(__clang__)
  for (int i = 0; i < n; ++i) {
    z0[i] = i % 2 ? sine[i / 2] : cosine[i / 2];
    z1[i] = i % 2 ? sine[n / 2 + i / 2] : cosine[n / 2 + i / 2];
  }
  (void)to_low, (void)to_high;
#else
  for (int i = 0; i < n; ++i) {
    to_low[i] = i / 2 + (i % 2) * n;
    to_high[i] = n / 2 + i / 2 + (i % 2) * n;
  }
  z0 = __builtin_shuffle(cosine, sine, to_low);
  z1 = __builtin_shuffle(cosine, sine, to_high);
#endif
}

BAYESOPS_ISA_END
