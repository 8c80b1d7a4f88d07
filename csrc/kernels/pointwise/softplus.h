// The standard deviation softplus(rho) of normally distributed weights, and the variance, its square: as functions of
// one number for scalars, vectors and the device.
#pragma once
#include "kernels/conv/problem.h"
#include "kernels/pointwise/gaussian_terms.h"

namespace bayesops {

struct SoftplusProblem {
  DType dtype;
  int64_t elements;
  const void* rho;  // contiguous
};

template <class Math>
struct Softplus {
  using F = typename Math::F;
  using Spread = SoftplusSpread<Math>;
  BAYESOPS_HD_MEMBER F value(F rho) { return Spread::of(F{}, rho).sigma; }
  BAYESOPS_HD_MEMBER F gradient(F grad, F rho) { return grad * Spread::slope(Spread::of(F{}, rho)); }
};

template <class Math>
struct SoftplusVariance {
  using F = typename Math::F;
  using Spread = SoftplusSpread<Math>;
  BAYESOPS_HD_MEMBER F value(F rho) {
    const Spread s = Spread::of(F{}, rho);
    return s.sigma * s.sigma;
  }
  BAYESOPS_HD_MEMBER F gradient(F grad, F rho) {
    const Spread s = Spread::of(F{}, rho);
    return grad * (s.sigma + s.sigma) * Spread::slope(s);
  }
};

}  // namespace bayesops
