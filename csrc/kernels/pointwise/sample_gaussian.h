// Gaussian weights drawn with their log q and log prior, and the gradient.
#pragma once
#include "kernels/conv/problem.h"
#include "kernels/pointwise/gaussian_terms.h"

namespace bayesops {

struct SampleGaussianProblem {
  DType dtype;
  int64_t samples, elements;
  bool alpha;  // `spread` is log alpha, sigma = exp(log_alpha / 2) |mu|; otherwise rho, sigma = softplus(rho)
  const void *mu, *spread;  // contiguous
  const int64_t* seeds;     // one per sample
  uint32_t stream;
  PriorLaw prior;
};

// Sums are formed over pieces of so many elements, which are then added in order: which thread worked on a piece does
// not show.
constexpr int64_t kGaussianPiece = 1024;
static inline int64_t gaussian_pieces(int64_t elements) { return (elements + kGaussianPiece - 1) / kGaussianPiece; }

}  // namespace bayesops
