// Masked weights as functors over a flat index: what a CUDA thread does, callable on the host as well.
#pragma once
#include "kernels/conv/problem.h"
#include "kernels/flat/compute_type.h"
#include "kernels/flat/extent.h"
#include "kernels/flat/mask.h"
#include "kernels/flat/weight_layout.h"

namespace bayesops {

// The mask of a weight, for each sample and, if it is not 1, each of `examples`.
struct FlatWeightMask {
  static constexpr int kRun = 16;  // neighbours whose bits are found together: as many as a Philox block has

  FlatMask mask;
  Granularity granularity;
  int64_t samples, examples, elements;  // elements of one mask
  int64_t in_channels;
  FlatExtent weights, kernels;  // of one example
  FlatExtent taps, group_in, group_out;

  static FlatWeightMask of(const ConvProblem& p) {
    const bool single = p.taps() == 1 && p.mask.granularity == kGranularityKernel;  // a kernel is a weight
    return {FlatMask::of(p.mask),
            single ? kGranularityWeight : p.mask.granularity,
            p.samples,
            p.per_example ? p.examples : 1,
            p.mask.elements,
            p.in_channels,
            p.out_channels * p.weight_row(),
            p.out_channels * p.group_in(),
            p.taps(),
            p.group_in(),
            p.group_out()};
  }
  // Where all taps are switched together: of `count` kernels of an output channel, kRun or fewer. `in` is counted
  // within the group.
  BAYESOPS_HD_MEMBER uint32_t kernels_bits(const FlatWeightMask& m, int64_t sample, int64_t example,
                                           int64_t out_channel, int64_t in, int64_t count) {
    int64_t first = example * m.elements;
    if (m.granularity == kGranularityOutChannel || m.granularity == kGranularityChannel) {
      const int64_t before = m.granularity == kGranularityChannel ? m.in_channels : 0;
      const bool keep = FlatMask::keeps(m.mask, sample, first + before + out_channel);
      if (!keep || before == 0) return keep ? ~0u : 0u;
    }
    first += m.granularity == kGranularityKernel ? out_channel * m.group_in + in
                                                 : out_channel / m.group_out * m.group_in + in;
    return FlatMaskRun<1>::of(m.mask, sample, first, count, m.examples * m.elements).word[0];
  }
  // Of the run of weights that begins with number `first` of a sample's examples * weights; at its end there may be
  // less.
  BAYESOPS_HD_MEMBER uint32_t bits(const FlatWeightMask& m, int64_t sample, int64_t first) {
    if (m.granularity == kGranularityWeight) {
      const int64_t block = first / kRun, shift = first % kRun, count = m.examples * m.weights;
      const uint32_t bits = FlatMask::block(m.mask, sample, block, count) >> shift;
      return shift == 0 ? bits : bits | FlatMask::block(m.mask, sample, block + 1, count) << (kRun - shift);
    }
    auto [number, tap] = divide(first, m.taps);  // of the kernel, over all examples; in it
    uint32_t bits = 0;
    for (int i = 0; i < kRun && number < m.examples * m.kernels;) {
      const auto [example, kernel] = divide(number, m.kernels);
      const auto [out_channel, in] = divide(kernel, m.group_in);
      const int64_t needed = (tap + kRun - i - 1) / m.taps + 1, left = m.group_in - in;
      const int64_t count = needed < left ? needed : left;
      uint32_t kept = kernels_bits(m, sample, example, out_channel, in, count);
      number += count;
      for (int64_t k = 0; k < count; ++k, kept >>= 1, tap = 0)
        for (; i < kRun && tap < m.taps; ++i, ++tap) bits |= (kept & 1) << i;
    }
    return bits;
  }
  // Of `taps` taps of a tile, from `tap` on: a word for each channel, a bit for each tap.
  template <int kChannels>
  BAYESOPS_HD_MEMBER void tile_bits(const FlatWeightMask& m, const FlatWeightLayout& layout,
                                    const FlatWeightTile<kChannels>& tile, int64_t sample, int64_t example, int64_t tap,
                                    int taps, uint32_t (&kept)[kChannels]) {
    constexpr int kTaps = FlatWeightTile<kChannels>::kTaps;
    const int64_t first = example * m.weights + tile.element(tile, layout, 0, tap), end = m.examples * m.weights;
    if (m.granularity != kGranularityWeight) {
      const uint32_t kernels = kernels_bits(m, sample, example, tile.out_channel, tile.first_channel, tile.count);
      unrolled<kChannels>(kChannels, [&](int c) { kept[c] = kernels >> c & 1 ? ~0u : 0u; });
    } else if (layout.taps == taps) {  // a tile's elements follow each other
      auto run = FlatMaskRun<(kChannels * kTaps + 15 + 31) / 32>::of(m.mask, sample, first, tile.count * taps, end);
      unrolled<kChannels>(kChannels, [&](int c) { kept[c] = run.take(run, taps); });
    } else {
      for (int c = 0; c < kChannels; ++c) {
        const bool is_there = c < tile.count;
        push_back(kept, is_there ? FlatMaskRun<1>::of(m.mask, sample, first + c * layout.taps, taps, end).word[0] : 0u);
      }
    }
  }
};

// out[sample][example][weight] = weight * mask * scale. One mask an example; `examples` is 1 where the batch shares it.
template <class S>
struct FlatMaskedWeight {
  using T = typename ComputeOf<S>::T;
  static constexpr int kRun = FlatWeightMask::kRun;

