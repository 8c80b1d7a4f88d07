// softplus(rho)² in one pass over rho, and its gradient 2 softplus(rho) sigmoid(rho) in another.
#include "kernels/pointwise/entry.h"
#include "kernels/pointwise/map.h"

BAYESOPS_ISA_BEGIN

namespace {

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

}  // namespace

void softplus_variance(const SoftplusProblem& p, void* out, const Parallel& pool) {
  map<SoftplusVariance>(p.dtype, p.elements, p.rho, out, pool);
}

void softplus_variance_gradient(const SoftplusProblem& p, const void* grad, void* grad_rho, const Parallel& pool) {
  map_gradient<SoftplusVariance>(p.dtype, p.elements, grad, p.rho, grad_rho, pool);
}

BAYESOPS_ISA_END
