// dropout on the device.
#include "cuda/launch.cuh"
#include "cuda/types.cuh"
#include "kernels/flat/masking.h"
#include "ops/dropout_arguments.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

Tensor dropout(const Tensor input, const Tensor seed, const std::optional<Tensor> mask, double p, int64_t granularity,
               int64_t stream, bool shared_input) {
  const DropoutArguments a(input, seed, mask, p, granularity, stream, shared_input);
  const DropoutProblem& problem = a.problem;
  const MaskSource& source = problem.mask;
  with_type(problem.dtype, [&](auto type) {
    using S = decltype(type);
    const FlatDropout<S> f{FlatMask{source.seeds, source.stream, source.law, source.given, source.given_sample_stride},
                           problem.samples,
                           problem.examples,
                           problem.channels,
                           problem.pixels,
                           problem.shared_input,
                           problem.channels_last,
                           problem.whole_channels,
                           static_cast<typename ComputeOf<S>::T>(problem.scale),
                           static_cast<const S*>(a.input.data_ptr()),
                           static_cast<S*>(a.out.data_ptr())};
    launch(f, FlatDropout<S>::total(f), input);
  });
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) { m.impl("dropout", TORCH_BOX(&dropout)); }

}  // namespace bayesops::cuda
