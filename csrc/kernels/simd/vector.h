// Vectors of the width of the instruction set, in the compiler's vector extension, and the few operations that the
// extension lacks: fused multiply-add, square root, masked loads, transposition.
#pragma once
#include "kernels/simd/isa.h"

BAYESOPS_ISA_BEGIN

#if defined(BAYESOPS_AVX512)
constexpr int kVectorBytes = 64;
constexpr int kVectorRegisters = 32;
#elif defined(BAYESOPS_AVX2)
constexpr int kVectorBytes = 32;
constexpr int kVectorRegisters = 16;
#else
constexpr int kVectorBytes = 16;
#if defined(__aarch64__)
constexpr int kVectorRegisters = 32;
#else
constexpr int kVectorRegisters = 16;
#endif
#endif

typedef float VFloat __attribute__((vector_size(kVectorBytes)));
typedef double VDouble __attribute__((vector_size(kVectorBytes)));
typedef int32_t VInt __attribute__((vector_size(kVectorBytes)));
typedef uint32_t VUint __attribute__((vector_size(kVectorBytes)));
typedef uint16_t VHalf __attribute__((vector_size(kVectorBytes / 2)));
typedef int64_t VLong __attribute__((vector_size(kVectorBytes)));

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  using V = VFloat;
  using I = VInt;
  using Int = int32_t;
};
template <>
struct VectorOf<double> {
  using V = VDouble;
  using I = VLong;
  using Int = int64_t;
};
template <class T>
using Vec = typename VectorOf<T>::V;
template <class T>
constexpr int kLanes = kVectorBytes / (int)sizeof(T);

// Normals that one row of a tile of random numbers holds: two vectors of them.
constexpr int kNormalRow = 2 * kVectorBytes / (int)sizeof(float);

template <class T>
BAYESOPS_INLINE Vec<T> load(const T* p) {
  Vec<T> v;
  memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
BAYESOPS_INLINE void store(T* p, Vec<T> v) {
  memcpy(p, &v, sizeof v);
}
// x - 0 is x for every x, so that no addition is left to do.
template <class T>
BAYESOPS_INLINE Vec<T> broadcast(T x) {
  return x - Vec<T>{};
}

BAYESOPS_INLINE VFloat fused_multiply_add(VFloat a, VFloat b, VFloat c) {
#if defined(BAYESOPS_AVX512)
  return (VFloat)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(BAYESOPS_AVX2)
  return (VFloat)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  VFloat r;
  for (int i = 0; i < kLanes<float>; ++i) r[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return r;
#else
  return a * b + c;
#endif
}
BAYESOPS_INLINE VDouble fused_multiply_add(VDouble a, VDouble b, VDouble c) {
#if defined(BAYESOPS_AVX512)
  return (VDouble)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(BAYESOPS_AVX2)
  return (VDouble)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__)
  VDouble r;
  for (int i = 0; i < kLanes<double>; ++i) r[i] = __builtin_fma(a[i], b[i], c[i]);
  return r;
#else
  return a * b + c;
#endif
}

// The correctly rounded fused operation on every machine: what the random streams need to give the same bits.
BAYESOPS_INLINE VFloat exact_fma(VFloat a, VFloat b, VFloat c) {
#if defined(BAYESOPS_AVX512) || defined(BAYESOPS_AVX2) || defined(__aarch64__)
  return fused_multiply_add(a, b, c);
#else
  VFloat r;
  for (int i = 0; i < kLanes<float>; ++i) r[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return r;
#endif
}

BAYESOPS_INLINE VFloat square_root(VFloat a) {
#if defined(BAYESOPS_AVX512)
  return (VFloat)_mm512_sqrt_ps((__m512)a);
#elif defined(BAYESOPS_AVX2)
  return (VFloat)_mm256_sqrt_ps((__m256)a);
#else
  VFloat r;
  for (int i = 0; i < kLanes<float>; ++i) r[i] = __builtin_sqrtf(a[i]);
  return r;
#endif
}

BAYESOPS_INLINE VDouble square_root(VDouble a) {
#if defined(BAYESOPS_AVX512)
  return (VDouble)_mm512_sqrt_pd((__m512d)a);
#elif defined(BAYESOPS_AVX2)
  return (VDouble)_mm256_sqrt_pd((__m256d)a);
#else
  VDouble r;
  for (int i = 0; i < kLanes<double>; ++i) r[i] = __builtin_sqrt(a[i]);
  return r;
#endif
}

// Floats (of a random stream) as a vector of the computing type.
template <class T>
BAYESOPS_INLINE Vec<T> load_floats(const float* p) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return load(p);
  } else {
    Vec<T> v;
    for (int i = 0; i < kLanes<T>; ++i) v[i] = p[i];
    return v;
  }
}

// All bits set in the lanes whose bit is set.
template <class T>
BAYESOPS_INLINE typename VectorOf<T>::I lane_mask(uint32_t bits) {
  using I = typename VectorOf<T>::I;
  using Int = typename VectorOf<T>::Int;
  I lane;
  for (int i = 0; i < kLanes<T>; ++i) lane[i] = (Int)1 << i;
  return (I)(((I{} + (Int)bits) & lane) != 0);
}

