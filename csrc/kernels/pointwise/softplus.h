// The standard deviation softplus(rho) of normally distributed weights, and its gradient.
#pragma once
#include "kernels/conv/problem.h"

namespace bayesops {

struct SoftplusProblem {
  DType dtype;
  int64_t elements;
  const void* rho;  // contiguous
};

}  // namespace bayesops
