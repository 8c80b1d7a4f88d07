#include "ops/masked_weight_arguments.h"

namespace bayesops::ops {

MaskedWeightArguments::MaskedWeightArguments(const Tensor& given, const Tensor& seed, const std::optional<Tensor>& mask,
                                             double p, int64_t granularity, bool rescale, int64_t num_examples,
                                             int64_t groups, int64_t stream, bool channels_last)
    : dtype(dtype_of("masked_weight", "weight", given)),
      layout(layout_of(sizes_of(given), channels_last)),
      conv(convolution_of_weight("masked_weight", sizes_of(given), seed, mask, p, granularity, rescale, num_examples,
                                 groups, stream)),
      weight(dense(given, 1, channels_last)) {
  check_same_device("masked_weight", seed, "weight", given);
  Sizes sizes = sizes_of(given);
  if (num_examples > 0) sizes.insert(sizes.begin(), num_examples);
  out = empty_dense(conv.lead(sizes), conv.batched() + (num_examples > 0) + 1, channels_last, given);
  conv.problem().dtype = dtype;
  conv.problem().weight = weight.data_ptr();
}

}  // namespace bayesops::ops
