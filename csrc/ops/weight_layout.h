// The layout of weights as functors over a flat index take it.
#pragma once
#include "kernels/flat/weight_layout.h"
#include "ops/tensors.h"

namespace bayesops::ops {

// Of a weight [O, I, *]; less than two dimensions have only one layout.
inline FlatWeightLayout layout_of(const Sizes& weight, bool channels_last) {
  int64_t size[3] = {1, 1, 1};
  for (size_t i = 0; i < weight.size(); ++i) size[i < 2 ? i : 2] *= weight[i];
  return FlatWeightLayout::of(size[0], size[1], size[2], channels_last);
}

}  // namespace bayesops::ops
