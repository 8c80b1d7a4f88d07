// Philox4x32-10 on 64-bit lanes: the low half of a lane holds one counter word, so that a product of two words needs no
// shuffling. Lane 2i carries block i, lane 2i + 1 block i + lanes / 2: then two 64-bit unpacks restore memory order.
#pragma once
#include "kernels/rng/philox.h"
#include "kernels/simd/vector.h"

BAYESOPS_ISA_BEGIN

#if defined(BAYESOPS_AVX512)

typedef __m512i Lanes64;
constexpr int kLanes64 = 8;
BAYESOPS_INLINE Lanes64 load64(const uint64_t* p) { return _mm512_loadu_si512(p); }
BAYESOPS_INLINE Lanes64 broadcast64(uint64_t x) { return _mm512_set1_epi64((long long)x); }
BAYESOPS_INLINE Lanes64 add64(Lanes64 a, Lanes64 b) { return _mm512_add_epi64(a, b); }
BAYESOPS_INLINE Lanes64 multiply_low(Lanes64 a, Lanes64 b) { return _mm512_mul_epu32(a, b); }
BAYESOPS_INLINE Lanes64 high_half(Lanes64 a) { return _mm512_srli_epi64(a, 32); }
BAYESOPS_INLINE Lanes64 xor3(Lanes64 a, Lanes64 b, Lanes64 c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
BAYESOPS_INLINE Lanes64 join(Lanes64 low, Lanes64 high) {
  return _mm512_mask_blend_epi32(0xAAAA, low, _mm512_slli_epi64(high, 32));
}
BAYESOPS_INLINE void store_blocks(uint32_t* out, Lanes64 w01, Lanes64 w23) {
  _mm512_storeu_si512(out, _mm512_unpacklo_epi64(w01, w23));
  _mm512_storeu_si512(out + 16, _mm512_unpackhi_epi64(w01, w23));
}

#elif defined(BAYESOPS_AVX2)

typedef __m256i Lanes64;
constexpr int kLanes64 = 4;
BAYESOPS_INLINE Lanes64 load64(const uint64_t* p) { return _mm256_loadu_si256((const __m256i*)p); }
BAYESOPS_INLINE Lanes64 broadcast64(uint64_t x) { return _mm256_set1_epi64x((long long)x); }
BAYESOPS_INLINE Lanes64 add64(Lanes64 a, Lanes64 b) { return _mm256_add_epi64(a, b); }
BAYESOPS_INLINE Lanes64 multiply_low(Lanes64 a, Lanes64 b) { return _mm256_mul_epu32(a, b); }
BAYESOPS_INLINE Lanes64 high_half(Lanes64 a) { return _mm256_srli_epi64(a, 32); }
BAYESOPS_INLINE Lanes64 xor3(Lanes64 a, Lanes64 b, Lanes64 c) { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }
BAYESOPS_INLINE Lanes64 join(Lanes64 low, Lanes64 high) {
  return _mm256_blend_epi32(low, _mm256_slli_epi64(high, 32), 0xAA);
}
BAYESOPS_INLINE void store_blocks(uint32_t* out, Lanes64 w01, Lanes64 w23) {
  _mm256_storeu_si256((__m256i*)out, _mm256_unpacklo_epi64(w01, w23));
  _mm256_storeu_si256((__m256i*)(out + 8), _mm256_unpackhi_epi64(w01, w23));
}

#elif defined(__SSE2__)

typedef __m128i Lanes64;
constexpr int kLanes64 = 2;
BAYESOPS_INLINE Lanes64 load64(const uint64_t* p) { return _mm_loadu_si128((const __m128i*)p); }
BAYESOPS_INLINE Lanes64 broadcast64(uint64_t x) { return _mm_set1_epi64x((long long)x); }
BAYESOPS_INLINE Lanes64 add64(Lanes64 a, Lanes64 b) { return _mm_add_epi64(a, b); }
BAYESOPS_INLINE Lanes64 multiply_low(Lanes64 a, Lanes64 b) { return _mm_mul_epu32(a, b); }
BAYESOPS_INLINE Lanes64 high_half(Lanes64 a) { return _mm_srli_epi64(a, 32); }
BAYESOPS_INLINE Lanes64 xor3(Lanes64 a, Lanes64 b, Lanes64 c) { return _mm_xor_si128(_mm_xor_si128(a, b), c); }
BAYESOPS_INLINE Lanes64 join(Lanes64 low, Lanes64 high) {
  return _mm_or_si128(_mm_and_si128(low, _mm_set1_epi64x(0xFFFFFFFFll)), _mm_slli_epi64(high, 32));
}
BAYESOPS_INLINE void store_blocks(uint32_t* out, Lanes64 w01, Lanes64 w23) {
  _mm_storeu_si128((__m128i*)out, _mm_unpacklo_epi64(w01, w23));
  _mm_storeu_si128((__m128i*)(out + 4), _mm_unpackhi_epi64(w01, w23));
}

#else  // the compiler's vector extension

typedef uint64_t Lanes64 __attribute__((vector_size(16)));
constexpr int kLanes64 = 2;
BAYESOPS_INLINE Lanes64 load64(const uint64_t* p) {
  Lanes64 v;
  memcpy(&v, p, sizeof v);
  return v;
}
BAYESOPS_INLINE Lanes64 broadcast64(uint64_t x) { return Lanes64{} + x; }
BAYESOPS_INLINE Lanes64 add64(Lanes64 a, Lanes64 b) { return a + b; }
BAYESOPS_INLINE Lanes64 multiply_low(Lanes64 a, Lanes64 b) { return (a & 0xFFFFFFFFull) * (b & 0xFFFFFFFFull); }
BAYESOPS_INLINE Lanes64 high_half(Lanes64 a) { return a >> 32; }
BAYESOPS_INLINE Lanes64 xor3(Lanes64 a, Lanes64 b, Lanes64 c) { return a ^ b ^ c; }
BAYESOPS_INLINE Lanes64 join(Lanes64 low, Lanes64 high) { return (low & 0xFFFFFFFFull) | high << 32; }
BAYESOPS_INLINE void store_blocks(uint32_t* out, Lanes64 w01, Lanes64 w23) {
  const uint64_t words[4] = {w01[0], w23[0], w01[1], w23[1]};
  memcpy(out, words, sizeof words);
}

#endif

// Vectors in flight: enough to hide the latency of ten dependent rounds.
constexpr int kPhiloxUnroll = 4;
constexpr int kPhiloxBlocks = kPhiloxUnroll * kLanes64;

// The words of kPhiloxBlocks blocks, in order, into out. `block(u)` gives vector u of block indices in lane order.
template <class Blocks>
BAYESOPS_INLINE void philox_many(uint32_t* out, Stream s, Domain domain, const Blocks& block) {
  Lanes64 c0[kPhiloxUnroll], c1[kPhiloxUnroll], c2[kPhiloxUnroll], c3[kPhiloxUnroll];
#pragma GCC unroll 4
  for (int u = 0; u < kPhiloxUnroll; ++u) {
    c0[u] = block(u);
    c1[u] = high_half(c0[u]);
    c2[u] = broadcast64(s.stream);
    c3[u] = broadcast64((uint64_t)domain);
  }
  const Lanes64 mul0 = broadcast64(kPhiloxMul0), mul1 = broadcast64(kPhiloxMul1);
  uint32_t k0 = (uint32_t)s.seed, k1 = (uint32_t)(s.seed >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const Lanes64 key0 = broadcast64(k0), key1 = broadcast64(k1);
#pragma GCC unroll 4
    for (int u = 0; u < kPhiloxUnroll; ++u) {
      const Lanes64 product0 = multiply_low(c0[u], mul0), product1 = multiply_low(c2[u], mul1);
      c0[u] = xor3(high_half(product1), c1[u], key0);
      c2[u] = xor3(high_half(product0), c3[u], key1);
      c1[u] = product1;
      c3[u] = product0;
    }
    k0 += kPhiloxKey0;
    k1 += kPhiloxKey1;
  }
#pragma GCC unroll 4
  for (int u = 0; u < kPhiloxUnroll; ++u) store_blocks(out + u * 4 * kLanes64, join(c0[u], c1[u]), join(c2[u], c3[u]));
}

struct ConsecutiveBlocks {
  uint64_t first;
  BAYESOPS_HD_MEMBER Lanes64 lane_offsets() {
    uint64_t lanes[kLanes64];
    for (int i = 0; i < kLanes64; ++i) lanes[i] = (uint64_t)(i / 2 + (i % 2) * (kLanes64 / 2));
    return load64(lanes);
  }
  __attribute__((always_inline)) inline Lanes64 operator()(int u) const {
    return add64(broadcast64(first + (uint64_t)(u * kLanes64)), lane_offsets());
  }
};

// Any blocks, listed in lane order: the words of block number i of the list come at block slot(i) of the output.
struct ListedBlocks {
  const uint64_t* list;
  __attribute__((always_inline)) inline Lanes64 operator()(int u) const { return load64(list + u * kLanes64); }
  BAYESOPS_HD_MEMBER int slot(int i) {
    const int lane = i % kLanes64;
    return i - lane + lane / 2 + lane % 2 * (kLanes64 / 2);
  }
};

BAYESOPS_ISA_END
