#include "ops/conv_epilogue_arguments.h"

namespace bayesops::ops {

namespace {

constexpr const char* kOp = "conv_epilogue";
constexpr int64_t kFirstAxis = 4;  // after samples, examples, groups and their channels

// The step from one pixel to the next, if there is one such step; pixels are the axes from `first` on.
std::optional<int64_t> pixel_step(const Tensor& t, int64_t first) {
  int64_t step = 0, pixels = 1;
  for (int64_t i = t.dim() - 1; i >= first; --i) {
    if (t.size(i) == 1) continue;
    if (pixels == 1) step = t.stride(i);
    if (t.stride(i) != step * pixels) return std::nullopt;
    pixels *= t.size(i);
  }
  return step;
}
// The tensor itself where it has such a step, a copy otherwise.
Tensor with_pixel_step(const Tensor& t, int64_t first) { return pixel_step(t, first).has_value() ? t : dense(t); }

// Images [S, N, g, O / g, *], or one batch of them that all samples share.
ConvEpilogueArguments::Operand images(const Tensor& given) {
  const Tensor t = with_pixel_step(given, kFirstAxis);
  return {t, FlatOperand{t.data_ptr(), t.size(0) == 1 ? 0 : t.stride(0), t.stride(1), t.stride(2), t.stride(3),
                         pixel_step(t, kFirstAxis).value_or(0)}};  // none where there are no pixels
}
// Images [N, O, *] of one sample, with so many channels in a group.
ConvEpilogueArguments::Operand images_of_sample(const Tensor& given, int64_t channels) {
  constexpr int64_t kFirst = 2;
  const Tensor t = with_pixel_step(given, kFirst);
  return {t, FlatOperand{t.data_ptr(), 0, t.stride(0), channels * t.stride(1), t.stride(1),
                         pixel_step(t, kFirst).value_or(0)}};
}

// Numbers [S, N, O], or without the samples, or without the examples.
ConvEpilogueArguments::Operand of_channels(const Tensor& given, int64_t sample, int64_t example, int64_t group) {
  const Tensor t = dense(given);
  return {t, FlatOperand{t.data_ptr(), sample, example, group, 1, 0}};
}

// As [S, N, g, O / g, *].
Sizes sizes_of_samples(const Tensor& result, int64_t samples, int64_t groups) {
  Sizes sizes = sizes_of(result);
  sizes[1] /= groups;
  sizes.insert(sizes.begin() + 1, groups);
  sizes.insert(sizes.begin(), samples);
  return sizes;
}

Sizes checked_sizes(const Tensor& result, int64_t spatial) {
  const Sizes sizes = sizes_of(result);
  STD_TORCH_CHECK(spatial >= 0 && spatial <= 3 && result.dim() == kFirstAxis + spatial, kOp,
                  ": result must have shape [samples, examples, groups, channels, ", spatial, " axes], not ",
                  describe(sizes));
  return sizes;
}

}  // namespace

// Braces, so that the sizes are checked before anything reads them.
ConvEpilogueArguments::ConvEpilogueArguments(const Tensor& result, const Parts& parts, const EpilogueTensors& epilogue,
                                             int64_t spatial, bool channels_last)
    : ConvEpilogueArguments{result, checked_sizes(result, spatial), images(result), parts, epilogue, channels_last} {}

ConvEpilogueArguments::ConvEpilogueArguments(const Tensor& result, int64_t samples, int64_t groups, const Parts& parts,
                                             const EpilogueTensors& epilogue, bool channels_last)
    : ConvEpilogueArguments(result, sizes_of_samples(result, samples, groups), {}, parts, epilogue, channels_last) {}

ConvEpilogueArguments::ConvEpilogueArguments(const Tensor& like, Sizes sizes, const Operand& given, const Parts& parts,
                                             const EpilogueTensors& given_epilogue, bool last)
    : dtype(dtype_of(kOp, "result", like)), result(given) {
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
  if (parts.bias.has_value()) {
    const bool shared = parts.bias->dim() == 1;
    check_parameter(kOp, "bias", *parts.bias, like, shared ? Sizes{all_channels} : Sizes{samples, all_channels});
    bias = of_channels(*parts.bias, shared ? 0 : all_channels, 0, channels);
  }
  if (parts.base.has_value()) {
    if (parts.base->dim() > 0 && parts.base->size(0) == 1) sizes[0] = 1;
    check_parameter(kOp, "base", *parts.base, like, sizes);
    base = images(*parts.base);
  }
  if (parts.signs.has_value()) {
    check_parameter(kOp, "signs", *parts.signs, like, {samples, examples, all_channels});
    signs = of_channels(*parts.signs, examples * all_channels, all_channels, channels);
  }
  Sizes all = image;
  all.insert(all.begin(), samples);
  out = empty_dense(all, 2, last, like);
  epilogue.emplace(kOp, given_epilogue, image, true, out);
}

SampleEpilogueArguments::SampleEpilogueArguments(const ConvEpilogueArguments& all, int64_t sample, const Tensor& given)
    : all(all), sample(sample), result(images_of_sample(given, all.channels)), dtype(all.dtype), out(all.out) {}

}  // namespace bayesops::ops
