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
  MaskedWeight a("masked_weight", weight, seed, mask, p, granularity, rescale, num_examples, groups, stream);
  const ConvProblem& problem = a.conv.problem();
  const MaskSource& source = problem.mask;
  with_type(problem.dtype, [&](auto type) {
    using S = decltype(type);
    const FlatMaskedWeight<S> f{
        FlatMask{source.seeds, source.stream, source.law, source.given, source.given_sample_stride},
        source.granularity,
        problem.samples,
        problem.per_example ? problem.examples : 1,
        a.weight.numel(),
        problem.group_in(),
        problem.group_out(),
        problem.taps(),
        source.elements,
        problem.in_channels,
        static_cast<const S*>(a.weight.data_ptr()),
        static_cast<typename ComputeOf<S>::T>(problem.scale),
        static_cast<S*>(a.out.data_ptr())};
    launch(f, FlatMaskedWeight<S>::total(f), weight);
  });
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) { m.impl("masked_weight", TORCH_BOX(&masked_weight)); }

}  // namespace bayesops::cuda
