// In what type a functor computes with a storage type: float, but for double. Storage types convert through it.
#pragma once
#include "kernels/rng/elementary.h"

namespace bayesops {

template <class S>
struct ComputeOf {
  using T = float;
};
template <>
struct ComputeOf<double> {
  using T = double;
};

template <class T>
struct ElementaryOf {
  using Math = ScalarElementary;
};
template <>
struct ElementaryOf<double> {
  using Math = DoubleElementary;
};

}  // namespace bayesops
