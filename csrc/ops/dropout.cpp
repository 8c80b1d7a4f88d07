// dropout: single elements or whole channels of an activation, by a mask that is drawn or given.
#include "kernels/isa_table.h"
#include "ops/dropout_arguments.h"
#include "ops/pool.h"

namespace bayesops::ops {

namespace {

Tensor dropout(const Tensor input, const Tensor seed, const std::optional<Tensor> mask, double p, int64_t granularity,
               int64_t stream, bool shared_input) {
  DropoutArguments a(input, seed, mask, p, granularity, stream, shared_input);
  if (a.out.numel() == 0) return a.out;
  if (a.problem.mask.masked) {
    kernels().pointwise.dropout(a.problem, a.input.data_ptr(), a.out.data_ptr(), pool());
  } else {
    torch::stable::copy_(a.out, a.input);  // p = 0: nothing is dropped
  }
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  m.def(
      "dropout(Tensor input, Tensor seed, Tensor? mask, float p, int granularity, int stream, bool shared_input) -> "
      "Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) { m.impl("dropout", TORCH_BOX(&dropout)); }

}  // namespace bayesops::ops
