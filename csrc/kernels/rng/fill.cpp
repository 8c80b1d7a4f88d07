// The random streams, many elements at a time: words through a small buffer, then bytes to bits or words to normals.
#include "kernels/rng/fill.h"

#include "kernels/rng/normal_vectors.h"
#include "kernels/simd/philox.h"

BAYESOPS_ISA_BEGIN

namespace {

constexpr int kWordsPerCall = 4 * kPhiloxBlocks;

void fill_words(uint32_t* out, int64_t first, int64_t count, Stream s, Domain domain) {
  const int64_t rounded = (count + kFillAlign - 1) & ~(kFillAlign - 1);
  int64_t i = 0;
  for (; i + kWordsPerCall <= rounded; i += kWordsPerCall)
    philox_many(out + i, s, domain, ConsecutiveBlocks{(uint64_t)(first + i) >> 2});
  if (i < rounded) {
    uint32_t rest[kWordsPerCall];
    philox_many(rest, s, domain, ConsecutiveBlocks{(uint64_t)(first + i) >> 2});
    memcpy(out + i, rest, (size_t)(rounded - i) * sizeof(uint32_t));
  }
}

// The bits of 64 bytes: above the threshold byte, equal to it.
BAYESOPS_INLINE void compare_bytes(const uint8_t* bytes, uint8_t threshold, uint64_t& above, uint64_t& equal) {
#if defined(BAYESOPS_AVX512)
  const __m512i b = _mm512_loadu_si512(bytes), t = _mm512_set1_epi8((char)threshold);
  above = _mm512_cmpgt_epu8_mask(b, t);
  equal = _mm512_cmpeq_epi8_mask(b, t);
#elif defined(BAYESOPS_AVX2)
  const __m256i t = _mm256_set1_epi8((char)threshold);
  above = equal = 0;
  for (int i = 0; i < 2; ++i) {
    const __m256i b = _mm256_loadu_si256((const __m256i*)(bytes + 32 * i));
    const uint32_t at_least = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(b, t), b));
    const uint32_t same = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, t));
    above |= (uint64_t)(at_least & ~same) << (32 * i);
    equal |= (uint64_t)same << (32 * i);
  }
#elif defined(__SSE2__)
  const __m128i t = _mm_set1_epi8((char)threshold);
  above = equal = 0;
  for (int i = 0; i < 4; ++i) {
    const __m128i b = _mm_loadu_si128((const __m128i*)(bytes + 16 * i));
    const uint32_t at_least = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(b, t), b));
    const uint32_t same = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(b, t));
    above |= (uint64_t)(at_least & ~same) << (16 * i);
    equal |= (uint64_t)same << (16 * i);
  }
#else
  above = equal = 0;
  for (int i = 0; i < 64; ++i) {
    above |= (uint64_t)(bytes[i] > threshold) << i;
    equal |= (uint64_t)(bytes[i] == threshold) << i;
  }
#endif
}

// Decides up to kPhiloxBlocks tied elements, at these offsets from `first`.
void resolve_ties(uint64_t* bits, int64_t first, const int64_t* offset, int count, Stream s, BernoulliLaw law) {
  uint64_t block[kPhiloxBlocks];
  uint32_t words[kWordsPerCall];
  for (int i = 0; i < kPhiloxBlocks; ++i) block[i] = i < count ? (uint64_t)(first + offset[i]) >> 2 : 0;
  philox_many(words, s, kDomainBernoulliTie, ListedBlocks{block});
  for (int i = 0; i < count; ++i) {
    const uint32_t word = words[4 * ListedBlocks::slot(i) + ((first + offset[i]) & 3)];
    bits[offset[i] >> 6] |= (uint64_t)((word >> 8) >= law.low) << (offset[i] & 63);
  }
}

template <bool can_tie>
void fill_bits(uint64_t* bits, int64_t first, int64_t count, Stream s, BernoulliLaw law) {
  constexpr int64_t kElements = 4 * kWordsPerCall;  // one byte each
  static_assert(kElements % kFillAlign == 0, "whole 64-bit words of bits");
  int64_t ties[kPhiloxBlocks + 64];  // one word of bits can add 64
  int pending = 0;
  alignas(64) uint32_t words[kWordsPerCall];
  for (int64_t i = 0; i < count; i += kElements) {
    philox_many(words, s, kDomainBernoulli, ConsecutiveBlocks{(uint64_t)(first + i) >> 4});
    const int64_t end = count - i < kElements ? count - i : kElements;
    for (int64_t j = 0; j < end; j += 64) {
      uint64_t above, equal;
      compare_bytes((const uint8_t*)words + j, (uint8_t)law.high, above, equal);
      // Without 24 bits below the byte there is nothing left to decide: a tie is kept.
      bits[(i + j) >> 6] = can_tie ? above : above | equal;
      if (can_tie) {
        // Most words have one tie or none: those take no branch.
        ties[pending] = i + j + __builtin_ctzll(equal | 1ull << 63);
        pending += equal != 0;
        for (equal &= equal - 1; __builtin_expect(equal != 0, 0); equal &= equal - 1)
          ties[pending++] = i + j + __builtin_ctzll(equal);
        while (__builtin_expect(pending >= kPhiloxBlocks, 0)) {
          pending -= kPhiloxBlocks;
          resolve_ties(bits, first, ties + pending, kPhiloxBlocks, s, law);
        }
      }
    }
  }
  while (pending > 0) {
    const int last = pending < kPhiloxBlocks ? pending : kPhiloxBlocks;
    pending -= last;
    resolve_ties(bits, first, ties + pending, last, s, law);
  }
}

