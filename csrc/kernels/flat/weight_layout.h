// How the elements of a weight [out channels, in channels, taps] lie in memory. What is drawn for an element goes by
// its number, in that order, wherever it lies.
#pragma once
#include "kernels/flat/extent.h"
#include "kernels/flat/run.h"

namespace bayesops {

struct FlatWeightLayout {
  int64_t out_channels;
  FlatExtent in_channels, taps;
  bool channels_last;  // in memory the taps stand before the input channels

  static FlatWeightLayout of(int64_t out_channels, int64_t in_channels, int64_t taps, bool channels_last) {
    return {out_channels, in_channels, taps, channels_last && in_channels > 1 && taps > 1};
  }
  BAYESOPS_HD_MEMBER int64_t elements(const FlatWeightLayout& w) { return w.out_channels * w.in_channels * w.taps; }
  // Where an element is, by its number, if channels are last.
  BAYESOPS_HD_MEMBER int64_t offset(const FlatWeightLayout& w, int64_t number) {
    const auto [kernel, tap] = divide(number, w.taps);
    const auto [out_channel, in_channel] = divide(kernel, w.in_channels);
    return offset(w, out_channel, tap) + in_channel;
  }
  // Where a tap of the first input channel is, if channels are last.
  BAYESOPS_HD_MEMBER int64_t offset(const FlatWeightLayout& w, int64_t out_channel, int64_t tap) {
    return (out_channel * w.taps + tap) * w.in_channels;
  }
  // Elements by their numbers, from `first` on.
  template <class S, class T, int kCount>
  BAYESOPS_HD_MEMBER void read(const FlatWeightLayout& w, const S* from, int64_t first, int64_t count,
                               T (&to)[kCount]) {
    if (!w.channels_last) return read_run(from + first, 1, count, to);
    unrolled<kCount>(count, [&](int i) { to[i] = (T)from[offset(w, first + i)]; });
  }
};

// Where channels are last, an index names a tile: all taps of kChannels input channels, so that draws are taken in
// their order, a block of the stream at a time, and neighbours in memory are written together.
template <int kChannels>
struct FlatWeightTile {
  static constexpr int kTaps = 9;  // that are held at a time

  int64_t out_channel, first_channel;
  int count;  // of channels

  static FlatExtent per_out_channel(int64_t in_channels) { return (in_channels + kChannels - 1) / kChannels; }
  // Tile `number` of a weight that has so many of them per output channel.
  BAYESOPS_HD_MEMBER FlatWeightTile of(const FlatWeightLayout& w, const FlatExtent& per_out_channel, int64_t number) {
    const auto [out_channel, tile] = divide(number, per_out_channel);
    const int64_t first = tile * kChannels, left = w.in_channels - first;
    return {out_channel, first, left < kChannels ? (int)left : kChannels};
  }
  // Calls use(first, count) for the taps that are held at a time.
  template <class Use>
  BAYESOPS_HD_MEMBER void each_taps(const FlatWeightLayout& w, const Use& use) {
    for (int64_t tap = 0; tap < w.taps; tap += kTaps) use(tap, (int)(w.taps - tap < kTaps ? w.taps - tap : kTaps));
  }
  // Number of the element of channel `c` of the tile.
  BAYESOPS_HD_MEMBER int64_t element(const FlatWeightTile& t, const FlatWeightLayout& w, int64_t c, int64_t tap) {
    return (t.out_channel * w.in_channels + t.first_channel + c) * w.taps + tap;
  }
};

}  // namespace bayesops