// p[i] where bit i is set, 0 elsewhere. Lanes that are off may lie outside the array only when `partial` is true.
template <class T, bool partial>
BAYESOPS_INLINE Vec<T> load_masked(const T* p, uint32_t bits) {
#if defined(BAYESOPS_AVX512)
  if constexpr (sizeof(T) == 4) {
    return (Vec<T>)_mm512_maskz_loadu_ps((__mmask16)bits, p);
  } else {
    return (Vec<T>)_mm512_maskz_loadu_pd((__mmask8)bits, p);
  }
#else
  constexpr uint32_t kAll = (1u << kLanes<T>)-1;
  if (partial && (bits & kAll) == kAll) return load(p);
  if constexpr (partial) {
    Vec<T> v{};
    for (int i = 0; i < kLanes<T>; ++i)
      if (bits >> i & 1) v[i] = p[i];
    return v;
  } else {
    return (Vec<T>)((typename VectorOf<T>::I)load(p) & lane_mask<T>(bits));
  }
#endif
}

// The first `count` lanes to memory.
template <class T>
BAYESOPS_INLINE void store_partial(T* p, Vec<T> v, int count) {
  if (count == kLanes<T>) return store(p, v);
#if defined(BAYESOPS_AVX512)
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)v);
  } else {
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << count) - 1), (__m512d)v);
  }
#else
  for (int i = 0; i < count; ++i) p[i] = v[i];
#endif
}

// bfloat16 is carried as its bits; conversion to float is exact, to bfloat16 round to nearest even.
struct BFloat16 {
  uint16_t bits;
};

template <class To, class From>
BAYESOPS_INLINE To convert(From x) {
  return (To)x;
}
template <>
__attribute__((always_inline)) inline float convert<float, BFloat16>(BFloat16 x) {
  const uint32_t bits = (uint32_t)x.bits << 16;
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}
template <>
__attribute__((always_inline)) inline BFloat16 convert<BFloat16, float>(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return BFloat16{(uint16_t)((bits >> 16) | 0x40u)};
  return BFloat16{(uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16)};
}

// The same of a vector: the bits of a bfloat16 in the upper half of each lane, what is left of rounding in the lower.
BAYESOPS_INLINE VUint bfloat16_bits(VFloat v) {
  const VUint bits = (VUint)v, rounded = bits + 0x7FFFu + (bits >> 16 & 1u);
  return v != v ? bits | 0x400000u : rounded;
}

// Whole vectors of a storage type.
template <class T>
BAYESOPS_INLINE Vec<T> load_whole(const T* p) {
  return load(p);
}
template <class T>
BAYESOPS_INLINE Vec<T> load_whole(const BFloat16* p) {
  static_assert(sizeof(T) == 4, "bfloat16 computes in float");
  VHalf half;
  memcpy(&half, p, sizeof half);
  return (Vec<T>)(__builtin_convertvector(half, VUint) << 16);
}
BAYESOPS_INLINE void store_whole(BFloat16* p, VFloat v) {
  const VHalf half = __builtin_convertvector(bfloat16_bits(v) >> 16, VHalf);
  memcpy(p, &half, sizeof half);
}

// Loads of a storage type as a vector of the computing type.
template <class T>
BAYESOPS_INLINE Vec<T> load_as(const T* p, uint32_t bits) {
  return load_masked<T, true>(p, bits);
}
template <class T>
BAYESOPS_INLINE Vec<T> load_as(const BFloat16* p, uint32_t bits) {
  static_assert(sizeof(T) == 4, "bfloat16 computes in float");
#if defined(BAYESOPS_AVX512)
  const __m256i half = _mm256_maskz_loadu_epi16((__mmask16)bits, p);
  return (Vec<T>)_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
#else
  constexpr uint32_t kAll = (1u << kLanes<T>)-1;
  if ((bits & kAll) == kAll) return load_whole<T>(p);
  Vec<T> v{};
  for (int i = 0; i < kLanes<T>; ++i)
    if (bits >> i & 1) v[i] = convert<float>(p[i]);
  return v;
#endif
}

template <class V, int Lanes, int Half>
BAYESOPS_INLINE void transpose_stage(V* r) {
  // Exchange blocks of Half x Half across the diagonal of every 2 Half x 2 Half block.
  using I = decltype(V{} == V{});
  I low, high;
  for (int i = 0; i < Lanes; ++i) {
    const int upper = (i / Half) & 1;
    low[i] = upper ? Lanes + i - Half : i;
    high[i] = upper ? Lanes + i : i + Half;
  }
#pragma GCC unroll 16
  for (int i = 0; i < Lanes; ++i) {
    if ((i / Half) & 1) continue;
    const V a = r[i], b = r[i + Half];
#if defined(__clang__)
    for (int k = 0; k < Lanes; ++k) {
      r[i][k] = low[k] < Lanes ? a[low[k]] : b[low[k] - Lanes];
      r[i + Half][k] = high[k] < Lanes ? a[high[k]] : b[high[k] - Lanes];
    }
#else
    r[i] = __builtin_shuffle(a, b, low);
    r[i + Half] = __builtin_shuffle(a, b, high);
#endif
  }
}

// r[i][k] <-> r[k][i], in registers.
template <class T>
BAYESOPS_INLINE void transpose(Vec<T>* r) {
  using V = Vec<T>;
  constexpr int n = kLanes<T>;
  if constexpr (n >= 16) transpose_stage<V, n, 8>(r);
  if constexpr (n >= 8) transpose_stage<V, n, 4>(r);
  if constexpr (n >= 4) transpose_stage<V, n, 2>(r);
  if constexpr (n >= 2) transpose_stage<V, n, 1>(r);
}

BAYESOPS_ISA_END
