// Masked weights and dropout as functors over a flat index: what a CUDA thread does, callable on the host as well.
#pragma once
#include "kernels/conv/problem.h"
#include "kernels/flat/activation.h"
#include "kernels/flat/compute_type.h"
#include "kernels/flat/extent.h"
#include "kernels/flat/pieces.h"
#include "kernels/flat/streams.h"
#include "kernels/flat/weight_layout.h"
#include "kernels/pointwise/dropout.h"

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
    return {FlatMask::of(p.mask),
            p.mask.granularity,
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
  // Where all taps are switched together; `in` is counted within the group.
  BAYESOPS_HD_MEMBER bool keeps_kernel(const FlatWeightMask& m, int64_t sample, int64_t example, int64_t out_channel,
                                       int64_t in) {
    const int64_t in_channel = out_channel / m.group_out * m.group_in + in, element = example * m.elements;
    if (m.granularity == kGranularityKernel)
      return FlatMask::keeps(m.mask, sample, element + out_channel * m.group_in + in);
    if (m.granularity == kGranularityInChannel) return FlatMask::keeps(m.mask, sample, element + in_channel);
    if (m.granularity == kGranularityOutChannel) return FlatMask::keeps(m.mask, sample, element + out_channel);
    return FlatMask::keeps(m.mask, sample, element + in_channel) &&
           FlatMask::keeps(m.mask, sample, element + m.in_channels + out_channel);
  }
  // Of the run of weights that begins with number `first` of a sample's examples * weights; at its end there may be
  // less.
  BAYESOPS_HD_MEMBER uint32_t bits(const FlatWeightMask& m, int64_t sample, int64_t first) {
    if (m.granularity == kGranularityWeight) {
      const int64_t block = first / kRun, shift = first % kRun, count = m.examples * m.weights;
      const uint32_t bits = FlatMask::block(m.mask, sample, block, count) >> shift;
      return shift == 0 ? bits : bits | FlatMask::block(m.mask, sample, block + 1, count) << (kRun - shift);
    }
    int64_t number = first / m.taps, tap = first % m.taps;  // of the kernel, over all examples; in it
    uint32_t bits = 0;
    for (int i = 0; i < kRun && number < m.examples * m.kernels; tap = 0, ++number) {
      const int64_t kernel = number % m.kernels;
      const bool keep = keeps_kernel(m, sample, number / m.kernels, kernel / m.group_in, kernel % m.group_in);
      for (; i < kRun && tap < m.taps; ++i, ++tap) bits |= (uint32_t)keep << i;
    }
    return bits;
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
    const int64_t sample = index / f.runs, first = index % f.runs * kRun;
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
  FlatExtent tiles, of_example, of_sample;  // tiles: of an output channel
  const S* weight;
  T scale;
  S* out;

  static FlatMaskedWeightTiles of(const ConvProblem& p, const FlatWeightLayout& layout, void* out) {
    const FlatWeightMask mask = FlatWeightMask::of(p);
    const FlatExtent tiles = Tile::a_row(p.group_in());
    const int64_t of_example = p.out_channels * tiles;
    return {mask,
            layout,
            tiles,
            of_example,
            mask.examples * of_example,
            static_cast<const S*>(p.weight),
            static_cast<T>(p.scale),
            static_cast<S*>(out)};
  }
  BAYESOPS_HD_MEMBER int64_t total(const FlatMaskedWeightTiles& f) { return f.mask.samples * f.of_sample; }
  BAYESOPS_HD_MEMBER void run(const FlatMaskedWeightTiles& f, int64_t index) {
    const FlatWeightLayout& layout = f.layout;
    const int64_t sample = index / f.of_sample, example = index % f.of_sample / f.of_example;
    const Tile tile = Tile::of(layout, f.tiles, index % f.of_sample % f.of_example);
    const int64_t weights = f.mask.weights, first = example * weights;
    const bool single = f.mask.granularity == kGranularityWeight;
    S* out = f.out + sample * f.mask.examples * weights + first;
    const bool at_once = layout.taps <= Tile::kTaps;  // then a tile's elements follow each other
    FlatMaskRun<(kWide * Tile::kTaps + 15 + 31) / 32> elements{};
    for (int64_t tap = 0; tap < layout.taps; tap += Tile::kTaps) {
      const int taps = (int)(layout.taps - tap < Tile::kTaps ? layout.taps - tap : Tile::kTaps);
      uint32_t bits[Tile::kTaps] = {};  // of each tap, one for each channel
      for (int c = 0; c < tile.count; ++c) {
        uint32_t kept = 0;  // a bit for each tap
        if (!single) {
          const int64_t in = tile.first_channel + c;
          kept = FlatWeightMask::keeps_kernel(f.mask, sample, example, tile.out_channel, in) ? ~0u : 0u;
        } else {
          if (c == 0 || !at_once)
            elements = elements.of(f.mask.mask, sample, first + Tile::element(tile, layout, c, tap),
                                   at_once ? tile.count * taps : taps, f.mask.examples * weights);
          kept = elements.take(elements, taps);
        }
        unrolled<Tile::kTaps>(taps, [&](int i) { bits[i] |= (kept >> i & 1) << c; });
      }
      unrolled<Tile::kTaps>(taps, [&](int i) {
        const int64_t at = FlatWeightLayout::offset(layout, tile.out_channel, tap + i) + tile.first_channel;
        T values[kWide] = {};
        read_run(f.weight + at, 1, tile.count, values);
        apply_mask(bits[i], f.scale, values);
        write_run(values, 1, tile.count, out + at);
      });
    }
  }
};

// Sums of gradients [samples][examples][weight], each times mask * scale, one after another: a sum for each piece of
// these draws. `layout` is that of the gradients; the sums lie as their numbers go.
template <class S, class Sum>
struct FlatMaskedWeightGrad {
  using T = typename ComputeOf<S>::T;
  static constexpr int kRun = FlatWeightMask::kRun;

  FlatWeightMask mask;
  FlatWeightLayout layout;
  FlatPieces pieces;
  FlatExtent runs, examples;
  const S* gradients;
  T scale;
  Sum* out;  // [pieces][weight]

  static int64_t runs_of(int64_t weights) { return (weights + kRun - 1) / kRun; }
  static FlatMaskedWeightGrad of(const ConvProblem& p, bool channels_last, const FlatPieces& pieces,
                                 const void* gradients, double scale, void* out) {
    const FlatWeightMask mask = FlatWeightMask::of(p);
    return {mask,
            FlatWeightLayout::of(p.out_channels, p.group_in(), p.taps(), channels_last),
            pieces,
            runs_of(mask.weights),
            mask.examples,
            static_cast<const S*>(gradients),
            static_cast<T>(scale),
            static_cast<Sum*>(out)};
  }
  BAYESOPS_HD_MEMBER int64_t total(const FlatMaskedWeightGrad& f) { return f.pieces.count * f.runs; }
  BAYESOPS_HD_MEMBER void run(const FlatMaskedWeightGrad& f, int64_t index) {
    const int64_t weights = f.mask.weights, piece = index / f.runs, first = index % f.runs * kRun,
                  count = weights - first;
    T sums[kRun] = {}, gradient[kRun] = {};
    for (int64_t draw = FlatPieces::begin(f.pieces, piece); draw < FlatPieces::end(f.pieces, piece); ++draw) {
      const int64_t sample = draw / f.examples, example = draw % f.examples;
      const uint32_t bits = FlatWeightMask::bits(f.mask, sample, example * weights + first);
      FlatWeightLayout::read(f.layout, f.gradients + draw * weights, first, count, gradient);
      unrolled<kRun>(kRun, [&](int i) { sums[i] += bits >> i & 1 ? gradient[i] : T(0); });
    }
    unrolled<kRun>(kRun, [&](int i) { sums[i] *= f.scale; });
    write_run(sums, 1, count, f.out + piece * weights + first);
  }
};

// Dropout of [samples][examples][channels, pixels in either order].
template <class S>
struct FlatDropout {
  using T = typename ComputeOf<S>::T;
  static constexpr int kRun = 16;  // as many as a Philox block has

  FlatMask mask;
  int64_t samples;
  FlatActivation<kRun> shape;
  bool shared_input, channels_last, whole_channels;
  T scale;
  const S* input;
  S* out;

  static FlatDropout of(const DropoutProblem& p, const void* input, void* out) {
    return {FlatMask::of(p.mask),
            p.samples,
            FlatActivation<kRun>(p.examples, p.channels, p.pixels),
            p.shared_input,
            p.channels_last || p.pixels == 1,  // which is the same, and goes by runs of any number of channels
            p.whole_channels,
            static_cast<T>(p.scale),
            static_cast<const S*>(input),
            static_cast<S*>(out)};
  }
  BAYESOPS_HD_MEMBER int64_t total(const FlatDropout& f) { return f.samples * f.shape.blocks; }
  BAYESOPS_HD_MEMBER void run(const FlatDropout& f, int64_t index) {
    const int64_t sample = index / f.shape.blocks, place = index % f.shape.blocks;
    const S* input = f.input + (f.shared_input ? 0 : sample * f.shape.count);
    S* out = f.out + sample * f.shape.count;
    f.whole_channels ? run_channels(f, sample, place, input, out) : run_elements(f, sample, place, input, out);
  }

 private:
  // A run in memory, of one channel or of some.
  BAYESOPS_HD_MEMBER void run_channels(const FlatDropout& f, int64_t sample, int64_t place, const S* input, S* out) {
    const int64_t first = place * kRun, left = f.shape.count - first;
    const FlatExtent row = f.channels_last ? f.shape.channels : f.shape.pixels;
    int64_t number = first / row, at = first % row;  // of the row; in it
    // Where channels come first, a row is a channel of an example; otherwise it begins with the first of one.
    const auto element_of = [&] { return f.channels_last ? number / f.shape.pixels * f.shape.channels : number; };
    int64_t begins = element_of();
    T values[kRun] = {};
    read_run(input + first, 1, left, values);
    FlatMaskCursor cursor;
    uint32_t bits = 0;
    for (int i = 0; i < kRun && i < left; ++i) {
      const int64_t element = f.channels_last ? begins + at : begins;
      bits |= (uint32_t)FlatMaskCursor::keeps(cursor, f.mask, sample, element) << i;
      if (++at < row) continue;
      at = 0;
      ++number;
      begins = element_of();
    }
    apply_mask(bits, f.scale, values);
    write_run(values, 1, left, out + first);
  }

  BAYESOPS_HD_MEMBER void run_elements(const FlatDropout& f, int64_t sample, int64_t place, const S* input, S* out) {
    const int64_t block = FlatActivation<kRun>::block(f.shape, f.channels_last, place), first = block * kRun;
    uint32_t bits = 0;
    if (f.mask.given == nullptr) {
      bits = FlatMask::block(f.mask, sample, block, f.shape.count);
    } else {
      // A given mask is in torch's order, channels before pixels.
      FlatElement element = FlatElement::of(f.shape, first);
      for (int i = 0; i < kRun && first + i < f.shape.count; ++i, FlatElement::step(element, f.shape))
        bits |= (uint32_t)FlatMask::keeps(f.mask, sample, FlatElement::offset(element, f.shape, false)) << i;
    }
    T values[kRun] = {};
    read_block(f.shape, f.channels_last, block, input, values);
    apply_mask(bits, f.scale, values);
    write_block(f.shape, f.channels_last, block, values, out);
  }
};

}  // namespace bayesops
