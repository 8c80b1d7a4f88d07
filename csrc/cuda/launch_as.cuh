// One CUDA thread per index of the functor that an operator's arguments choose for their dtype.
#pragma once
#include "cuda/launch.cuh"
#include "cuda/types.cuh"

namespace bayesops::cuda {

struct FlatOnDevice {
  template <class Arguments>
  static void run(const Arguments& arguments) {
    with_type(arguments.dtype, [&](auto type) {
      arguments.template visit<decltype(type)>([&](const auto& f) { launch(f, f.total(f), arguments.out); });
    });
  }
};

}  // namespace bayesops::cuda
