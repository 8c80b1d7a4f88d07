// Bernoulli masks, element by element or some at a time, for functors over a flat index.
#pragma once
#include "kernels/conv/problem.h"
#include "kernels/flat/run.h"
#include "kernels/flat/streams.h"

namespace bayesops {

// A mask that is drawn, or given as bytes, by logical element.
struct FlatMask {
  const int64_t* seeds;
  uint32_t stream;
  BernoulliLaw law;
  const uint8_t* given;  // bytes [samples or 1][logical elements]
  int64_t given_sample_stride;

  static FlatMask of(const MaskSource& m) { return {m.seeds, m.stream, m.law, m.given, m.given_sample_stride}; }
  BAYESOPS_HD_MEMBER bool keeps(const FlatMask& m, int64_t sample, int64_t element) {
    if (m.given != nullptr) return m.given[sample * m.given_sample_stride + element] != 0;
    return bernoulli_keeps(Stream{(uint64_t)m.seeds[sample], m.stream}, m.law, (uint64_t)element);
  }
  // Elements 16 * block to 16 * block + 15 below `count`.
  BAYESOPS_HD_MEMBER uint32_t block(const FlatMask& m, int64_t sample, int64_t block, int64_t count) {
    if (m.given == nullptr) return bernoulli_block(Stream{(uint64_t)m.seeds[sample], m.stream}, m.law, (uint64_t)block);
    uint32_t bits = 0;
    for (int i = 0; i < 16 && block * 16 + i < count; ++i) bits |= (uint32_t)keeps(m, sample, block * 16 + i) << i;
    return bits;
  }
};

// Elements of a mask, mostly one after another: a block of 16 is drawn when the first of them is asked for.
struct FlatMaskCursor {
  int64_t block = -1;
  uint32_t bits = 0;

  BAYESOPS_HD_MEMBER bool keeps(FlatMaskCursor& cursor, const FlatMask& m, int64_t sample, int64_t element) {
    if (m.given != nullptr) return FlatMask::keeps(m, sample, element);
    if (element >> 4 != cursor.block) {
      cursor.block = element >> 4;
      cursor.bits = bernoulli_block(Stream{(uint64_t)m.seeds[sample], m.stream}, m.law, (uint64_t)cursor.block);
    }
    return cursor.bits >> (element & 15) & 1;
  }
};

// Up to 32 * kWords - 15 consecutive elements of a mask, as bits. All their blocks are drawn before the first bit is
// taken: threads that begin at different elements of a block draw together, where with a cursor each would wait for the
// others.
template <int kWords>
struct FlatMaskRun {
  uint32_t word[kWords];

  // Of the mask's `end` elements.
  BAYESOPS_HD_MEMBER FlatMaskRun of(const FlatMask& m, int64_t sample, int64_t first, int64_t count, int64_t end) {
    FlatMaskRun r{};
    const int skipped = (int)(first & 15);
    for (int i = 0; i < 2 * kWords; ++i) {
      shift(r, 16);
      if (16 * i < skipped + count) r.word[kWords - 1] |= FlatMask::block(m, sample, (first >> 4) + i, end) << 16;
    }
    shift(r, skipped);
    return r;
  }
  // The next `count` elements, less than 32.
  BAYESOPS_HD_MEMBER uint32_t take(FlatMaskRun& r, int count) {
    const uint32_t bits = r.word[0] & ((1u << count) - 1);
    shift(r, count);
    return bits;
  }

 private:
  BAYESOPS_HD_MEMBER void shift(FlatMaskRun& r, int count) {
    unrolled<kWords - 1>(kWords - 1,
                         [&](int i) { r.word[i] = (uint32_t)(((uint64_t)r.word[i + 1] << 32 | r.word[i]) >> count); });
    r.word[kWords - 1] >>= count;
  }
};

// What is kept, scaled; zeros otherwise.
template <class T, int kCount>
BAYESOPS_HD void apply_mask(uint32_t bits, T scale, T (&values)[kCount]) {
  unrolled<kCount>(kCount, [&](int i) { values[i] = bits >> i & 1 ? values[i] * scale : T(0); });
}

}  // namespace bayesops
