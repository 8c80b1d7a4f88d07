// conv_epilogue on the device: bias, scale, shift, shortcut and relu in one pass over what a convolution made.
#include "ops/conv_epilogue.h"

#include "cuda/launch_as.cuh"

namespace bayesops::cuda {

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) { ops::ConvEpilogue<FlatOnDevice>::implement(m); }

}  // namespace bayesops::cuda
