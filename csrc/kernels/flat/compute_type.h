// In what type a functor computes with a storage type: float, but for double. Storage types convert through it.
#pragma once

namespace bayesops {

template <class S>
struct ComputeOf {
  using T = float;
};
template <>
struct ComputeOf<double> {
  using T = double;
};

}  // namespace bayesops
