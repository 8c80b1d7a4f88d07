// conv_epilogue and conv_epilogue_into: what follows a convolution of the library's own, as the masked, sampled and
// Flipout convolutions run on CUDA. On the CPU only tests call them.
#include "ops/conv_epilogue.h"

#include "ops/run_flat.h"

namespace bayesops::ops {

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  // result, base [S or 1, N, g, O / g, *]; bias [O] or [S, O]; signs [S, N, O]. To [S, N, O, *].
  m.def(
      "conv_epilogue(Tensor result, Tensor? bias, Tensor? base, Tensor? signs, int spatial, bool "
      "channels_last, " BAYESOPS_EPILOGUE_ARGUMENTS ") -> Tensor");
  // The same into a part of an output, which must be dense.
  m.def(
      "conv_epilogue_into(Tensor(a!) out, Tensor result, Tensor? bias, Tensor? base, Tensor? signs, int spatial, bool "
      "channels_last, " BAYESOPS_EPILOGUE_ARGUMENTS ") -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) { ConvEpilogue<FlatOnHost>::implement(m); }

}  // namespace bayesops::ops
