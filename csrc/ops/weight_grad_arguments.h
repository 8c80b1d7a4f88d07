// The checks and shapes of gaussian_weight_grad and masked_weight_grad, on every device.
#pragma once
#include "kernels/flat/weight_grad.h"
#include "ops/convolution.h"
#include "ops/weight_layout.h"

namespace bayesops::ops {

struct GaussianWeightGradArguments {
  GaussianWeightGradArguments(const Tensor& gradients, const Tensor& seed, int64_t stream);

  template <class S, class Run>
  void visit(const Run& run) const {
    using T = typename ComputeOf<S>::T;
    if (pieces.count == 1) return run(sums<S>(static_cast<S*>(out.data_ptr()), static_cast<S*>(sigma.data_ptr())));
    T* const of_mu = static_cast<T*>(partial.data_ptr());
    T* const of_sigma = of_mu + pieces.count * out.numel();
    run(sums<S>(of_mu, of_sigma));
    run(FlatSumOfPieces<S>{of_mu, pieces.count, out.numel(), T(1), static_cast<S*>(out.data_ptr())});
    run(FlatSumOfPieces<S>{of_sigma, pieces.count, out.numel(), T(1), static_cast<S*>(sigma.data_ptr())});
  }

  Seeds seeds;
  uint32_t stream;
  DType dtype;
  DenseWeight gradients;  // [(S,) weight...]
  Tensor out, sigma;      // [weight...], contiguous; `out` is of mu
  FlatPieces pieces;
  Tensor partial;  // [2][pieces][weight...], if there are several

 private:
  template <class S, class Sum>
  FlatGaussianWeightGrad<S, Sum> sums(Sum* of_mu, Sum* of_sigma) const {
    return {seeds.data,
            stream,
            layout_of(sizes_of(out), gradients.channels_last),
            pieces,
            FlatGaussianWeightGrad<S, Sum>::runs_of(out.numel()),
            static_cast<const S*>(gradients.tensor.data_ptr()),
            of_mu,
            of_sigma};
  }
};

struct MaskedWeightGradArguments {
  MaskedWeightGradArguments(const Tensor& gradients, const Tensor& seed, const std::optional<Tensor>& mask, double p,
                            int64_t granularity, bool rescale, int64_t num_examples, int64_t groups, int64_t stream);

  template <class S, class Run>
  void visit(const Run& run) const {
    using T = typename ComputeOf<S>::T;
    const double scale = conv.problem().scale;
    if (pieces.count == 1) return run_sums<S, S>(scale, out, run);
    run_sums<S, T>(1.0, partial, run);
    run(FlatSumOfPieces<S>{static_cast<const T*>(partial.data_ptr()), pieces.count, out.numel(), static_cast<T>(scale),
                           static_cast<S*>(out.data_ptr())});
  }

  DType dtype;
  Convolution conv;
  DenseWeight gradients;  // [(S,) (N,) weight...]
  Tensor out;             // [weight...], contiguous
  FlatPieces pieces;
  Tensor partial;  // [pieces][weight...], if there are several

 private:
  template <class S, class Sum, class Run>
  void run_sums(double scale, const Tensor& to, const Run& run) const {
    const auto sums = FlatMaskedWeightGrad<S, Sum>::of(conv.problem(), gradients.channels_last, pieces,
                                                       gradients.tensor.data_ptr(), scale, to.data_ptr());
    if (sums.layout.channels_last) return run(FlatMaskedWeightGradTiles<S, Sum>::of(sums));
    run(sums);
  }
};

}  // namespace bayesops::ops
