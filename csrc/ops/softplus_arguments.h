// The arguments of softplus and softplus_variance, checked, and of their gradients.
#pragma once
#include "kernels/pointwise/softplus.h"
#include "ops/tensors.h"

namespace bayesops::ops {

struct SoftplusArguments {
  Tensor rho, grad;  // contiguous; no grad but in those of a gradient
  Tensor out;
  SoftplusProblem problem;

  SoftplusArguments(const char* op, const Tensor& given) : rho(dense(given)) {
    problem = SoftplusProblem{dtype_of(op, "rho", rho), rho.numel(), rho.data_ptr()};
    out = empty_as(rho);
  }

  SoftplusArguments(const char* op, const Tensor& given_grad, const Tensor& given) : SoftplusArguments(op, given) {
    check_same_dtype(op, given, "grad", given_grad);
    check_same_device(op, given, "grad", given_grad);
    STD_TORCH_CHECK(sizes_of(given_grad) == sizes_of(given), op, ": grad must have rho's shape ",
                    describe(sizes_of(given)), ", not ", describe(sizes_of(given_grad)));
    grad = dense(given_grad);
  }
};

}  // namespace bayesops::ops
