// softplus(rho) in one pass over rho, and its gradient sigmoid(rho) in another.
#include "kernels/pointwise/softplus.h"

#include "kernels/pointwise/entry.h"
#include "kernels/pointwise/map.h"

BAYESOPS_ISA_BEGIN

namespace {

template <class Math>
struct Softplus {
  using F = typename Math::F;
  using Spread = SoftplusSpread<Math>;
  BAYESOPS_HD_MEMBER F value(F rho) { return Spread::of(F{}, rho).sigma; }
  BAYESOPS_HD_MEMBER F gradient(F grad, F rho) { return grad * Spread::slope(Spread::of(F{}, rho)); }
};

}  // namespace

void softplus(const SoftplusProblem& p, void* out, const Parallel& pool) {
  map<Softplus>(p.dtype, p.elements, p.rho, out, pool);
}

void softplus_gradient(const SoftplusProblem& p, const void* grad, void* grad_rho, const Parallel& pool) {
  map_gradient<Softplus>(p.dtype, p.elements, grad, p.rho, grad_rho, pool);
}

BAYESOPS_ISA_END
