// The epilogue of a tile: where its results go, in any memory format and storage type.
#pragma once
#include "kernels/conv/microkernel.h"
#include "kernels/simd/transpose.h"

BAYESOPS_ISA_BEGIN

// Channel i of a tile is stored at offset channel(i).
struct ChannelOffsets {
  const int32_t* list;  // null: `first` + i
  int64_t first, stride;
  int64_t operator()(int64_t i) const { return (list != nullptr ? list[i] : first + i) * stride; }
};

// sums[p * kTileChannels + i] to out[p * pixel_step + channel(i)].
template <class S, class T>
void store_tile(const T* sums, int pixels, int count, S* out, int64_t pixel_step, const ChannelOffsets& channel) {
  constexpr int n = kLanes<T>;
  constexpr int row = kTileChannels<T>;
  if (channel.list == nullptr && channel.stride == 1) {
    for (int p = 0; p < pixels; ++p)
      for (int i = 0; i < count; i += n)
        store_as<T, S>(out + p * pixel_step + channel.first + i, load(sums + p * row + i),
                       count - i < n ? count - i : n);
  } else if (pixel_step == 1) {
    for (int i = 0; i < count; i += n) {
      for (int p = 0; p < pixels; p += n) {
        const int here = pixels - p < n ? pixels - p : n;
        transpose_block<T>(
            here, count - i < n ? count - i : n, [&](int r) { return load(sums + (p + r) * row + i); },
            [&](int c, Vec<T> v) { store_as<T, S>(out + channel(i + c) + p, v, here); });
      }
    }
  } else {
    for (int i = 0; i < count; ++i)
      for (int p = 0; p < pixels; ++p) out[channel(i) + p * pixel_step] = convert<S>(sums[p * row + i]);
  }
}

// Collects tiles that follow each other in the result, so that they are rearranged many pixels at a time.
template <class S, class T>
class Strip {
 public:
  Strip(int channels, int64_t pixel_step, const ChannelOffsets& channel)
      : channels_(channels), pixel_step_(pixel_step), channel_(channel) {}

  // Where the sums of the next tile go, [pixels][kTileChannels]; they belong at `to`.
  T* room(int pixels, S* to) {
    if (filled_ + pixels > kPixels || to != to_ + filled_ * pixel_step_) {
      flush();
      to_ = to;
      expect();
    }
    T* here = sums_ + filled_ * kTileChannels<T>;
    filled_ += pixels;
    return here;
  }
  // Fetches the lines that the strip will be written to while its sums are formed.
  void expect() const {
    constexpr int64_t kLine = 64;
    if (pixel_step_ != 1) return;
    for (int c = 0; c < channels_; ++c)
      for (int64_t i = 0; i < kPixels * (int64_t)sizeof(S); i += kLine)
        __builtin_prefetch(reinterpret_cast<const char*>(to_ + channel_(c)) + i, 1);
  }
  void flush() {
    if (filled_ > 0) store_tile<S, T>(sums_, filled_, channels_, to_, pixel_step_, channel_);
    filled_ = 0;
  }

 private:
  static constexpr int kPixels = 64;
  alignas(64) T sums_[kPixels * kTileChannels<T>];
  int channels_;
  int64_t pixel_step_;
  ChannelOffsets channel_;
  S* to_ = nullptr;
  int filled_ = 0;
};

// The tile can be written where it belongs by the inner loop itself.
template <class S, class T>
BAYESOPS_INLINE bool stores_directly(int count, int vectors, const ChannelOffsets& channel) {
  return sizeof(S) == sizeof(T) && channel.list == nullptr && channel.stride == 1 && count == vectors * kLanes<T>;
}

BAYESOPS_ISA_END
