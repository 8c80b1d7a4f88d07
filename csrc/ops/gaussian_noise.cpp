// gaussian_weight, lrt_epilogue and lrt_epilogue_fused: the noise of the Gaussian convolutions as they run on CUDA,
// weights or outputs written once beside the library's own convolutions. On the CPU only tests call them.
#include "ops/gaussian_noise.h"

#include "ops/run_flat.h"

namespace bayesops::ops {

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  m.def("gaussian_weight(Tensor? mu, Tensor sigma, Tensor seed, int stream, bool channels_last=False) -> Tensor");
  // Mean and variance are what convolutions made; the biases belong to them.
  m.def(
      "lrt_epilogue(Tensor mean, Tensor variance, Tensor seed, int stream, int spatial, Tensor? bias_mu=None, Tensor? "
      "bias_var=None) -> (Tensor output, Tensor std)");
  // The same for prediction, where nobody wants the standard deviation, or has it already in the place of a variance.
  m.def(
      "lrt_epilogue_fused(Tensor mean, Tensor spread, bool spread_is_std, Tensor? bias_mu, Tensor? bias_var, Tensor "
      "seed, int stream, int spatial, " BAYESOPS_EPILOGUE_ARGUMENTS ") -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) { GaussianNoise<FlatOnHost>::implement(m); }

}  // namespace bayesops::ops
