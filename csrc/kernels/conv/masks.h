// The mask of one (sample, example), as bits at the granularity of single weights, or as lists of the channels left on.
#pragma once
#include "kernels/conv/problem.h"
#include "kernels/rng/fill.h"
#include "kernels/simd/isa.h"

BAYESOPS_ISA_BEGIN

extern const FillKernels kFillKernels;

// Bits of consecutive elements; the first is bit `offset` of the first word. Readable 8 bytes past the end.
struct BitRange {
  const uint64_t* words;
  int64_t offset;

  // The bits from element e on: at least 25 of them, then zeros.
  BAYESOPS_HD_MEMBER uint32_t read(const BitRange& b, int64_t e) {
    const int64_t at = b.offset + e;
    uint32_t word;
    memcpy(&word, reinterpret_cast<const char*>(b.words) + (at >> 3), sizeof word);
    return word >> (at & 7);
  }
  bool operator[](int64_t e) const { return read(*this, e) & 1; }
};

constexpr int64_t kBitSlack = 128;  // elements: rounding to whole words at both ends, and the overhang of reads

BAYESOPS_INLINE int64_t bit_words(int64_t elements) { return (elements + kBitSlack) / 64 + 2; }

// Elements [first, first + count) of the mask of (sample, example), which are elements of the logical tensor
// [examples, mask...] where every example has its own mask (example = 0 otherwise).
static inline BitRange mask_bits(const MaskSource& m, int64_t sample, int64_t example, int64_t first, int64_t count,
                                 uint64_t* room) {
  if (m.given != nullptr) {
    const uint8_t* bytes = m.given + sample * m.given_sample_stride + example * m.given_example_stride + first;
    for (int64_t i = 0; i < count; i += 64) {
      uint64_t word = 0;
      const int64_t end = count - i < 64 ? count - i : 64;
      for (int64_t j = 0; j < end; ++j) word |= (uint64_t)(bytes[i + j] != 0) << j;
      room[i >> 6] = word;
    }
    return BitRange{room, 0};
  }
  const int64_t index = example * m.elements + first;
  const int64_t start = fill_start(index);
  kFillKernels.bernoulli_bits(room, start, index - start + count, Stream{(uint64_t)m.seeds[sample], m.stream}, m.law);
  return BitRange{room, index - start};
}

// The whole mask of (sample, example), drawn by all threads where it is long: in pieces that start on a multiple of 64
// elements of the stream.
static inline BitRange mask_bits_together(const MaskSource& m, int64_t sample, int64_t example, uint64_t* room,
                                          const Parallel& pool) {
  constexpr int64_t kPiece = 1 << 16;
  if (m.given != nullptr || m.elements < 2 * kPiece) return mask_bits(m, sample, example, 0, m.elements, room);
  const int64_t index = example * m.elements, start = fill_start(index), total = index - start + m.elements;
  const Stream stream{(uint64_t)m.seeds[sample], m.stream};
  parallel_for(pool, (total + kPiece - 1) / kPiece, 1, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kPiece, last = end * kPiece < total ? end * kPiece : total;
    kFillKernels.bernoulli_bits(room + first / 64, start + first, last - first, stream, m.law);
  });
  return BitRange{room, index - start};
}

static inline void set_bits(uint64_t* words, int64_t first, int64_t count) {
  while (count > 0) {
    const int64_t in_word = 64 - (first & 63) < count ? 64 - (first & 63) : count;
    const uint64_t ones = in_word == 64 ? ~0ull : (1ull << in_word) - 1;
    words[first >> 6] |= ones << (first & 63);
    first += in_word;
    count -= in_word;
  }
}

// Every bit becomes `repeat` bits: a draw that switches several weights in a row.
static inline BitRange repeat_bits(BitRange bits, int64_t count, int64_t repeat, uint64_t* room) {
  memset(room, 0, (size_t)bit_words(count * repeat) * sizeof(uint64_t));
  for (int64_t e = 0; e < count; ++e)
    if (bits[e]) set_bits(room, e * repeat, repeat);
  return BitRange{room, 0};
}

// The channels whose bit is set, group by group: their indices in `list`, and where each group starts in it in
// `group_start` (groups + 1 numbers).
static inline void kept_channels(BitRange bits, int64_t channels, int64_t groups, int32_t* list, int64_t* group_start) {
  int64_t kept = 0;
  for (int64_t g = 0; g < groups; ++g) {
    group_start[g] = kept;
    for (int64_t c = g * (channels / groups); c < (g + 1) * (channels / groups); ++c)
      if (bits[c]) list[kept++] = (int32_t)c;
  }
  group_start[groups] = kept;
}

BAYESOPS_ISA_END
