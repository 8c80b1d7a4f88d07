// dropout on the device.
#include "cuda/launch.cuh"
#include "cuda/types.cuh"
#include "kernels/flat/dropout.h"
#include "ops/dropout_arguments.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

Tensor dropout(const Tensor input, const Tensor seed, const std::optional<Tensor> mask, double p, int64_t granularity,
               int64_t stream, bool shared_input) {
  const DropoutArguments a(input, seed, mask, p, granularity, stream, shared_input);
  with_type(a.problem.dtype, [&](auto type) {
    const auto f = FlatDropout<decltype(type)>::of(a.problem, a.input.data_ptr(), a.out.data_ptr());
    launch(f, f.total(f), input);
  });
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) { m.impl("dropout", TORCH_BOX(&dropout)); }

}  // namespace bayesops::cuda
