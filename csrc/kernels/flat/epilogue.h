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

// Calls use(run, i, value) for values of runs.
template <class T, int kRuns, int kCount, class Use>
BAYESOPS_HD void each_of_all(T (&values)[kRuns][kCount], const Use& use) {
  unrolled<kRuns>(kRuns, [&](int run) { unrolled<kCount>(kCount, [&](int i) { use(run, i, values[run][i]); }); });
}

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
  // What it has of the channels of a run of results, which several runs may share.
  template <int kCount>
  struct Channels {
    T scale[kCount], shift[kCount];
  };
  // From one result to the next there are `step` channels, 0 or 1.
  template <int kCount>
  BAYESOPS_HD_MEMBER Channels<kCount> read(const FlatFinish& f, int64_t channel, int64_t step, int count) {
    Channels<kCount> c;
    unrolled<kCount>(kCount, [&](int i) {
      c.scale[i] = 1;
      c.shift[i] = 0;
    });
    if (f.scale != nullptr) read_run(f.scale + channel, step, count, c.scale);
    if (f.shift != nullptr) read_run(f.shift + channel, step, count, c.shift);
    return c;
  }
  // Of runs of results, of each of which the first count(run) are there: the very first stands at `at` within its
  // sample, and there are `apart` elements from a run to the next, `step` from a result to the next.
  template <int kRuns, int kCount, class Count>
  BAYESOPS_HD_MEMBER void apply(const FlatFinish& f, const Channels<kCount>& c, int64_t sample, int64_t at,
                                int64_t apart, int64_t step, const Count& count, T (&values)[kRuns][kCount]) {
    if (!f.given) return;
    each_of_all(values, [&](int, int i, T& value) { value = exact_multiply_add(value, c.scale[i], c.shift[i]); });
    if (f.residual != nullptr) {
      T residual[kRuns][kCount] = {};
      read_runs(f.residual + sample * f.residual_sample_stride + at, apart, step, count, residual);
      each_of_all(values, [&](int run, int i, T& value) { value += residual[run][i]; });
    }
    if (f.relu) each_of_all(values, [&](int, int, T& value) { value = value < T(0) ? T(0) : value; });  // a NaN stays
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

  BAYESOPS_HD_MEMBER int64_t offset(const FlatOperand& o, const FlatPlace& p) {
    return p.sample * o.sample + p.example * o.example + p.group * o.group + p.channel * o.channel + p.pixel * o.pixel;
  }
};

// out[samples][examples, groups * channels, pixels] = finish(result * sign + bias + base), dense, channels last or
// before the pixels. Results form rows: with channels last, the channels of one group at a pixel; otherwise the pixels
// of one channel. An index handles kRuns runs of kRun results that share sign, scale, shift and bias, so that it is
// divided only once for all of them: with channels last the same channels of kRuns neighbouring pixels, otherwise kRuns
// stretches of one channel's pixels.
template <class S>
struct FlatEpilogue {
  using T = typename ComputeOf<S>::T;
  static constexpr int kRun = kWidest<S>, kRuns = 4;

  int64_t samples;
  FlatExtent examples, groups, channels, pixels;  // channels of one group
  bool channels_last;
  FlatOperand result;      // what the convolution made, folded as it likes
  FlatOperand sign, bias;  // 1 or -1; null: 1 and 0
  FlatOperand base;        // another convolution's result; null: 0
  FlatFinish<S> finish;
  S* out;
  int64_t per_sample;        // elements
  FlatExtent columns, rows;  // indices per row; rows per example and group (of kRuns pixels each), or channels

  // The rest, from what stands before `per_sample`.
  static FlatEpilogue of(FlatEpilogue f) {
    const auto parts = [](int64_t all, int64_t part) { return (all + part - 1) / part; };
    f.per_sample = f.examples * f.groups * f.channels * f.pixels;
    f.columns = parts(f.channels_last ? f.channels : f.pixels, f.channels_last ? kRun : kRun * kRuns);
    f.rows = f.channels_last ? parts(f.pixels, kRuns) : (int64_t)f.channels;
    return f;
  }
  // What is left of it for one of the samples, whose results come by themselves.
  static FlatEpilogue one_sample(FlatEpilogue f, int64_t sample, const FlatOperand& result) {
    f.samples = 1;
    f.result = result;
    for (FlatOperand* o : {&f.sign, &f.bias, &f.base})
      if (o->data != nullptr) o->data = static_cast<const S*>(o->data) + sample * o->sample;
    if (f.finish.residual != nullptr) f.finish.residual += sample * f.finish.residual_sample_stride;
    f.out += sample * f.per_sample;
    return f;
  }
  BAYESOPS_HD_MEMBER int64_t total(const FlatEpilogue& f) {
    return f.samples * f.examples * f.groups * f.rows * f.columns;
  }

