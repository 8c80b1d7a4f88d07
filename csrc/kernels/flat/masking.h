// Masked weights and dropout as functors over a flat index: what a CUDA thread does, callable on the host as well.
#pragma once
#include "kernels/conv/problem.h"
#include "kernels/flat/compute_type.h"
#include "kernels/flat/streams.h"
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

// The mask of a weight, for each sample and, if it is not 1, each of `examples`.
struct FlatWeightMask {
  FlatMask mask;
  Granularity granularity;
  int64_t samples, examples, weights;           // elements of the weight
  int64_t group_in, group_out, taps, elements;  // elements of one mask
  int64_t in_channels;

  static FlatWeightMask of(const ConvProblem& p) {
    return {FlatMask::of(p.mask),
            p.mask.granularity,
            p.samples,
            p.per_example ? p.examples : 1,
            p.out_channels * p.weight_row(),
            p.group_in(),
            p.group_out(),
            p.taps(),
            p.mask.elements,
            p.in_channels};
  }
  // How many neighbours an index names: as many as a Philox block switches, where it switches single weights.
  BAYESOPS_HD_MEMBER int64_t length(const FlatWeightMask& m) { return m.granularity == kGranularityWeight ? 16 : 1; }
  // Of the run of weights that begins with number `first` of a sample's examples * weights.
  BAYESOPS_HD_MEMBER uint32_t bits(const FlatWeightMask& m, int64_t sample, int64_t first) {
    const int64_t logical_count = m.examples * m.weights;
    if (m.granularity == kGranularityWeight) {
      const int64_t block = first / 16, shift = first % 16;
      const uint32_t bits = FlatMask::block(m.mask, sample, block, logical_count) >> shift;
      return shift == 0 ? bits : bits | FlatMask::block(m.mask, sample, block + 1, logical_count) << (16 - shift);
    }
    const int64_t example = first / m.weights, kernel = first % m.weights / m.taps;
    const int64_t out_channel = kernel / m.group_in,
                  in_channel = out_channel / m.group_out * m.group_in + kernel % m.group_in;
    const int64_t element = example * m.elements;
    if (m.granularity == kGranularityKernel) return FlatMask::keeps(m.mask, sample, element + kernel);
    if (m.granularity == kGranularityInChannel) return FlatMask::keeps(m.mask, sample, element + in_channel);
    if (m.granularity == kGranularityOutChannel) return FlatMask::keeps(m.mask, sample, element + out_channel);
    return FlatMask::keeps(m.mask, sample, element + in_channel) &&
           FlatMask::keeps(m.mask, sample, element + m.in_channels + out_channel);
  }
};

// out[sample][example][weight] = weight * mask * scale. One mask an example; `examples` is 1 where the batch shares it.
template <class S>
struct FlatMaskedWeight {
  FlatWeightMask mask;
  const S* weight;
  typename ComputeOf<S>::T scale;
  S* out;

  static FlatMaskedWeight of(const ConvProblem& p, void* out) {
    return {FlatWeightMask::of(p), static_cast<const S*>(p.weight), static_cast<typename ComputeOf<S>::T>(p.scale),
            static_cast<S*>(out)};
  }
  BAYESOPS_HD_MEMBER int64_t per_sample(const FlatMaskedWeight& f) {
    const int64_t length = FlatWeightMask::length(f.mask);
    return (f.mask.examples * f.mask.weights + length - 1) / length;
  }
  BAYESOPS_HD_MEMBER int64_t total(const FlatMaskedWeight& f) { return f.mask.samples * per_sample(f); }
  BAYESOPS_HD_MEMBER void run(const FlatMaskedWeight& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    const int64_t count = f.mask.examples * f.mask.weights, length = FlatWeightMask::length(f.mask);
    const int64_t sample = index / per_sample(f), first = index % per_sample(f) * length;
    const uint32_t bits = FlatWeightMask::bits(f.mask, sample, first);
    for (int i = 0; i < 16 && i < length && first + i < count; ++i) {
      const T w = bits >> i & 1 ? (T)f.weight[(first + i) % f.mask.weights] * f.scale : T(0);
      f.out[sample * count + first + i] = (S)w;
    }
  }
};

// The sum of gradients [samples][examples][weight], each times mask * scale, one after another.
template <class S>
struct FlatMaskedWeightGrad {
  FlatWeightMask mask;
  const S* gradients;
  typename ComputeOf<S>::T scale;
  S* out;  // [weight]

