// The checks and shapes of gaussian_weight, on every device.
#pragma once
#include "kernels/flat/gaussian.h"
#include "ops/tensors.h"

namespace bayesops::ops {

struct GaussianWeightArguments {
  GaussianWeightArguments(const std::optional<Tensor>& mu, const Tensor& sigma, const Tensor& seed, int64_t stream);

  template <class S>
  FlatGaussianWeight<S> functor() const {
    return {seeds.data,
            stream,
            FlatBlocks{seeds.count, sigma.numel(), 4},
            mu.has_value() ? static_cast<const S*>(mu->data_ptr()) : nullptr,
            static_cast<const S*>(sigma.data_ptr()),
            static_cast<S*>(out.data_ptr())};
  }

  Seeds seeds;
  uint32_t stream;
  DType dtype;
  std::optional<Tensor> mu;  // contiguous
  Tensor sigma;              // contiguous
  Tensor out;                // [(S,) weight...]
};

}  // namespace bayesops::ops