  BAYESOPS_HD_MEMBER void run(const FlatEpilogue& f, int64_t index) {
    const bool last = f.channels_last;
    const auto [row, column] = divide(index, f.columns);
    const FlatPlace p = place(f, row, column);
    // From one run to the next: pixels, and elements of the output.
    const int64_t pixels = last ? 1 : kRun * f.columns;
    const int64_t first_channel = p.group * f.channels + p.channel, all_channels = f.groups * f.channels;
    const int64_t to = last ? (p.example * f.pixels + p.pixel) * all_channels + first_channel
                            : (p.example * all_channels + first_channel) * f.pixels + p.pixel;
    const int64_t step = last ? all_channels : pixels;
    const int of_channels = last ? at_most_run(f.channels - p.channel) : kRun;
    const auto count = [&](int run) {
      const int64_t pixel = p.pixel + run * pixels;
      return last ? (pixel < f.pixels ? of_channels : 0) : at_most_run(f.pixels - pixel);
    };
    T sign[kRun] = {}, bias[kRun] = {}, values[kRuns][kRun] = {};
    read(f, f.result, p, pixels, count, values);
    if (f.sign.data != nullptr) {
      read_channels(f.sign, p, last, of_channels, sign);
      each_of_all(values, [&](int, int i, T& value) { value *= sign[i]; });
    }
    if (f.bias.data != nullptr) {
      read_channels(f.bias, p, last, of_channels, bias);
      each_of_all(values, [&](int, int i, T& value) { value += bias[i]; });
    }
    if (f.base.data != nullptr) {
      T base[kRuns][kRun] = {};
      read(f, f.base, p, pixels, count, base);
      each_of_all(values, [&](int run, int i, T& value) { value += base[run][i]; });
    }
    const auto finish = FlatFinish<S>::template read<kRun>(f.finish, first_channel, last ? 1 : 0, of_channels);
    FlatFinish<S>::apply(f.finish, finish, p.sample, to, step, 1, count, values);
    unrolled<kRuns>(kRuns, [&](int run) {
      write_run(values[run], 1, count(run), f.out + p.sample * f.per_sample + to + run * step);
    });
  }

 private:
  // The first of an index' results.
  BAYESOPS_HD_MEMBER FlatPlace place(const FlatEpilogue& f, int64_t row, int64_t column) {
    const FlatDivision inner = divide(row, f.channels_last ? f.groups : f.channels);
    const FlatDivision outer = divide(inner.quotient, f.channels_last ? f.rows : f.groups);
    const auto [sample, example] = divide(outer.quotient, f.examples);
    if (f.channels_last) return {sample, example, inner.remainder, column * kRun, outer.remainder * kRuns};
    return {sample, example, outer.remainder, inner.remainder, column * kRun};
  }
  BAYESOPS_HD_MEMBER int at_most_run(int64_t count) { return count < kRun ? (count < 0 ? 0 : (int)count) : kRun; }

  template <class Count>
  BAYESOPS_HD_MEMBER void read(const FlatEpilogue& f, const FlatOperand& o, const FlatPlace& p, int64_t pixels,
                               const Count& count, T (&to)[kRuns][kRun]) {
    read_runs(static_cast<const S*>(o.data) + FlatOperand::offset(o, p), pixels * o.pixel,
              f.channels_last ? o.channel : o.pixel, count, to);
  }
  BAYESOPS_HD_MEMBER void read_channels(const FlatOperand& o, const FlatPlace& p, bool last, int count, T (&to)[kRun]) {
    read_run(static_cast<const S*>(o.data) + FlatOperand::offset(o, p), last ? o.channel : 0, count, to);
  }
};

}  // namespace bayesops
