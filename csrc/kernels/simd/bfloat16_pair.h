// Two neighbouring numbers in bfloat16, the lower first: what newer processors multiply and add in one instruction, at
// twice the rate of floats. Products are exact and sums are floats; the upper product is added first. Subnormal numbers
// count as zero there.
#pragma once
#include "kernels/simd/vector.h"

BAYESOPS_ISA_BEGIN

struct BFloat16Pair {
  uint32_t bits;
};

// How many numbers an operand of a multiplication holds.
template <class Operand>
constexpr int kNumbers = 1;
template <>
constexpr int kNumbers<BFloat16Pair> = 2;

// A vector holds as many pairs as floats.
BAYESOPS_INLINE VUint load(const BFloat16Pair* p) {
  VUint v;
  memcpy(&v, p, sizeof v);
  return v;
}
BAYESOPS_INLINE void store(BFloat16Pair* p, VUint v) { memcpy(p, &v, sizeof v); }

BAYESOPS_INLINE VFloat lower(VUint pairs) { return (VFloat)(pairs << 16); }
BAYESOPS_INLINE VFloat upper(VUint pairs) { return (VFloat)(pairs & 0xFFFF0000u); }

BAYESOPS_INLINE VInt is_negative(VUint pairs) { return (lower(pairs) < VFloat{}) | (upper(pairs) < VFloat{}); }

BAYESOPS_INLINE VUint pairs_of(VFloat low, VFloat high) {
  return bfloat16_bits(low) >> 16 | (bfloat16_bits(high) & 0xFFFF0000u);
}

#if defined(BAYESOPS_AVX512_BF16)
BAYESOPS_INLINE VUint broadcast(BFloat16Pair x) { return VUint{} + x.bits; }

// By name, not by an intrinsic: only this one instruction may need more than AVX-512, not what the compiler makes of
// the rest.
BAYESOPS_INLINE VFloat fused_multiply_add(VUint a, VUint b, VFloat c) {
  __asm__("vdpbf16ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
  return c;
}

// p[i] where the bits are set: `low` for the lower numbers, `high` for the upper ones; 0 elsewhere.
BAYESOPS_INLINE VUint load_masked(const BFloat16Pair* p, uint32_t low, uint32_t high) {
  const uint32_t bits = _pdep_u32(low, 0x55555555u) | _pdep_u32(high, 0xAAAAAAAAu);
  return (VUint)_mm512_maskz_loadu_epi16(bits, p);
}
#endif

BAYESOPS_ISA_END