  static FlatMaskedWeightGrad of(const ConvProblem& p, const void* gradients, void* out) {
    return {FlatWeightMask::of(p), static_cast<const S*>(gradients), static_cast<typename ComputeOf<S>::T>(p.scale),
            static_cast<S*>(out)};
  }
  BAYESOPS_HD_MEMBER int64_t total(const FlatMaskedWeightGrad& f) {
    const int64_t length = FlatWeightMask::length(f.mask);
    return (f.mask.weights + length - 1) / length;
  }
  BAYESOPS_HD_MEMBER void run(const FlatMaskedWeightGrad& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    const int64_t weights = f.mask.weights, length = FlatWeightMask::length(f.mask), first = index * length;
    const int64_t count = weights - first < length ? weights - first : length;
    T sums[16] = {};  // in registers: loops over them have no other end
    for (int64_t sample = 0; sample < f.mask.samples; ++sample)
      for (int64_t example = 0; example < f.mask.examples; ++example) {
        const uint32_t bits = FlatWeightMask::bits(f.mask, sample, example * weights + first);
        const S* gradients = f.gradients + (sample * f.mask.examples + example) * weights + first;
        for (int i = 0; i < 16; ++i)
          if (i < count && (bits >> i & 1)) sums[i] += (T)gradients[i];
      }
    for (int i = 0; i < 16; ++i)
      if (i < count) f.out[first + i] = (S)(sums[i] * f.scale);
  }
};

// Dropout of [samples][examples][channels, pixels in either order].
template <class S>
struct FlatDropout {
  FlatMask mask;
  int64_t samples, examples, channels, pixels;
  bool shared_input, channels_last, whole_channels;
  typename ComputeOf<S>::T scale;
  const S* input;
  S* out;

  static FlatDropout of(const DropoutProblem& p, const void* input, void* out) {
    return {FlatMask::of(p.mask),
            p.samples,
            p.examples,
            p.channels,
            p.pixels,
            p.shared_input,
            p.channels_last,
            p.whole_channels,
            static_cast<typename ComputeOf<S>::T>(p.scale),
            static_cast<const S*>(input),
            static_cast<S*>(out)};
  }
  BAYESOPS_HD_MEMBER int64_t total(const FlatDropout& f) {
    const int64_t logical = f.examples * f.channels * f.pixels;
    return f.samples * (f.whole_channels ? logical : (logical + 15) / 16);
  }
  // `logical` counts (example, pixel, channel), channels fastest.
  BAYESOPS_HD_MEMBER int64_t offset(const FlatDropout& f, int64_t logical) {
    if (f.channels_last) return logical;
    const int64_t channel = logical % f.channels, pixel = logical / f.channels % f.pixels;
    return (logical / f.channels / f.pixels * f.channels + channel) * f.pixels + pixel;
  }
  BAYESOPS_HD_MEMBER void write(const FlatDropout& f, int64_t sample, int64_t logical, bool keep) {
    using T = typename ComputeOf<S>::T;
    const int64_t at = offset(f, logical), size = f.examples * f.channels * f.pixels;
    const S x = f.input[(f.shared_input ? 0 : sample * size) + at];
    f.out[sample * size + at] = keep ? (S)((T)x * f.scale) : (S)T(0);
  }
  BAYESOPS_HD_MEMBER void run(const FlatDropout& f, int64_t index) {
    const int64_t count = f.examples * f.channels * f.pixels;
    if (f.whole_channels) {
      const int64_t sample = index / count, logical = index % count;
      const int64_t example = logical / f.channels / f.pixels;
      write(f, sample, logical, FlatMask::keeps(f.mask, sample, example * f.channels + logical % f.channels));
      return;
    }
    const int64_t per_sample = (count + 15) / 16, sample = index / per_sample, block = index % per_sample;
    const uint32_t drawn = f.mask.given == nullptr ? FlatMask::block(f.mask, sample, block, count) : 0;
    for (int i = 0; i < 16 && block * 16 + i < count; ++i) {
      const int64_t logical = block * 16 + i;
      bool keep = drawn >> i & 1;
      if (f.mask.given != nullptr) {
        // A given mask is in torch's order, channels before pixels.
        const int64_t channel = logical % f.channels, pixel = logical / f.channels % f.pixels;
        keep = FlatMask::keeps(f.mask, sample,
                               (logical / f.channels / f.pixels * f.channels + channel) * f.pixels + pixel);
      }
      write(f, sample, logical, keep);
    }
  }
};

}  // namespace bayesops