void fill_bernoulli_bits(uint64_t* bits, int64_t first, int64_t count, Stream s, BernoulliLaw law) {
  if (law.low == 0) return fill_bits<false>(bits, first, count, s, law);
  fill_bits<true>(bits, first, count, s, law);
}

// out[i] = bit i of the word that starts at bit `offset`, as a byte 0 or 1.
BAYESOPS_INLINE void bits_to_bytes(const uint64_t* bits, int64_t offset, int64_t count, uint8_t* out) {
  const uint8_t* packed = reinterpret_cast<const uint8_t*>(bits);
  int64_t i = 0;
#if defined(BAYESOPS_AVX512)
  if ((offset & 7) == 0) {
    for (; i + 64 <= count; i += 64) {
      uint64_t word;
      memcpy(&word, packed + ((offset + i) >> 3), sizeof word);
      _mm512_storeu_si512(out + i, _mm512_maskz_set1_epi8(word, 1));
    }
  }
#endif
  for (; i < count; i += 8) {
    const int64_t at = offset + i;
    uint16_t pair;
    memcpy(&pair, packed + (at >> 3), sizeof pair);
    // Byte k of the product keeps bit k alone; adding 127 carries it to the top of the byte.
    const uint64_t spread = (((pair >> (at & 7)) & 0xFFu) * 0x0101010101010101ull) & 0x8040201008040201ull;
    const uint64_t bytes = ((spread + 0x7F7F7F7F7F7F7F7Full) >> 7) & 0x0101010101010101ull;
    memcpy(out + i, &bytes, count - i < 8 ? (size_t)(count - i) : 8);
  }
}

void fill_bernoulli_bytes(uint8_t* out, int64_t first, int64_t count, Stream s, BernoulliLaw law) {
  constexpr int64_t kPiece = 1 << 14;
  uint64_t bits[kPiece / 64 + 3];
  for (int64_t i = 0; i < count; i += kPiece) {
    const int64_t here = count - i < kPiece ? count - i : kPiece, start = fill_start(first + i);
    fill_bernoulli_bits(bits, start, first + i - start + here, s, law);
    bits_to_bytes(bits, first + i - start, here, out + i);
  }
}

void fill_signs(float* out, int64_t first, int64_t count, Stream s) {
  // 32 signs a word, so element e is a bit of word e / 32; words are drawn from a multiple of 64 words on.
  uint32_t words[kWordsPerCall];
  constexpr int64_t kPiece = 32 * kWordsPerCall;
  int64_t piece = (first / kPiece) * kPiece;
  for (; piece < first + count; piece += kPiece) {
    philox_many(words, s, kDomainSign, ConsecutiveBlocks{(uint64_t)piece >> 7});
    const int64_t begin = piece < first ? first : piece;
    const int64_t end = piece + kPiece < first + count ? piece + kPiece : first + count;
    for (int64_t e = begin; e < end; ++e) {
      const uint32_t bit = words[(e - piece) >> 5] >> (e & 31) << 31;
      const uint32_t one = 0x3F800000u | bit;
      memcpy(out + (e - first), &one, sizeof one);
    }
  }
}

void fill_normals(float* out, int64_t first, int64_t count, Stream s) {
  constexpr int n = kLanes<float>;
  static_assert(kWordsPerCall % (2 * n) == 0, "whole pairs of vectors");
  const int64_t rounded = (count + kFillAlign - 1) & ~(kFillAlign - 1);
  alignas(64) uint32_t words[kWordsPerCall];
  for (int64_t i = 0; i < rounded; i += kWordsPerCall) {
    philox_many(words, s, kDomainNormal, ConsecutiveBlocks{(uint64_t)(first + i) >> 2});
    const int64_t end = rounded - i < kWordsPerCall ? rounded - i : kWordsPerCall;
    for (int64_t j = 0; j < end; j += 2 * n) {
      VUint a, b;
      memcpy(&a, words + j, sizeof a);
      memcpy(&b, words + j + n, sizeof b);
      VFloat z0, z1;
      normal_vectors(a, b, z0, z1);
      store(out + i + j, z0);
      store(out + i + j + n, z1);
    }
  }
}

struct RowBlocks {
  const uint64_t* first;
  __attribute__((always_inline)) inline Lanes64 operator()(int u) const {
    return add64(broadcast64(first[u]), ConsecutiveBlocks::lane_offsets());
  }
};

void fill_normal_rows(float* out, const uint64_t* block, int64_t rows, Stream s) {
  constexpr int n = kLanes<float>;
  static_assert(kNormalRow == 4 * kLanes64 && kNormalRow == 2 * n, "a row is a vector of blocks, two of words");
  alignas(64) uint32_t words[kWordsPerCall];
  for (int64_t i = 0; i < rows; i += kPhiloxUnroll) {
    const int here = rows - i < kPhiloxUnroll ? (int)(rows - i) : kPhiloxUnroll;
    uint64_t first[kPhiloxUnroll] = {};
    for (int u = 0; u < here; ++u) first[u] = block[i + u];
    philox_many(words, s, kDomainNormal, RowBlocks{first});
    for (int u = 0; u < here; ++u) {
      VUint a, b;
      memcpy(&a, words + u * kNormalRow, sizeof a);
      memcpy(&b, words + u * kNormalRow + n, sizeof b);
      VFloat z0, z1;
      normal_vectors(a, b, z0, z1);
      store(out + (i + u) * kNormalRow, z0);
      store(out + (i + u) * kNormalRow + n, z1);
    }
  }
}

}  // namespace

extern const FillKernels kFillKernels;
const FillKernels kFillKernels = {fill_bernoulli_bits, fill_bernoulli_bytes, fill_signs,
                                  fill_normals,        fill_normal_rows,     fill_words};

BAYESOPS_ISA_END
