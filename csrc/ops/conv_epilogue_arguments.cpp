#include "ops/conv_epilogue_arguments.h"

namespace bayesops::ops {

namespace {

constexpr const char* kOp = "conv_epilogue";
constexpr int64_t kFirstAxis = 4;  // after samples, examples, groups and their channels

// The step from one pixel to the next, if there is one such step.
std::optional<int64_t> pixel_step(const Tensor& t) {
  int64_t step = 0, pixels = 1;
  for (int64_t i = t.dim() - 1; i >= kFirstAxis; --i) {
    if (t.size(i) == 1) continue;
    if (pixels == 1) step = t.stride(i);
    if (t.stride(i) != step * pixels) return std::nullopt;
    pixels *= t.size(i);
  }
  return step;
}

// Images [S, N, g, O / g, *], or one batch of them that all samples share.
ConvEpilogueArguments::Operand images(const Tensor& given) {
  const bool one_step = pixel_step(given).has_value();
  const Tensor t = one_step ? given : torch::stable::contiguous(given);
  return {t, FlatOperand{t.data_ptr(), t.size(0) == 1 ? 0 : t.stride(0), t.stride(1), t.stride(2), t.stride(3),
                         pixel_step(t).value_or(0)}};  // none where there are no pixels
}

// Numbers [S, N, O], or without the samples, or without the examples.
ConvEpilogueArguments::Operand of_channels(const Tensor& given, int64_t sample, int64_t example, int64_t group) {
  const Tensor t = torch::stable::contiguous(given);
  return {t, FlatOperand{t.data_ptr(), sample, example, group, 1, 0}};
}

}  // namespace

ConvEpilogueArguments::ConvEpilogueArguments(const Tensor& given, const std::optional<Tensor>& given_bias,
                                             const std::optional<Tensor>& given_base,
                                             const std::optional<Tensor>& given_signs,
                                             const EpilogueTensors& given_epilogue, int64_t spatial, bool last,
                                             const std::optional<Tensor>& given_out)
    : dtype(dtype_of(kOp, "result", given)) {
  const Sizes sizes = sizes_of(given);
  STD_TORCH_CHECK(spatial >= 0 && spatial <= 3 && given.dim() == kFirstAxis + spatial, kOp,
                  ": result must have shape [samples, examples, groups, channels, ", spatial, " axes], not ",
                  describe(sizes));
  samples = sizes[0];
  examples = sizes[1];
  groups = sizes[2];
  channels = sizes[3];
  pixels = 1;
  const int64_t all_channels = groups * channels;
  Sizes image = {examples, all_channels};
  for (size_t i = kFirstAxis; i < sizes.size(); ++i) {
    pixels *= sizes[i];
    image.push_back(sizes[i]);
  }
  channels_last = last || pixels == 1;
  result = images(given);
  if (given_bias.has_value()) {
    const bool shared = given_bias->dim() == 1;
    check_parameter(kOp, "bias", *given_bias, given, shared ? Sizes{all_channels} : Sizes{samples, all_channels});
    bias = of_channels(*given_bias, shared ? 0 : all_channels, 0, channels);
  }
  if (given_base.has_value()) {
    Sizes wanted = sizes;
    if (given_base->dim() > 0 && given_base->size(0) == 1) wanted[0] = 1;
    check_parameter(kOp, "base", *given_base, given, wanted);
    base = images(*given_base);
  }
  if (given_signs.has_value()) {
    check_parameter(kOp, "signs", *given_signs, given, {samples, examples, all_channels});
    signs = of_channels(*given_signs, examples * all_channels, all_channels, channels);
  }
  Sizes all = image;
  all.insert(all.begin(), samples);
  if (given_out.has_value()) {
    check_parameter(kOp, "out", *given_out, given, all);
    STD_TORCH_CHECK(is_dense(*given_out, 2, last), kOp, ": out must be dense, ", last ? "channels last" : "contiguous");
    out = *given_out;
  } else {
    out = empty_dense(all, 2, last, given);
  }
  epilogue.emplace(kOp, given_epilogue, image, true, out);
}

}  // namespace bayesops::ops
