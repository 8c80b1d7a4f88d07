// The variance softplus(rho)² of normally distributed weights, and its gradient.
#pragma once
#include "kernels/conv/problem.h"

namespace bayesops {

struct SoftplusVarianceProblem {
  DType dtype;
  int64_t elements;
  const void* rho;  // contiguous
};

}  // namespace bayesops
