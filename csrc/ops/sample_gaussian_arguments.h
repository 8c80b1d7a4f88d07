// The checks and shapes of sample_gaussian and its gradient, on every device.
#pragma once
#include "kernels/pointwise/sample_gaussian.h"
#include "ops/tensors.h"

namespace bayesops::ops {

struct SampleGaussianArguments {
  SampleGaussianArguments(const char* op, const Tensor& mu, const Tensor& spread, const Tensor& seed, int64_t stream,
                          bool alpha, int64_t prior, const std::vector<double>& prior_parameters);

  // A result of `mu`'s dtype for each sample, and one float64 for each.
  Tensor empty_weights() const;
  Tensor empty_logs() const;
  // A given cotangent, contiguous and of these sizes; its data, or null.
  std::optional<Tensor> cotangent(const char* name, const std::optional<Tensor>& given, bool of_weights) const;

  const char* op;
  Seeds seeds;
  Tensor mu, spread;  // contiguous
  SampleGaussianProblem problem;

 private:
  Sizes sizes(bool of_weights) const;
};

}  // namespace bayesops::ops
