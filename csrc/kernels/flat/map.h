// A function of one number over a tensor, and its gradient, as a functor: four elements per index.
#pragma once
#include "kernels/flat/compute_type.h"
#include "kernels/flat/run.h"

namespace bayesops {

// Function is a template of Math, as for pointwise/map.h: out = value(x), or, where `grad` is given, gradient(grad, x).
template <class S, template <class> class Function>
struct FlatMap {
  static constexpr int kRun = 4;

  int64_t elements;
  const S* x;
  const S* grad;  // null: nobody asks for a gradient
  S* out;

  BAYESOPS_HD_MEMBER int64_t total(const FlatMap& f) { return (f.elements + kRun - 1) / kRun; }
  BAYESOPS_HD_MEMBER void run(const FlatMap& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    using Of = Function<typename ElementaryOf<T>::Math>;
    const int64_t first = index * kRun, left = f.elements - first;
    T x[kRun] = {}, results[kRun] = {};
    read_run(f.x + first, 1, left, x);
    if (f.grad == nullptr) {
      unrolled<kRun>(left, [&](int i) { results[i] = Of::value(x[i]); });
    } else {
      read_run(f.grad + first, 1, left, results);
      unrolled<kRun>(left, [&](int i) { results[i] = Of::gradient(results[i], x[i]); });
    }
    write_run(results, 1, left, f.out + first);
  }
};

}  // namespace bayesops
