// conv_epilogue and conv_epilogue_into, as every device runs them: `Runner::run(arguments)` takes the functor of the
// arguments through its indices.
#pragma once
#include "ops/conv_epilogue_arguments.h"

namespace bayesops::ops {

template <class Runner>
struct ConvEpilogue {
  static Tensor conv_epilogue(const Tensor result, const std::optional<Tensor> bias, const std::optional<Tensor> base,
                              const std::optional<Tensor> signs, int64_t spatial, bool channels_last,
                              const std::optional<Tensor> scale, const std::optional<Tensor> shift,
                              const std::optional<Tensor> residual, bool relu) {
    const ConvEpilogueArguments a(result, bias, base, signs, {scale, shift, residual, relu}, spatial, channels_last);
    Runner::run(a);
    return a.out;
  }

  static void conv_epilogue_into(const Tensor out, const Tensor result, const std::optional<Tensor> bias,
                                 const std::optional<Tensor> base, const std::optional<Tensor> signs, int64_t spatial,
                                 bool channels_last, const std::optional<Tensor> scale,
                                 const std::optional<Tensor> shift, const std::optional<Tensor> residual, bool relu) {
    Runner::run(
        ConvEpilogueArguments(result, bias, base, signs, {scale, shift, residual, relu}, spatial, channels_last, out));
  }

  template <class Library>
  static void implement(Library& m) {
    m.impl("conv_epilogue", TORCH_BOX(&conv_epilogue));
    m.impl("conv_epilogue_into", TORCH_BOX(&conv_epilogue_into));
  }
};

}  // namespace bayesops::ops
