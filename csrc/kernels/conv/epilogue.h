// What a fused operator makes of the sums of a tile before they are stored: act(sum * scale + shift + residual).
#pragma once
#include "kernels/conv/problem.h"
#include "kernels/conv/store.h"

BAYESOPS_ISA_BEGIN

// The epilogue of a tile's channels. Where there is none, nothing is set up and it must not be called.
template <class S, class T>
class TileEpilogue {
 public:
  // What is added to out[i] stands in residual[i].
  TileEpilogue(const Epilogue& epilogue, int count, int64_t pixel_step, const ChannelOffsets& channel, const S* out,
               const S* residual)
      : given_(epilogue.given()) {
    if (!given_) return;
    count_ = count;
    pixel_step_ = pixel_step;
    channel_ = channel;
    out_ = out;
    residual_ = residual;
    floor_ = epilogue.relu ? T(0) : (T)-__builtin_inf();
    const S* scale = static_cast<const S*>(epilogue.scale);
    const S* shift = static_cast<const S*>(epilogue.shift);
    for (int i = 0; i < kTileChannels<T>; ++i) {
      scale_[i] = scale != nullptr && i < count ? convert<T>(scale[channel.number(i)]) : T(1);
      shift_[i] = shift != nullptr && i < count ? convert<T>(shift[channel.number(i)]) : T(0);
    }
  }

  bool given() const { return given_; }

  // Stores the results at `to` whose sums [pixels][kTileChannels] these are; `ahead`: how much further than a result
  // its residual stands. The sums are used up.
  void store_tile(T* sums, int pixels, S* to, int64_t ahead = 0) const {
    const S* residual = residual_ != nullptr ? residual_ + (to - out_ + ahead) : nullptr;
    const auto nothing = [](int, int, uint32_t) { return Vec<T>{}; };
    if (channel_.adjoin()) {
      const auto put = [=](int p, int i, Vec<T> value, int here) {
        store_as<T, S>(to + p * pixel_step_ + channel_.first + i, value, here);
      };
      const auto other = [=](int p, int i, uint32_t bits) {
        return load_as<T>(residual + p * pixel_step_ + channel_.first + i, bits);
      };
      return residual != nullptr ? finish(sums, pixels, other, put) : finish(sums, pixels, nothing, put);
    }
    const auto put = [=](int p, int i, Vec<T> value, int) { store(sums + p * kTileChannels<T> + i, value); };
    if (residual == nullptr) {
      finish(sums, pixels, nothing, put);
    } else {
      alignas(64) T loaded[kStripPixels * kTileChannels<T>];
      load_tile<S, T>(residual, pixels, count_, pixel_step_, channel_, loaded);
      finish(sums, pixels, [&](int p, int i, uint32_t) { return load(loaded + p * kTileChannels<T> + i); }, put);
    }
    BAYESOPS_ISA::store_tile<S, T>(sums, pixels, count_, to, pixel_step_, channel_);
  }

  // One result of the first channel, which belongs at `to`.
  T of(T sum, const S* to) const {
    T value = fused_multiply_add(broadcast(sum), load(scale_), load(shift_))[0];
    if (residual_ != nullptr) value += convert<T>(residual_[to - out_]);
    return value < floor_ ? floor_ : value;
  }

 private:
  // put(pixel, channel, result of a vector of channels, how many of them there are), with other(pixel, channel, bits of
  // these channels) added.
  template <class Other, class Put>
  void finish(const T* sums, int pixels, const Other& other, const Put& put) const {
    const Vec<T> floor = broadcast(floor_);
    for (int i = 0; i < count_; i += kLanes<T>) {
      const int here = count_ - i < kLanes<T> ? count_ - i : kLanes<T>;
      const uint32_t bits = low_bits(here);
      const Vec<T> scale = load(scale_ + i), shift = load(shift_ + i);
      for (int p = 0; p < pixels; ++p) {
        const Vec<T> value =
            fused_multiply_add(load(sums + p * kTileChannels<T> + i), scale, shift) + other(p, i, bits);
        put(p, i, value < floor ? floor : value, here);  // a NaN stays one
      }
    }
  }

  bool given_;
  int count_ = 0;
  int64_t pixel_step_ = 0;
  ChannelOffsets channel_{nullptr, 0, 0};
  const S* out_ = nullptr;
  const S* residual_ = nullptr;
  T floor_ = 0;
  alignas(64) T scale_[kTileChannels<T>];
  alignas(64) T shift_[kTileChannels<T>];
};

BAYESOPS_ISA_END
