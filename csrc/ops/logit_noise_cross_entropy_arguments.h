// What logit_noise_cross_entropy checks and allocates, on every device.
#pragma once
#include "kernels/pointwise/logit_noise_cross_entropy.h"
#include "ops/tensors.h"

namespace bayesops::ops {

enum Reduction : int64_t { kReductionNone, kReductionMean, kReductionSum };

struct LogitNoiseArguments {
  LogitNoiseArguments(const Tensor& logits, const Tensor& log_var, const Tensor& target, const Tensor& seed,
                      int64_t stream, const std::optional<Tensor>& weight, int64_t ignore_index, bool mean_of_losses,
                      int64_t reduction, bool gradients);

  Seeds seeds;
  LogitNoiseProblem problem;  // without `total` and `losses`
  Reduction reduction;
  ScalarType computing;                             // float32, or float64
  std::optional<Tensor> grad_logits, grad_log_var;  // if asked for

  Tensor empty_losses() const;  // one per place
  Tensor empty_scalar(ScalarType dtype) const;

 private:
  Tensor mean_, log_var_, target_;  // what `problem` points into
  std::optional<Tensor> weight_;
};

}  // namespace bayesops::ops
