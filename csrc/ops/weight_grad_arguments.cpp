#include "ops/weight_grad_arguments.h"

namespace bayesops::ops {

namespace {

// Sizes of the weight, whose gradients come with `lead` in front.
Sizes weight_of(const char* op, const Tensor& gradients, const Sizes& lead) {
  const Sizes sizes = sizes_of(gradients);
  STD_TORCH_CHECK(sizes.size() >= lead.size() && Sizes(sizes.begin(), sizes.begin() + lead.size()) == lead, op,
                  ": gradients must have shape ", describe(lead), " and that of the weight, not ", describe(sizes));
  return Sizes(sizes.begin() + lead.size(), sizes.end());
}

Sizes lead_of(const char* op, const Tensor& seed, int64_t num_examples) {
  return read_seeds(op, seed).lead(num_examples > 0 ? Sizes{num_examples} : Sizes{});
}

// Of `sums` sums in pieces; nothing where there is one piece.
Tensor empty_partial(const FlatPieces& pieces, int64_t sums, const Tensor& out) {
  if (pieces.count == 1) return {};
  const ScalarType computed = out.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
  return empty({sums, pieces.count, out.numel()}, computed, out);
}

}  // namespace

GaussianWeightGradArguments::GaussianWeightGradArguments(const Tensor& given, const Tensor& seed, int64_t given_stream)
    : seeds(read_seeds("gaussian_weight_grad", seed)),
      stream(static_cast<uint32_t>(given_stream)),
      dtype(dtype_of("gaussian_weight_grad", "gradients", given)),
      gradients(given, seeds.batched ? 2 : 1) {
  const char* op = "gaussian_weight_grad";
  check_stream(op, given_stream);
  check_same_device(op, given, "seed", seed);
  const Sizes weight = weight_of(op, given, lead_of(op, seed, 0));
  out = empty(weight, given.scalar_type(), given);
  sigma = empty(weight, given.scalar_type(), given);
  pieces = FlatPieces::of(seeds.count, FlatGaussianWeightGrad<float, float>::runs_of(out.numel()));
  partial = empty_partial(pieces, 2, out);
}

MaskedWeightGradArguments::MaskedWeightGradArguments(const Tensor& given, const Tensor& seed,
                                                     const std::optional<Tensor>& mask, double p, int64_t granularity,
                                                     bool rescale, int64_t num_examples, int64_t groups, int64_t stream)
    : dtype(dtype_of("masked_weight_grad", "gradients", given)),
      conv(convolution_of_weight(
          "masked_weight_grad",
          weight_of("masked_weight_grad", given, lead_of("masked_weight_grad", seed, num_examples)), seed, mask, p,
          granularity, rescale, num_examples, groups, stream)),
      gradients(given, conv.batched() + (num_examples > 0) + 1) {
  const char* op = "masked_weight_grad";
  check_same_device(op, given, "seed", seed);
  out = empty(weight_of(op, given, lead_of(op, seed, num_examples)), given.scalar_type(), given);
  const ConvProblem problem = conv.problem();
  pieces = FlatPieces::of(problem.samples * (num_examples > 0 ? num_examples : 1),
                          FlatMaskedWeightGrad<float, float>::runs_of(out.numel()));
  partial = empty_partial(pieces, 1, out);
}

}  // namespace bayesops::ops
