// What becomes of a strip of sums, by kind of convolution: what is still to be done with them, and where they are
// stored.
#pragma once
#include "kernels/conv/epilogue.h"

BAYESOPS_ISA_BEGIN

// What becomes of the sums of a strip: they are stored.
template <class S, class T>
struct PlainFinish {
  static constexpr bool kDirect = true;  // a tile may be written where it belongs by the inner loop itself
  int channels;
  int64_t pixel_step;
  ChannelOffsets channel;

  void expect(const S* to) const { expect_strip(to, channels, pixel_step, channel); }
  void operator()(T* sums, int pixels, const int64_t*, S* to) const {
    store_tile<S, T>(sums, pixels, channels, to, pixel_step, channel);
  }
};

// Sums that are stored after their epilogue.
template <class S, class T>
struct FusedFinish {
  static constexpr bool kDirect = false;
  int channels;
  int64_t pixel_step;
  ChannelOffsets channel;
  const TileEpilogue<S, T>& epilogue;

  void expect(const S* to) const { expect_strip(to, channels, pixel_step, channel); }
  void operator()(T* sums, int pixels, const int64_t*, S* to) const { epilogue.store_tile(sums, pixels, to); }
};

// Flipout: the signs of the example are applied, the bias and what stands in `base` added; then comes the epilogue.
template <class S, class T>
struct FlipFinish {
  static constexpr bool kDirect = false;
  int channels;
  int64_t pixel_step;
  ChannelOffsets channel;
  const float* signs;  // rows of `sign_step`, one an image of the slab, at the tile's first channel
  int64_t sign_step, image_pixels;
  const T* bias;  // of the tile's channels
  const S* out;
  const S* base;  // what is added to out[i] stands in base[i]
  const TileEpilogue<S, T>& epilogue;

  void expect(const S* to) const { expect_strip(to, channels, pixel_step, channel); }
  void operator()(T* sums, int pixels, const int64_t* index, S* to) const {
    for (int p = 0; p < pixels; ++p) {
      const float* sign = signs + index[p] / image_pixels * sign_step;
      for (int i = 0; i < channels; i += kLanes<T>) {
        T* at = sums + p * kTileChannels<T> + i;
        store(at, fused_multiply_add(load(at), load_floats<T>(sign + i), load(bias + i)));
      }
    }
    if (!epilogue.given())
      return store_tile<S, T, true>(sums, pixels, channels, to, pixel_step, channel, base + (to - out));
    alignas(64) T other[kStripPixels * kTileChannels<T>];
    load_tile<S, T>(base + (to - out), pixels, channels, pixel_step, channel, other);
    for (int p = 0; p < pixels; ++p)
      for (int i = p * kTileChannels<T>; i < p * kTileChannels<T> + channels; i += kLanes<T>)
        store(sums + i, load(sums + i) + load(other + i));
    epilogue.store_tile(sums, pixels, to);
  }
};

BAYESOPS_ISA_END
