// The checks and shapes of gaussian_weight, on every device.
#pragma once
#include "kernels/flat/gaussian.h"
#include "ops/weight_layout.h"

namespace bayesops::ops {

struct GaussianWeightArguments {
  GaussianWeightArguments(const std::optional<Tensor>& mu, const Tensor& sigma, const Tensor& seed, int64_t stream,
                          bool channels_last);

  template <class S, class Run>
  void visit(const Run& run) const {
    if (layout.channels_last)
      return run(FlatGaussianWeightTiles<S>::of(seeds.data, stream, seeds.count, layout, data_of(mu), sigma.data_ptr(),
                                                out.data_ptr()));
    run(FlatGaussianWeight<S>{seeds.data, stream, FlatBlocks{seeds.count, sigma.numel(), 4},
                              static_cast<const S*>(data_of(mu)), static_cast<const S*>(sigma.data_ptr()),
                              static_cast<S*>(out.data_ptr())});
  }

  Seeds seeds;
  uint32_t stream;
  DType dtype;
  FlatWeightLayout layout;
  std::optional<Tensor> mu;  // dense, as all three
  Tensor sigma;
  Tensor out;  // [(S,) weight...]
};

}  // namespace bayesops::ops
