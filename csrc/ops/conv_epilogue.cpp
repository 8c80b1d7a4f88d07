// conv_epilogue and convolve_samples: what follows a convolution of the library's own, as the masked, sampled and
// Flipout convolutions run on CUDA. On the CPU only tests call them.
#include "ops/conv_epilogue.h"

#include "ops/run_flat.h"

namespace bayesops::ops {

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  // result, base [S or 1, N, g, O / g, *]; bias [O] or [S, O]; signs [S, N, O]. To [S, N, O, *].
  m.def(
      "conv_epilogue(Tensor result, Tensor? bias, Tensor? base, Tensor? signs, int spatial, bool "
      "channels_last, " BAYESOPS_EPILOGUE_ARGUMENTS ") -> Tensor");
  // The same of a convolution for each sample: input [S, N, I, *], weights [S, O, I / g, *].
  m.def(
      "convolve_samples(Tensor input, Tensor weights, int[] stride, int[] padding, int[] dilation, int groups, Tensor? "
      "bias, Tensor? base, Tensor? signs, bool channels_last, " BAYESOPS_EPILOGUE_ARGUMENTS ") -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) { ConvEpilogue<FlatOnHost>::implement(m); }

}  // namespace bayesops::ops
