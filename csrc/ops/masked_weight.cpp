// masked_weight: the masked weights of all samples (and examples), written once beside the library's own convolutions
// as they run on CUDA. On the CPU only tests call it.
#include "ops/masked_weight_arguments.h"
#include "ops/run_flat.h"

namespace bayesops::ops {

namespace {

Tensor masked_weight(const Tensor weight, const Tensor seed, const std::optional<Tensor> mask, double p,
                     int64_t granularity, bool rescale, int64_t num_examples, int64_t groups, int64_t stream,
                     bool channels_last) {
  const MaskedWeightArguments a(weight, seed, mask, p, granularity, rescale, num_examples, groups, stream,
                                channels_last);
  FlatOnHost::run(a);
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  // [(S,) (N,) weight...]; num_examples 0 means one mask for all examples.
  m.def(
      "masked_weight(Tensor weight, Tensor seed, Tensor? mask, float p, int granularity, bool rescale, SymInt "
      "num_examples, int groups, int stream, bool channels_last=False) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) { m.impl("masked_weight", TORCH_BOX(&masked_weight)); }

}  // namespace bayesops::ops
