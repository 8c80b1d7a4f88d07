// conv_epilogue and convolve_samples, as every device runs them: `Runner::run(arguments)` takes the functor of the
// arguments through its indices.
#pragma once
#include <array>

#include "ops/conv_epilogue_arguments.h"

namespace bayesops::ops {

template <class Runner>
struct ConvEpilogue {
  static Tensor conv_epilogue(const Tensor result, const std::optional<Tensor> bias, const std::optional<Tensor> base,
                              const std::optional<Tensor> signs, int64_t spatial, bool channels_last,
                              const std::optional<Tensor> scale, const std::optional<Tensor> shift,
                              const std::optional<Tensor> residual, bool relu) {
    const ConvEpilogueArguments a(result, {bias, base, signs}, {scale, shift, residual, relu}, spatial, channels_last);
    Runner::run(a);
    return a.out;
  }

  // Every result is finished while a cache may still hold it. A loop in Python would cost more than a GPU needs.
  static Tensor convolve_samples(const Tensor input, const Tensor weights, const Sizes stride, const Sizes padding,
                                 const Sizes dilation, int64_t groups, const std::optional<Tensor> bias,
                                 const std::optional<Tensor> base, const std::optional<Tensor> signs,
                                 bool channels_last, const std::optional<Tensor> scale,
                                 const std::optional<Tensor> shift, const std::optional<Tensor> residual, bool relu) {
    check_samples(input, weights);
    std::optional<ConvEpilogueArguments> all;
    for (int64_t sample = 0; sample < input.size(0); ++sample) {
      const Tensor result = convolution(torch::stable::select(input, 0, sample),
                                        torch::stable::select(weights, 0, sample), stride, padding, dilation, groups);
      if (sample == 0)
        all.emplace(result, input.size(0), groups, ConvEpilogueArguments::Parts{bias, base, signs},
                    EpilogueTensors{scale, shift, residual, relu}, channels_last);
      Runner::run(SampleEpilogueArguments(*all, sample, result));
    }
    return all->out;
  }

  template <class Library>
  static void implement(Library& m) {
    m.impl("conv_epilogue", TORCH_BOX(&conv_epilogue));
    m.impl("convolve_samples", TORCH_BOX(&convolve_samples));
  }

 private:
  static void check_samples(const Tensor& input, const Tensor& weights) {
    STD_TORCH_CHECK(
        input.dim() == weights.dim() && input.dim() >= 4 && input.size(0) == weights.size(0) && input.size(0) > 0,
        "convolve_samples: input [S, N, I, *] and weights [S, O, I / groups, *] must have the same samples, "
        "at least one, not ",
        describe(sizes_of(input)), " and ", describe(sizes_of(weights)));
  }
  // torch's own convolution. Before torch 2.13 the stable ABI gives no reason for a failure; mostly memory is short.
  static Tensor convolution(const Tensor& input, const Tensor& weight, const Sizes& stride, const Sizes& padding,
                            const Sizes& dilation, int64_t groups) {
    using torch::stable::detail::from;
    std::array<StableIValue, 9> stack{
        from(input),    from(weight), from(std::optional<Tensor>()), from(stride), from(padding),
        from(dilation), from(false),  from(Sizes(stride.size())),    from(groups)};
    const bool there =
        torch_call_dispatcher("aten::convolution", "", stack.data(), TORCH_ABI_VERSION) == AOTI_TORCH_SUCCESS;
    STD_TORCH_CHECK(there, "convolve_samples: the convolution of a sample, input ", describe(sizes_of(input)),
                    " with weight ", describe(sizes_of(weight)),
                    ", could not be allocated, or torch's convolution does not take them");
    return torch::stable::detail::to<Tensor>(stack[0]);
  }
};

}  // namespace bayesops::ops
