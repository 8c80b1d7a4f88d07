// The random streams as functors over a flat index: what a CUDA thread does, callable on the host as well.
// Index i names a block of consecutive elements of one sample, so that a thread draws a Philox block once.
#pragma once
#include "kernels/flat/extent.h"
#include "kernels/flat/run.h"
#include "kernels/rng/bernoulli.h"
#include "kernels/rng/normal.h"

namespace bayesops {

// `count` elements per sample, cut into blocks.
struct FlatBlocks {
  int64_t samples, count;
  FlatExtent per_sample;

  BAYESOPS_HD_METHOD FlatBlocks(int64_t samples, int64_t count, int64_t block)
      : samples(samples), count(count), per_sample((count + block - 1) / block) {}
  BAYESOPS_HD_MEMBER int64_t total(const FlatBlocks& b) { return b.samples * b.per_sample; }
};

// Elements in blocks of four, eight blocks per index; neighbouring indices take neighbouring blocks. Each index has its
// own share of what is summed: which threads ran does not show in the order of the additions.
struct FlatRows {
  static constexpr int64_t kRow = 256, kRows = 8;  // blocks

  BAYESOPS_HD_MEMBER int64_t indices(int64_t elements) {
    constexpr int64_t kElements = 4 * kRow * kRows;
    return (elements + kElements - 1) / kElements * kRow;
  }
  // Calls use(first) for the first element of each of an index' blocks.
  template <class Use>
  BAYESOPS_HD_MEMBER void each_block(int64_t index, int64_t elements, const Use& use) {
    for (int64_t row = 0; row < kRows; ++row) {
      const int64_t first = 4 * ((index / kRow * kRows + row) * kRow + index % kRow);
      if (first >= elements) break;
      use(first);
    }
  }
};

// Number of the lowest bit that is set; one is.
BAYESOPS_HD int lowest_bit(uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __ffs((int)bits) - 1;
#else
  return __builtin_ctz(bits);
#endif
}

// Keep-or-drop of the 16 elements of one Philox block, as bits.
BAYESOPS_HD uint32_t bernoulli_block(Stream s, BernoulliLaw law, uint64_t block) {
  const PhiloxBlock words = philox_block(s, kDomainBernoulli, block);
  // Two bytes at a time, in halves of 16 bits: 256 - n added to a byte carries into bit 8 where it is n or more.
  const uint32_t above = (255u - law.high) * 0x10001u, from = above + 0x10001u;
  uint32_t kept = 0, reached = 0;
  unrolled<4>(4, [&](int i) {
    const uint32_t even = words.word[i] & 0x00FF00FFu, odd = words.word[i] >> 8 & 0x00FF00FFu;
    // Of elements 4 * i and 4 * i + 1 to the bits of these numbers; of the next two, 16 bits further up.
    const auto place = [=](uint32_t of_even, uint32_t of_odd) {
      return ((of_even >> 8 & 0x00010001u) | (of_odd >> 7 & 0x00020002u)) << (4 * i);
    };
    kept |= place(even + above, odd + above);
    reached |= place(even + from, odd + from);
  });
  const auto together = [](uint32_t places) { return (places | places >> 14) & 0xFFFFu; };
  if (law.low == 0) return together(reached);  // what ties is kept
  uint32_t bits = together(kept), ties = together(kept ^ reached);
  // Which is rare. The ties of a warp's threads stand at different elements: each takes its own in the same step.
  for (; ties != 0; ties &= ties - 1) {
    const int i = lowest_bit(ties);
    bits |= (uint32_t)bernoulli_tie_keeps(s, law, block * 16 + (uint64_t)i) << i;
  }
  return bits;
}

struct FlatBernoulli {
  const int64_t* seeds;
  uint32_t stream;
  BernoulliLaw law;
  FlatBlocks blocks;  // of 16
  bool* out;
  BAYESOPS_HD_MEMBER void run(const FlatBernoulli& f, int64_t index) {
    const auto [sample, block] = divide(index, f.blocks.per_sample);
    const uint32_t bits = bernoulli_block(Stream{(uint64_t)f.seeds[sample], f.stream}, f.law, (uint64_t)block);
    const int64_t first = block * 16;
    bool keep[16];
    unrolled<16>(16, [&](int i) { keep[i] = bits >> i & 1; });
    write_run(keep, 1, f.blocks.count - first, f.out + sample * f.blocks.count + first);
  }
};

// The four normals of one Philox block.
struct NormalBlock {
  float z[4];
};
BAYESOPS_HD NormalBlock normal_block(Stream s, uint64_t block) {
  const PhiloxBlock words = philox_block(s, kDomainNormal, block);
  NormalBlock normals;
  box_muller<ScalarMath>(words.word[0], words.word[1], normals.z[0], normals.z[1]);
  box_muller<ScalarMath>(words.word[2], words.word[3], normals.z[2], normals.z[3]);
  return normals;
}

// `count` consecutive normals of a stream that begin at any element. Four at a time are put together from two
// neighbouring Philox blocks, so that threads which begin at different places within a block still draw in the same
// step; with a cursor they would wait for each other.
struct NormalRun {
  Stream stream;
  uint64_t first;
  int64_t count;
  NormalBlock last, four;  // the block that was drawn last; the numbers that are next to each other