  FlatWeightMask mask;
  FlatExtent runs;  // of a sample
  const S* weight;
  T scale;
  S* out;

  static FlatMaskedWeight of(const ConvProblem& p, void* out) {
    const FlatWeightMask mask = FlatWeightMask::of(p);
    return {mask, (mask.examples * mask.weights + kRun - 1) / kRun, static_cast<const S*>(p.weight),
            static_cast<T>(p.scale), static_cast<S*>(out)};
  }
  BAYESOPS_HD_MEMBER int64_t total(const FlatMaskedWeight& f) { return f.mask.samples * f.runs; }
  BAYESOPS_HD_MEMBER void run(const FlatMaskedWeight& f, int64_t index) {
    const auto [sample, run] = divide(index, f.runs);
    const int64_t first = run * kRun;
    const int64_t all = f.mask.examples * f.mask.weights, count = all - first, weight = first % f.mask.weights;
    const uint32_t bits = FlatWeightMask::bits(f.mask, sample, first);
    T values[kRun] = {};
    if (weight + kRun <= f.mask.weights) {
      read_run(f.weight + weight, 1, kRun, values);
    } else {  // on into the next example, or to the end
      unrolled<kRun>(count, [&](int i) { values[i] = (T)f.weight[(weight + i) % f.mask.weights]; });
    }
    apply_mask(bits, f.scale, values);
    write_run(values, 1, count, f.out + sample * all + first);
  }
};

// The same with weights whose channels are last in memory: an index names a tile.
template <class S>
struct FlatMaskedWeightTiles {
  using T = typename ComputeOf<S>::T;
  static constexpr int kWide = 8;
  using Tile = FlatWeightTile<kWide>;

  FlatWeightMask mask;
  FlatWeightLayout layout;
  FlatExtent per_out_channel, per_example, per_sample;  // tiles
  const S* weight;
  T scale;
  S* out;

  static FlatMaskedWeightTiles of(const ConvProblem& p, const FlatWeightLayout& layout, void* out) {
    const FlatWeightMask mask = FlatWeightMask::of(p);
    const FlatExtent per_out_channel = Tile::per_out_channel(p.group_in());
    const int64_t per_example = p.out_channels * per_out_channel;
    return {mask,
            layout,
            per_out_channel,
            per_example,
            mask.examples * per_example,
            static_cast<const S*>(p.weight),
            static_cast<T>(p.scale),
            static_cast<S*>(out)};
  }
  BAYESOPS_HD_MEMBER int64_t total(const FlatMaskedWeightTiles& f) { return f.mask.samples * f.per_sample; }
  BAYESOPS_HD_MEMBER void run(const FlatMaskedWeightTiles& f, int64_t index) {
    const FlatWeightLayout& layout = f.layout;
    const FlatDivision of_samples = divide(index, f.per_sample),
                       of_examples = divide(of_samples.remainder, f.per_example);
    const int64_t sample = of_samples.quotient, example = of_examples.quotient;
    const Tile tile = Tile::of(layout, f.per_out_channel, of_examples.remainder);
    const int64_t weights = f.mask.weights, first = example * weights;
    S* out = f.out + sample * f.mask.examples * weights + first;
    Tile::each_taps(layout, [&](int64_t tap, int taps) {
      uint32_t kept[kWide] = {};
      FlatWeightMask::tile_bits(f.mask, layout, tile, sample, example, tap, taps, kept);
      unrolled<Tile::kTaps>(taps, [&](int i) {
        const int64_t at = FlatWeightLayout::offset(layout, tile.out_channel, tap + i) + tile.first_channel;
        T values[kWide] = {};
        read_run(f.weight + at, 1, tile.count, values);
        unrolled<kWide>(kWide, [&](int c) { values[c] = kept[c] >> i & 1 ? values[c] * f.scale : T(0); });
        write_run(values, 1, tile.count, out + at);
      });
    });
  }
};

}  // namespace bayesops
