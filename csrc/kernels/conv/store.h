// Where the results of a tile go, in any memory format and storage type.
#pragma once
#include "kernels/conv/microkernel.h"
#include "kernels/simd/transpose.h"

BAYESOPS_ISA_BEGIN

// Channel i of a tile is stored at offset channel(i).
struct ChannelOffsets {
  const int32_t* list;  // null: `first` + i
  int64_t first, stride;
  const int32_t* offsets = nullptr;  // of the channels from `first` on, in no order that a stride gives
  int64_t number(int64_t i) const { return list != nullptr ? list[i] : first + i; }
  int64_t operator()(int64_t i) const { return offsets != nullptr ? offsets[i] : number(i) * stride; }
  bool adjoin() const { return list == nullptr && offsets == nullptr && stride == 1; }
  // How many channels from i on, at most `most`, are neighbours in memory.
  int run(int64_t i, int64_t most) const {
    int count = 1;
    while (count < most && offsets[i + count] == offsets[i] + count) ++count;
    return count;
  }
};

// sums[p * kTileChannels + i] to out[p * pixel_step + channel(i)]; with kAdd, what stands there in `base` is added.
template <class S, class T, bool kAdd = false>
void store_tile(const T* sums, int pixels, int count, S* out, int64_t pixel_step, const ChannelOffsets& channel,
                const S* base = nullptr) {
  constexpr int n = kLanes<T>;
  constexpr int row = kTileChannels<T>;
  const auto put = [=](int64_t at, Vec<T> v, int here) {
    if constexpr (kAdd) v += load_as<T>(base + at, low_bits(here));
    store_as<T, S>(out + at, v, here);
  };
  if (channel.adjoin()) {
    for (int p = 0; p < pixels; ++p)
      for (int i = 0; i < count; i += n)
        put(p * pixel_step + channel.first + i, load(sums + p * row + i), count - i < n ? count - i : n);
  } else if (channel.offsets != nullptr) {
    for (int i = 0, here; i < count; i += here) {
      here = channel.run(i, count - i < n ? count - i : n);
      for (int p = 0; p < pixels; ++p) put(p * pixel_step + channel(i), load(sums + p * row + i), here);
    }
  } else if (pixel_step == 1) {
    for (int i = 0; i < count; i += n) {
      for (int p = 0; p < pixels; p += n) {
        const int here = pixels - p < n ? pixels - p : n;
        transpose_block<T>(
            here, count - i < n ? count - i : n, [&](int r) { return load(sums + (p + r) * row + i); },
            [&](int c, Vec<T> v) { put(channel(i + c) + p, v, here); });
      }
    }
  } else {
    for (int i = 0; i < count; ++i)
      for (int p = 0; p < pixels; ++p) {
        const int64_t at = channel(i) + p * pixel_step;
        T value = sums[p * row + i];
        if constexpr (kAdd) value += convert<T>(base[at]);
        out[at] = convert<S>(value);
      }
  }
}

// The other way: out[p * kTileChannels + i] = from[p * pixel_step + channel(i)].
template <class S, class T>
void load_tile(const S* from, int pixels, int count, int64_t pixel_step, const ChannelOffsets& channel, T* out) {
  constexpr int n = kLanes<T>;
  constexpr int row = kTileChannels<T>;
  if (channel.adjoin()) {
    for (int p = 0; p < pixels; ++p)
      for (int i = 0; i < count; i += n)
        store(out + p * row + i, load_as<T>(from + p * pixel_step + channel.first + i, low_bits(count - i)));
  } else if (channel.offsets != nullptr) {
    for (int i = 0, here; i < count; i += here) {
      here = channel.run(i, count - i < n ? count - i : n);
      for (int p = 0; p < pixels; ++p) {
        const Vec<T> v = load_as<T>(from + p * pixel_step + channel(i), low_bits(here));
        store_partial<T>(out + p * row + i, v, here);
      }
    }
  } else if (pixel_step == 1) {
    for (int i = 0; i < count; i += n)
      for (int p = 0; p < pixels; p += n) {
        const int here = pixels - p < n ? pixels - p : n;
        transpose_block<T>(
            count - i < n ? count - i : n, here,
            [&](int c) { return load_as<T>(from + channel(i + c) + p, low_bits(here)); },
            [&](int r, Vec<T> v) { store(out + (p + r) * row + i, v); });
      }
  } else {
    for (int p = 0; p < pixels; ++p)
      for (int i = 0; i < count; ++i) out[p * row + i] = convert<T>(from[p * pixel_step + channel(i)]);
  }
}

constexpr int kStripPixels = 64;

// Fetches the lines that a strip will be written to while its sums are formed.
template <class S>
BAYESOPS_INLINE void expect_strip(const S* to, int channels, int64_t pixel_step, const ChannelOffsets& channel) {
  constexpr int64_t kLine = 64;
  if (pixel_step == 1) {
    for (int c = 0; c < channels; ++c)
      for (int64_t i = 0; i < kStripPixels * (int64_t)sizeof(S); i += kLine)
        __builtin_prefetch(reinterpret_cast<const char*>(to + channel(c)) + i, 1);
  }
}

// Collects tiles that follow each other in the result, so that they are worked on many pixels at a time.
template <class S, class T, class Finish>
class Strip {
 public:
  explicit Strip(const Finish& finish) : finish_(finish) {}

  // Where the sums of the next tile go, [pixels][kTileChannels]; they belong at `to`, and are the slab's results
  // number `index`, `index` + `index_step`, ...
  T* room(int pixels, S* to, int64_t index, int64_t index_step) {
    if (filled_ + pixels > kStripPixels || to != to_ + filled_ * finish_.pixel_step) {
      flush();
      to_ = to;
      finish_.expect(to);
    }
    T* here = sums_ + filled_ * kTileChannels<T>;
    if (!Finish::kDirect)
      for (int p = 0; p < pixels; ++p) index_[filled_ + p] = index + p * index_step;
    filled_ += pixels;
    return here;
  }
  void flush() {
    if (filled_ > 0) finish_(sums_, filled_, index_, to_);
    filled_ = 0;
  }

 private:
  alignas(64) T sums_[kStripPixels * kTileChannels<T> + kLanes<T>];  // vectors may be read from any channel on
  int64_t index_[kStripPixels];
  const Finish& finish_;
  S* to_ = nullptr;
  int filled_ = 0;
};

// The tile can be written where it belongs by the inner loop itself.
template <class S, class T>
BAYESOPS_INLINE bool stores_directly(int count, int vectors, const ChannelOffsets& channel) {
  return sizeof(S) == sizeof(T) && channel.adjoin() && count == vectors * kLanes<T>;
}

BAYESOPS_ISA_END
