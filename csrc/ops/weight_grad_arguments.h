// The checks and shapes of gaussian_weight_grad and masked_weight_grad, on every device.
#pragma once
#include "kernels/flat/gaussian.h"
#include "kernels/flat/masking.h"
#include "ops/convolution.h"
#include "ops/weight_layout.h"

namespace bayesops::ops {

struct GaussianWeightGradArguments {
  GaussianWeightGradArguments(const Tensor& gradients, const Tensor& seed, int64_t stream);

  template <class S, class Run>
  void visit(const Run& run) const {
    run(FlatGaussianWeightGrad<S>{seeds.data, stream, seeds.count, layout_of(sizes_of(out), gradients.channels_last),
                                  static_cast<const S*>(gradients.tensor.data_ptr()), static_cast<S*>(out.data_ptr()),
                                  static_cast<S*>(sigma.data_ptr())});
  }

  Seeds seeds;
  uint32_t stream;
  DType dtype;
  DenseWeight gradients;  // [(S,) weight...]
  Tensor out, sigma;      // [weight...], contiguous; `out` is of mu
};

struct MaskedWeightGradArguments {
  MaskedWeightGradArguments(const Tensor& gradients, const Tensor& seed, const std::optional<Tensor>& mask, double p,
                            int64_t granularity, bool rescale, int64_t num_examples, int64_t groups, int64_t stream);

  template <class S, class Run>
  void visit(const Run& run) const {
    run(FlatMaskedWeightGrad<S>::of(conv.problem(), gradients.channels_last, gradients.tensor.data_ptr(),
                                    out.data_ptr()));
  }

  DType dtype;
  Convolution conv;
  DenseWeight gradients;  // [(S,) (N,) weight...]
  Tensor out;             // [weight...], contiguous
};

}  // namespace bayesops::ops
