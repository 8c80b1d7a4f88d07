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

// out[sample][example][weight] = weight * mask * scale. One mask an example; `examples` is 1 where the batch shares it.
template <class S>
struct FlatMaskedWeight {
  FlatMask mask;
  Granularity granularity;
  int64_t samples, examples, weights;           // elements of the weight
  int64_t group_in, group_out, taps, elements;  // elements of one mask
  int64_t in_channels;
  const S* weight;
  typename ComputeOf<S>::T scale;
  S* out;

  // Indices: blocks of 16 logical elements where single weights are switched, single weights otherwise.
  BAYESOPS_HD_MEMBER int64_t total(const FlatMaskedWeight& f) {
    const int64_t logical = f.examples * f.weights;
    return f.samples * (f.granularity == kGranularityWeight ? (logical + 15) / 16 : logical);
  }
  BAYESOPS_HD_MEMBER void write(const FlatMaskedWeight& f, int64_t sample, int64_t logical, bool keep) {
    using T = typename ComputeOf<S>::T;
    const T w = keep ? (T)f.weight[logical % f.weights] * f.scale : T(0);
    f.out[sample * f.examples * f.weights + logical] = (S)w;
  }
  BAYESOPS_HD_MEMBER void run(const FlatMaskedWeight& f, int64_t index) {
    const int64_t logical_count = f.examples * f.weights;
    if (f.granularity == kGranularityWeight) {
      const int64_t per_sample = (logical_count + 15) / 16, sample = index / per_sample, block = index % per_sample;
      const uint32_t bits = FlatMask::block(f.mask, sample, block, logical_count);
      for (int i = 0; i < 16 && block * 16 + i < logical_count; ++i) write(f, sample, block * 16 + i, bits >> i & 1);
      return;
    }
    const int64_t sample = index / logical_count, logical = index % logical_count;
    const int64_t example = logical / f.weights, kernel = logical % f.weights / f.taps;
    const int64_t out_channel = kernel / f.group_in,
                  in_channel = out_channel / f.group_out * f.group_in + kernel % f.group_in;
    const int64_t first = example * f.elements;
    bool keep;
    if (f.granularity == kGranularityKernel) {
      keep = FlatMask::keeps(f.mask, sample, first + kernel);
    } else if (f.granularity == kGranularityInChannel) {
      keep = FlatMask::keeps(f.mask, sample, first + in_channel);
    } else if (f.granularity == kGranularityOutChannel) {
      keep = FlatMask::keeps(f.mask, sample, first + out_channel);
    } else {
      keep = FlatMask::keeps(f.mask, sample, first + in_channel) &&
             FlatMask::keeps(f.mask, sample, first + f.in_channels + out_channel);
    }
    write(f, sample, logical, keep);
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
