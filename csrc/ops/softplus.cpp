// softplus, the standard deviation of normally distributed weights, and softplus_variance, its square; their gradients.
// PyTorch's own softplus rounds what is left of a thread's share otherwise than the rest.
#include "kernels/isa_table.h"
#include "ops/pool.h"
#include "ops/softplus_arguments.h"

namespace bayesops::ops {

namespace {

using Pointwise = decltype(kernels().pointwise);

Tensor value(const char* op, const Tensor& rho, decltype(Pointwise::softplus) kernel) {
  const SoftplusArguments a(op, rho);
  kernel(a.problem, a.out.data_ptr(), pool());
  return a.out;
}

Tensor gradient(const char* op, const Tensor& grad, const Tensor& rho, decltype(Pointwise::softplus_gradient) kernel) {
  const SoftplusArguments a(op, grad, rho);
  kernel(a.problem, a.grad.data_ptr(), a.out.data_ptr(), pool());
  return a.out;
}

Tensor softplus(const Tensor rho) { return value("softplus", rho, kernels().pointwise.softplus); }

Tensor softplus_grad(const Tensor grad, const Tensor rho) {
  return gradient("softplus_grad", grad, rho, kernels().pointwise.softplus_gradient);
}

Tensor softplus_variance(const Tensor rho) {
  return value("softplus_variance", rho, kernels().pointwise.softplus_variance);
}

Tensor softplus_variance_grad(const Tensor grad, const Tensor rho) {
  return gradient("softplus_variance_grad", grad, rho, kernels().pointwise.softplus_variance_gradient);
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
