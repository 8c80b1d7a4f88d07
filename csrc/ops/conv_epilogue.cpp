// conv_epilogue: what follows a convolution of the library's own, as the masked, sampled and Flipout convolutions run
// on CUDA. On the CPU, where only tests call it, it does what CUDA threads do.
#include "ops/conv_epilogue_arguments.h"
#include "ops/run_flat.h"

namespace bayesops::ops {

namespace {

Tensor conv_epilogue(const Tensor result, const std::optional<Tensor> bias, const std::optional<Tensor> base,
                     const std::optional<Tensor> signs, int64_t spatial, bool channels_last,
                     const std::optional<Tensor> scale, const std::optional<Tensor> shift,
                     const std::optional<Tensor> residual, bool relu) {
  const ConvEpilogueArguments a(result, bias, base, signs, {scale, shift, residual, relu}, spatial, channels_last);
  run_flat(a);
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  // result, base [S or 1, N, g, O / g, *]; bias [O] or [S, O]; signs [S, N, O]. To [S, N, O, *].
  m.def(
      "conv_epilogue(Tensor result, Tensor? bias, Tensor? base, Tensor? signs, int spatial, bool "
      "channels_last, " BAYESOPS_EPILOGUE_ARGUMENTS ") -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) { m.impl("conv_epilogue", TORCH_BOX(&conv_epilogue)); }

}  // namespace bayesops::ops
