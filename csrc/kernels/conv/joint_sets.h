// Weight sets of few columns that read the same images: side by side they fill the vectors of a panel, where each by
// itself would leave lanes empty. Sums are those of the sets by themselves, to the bit.
#pragma once
#include "kernels/conv/epilogue.h"
#include "kernels/conv/weight_set.h"

BAYESOPS_ISA_BEGIN

// How many samples share a panel; 1 where that would not save a vector.
template <class T>
int64_t samples_together(const ConvProblem& p, const Roles& r, const Images& source) {
  const bool own_weights = p.noise.drawn || (p.mask.masked && p.mask.granularity <= kGranularityKernel);
  const bool one_source = source.sample_stride == 0 && !p.per_example && !p.noise.flipped;
  if (!own_weights || !one_source || r.backward || r.depthwise || r.groups > 1 || p.samples < 2) return 1;
  const int64_t most = kTileChannels<T> / r.columns_total;
  if (most < 2) return 1;
  const int64_t panels = (p.samples + most - 1) / most, together = (p.samples + panels - 1) / panels;
  const auto vectors = [](int64_t columns) { return (columns + kLanes<T> - 1) / kLanes<T>; };
  return vectors(together * r.columns_total) < together * vectors(r.columns_total) ? together : 1;
}

// The sums of a strip go to the results of the sample that they belong to.
template <class S, class T>
struct JointFinish {
  static constexpr bool kDirect = false;
  int channels;  // of all samples
  int64_t pixel_step;
  ChannelOffsets channel;  // of one
  int each;                // how many it has
  int64_t sample_stride, residual_stride;
  const TileEpilogue<S, T>& epilogue;  // of the first sample

  int samples() const { return channels / each; }

  void expect(const S* to) const {
    for (int i = 0; i < samples(); ++i) expect_strip(to + i * sample_stride, each, pixel_step, channel);
  }

  void operator()(T* sums, int pixels, const int64_t*, S* to) const {
    for (int i = 0; i < samples(); ++i, sums += each, to += sample_stride) {
      if (!epilogue.given()) {
        store_tile<S, T>(sums, pixels, each, to, pixel_step, channel);
      } else {
        alignas(64) T own[kStripPixels * kTileChannels<T>];  // an epilogue uses up whole vectors
        for (int at = 0; at < pixels * kTileChannels<T>; at += kTileChannels<T>)
          for (int c = 0; c < each; c += kLanes<T>) store(own + at + c, load(sums + at + c));
        epilogue.store_tile(own, pixels, to, i * (residual_stride - sample_stride));
      }
    }
  }
};

BAYESOPS_ISA_END
