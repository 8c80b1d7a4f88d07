// The checks and shapes of add_predictive_moments, on every device.
#pragma once
#include "kernels/pointwise/predictive_moments.h"
#include "ops/tensors.h"

namespace bayesops::ops {

// Throws where the tensors do not fit each other. Nothing is copied: the problem walks every tensor as it lies.
PredictiveMomentsProblem predictive_moments_problem(const Tensor& samples, bool softmax, int64_t count,
                                                    const Tensor& mean, const Tensor& deviations,
                                                    const std::optional<Tensor>& expected_entropy);

}  // namespace bayesops::ops
