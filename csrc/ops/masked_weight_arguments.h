// The checks and shapes of masked_weight, on every device.
#pragma once
#include "kernels/flat/masked_weight.h"
#include "ops/convolution.h"
#include "ops/weight_layout.h"

namespace bayesops::ops {

// `num_examples` 0 means one mask for all examples.
struct MaskedWeightArguments {
  MaskedWeightArguments(const Tensor& weight, const Tensor& seed, const std::optional<Tensor>& mask, double p,
                        int64_t granularity, bool rescale, int64_t num_examples, int64_t groups, int64_t stream,
                        bool channels_last);

  template <class S, class Run>
  void visit(const Run& run) const {
    if (layout.channels_last) return run(FlatMaskedWeightTiles<S>::of(conv.problem(), layout, out.data_ptr()));
    run(FlatMaskedWeight<S>::of(conv.problem(), out.data_ptr()));
  }

  DType dtype;
  FlatWeightLayout layout;
  Convolution conv;
  Tensor weight;  // dense, laid out as the results
  Tensor out;     // [(S,) (N,) weight...]
};

}  // namespace bayesops::ops
