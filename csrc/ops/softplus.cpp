// softplus, the standard deviation of normally distributed weights, and softplus_variance, its square; their gradients.
// PyTorch's own softplus rounds what is left of a thread's share otherwise than the rest.
#include "kernels/isa_table.h"
#include "ops/pool.h"
#include "ops/softplus_arguments.h"

namespace bayesops::ops {

namespace {

Tensor softplus(const Tensor rho) {
  const SoftplusArguments a("softplus", rho);
  kernels().pointwise.softplus(a.problem, a.out.data_ptr(), pool());
  return a.out;
}

Tensor softplus_grad(const Tensor grad, const Tensor rho) {
  const SoftplusArguments a("softplus_grad", grad, rho);
  kernels().pointwise.softplus_gradient(a.problem, a.grad.data_ptr(), a.out.data_ptr(), pool());
  return a.out;
}

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
  m.def("softplus(Tensor rho) -> Tensor");
  m.def("softplus_grad(Tensor grad, Tensor rho) -> Tensor");
  m.def("softplus_variance(Tensor rho) -> Tensor");
  m.def("softplus_variance_grad(Tensor grad, Tensor rho) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) {
  m.impl("softplus", TORCH_BOX(&softplus));
  m.impl("softplus_grad", TORCH_BOX(&softplus_grad));
  m.impl("softplus_variance", TORCH_BOX(&softplus_variance));
  m.impl("softplus_variance_grad", TORCH_BOX(&softplus_variance_grad));
}

}  // namespace bayesops::ops
