// gaussian_weight, lrt_epilogue and lrt_epilogue_fused, as every device runs them: `Runner::run(arguments)` takes the
// functor of the arguments through its indices.
#pragma once
#include <tuple>

#include "ops/gaussian_weight_arguments.h"
#include "ops/lrt_arguments.h"

namespace bayesops::ops {

template <class Runner>
struct GaussianNoise {
  static Tensor gaussian_weight(const std::optional<Tensor> mu, const Tensor sigma, const Tensor seed, int64_t stream,
                                bool channels_last) {
    const GaussianWeightArguments a(mu, sigma, seed, stream, channels_last);
    Runner::run(a);
    return a.out;
  }

  static std::tuple<Tensor, Tensor> lrt_epilogue(const Tensor mean, const Tensor variance, const Tensor seed,
                                                 int64_t stream, int64_t spatial, const std::optional<Tensor> bias_mu,
                                                 const std::optional<Tensor> bias_var) {
    const auto a = LrtEpilogueArguments::with_std(mean, variance, bias_mu, bias_var, seed, stream, spatial);
    Runner::run(a);
    return {a.out, *a.std};
  }

  static Tensor lrt_epilogue_fused(const Tensor mean, const Tensor spread, bool spread_is_std,
                                   const std::optional<Tensor> bias_mu, const std::optional<Tensor> bias_var,
                                   const Tensor seed, int64_t stream, int64_t spatial,
                                   const std::optional<Tensor> scale, const std::optional<Tensor> shift,
                                   const std::optional<Tensor> residual, bool relu) {
    const auto a = LrtEpilogueArguments::fused(mean, spread, spread_is_std, bias_mu, bias_var, seed, stream, spatial,
                                               {scale, shift, residual, relu});
    Runner::run(a);
    return a.out;
  }

  template <class Library>
  static void implement(Library& m) {
    m.impl("gaussian_weight", TORCH_BOX(&gaussian_weight));
    m.impl("lrt_epilogue", TORCH_BOX(&lrt_epilogue));
    m.impl("lrt_epilogue_fused", TORCH_BOX(&lrt_epilogue_fused));
  }
};

}  // namespace bayesops::ops
