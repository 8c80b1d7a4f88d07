// softplus_variance: the variance of normally distributed weights in one pass over rho, and its gradient. On CUDA both
// are composites (bayesops/ops/_softplus_variance_rules.py).
#include "kernels/isa_table.h"
#include "ops/pool.h"
#include "ops/tensors.h"

namespace bayesops::ops {

namespace {

SoftplusVarianceProblem problem_of(const char* op, const Tensor& rho) {
  return SoftplusVarianceProblem{dtype_of(op, "rho", rho), rho.numel(), rho.data_ptr()};
}

Tensor softplus_variance(const Tensor given_rho) {
  const Tensor rho = torch::stable::contiguous(given_rho);
  const SoftplusVarianceProblem problem = problem_of("softplus_variance", rho);
  Tensor out = torch::stable::empty_like(rho);
  kernels().pointwise.softplus_variance(problem, out.data_ptr(), pool());
  return out;
}

Tensor softplus_variance_grad(const Tensor given_grad, const Tensor given_rho) {
  const char* op = "softplus_variance_grad";
  check_same_dtype(op, given_rho, "grad", given_grad);
  check_same_device(op, given_rho, "grad", given_grad);
  STD_TORCH_CHECK(sizes_of(given_grad) == sizes_of(given_rho), op, ": grad must have rho's shape ",
                  describe(sizes_of(given_rho)), ", not ", describe(sizes_of(given_grad)));
  const Tensor grad = torch::stable::contiguous(given_grad), rho = torch::stable::contiguous(given_rho);
  const SoftplusVarianceProblem problem = problem_of(op, rho);
  Tensor out = torch::stable::empty_like(rho);
  kernels().pointwise.softplus_variance_gradient(problem, grad.data_ptr(), out.data_ptr(), pool());
  return out;
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
