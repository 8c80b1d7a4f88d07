// softplus(rho) and its gradient as functors: four elements an index.
#pragma once
#include "kernels/flat/compute_type.h"
#include "kernels/flat/run.h"
#include "kernels/pointwise/gaussian_terms.h"
#include "kernels/pointwise/softplus.h"

namespace bayesops {

// out = softplus(rho), or, where `grad` is given, grad * sigmoid(rho).
template <class S>
struct FlatSoftplus {
  static constexpr int kRun = 4;

  SoftplusProblem problem;
  const S* grad;  // null: nobody asks for a gradient
  S* out;

  BAYESOPS_HD_MEMBER int64_t total(const FlatSoftplus& f) { return (f.problem.elements + kRun - 1) / kRun; }
  BAYESOPS_HD_MEMBER void run(const FlatSoftplus& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    using Spread = SoftplusSpread<typename ElementaryOf<T>::Math>;
    const int64_t first = index * kRun, count = f.problem.elements - first;
    T rho[kRun] = {}, results[kRun] = {};
    read_run(static_cast<const S*>(f.problem.rho) + first, 1, count, rho);
    if (f.grad != nullptr) read_run(f.grad + first, 1, count, results);
    unrolled<kRun>(count, [&](int i) {
      const Spread s = Spread::of(T(0), rho[i]);
      results[i] = f.grad == nullptr ? s.sigma : results[i] * Spread::slope(s);
    });
    write_run(results, 1, count, f.out + first);
  }
};

}  // namespace bayesops
