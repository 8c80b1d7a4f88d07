// The checks and shapes of gaussian_weight_grad and masked_weight_grad, on every device.
#pragma once
#include "kernels/flat/gaussian.h"
#include "kernels/flat/masking.h"
#include "ops/convolution.h"

namespace bayesops::ops {

struct GaussianWeightGradArguments {
  GaussianWeightGradArguments(const Tensor& gradients, const Tensor& seed, int64_t stream);

  template <class S>
  FlatGaussianWeightGrad<S> functor() const {
    return {seeds.data,
            stream,
            FlatBlocks{seeds.count, out.numel(), 4},
            static_cast<const S*>(gradients.data_ptr()),
            static_cast<S*>(out.data_ptr()),
            static_cast<S*>(sigma.data_ptr())};
  }

  Seeds seeds;
  uint32_t stream;
  DType dtype;
  Tensor gradients;   // [(S,) weight...], contiguous
  Tensor out, sigma;  // [weight...]; `out` is of mu
};

struct MaskedWeightGradArguments {
  MaskedWeightGradArguments(const Tensor& gradients, const Tensor& seed, const std::optional<Tensor>& mask, double p,
                            int64_t granularity, bool rescale, int64_t num_examples, int64_t groups, int64_t stream);

  template <class S>
  FlatMaskedWeightGrad<S> functor() const {
    return FlatMaskedWeightGrad<S>::of(conv.problem(), gradients.data_ptr(), out.data_ptr());
  }

  DType dtype;
  Convolution conv;
  Tensor gradients;  // [(S,) (N,) weight...], contiguous
  Tensor out;        // [weight...]
};

}  // namespace bayesops::ops
