// conv_epilogue on the device: bias, scale, shift, shortcut and relu in one pass over what a convolution made.
#include "cuda/launch_as.cuh"
#include "ops/conv_epilogue_arguments.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

Tensor conv_epilogue(const Tensor result, const std::optional<Tensor> bias, const std::optional<Tensor> base,
                     const std::optional<Tensor> signs, int64_t spatial, bool channels_last,
                     const std::optional<Tensor> scale, const std::optional<Tensor> shift,
                     const std::optional<Tensor> residual, bool relu) {
  const ConvEpilogueArguments a(result, bias, base, signs, {scale, shift, residual, relu}, spatial, channels_last);
  launch_as(a);
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) { m.impl("conv_epilogue", TORCH_BOX(&conv_epilogue)); }

}  // namespace bayesops::cuda
