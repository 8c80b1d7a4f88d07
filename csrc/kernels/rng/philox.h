// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), for host and device.
//
// Every draw of the library is a pure function of (seed, stream, domain, element index):
//   key = the 64-bit seed, counter = (block index low, block index high, stream, domain).
// The functions here are the definition; rng/fill.cpp produces the same words many at a time.
#pragma once
#include <stdint.h>

#if defined(__CUDACC__)
#define BAYESOPS_HD __host__ __device__ __forceinline__
#define BAYESOPS_HD_MEMBER __host__ __device__ __forceinline__ static
#define BAYESOPS_HD_METHOD __host__ __device__ __forceinline__
#else
// Internal linkage: this header is compiled once per instruction set, and no copy may be shared between them.
#define BAYESOPS_HD static inline __attribute__((always_inline, unused))
#define BAYESOPS_HD_MEMBER static inline __attribute__((always_inline))
#define BAYESOPS_HD_METHOD inline __attribute__((always_inline))
#endif

namespace bayesops {

// Which kind of draw a counter belongs to; the fourth counter word.
enum Domain : uint32_t {
  kDomainBernoulli = 0,     // one byte an element
  kDomainBernoulliTie = 1,  // one word an element, looked at only when the byte ties
  kDomainNormal = 2,        // one word an element
  kDomainSign = 3,          // one bit an element: bit e % 128 of block e / 128; a set bit means -1
  kDomainSeed = 4,          // one block a seed
  kDomainWord = 5,          // one word an element, raw
};

struct Stream {
  uint64_t seed;
  uint32_t stream;
};

struct PhiloxBlock {
  uint32_t word[4];
};

constexpr uint32_t kPhiloxMul0 = 0xD2511F53u;
constexpr uint32_t kPhiloxMul1 = 0xCD9E8D57u;
constexpr uint32_t kPhiloxKey0 = 0x9E3779B9u;
constexpr uint32_t kPhiloxKey1 = 0xBB67AE85u;
constexpr int kPhiloxRounds = 10;

BAYESOPS_HD uint64_t wide_product(uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__)
  // One instruction. Of a multiplication in 64 bits nvcc makes another as well, which adds zero to the upper half.
  return (uint64_t)__umulhi(a, b) << 32 | a * b;
#else
  return (uint64_t)a * b;
#endif
}

BAYESOPS_HD PhiloxBlock philox4x32(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t product0 = wide_product(kPhiloxMul0, c0);
    const uint64_t product1 = wide_product(kPhiloxMul1, c2);
    c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)product1;
    c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)product0;
    k0 += kPhiloxKey0;
    k1 += kPhiloxKey1;
  }
  return PhiloxBlock{{c0, c1, c2, c3}};
}

BAYESOPS_HD PhiloxBlock philox_block(Stream s, Domain domain, uint64_t block) {
  return philox4x32((uint32_t)block, (uint32_t)(block >> 32), s.stream, (uint32_t)domain, (uint32_t)s.seed,
                    (uint32_t)(s.seed >> 32));
}

// One raw word an element: element e is word e % 4 of block e / 4.
BAYESOPS_HD uint32_t philox_word(Stream s, Domain domain, uint64_t element) {
  const PhiloxBlock b = philox_block(s, domain, element >> 2);
  // Chosen, not looked up: a GPU has no registers that are named by a number, and would send the block to memory.
  const uint32_t low = element & 1 ? b.word[1] : b.word[0], high = element & 1 ? b.word[3] : b.word[2];
  return element & 2 ? high : low;
}

// The seed of sample i under a master seed; does not depend on how many samples are drawn.
BAYESOPS_HD int64_t sample_seed(uint64_t master, uint64_t sample) {
  const PhiloxBlock b = philox_block(Stream{master, 0}, kDomainSeed, sample);
  return (int64_t)((uint64_t)b.word[0] | (uint64_t)b.word[1] << 32);
}

}  // namespace bayesops
