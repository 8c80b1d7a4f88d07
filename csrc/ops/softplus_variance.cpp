// softplus_variance: the variance of normally distributed weights in one pass over rho, and its gradient. On CUDA both
// are composites (bayesops/ops/_softplus_variance_rules.py).
#include "kernels/isa_table.h"
#include "ops/pool.h"
#include "ops/softplus_arguments.h"

namespace bayesops::ops {

namespace {

Tensor softplus_variance(const Tensor rho) {
  const SoftplusArguments a("softplus_variance", rho);
  kernels().pointwise.softplus_variance(a.problem, a.out.data_ptr(), pool());
  return a.out;
}

Tensor softplus_variance_grad(const Tensor grad, const Tensor rho) {
  const SoftplusArguments a("softplus_variance_grad", grad, rho);
  kernels().pointwise.softplus_variance_gradient(a.problem, a.grad.data_ptr(), a.out.data_ptr(), pool());
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  m.def("softplus_variance(Tensor rho) -> Tensor");
  m.def("softplus_variance_grad(Tensor grad, Tensor rho) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) {
  m.impl("softplus_variance", TORCH_BOX(&softplus_variance));
  m.impl("softplus_variance_grad", TORCH_BOX(&softplus_variance_grad));
}

}  // namespace bayesops::ops
