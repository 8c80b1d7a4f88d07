// The noise of the Gaussian convolutions on the device: gaussian_weight, lrt_epilogue and its fused form,
// lrt_variance_grad.
#include <tuple>

#include "cuda/launch_as.cuh"
#include "kernels/flat/gaussian.h"
#include "ops/gaussian_weight_arguments.h"
#include "ops/lrt_arguments.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

Tensor gaussian_weight(const std::optional<Tensor> mu, const Tensor sigma, const Tensor seed, int64_t stream) {
  const GaussianWeightArguments a(mu, sigma, seed, stream);
  launch_as(a);
  return a.out;
}

std::tuple<Tensor, Tensor> lrt_epilogue(const Tensor mean, const Tensor variance, const Tensor seed, int64_t stream,
                                        int64_t spatial, const std::optional<Tensor> bias_mu,
                                        const std::optional<Tensor> bias_var) {
  const auto a = LrtEpilogueArguments::with_std(mean, variance, bias_mu, bias_var, seed, stream, spatial);
  launch_as(a);
  return {a.out, *a.std};
}

Tensor lrt_epilogue_fused(const Tensor mean, const Tensor spread, bool spread_is_std,
                          const std::optional<Tensor> bias_mu, const std::optional<Tensor> bias_var, const Tensor seed,
                          int64_t stream, int64_t spatial, const std::optional<Tensor> scale,
                          const std::optional<Tensor> shift, const std::optional<Tensor> residual, bool relu) {
  const auto a = LrtEpilogueArguments::fused(mean, spread, spread_is_std, bias_mu, bias_var, seed, stream, spatial,
                                             {scale, shift, residual, relu});
  launch_as(a);
  return a.out;
}

Tensor lrt_variance_grad(const Tensor grad_output, const Tensor std, const Tensor seed, int64_t stream,
                         int64_t spatial) {
  const LrtVarianceGradArguments a(grad_output, std, seed, stream, spatial);
  launch_as(a);
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) {
  m.impl("gaussian_weight", TORCH_BOX(&gaussian_weight));
  m.impl("lrt_epilogue", TORCH_BOX(&lrt_epilogue));
  m.impl("lrt_epilogue_fused", TORCH_BOX(&lrt_epilogue_fused));
  m.impl("lrt_variance_grad", TORCH_BOX(&lrt_variance_grad));
}

}  // namespace bayesops::cuda
