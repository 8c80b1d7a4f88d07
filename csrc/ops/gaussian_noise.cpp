// gaussian_weight, lrt_epilogue and lrt_epilogue_fused: the noise of the Gaussian convolutions as they run on CUDA,
// weights or outputs written once beside the library's own convolutions. On the CPU, where only tests call them, they
// do what CUDA threads do.
#include <tuple>

#include "ops/gaussian_weight_arguments.h"
#include "ops/lrt_arguments.h"
#include "ops/run_flat.h"

namespace bayesops::ops {

namespace {

Tensor gaussian_weight(const std::optional<Tensor> mu, const Tensor sigma, const Tensor seed, int64_t stream) {
  const GaussianWeightArguments a(mu, sigma, seed, stream);
  run_flat(a);
  return a.out;
}

std::tuple<Tensor, Tensor> lrt_epilogue(const Tensor mean, const Tensor variance, const Tensor seed, int64_t stream,
                                        int64_t spatial, const std::optional<Tensor> bias_mu,
                                        const std::optional<Tensor> bias_var) {
  const auto a = LrtEpilogueArguments::with_std(mean, variance, bias_mu, bias_var, seed, stream, spatial);
  run_flat(a);
  return {a.out, *a.std};
}

Tensor lrt_epilogue_fused(const Tensor mean, const Tensor spread, bool spread_is_std,
                          const std::optional<Tensor> bias_mu, const std::optional<Tensor> bias_var, const Tensor seed,
                          int64_t stream, int64_t spatial, const std::optional<Tensor> scale,
                          const std::optional<Tensor> shift, const std::optional<Tensor> residual, bool relu) {
  const auto a = LrtEpilogueArguments::fused(mean, spread, spread_is_std, bias_mu, bias_var, seed, stream, spatial,
                                             {scale, shift, residual, relu});
  run_flat(a);
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  m.def("gaussian_weight(Tensor? mu, Tensor sigma, Tensor seed, int stream) -> Tensor");
  // Mean and variance are what convolutions made; the biases belong to them.
  m.def(
      "lrt_epilogue(Tensor mean, Tensor variance, Tensor seed, int stream, int spatial, Tensor? bias_mu=None, Tensor? "
      "bias_var=None) -> (Tensor output, Tensor std)");
  // The same for prediction, where nobody wants the standard deviation, or has it already in the place of a variance.
  m.def(
      "lrt_epilogue_fused(Tensor mean, Tensor spread, bool spread_is_std, Tensor? bias_mu, Tensor? bias_var, Tensor "
      "seed, int stream, int spatial, " BAYESOPS_EPILOGUE_ARGUMENTS ") -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) {
  m.impl("gaussian_weight", TORCH_BOX(&gaussian_weight));
  m.impl("lrt_epilogue", TORCH_BOX(&lrt_epilogue));
  m.impl("lrt_epilogue_fused", TORCH_BOX(&lrt_epilogue_fused));
}

}  // namespace bayesops::ops
