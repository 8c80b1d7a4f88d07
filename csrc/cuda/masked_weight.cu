// masked_weight on the device: all masked kernels of all samples written once, for the library's convolution.
#include "cuda/launch_as.cuh"
#include "ops/masked_weight_arguments.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

Tensor masked_weight(const Tensor weight, const Tensor seed, const std::optional<Tensor> mask, double p,
                     int64_t granularity, bool rescale, int64_t num_examples, int64_t groups, int64_t stream,
                     bool channels_last) {
  const MaskedWeightArguments a(weight, seed, mask, p, granularity, rescale, num_examples, groups, stream,
                                channels_last);
  FlatOnDevice::run(a);
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) { m.impl("masked_weight", TORCH_BOX(&masked_weight)); }

}  // namespace bayesops::cuda
