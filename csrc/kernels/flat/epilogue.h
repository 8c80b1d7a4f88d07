// What follows a convolution of the library's own, as a functor over a flat index: what a CUDA thread does, callable on
// the host as well. All of it is computed in the computing type and rounded once, in the order of TileEpilogue
// (kernels/conv/epilogue.h) and, for Flipout, FlipFinish.
#pragma once
#include "kernels/conv/problem.h"
#include "kernels/flat/compute_type.h"

namespace bayesops {

// act(value * scale + shift + residual).
template <class S>
struct FlatFinish {
  using T = typename ComputeOf<S>::T;
  const S *scale, *shift;          // of the channels; null: 1 and 0
  const S* residual;               // laid out as the results; null: nothing is added
  int64_t residual_sample_stride;  // 0: shared by all samples
  bool given, relu;

  static FlatFinish of(const Epilogue& e) {
    return {static_cast<const S*>(e.scale),
            static_cast<const S*>(e.shift),
            static_cast<const S*>(e.residual),
            e.residual_sample_stride,
            e.given(),
            e.relu};
  }
  // `at`: where the result stands within its sample.
  BAYESOPS_HD_MEMBER T apply(const FlatFinish& f, T value, int64_t sample, int64_t channel, int64_t at) {
    if (!f.given) return value;
    const T scale = f.scale != nullptr ? (T)f.scale[channel] : T(1);
    const T shift = f.shift != nullptr ? (T)f.shift[channel] : T(0);
    const T other = f.residual != nullptr ? (T)f.residual[sample * f.residual_sample_stride + at] : T(0);
    const T result = exact_multiply_add(value, scale, shift) + other;
    return f.relu && result < T(0) ? T(0) : result;  // a NaN stays one
  }
};

// Which result: `channel` is counted within its group.
struct FlatPlace {
  int64_t sample, example, group, channel, pixel;
};

// A tensor that is read by the place of a result, in any layout: strides in elements, 0 along what it does not vary
// with.
struct FlatOperand {
  const void* data = nullptr;  // null: there is none
  int64_t sample = 0, example = 0, group = 0, channel = 0, pixel = 0;

  template <class S>
  BAYESOPS_HD_MEMBER S read(const FlatOperand& o, const FlatPlace& p) {
    return static_cast<const S*>(o.data)[p.sample * o.sample + p.example * o.example + p.group * o.group +
                                         p.channel * o.channel + p.pixel * o.pixel];
  }
};

// out[samples][examples, groups * channels, pixels] = finish(result * sign + bias + base), dense, channels last or
// before the pixels. An index names up to four neighbours in memory.
template <class S>
struct FlatEpilogue {
  int64_t samples, examples, groups, channels, pixels;  // channels of one group
  bool channels_last;
  FlatOperand result;      // what the convolution made, folded as it likes
  FlatOperand sign, bias;  // 1 or -1; null: 1 and 0
  FlatOperand base;        // another convolution's result; null: 0
  FlatFinish<S> finish;
  S* out;

  static constexpr int64_t kRun = 4;
  // Results stand in rows, each of which all channels of a group, or all pixels, make.
  BAYESOPS_HD_MEMBER int64_t row(const FlatEpilogue& f) { return f.channels_last ? f.channels : f.pixels; }
  BAYESOPS_HD_MEMBER int64_t runs(const FlatEpilogue& f) { return (row(f) + kRun - 1) / kRun; }
  BAYESOPS_HD_MEMBER int64_t total(const FlatEpilogue& f) {
    return f.samples * f.examples * f.groups * (f.channels_last ? f.pixels : f.channels) * runs(f);
  }
  BAYESOPS_HD_MEMBER FlatPlace place(const FlatEpilogue& f, int64_t row) {
    FlatPlace p{};
    if (f.channels_last) {
      p.group = row % f.groups;
      row /= f.groups;
      p.pixel = row % f.pixels;
      row /= f.pixels;
    } else {
      p.channel = row % f.channels;
      row /= f.channels;
      p.group = row % f.groups;
      row /= f.groups;
    }
    p.example = row % f.examples;
    p.sample = row / f.examples;
    return p;
  }

  BAYESOPS_HD_MEMBER void run(const FlatEpilogue& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    const int64_t length = row(f), number = index / runs(f), first = index % runs(f) * kRun;
    const int64_t per_sample = f.examples * f.groups * f.channels * f.pixels;
    FlatPlace p = place(f, number);
    for (int64_t i = first; i < first + kRun && i < length; ++i) {
      if (f.channels_last) {
        p.channel = i;
      } else {
        p.pixel = i;
      }
      T value = (T)FlatOperand::read<S>(f.result, p);
      if (f.sign.data != nullptr) value *= (T)FlatOperand::read<S>(f.sign, p);
      if (f.bias.data != nullptr) value += (T)FlatOperand::read<S>(f.bias, p);
      if (f.base.data != nullptr) value += (T)FlatOperand::read<S>(f.base, p);
      const int64_t to = number * length + i;
      f.out[to] = (S)FlatFinish<S>::apply(f.finish, value, p.sample, p.group * f.channels + p.channel,
                                          to - p.sample * per_sample);
    }
  }
};

}  // namespace bayesops
