// One CUDA thread an index of the functor that an operator's arguments are for their dtype.
#pragma once
#include "cuda/launch.cuh"
#include "cuda/types.cuh"

namespace bayesops::cuda {

template <class Arguments>
void launch_as(const Arguments& arguments) {
  with_type(arguments.dtype, [&](auto type) {
    const auto f = arguments.template functor<decltype(type)>();
    launch(f, f.total(f), arguments.out);
  });
}

}  // namespace bayesops::cuda
