// softplus(rho) and its square, each in one pass over rho, and their gradients in another.
#include "kernels/pointwise/softplus.h"

#include "kernels/pointwise/entry.h"
#include "kernels/pointwise/map.h"

BAYESOPS_ISA_BEGIN

void softplus(const SoftplusProblem& p, void* out, const Parallel& pool) {
  map<Softplus>(p.dtype, p.elements, p.rho, out, pool);
}

void softplus_gradient(const SoftplusProblem& p, const void* grad, void* grad_rho, const Parallel& pool) {
  map_gradient<Softplus>(p.dtype, p.elements, grad, p.rho, grad_rho, pool);
}

void softplus_variance(const SoftplusProblem& p, void* out, const Parallel& pool) {
  map<SoftplusVariance>(p.dtype, p.elements, p.rho, out, pool);
}

void softplus_variance_gradient(const SoftplusProblem& p, const void* grad, void* grad_rho, const Parallel& pool) {
  map_gradient<SoftplusVariance>(p.dtype, p.elements, grad, p.rho, grad_rho, pool);
}

BAYESOPS_ISA_END
