// masked_weight on the device: all masked kernels of all samples written once, for the library's convolution.
#include "cuda/launch.cuh"
#include "cuda/types.cuh"
#include "kernels/flat/masking.h"
#include "ops/convolution.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

Tensor masked_weight(const Tensor weight, const Tensor seed, const std::optional<Tensor> mask, double p,
                     int64_t granularity, bool rescale, int64_t num_examples, int64_t groups, int64_t stream) {
  const MaskedWeight a("masked_weight", weight, seed, mask, p, granularity, rescale, num_examples, groups, stream);
  with_type(a.conv.problem().dtype, [&](auto type) {
    const auto f = FlatMaskedWeight<decltype(type)>::of(a.conv.problem(), a.out.data_ptr());
    launch(f, f.total(f), weight);
  });
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) { m.impl("masked_weight", TORCH_BOX(&masked_weight)); }

}  // namespace bayesops::cuda
