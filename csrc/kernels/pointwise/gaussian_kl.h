// The divergence of normally distributed weights from a normal prior, and the gradient.
#pragma once
#include "kernels/conv/problem.h"

namespace bayesops {

struct GaussianKlProblem {
  DType dtype;
  int64_t elements;
  const void *mu, *rho;  // contiguous; sigma = softplus(rho)
  double prior_mu, prior_sigma;
};

}  // namespace bayesops
