// Max pooling and an activation as a functor: kRun neighbouring channels of one window per index.
#pragma once
#include "kernels/flat/compute_type.h"
#include "kernels/flat/extent.h"
#include "kernels/flat/run.h"
#include "kernels/pointwise/gaussian_terms.h"
#include "kernels/pointwise/max_pool.h"

namespace bayesops {

template <class S, int kRun>
struct FlatMaxPool {
  using T = typename ComputeOf<S>::T;

  MaxPoolProblem problem;
  FlatExtent runs, columns, rows;  // of an output: runs of channels, and pixels
  const S* input;
  S* output;

  FlatMaxPool(const MaxPoolProblem& p, const void* input, void* output)
      : problem(p),
        runs(p.channels / kRun),
        columns(p.out_size[1]),
        rows(p.out_size[0]),
        input(static_cast<const S*>(input)),
        output(static_cast<S*>(output)) {}

  BAYESOPS_HD_MEMBER int64_t total(const FlatMaxPool& f) {
    const MaxPoolProblem& p = f.problem;
    return p.images * p.out_size[0] * p.out_size[1] * f.runs;
  }
  BAYESOPS_HD_MEMBER void run(const FlatMaxPool& f, int64_t index) {
    const MaxPoolProblem& p = f.problem;
    const auto [pixel, run] = divide(index, f.runs);
    const auto [line, column] = divide(pixel, f.columns);
    const auto [image, row] = divide(line, f.rows);
    const int64_t channel = run * kRun;
    const int64_t top = row * p.stride[0] - p.padding[0], left = column * p.stride[1] - p.padding[1];
    const int64_t end[2] = {least(top + p.kernel[0], p.size[0]), least(left + p.kernel[1], p.size[1])};
    T held[kRun] = {};
    bool any = false;
    for (int64_t y = top < 0 ? 0 : top; y < end[0]; ++y)
      for (int64_t x = left < 0 ? 0 : left; x < end[1]; ++x) {
        T next[kRun];
        read_run(f.input + ((image * p.size[0] + y) * p.size[1] + x) * p.channels + channel, 1, kRun, next);
        unrolled<kRun>(kRun, [&](int i) { held[i] = any ? later(held[i], next[i]) : next[i]; });
        any = true;
      }
    unrolled<kRun>(kRun, [&](int i) { held[i] = activated(p.activation, held[i]); });
    write_run(held, 1, kRun, f.output + pixel * p.channels + channel);
  }

 private:
  BAYESOPS_HD_MEMBER int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
  BAYESOPS_HD_MEMBER T activated(Activation activation, T x) {
    if (activation == kRelu) return x < T(0) ? T(0) : x;  // -0 and NaN stay what they are
    if (activation == kSoftplus) return SoftplusSpread<typename ElementaryOf<T>::Math>::of(T(0), x).sigma;
    return x;
  }
};

}  // namespace bayesops
