// What follows a convolution of the library's own, as a functor over a flat index: what a CUDA thread does, callable on
// the host as well. All of it is computed in the computing type and rounded once, in the order of TileEpilogue
// (kernels/conv/epilogue.h) and, for Flipout, FlipFinish.
#pragma once
#include <initializer_list>

#include "kernels/conv/problem.h"
#include "kernels/flat/compute_type.h"
#include "kernels/flat/extent.h"
#include "kernels/flat/run.h"

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
  // Of a run of results: the first is of `channel` and stands at `at` within its sample; from one to the next there are
  // `channel_step` channels, 0 or 1, and `step` elements.
  template <int kCount>
  BAYESOPS_HD_MEMBER void apply(const FlatFinish& f, int64_t sample, int64_t channel, int64_t channel_step, int64_t at,
                                int64_t step, int64_t count, T (&values)[kCount]) {
    if (!f.given) return;
    T scale[kCount], shift[kCount], other[kCount];
    for (int i = 0; i < kCount; ++i) {
      scale[i] = 1;
      shift[i] = other[i] = 0;
    }
    if (f.scale != nullptr) read_run(f.scale + channel, channel_step, count, scale);
    if (f.shift != nullptr) read_run(f.shift + channel, channel_step, count, shift);
    if (f.residual != nullptr) read_run(f.residual + sample * f.residual_sample_stride + at, step, count, other);
    for (int i = 0; i < kCount; ++i) {
      const T result = exact_multiply_add(values[i], scale[i], shift[i]) + other[i];
      values[i] = f.relu && result < T(0) ? T(0) : result;  // a NaN stays one
    }
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

  // A run that begins at `p` and goes on through channels, or through pixels.
  template <class S, class T, int kCount>
  BAYESOPS_HD_MEMBER void read(const FlatOperand& o, const FlatPlace& p, bool channels, int64_t count,
                               T (&to)[kCount]) {
    const int64_t at =
        p.sample * o.sample + p.example * o.example + p.group * o.group + p.channel * o.channel + p.pixel * o.pixel;
    read_run(static_cast<const S*>(o.data) + at, channels ? o.channel : o.pixel, count, to);
  }
};

// out[samples][examples, groups * channels, pixels] = finish(result * sign + bias + base), dense, channels last or
// before the pixels. Results stand in rows, each of which all channels of a group, or all pixels, make; an index names
// a run of neighbours within a row.
template <class S>
struct FlatEpilogue {
  static constexpr int kRun = kWidest<S>;

  int64_t samples;
  FlatExtent examples, groups, channels, pixels;  // channels of one group
  bool channels_last;
  FlatExtent runs;         // of a row
  FlatOperand result;      // what the convolution made, folded as it likes
  FlatOperand sign, bias;  // 1 or -1; null: 1 and 0
  FlatOperand base;        // another convolution's result; null: 0
  FlatFinish<S> finish;
  S* out;

  static FlatExtent runs_of(int64_t row) { return (row + kRun - 1) / kRun; }
  // What is left of it for one of the samples, whose results come by themselves.
  static FlatEpilogue of_sample(FlatEpilogue f, int64_t sample, const FlatOperand& result) {
    f.samples = 1;
    f.result = result;
    for (FlatOperand* o : {&f.sign, &f.bias, &f.base})
      if (o->data != nullptr) o->data = static_cast<const S*>(o->data) + sample * o->sample;
    if (f.finish.residual != nullptr) f.finish.residual += sample * f.finish.residual_sample_stride;
    f.out += sample * f.examples * f.groups * f.channels * f.pixels;
    return f;
  }
  BAYESOPS_HD_MEMBER int64_t total(const FlatEpilogue& f) {
    return f.samples * f.examples * f.groups * (f.channels_last ? f.pixels : f.channels) * f.runs;
  }
  BAYESOPS_HD_MEMBER FlatPlace place(const FlatEpilogue& f, int64_t row, int64_t first) {
    FlatPlace p{};
    if (f.channels_last) {
      p.group = row % f.groups;
      row = row / f.groups;
      p.pixel = row % f.pixels;
      row = row / f.pixels;
      p.channel = first;
    } else {
      p.channel = row % f.channels;
      row = row / f.channels;
      p.group = row % f.groups;
      row = row / f.groups;
      p.pixel = first;
    }
    p.example = row % f.examples;
    p.sample = row / f.examples;
    return p;
  }

  BAYESOPS_HD_MEMBER void run(const FlatEpilogue& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    const bool last = f.channels_last;
    const int64_t row = index / f.runs, first = index % f.runs * kRun;
    const int64_t length = last ? f.channels : f.pixels, count = length - first, to = row * length + first;
    const int64_t per_sample = f.examples * f.groups * f.channels * f.pixels;
    const FlatPlace p = place(f, row, first);
    T values[kRun] = {}, other[kRun] = {};
    FlatOperand::read<S>(f.result, p, last, count, values);
    if (f.sign.data != nullptr) {
      FlatOperand::read<S>(f.sign, p, last, count, other);
      for (int i = 0; i < kRun; ++i) values[i] *= other[i];
    }
    if (f.bias.data != nullptr) {
      FlatOperand::read<S>(f.bias, p, last, count, other);
      for (int i = 0; i < kRun; ++i) values[i] += other[i];
    }
    if (f.base.data != nullptr) {
      FlatOperand::read<S>(f.base, p, last, count, other);
      for (int i = 0; i < kRun; ++i) values[i] += other[i];
    }
    FlatFinish<S>::apply(f.finish, p.sample, p.group * f.channels + p.channel, last ? 1 : 0, to - p.sample * per_sample,
                         1, count, values);
    write_run(values, 1, count, f.out + to);
  }
};

}  // namespace bayesops