  BAYESOPS_HD_MEMBER NormalRun of(Stream stream, uint64_t first, int64_t count) {
    return NormalRun{stream, first, count, {}, {}};
  }
  // Number i, after number i - 1; 0 begins again.
  BAYESOPS_HD_MEMBER float draw(NormalRun& run, int64_t i) {
    if ((i & 3) == 0) {
      const uint64_t block = (run.first + (uint64_t)i) >> 2;
      const int skipped = (int)(run.first & 3);
      if (i == 0) run.last = normal_block(run.stream, block);
      NormalBlock next{};
      if (i + 4 < skipped + run.count) next = normal_block(run.stream, block + 1);
      const float* const a = run.last.z;
      const float* const b = next.z;
      const float both[8] = {a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]};
      unrolled<4>(4, [&](int j) {
        const float low = skipped & 1 ? both[j + 1] : both[j], high = skipped & 1 ? both[j + 3] : both[j + 2];
        run.four.z[j] = skipped & 2 ? high : low;
      });
      run.last = next;
    }
    const float low = i & 1 ? run.four.z[1] : run.four.z[0], high = i & 1 ? run.four.z[3] : run.four.z[2];
    return i & 2 ? high : low;
  }
};

// Normals of a stream, mostly one after another: a block of four is drawn when the first of them is asked for.
struct NormalCursor {
  Stream stream;
  uint64_t block;
  NormalBlock drawn;

  BAYESOPS_HD_MEMBER NormalCursor at(Stream stream, uint64_t element) {
    return NormalCursor{stream, element >> 2, normal_block(stream, element >> 2)};
  }
  BAYESOPS_HD_MEMBER float draw(NormalCursor& cursor, uint64_t element) {
    if (element >> 2 != cursor.block) cursor = at(cursor.stream, element);
    const float low = element & 1 ? cursor.drawn.z[1] : cursor.drawn.z[0];
    const float high = element & 1 ? cursor.drawn.z[3] : cursor.drawn.z[2];
    return element & 2 ? high : low;
  }
};

struct FlatNormal {
  const int64_t* seeds;
  uint32_t stream;
  FlatBlocks blocks;  // of 4
  float* out;
  BAYESOPS_HD_MEMBER void run(const FlatNormal& f, int64_t index) {
    const auto [sample, block] = divide(index, f.blocks.per_sample);
    const NormalBlock normals = normal_block(Stream{(uint64_t)f.seeds[sample], f.stream}, (uint64_t)block);
    const int64_t first = block * 4;
    write_run(normals.z, 1, f.blocks.count - first, f.out + sample * f.blocks.count + first);
  }
};

struct FlatSigns {
  const int64_t* seeds;
  uint32_t stream;
  FlatBlocks blocks;  // of 4: a word has more, but neighbouring threads should write neighbouring memory
  float* out;
  BAYESOPS_HD_MEMBER void run(const FlatSigns& f, int64_t index) {
    const auto [sample, block] = divide(index, f.blocks.per_sample);
    const int64_t first = block * 4;
    const Stream stream{(uint64_t)f.seeds[sample], f.stream};
    const uint32_t bits = philox_word(stream, kDomainSign, (uint64_t)first >> 5) >> (first & 31);
    float signs[4];
    unrolled<4>(4, [&](int i) { signs[i] = bits >> i & 1 ? -1.0f : 1.0f; });
    write_run(signs, 1, f.blocks.count - first, f.out + sample * f.blocks.count + first);
  }
};

struct FlatWords {
  const int64_t* seeds;
  uint32_t stream;
  FlatBlocks blocks;  // of 4
  uint32_t* out;
  BAYESOPS_HD_MEMBER void run(const FlatWords& f, int64_t index) {
    const auto [sample, block] = divide(index, f.blocks.per_sample);
    const PhiloxBlock words = philox_block(Stream{(uint64_t)f.seeds[sample], f.stream}, kDomainWord, (uint64_t)block);
    const int64_t first = block * 4;
    write_run(words.word, 1, f.blocks.count - first, f.out + sample * f.blocks.count + first);
  }
};

struct FlatSeeds {
  const int64_t* seed;
  int64_t* out;
  BAYESOPS_HD_MEMBER void run(const FlatSeeds& f, int64_t index) {
    f.out[index] = sample_seed((uint64_t)*f.seed, (uint64_t)index);
  }
};

}  // namespace bayesops
