// The checks and shapes of the pointwise steps of local reparameterisation, lrt_epilogue (and its fused form) and
// lrt_variance_grad, on every device. (Those of its convolutions are in convolution.h.)
#pragma once
#include "kernels/flat/gaussian.h"
#include "ops/epilogue.h"

namespace bayesops::ops {

// The noise of an output [N, O, *]: element (n, pixel, o), channels fastest, of each sample's normals.
struct OutputNoise {
  // `statistic` (a mean or a standard deviation) is [N, O, *], with seeds [S] shared by all samples, or [S, N, O, *].
  OutputNoise(const char* op, const char* name, const Tensor& statistic, const Tensor& seed, int64_t stream,
              int64_t spatial);

  // The sizes of one value for each sample.
  Sizes output() const { return seeds.lead(sizes); }
  // Where channels are in the statistic and in what has one value for each sample.
  int64_t statistic_channel() const { return seeds.batched && !shared ? 2 : 1; }
  int64_t output_channel() const { return seeds.batched ? 2 : 1; }

  Seeds seeds;
  uint32_t stream;
  bool shared;  // samples share the statistic
  int64_t samples, examples, channels, pixels;
  Sizes sizes;  // [N, O, *]
};

struct LrtEpilogueArguments {
  // Of lrt_epilogue.
  static LrtEpilogueArguments with_std(const Tensor& mean, const Tensor& variance, const std::optional<Tensor>& bias_mu,
                                       const std::optional<Tensor>& bias_var, const Tensor& seed, int64_t stream,
                                       int64_t spatial);
  // Of lrt_epilogue_fused: `spread` is a variance or, with `spread_is_std`, a standard deviation.
  static LrtEpilogueArguments fused(const Tensor& mean, const Tensor& spread, bool spread_is_std,
                                    const std::optional<Tensor>& bias_mu, const std::optional<Tensor>& bias_var,
                                    const Tensor& seed, int64_t stream, int64_t spatial,
                                    const EpilogueTensors& epilogue);

  template <class S, class Run>
  void visit(const Run& run) const {
    run(FlatLrtEpilogue<S>{
        noise.seeds.data, noise.stream, noise.samples, FlatActivation<4>{noise.examples, noise.channels, noise.pixels},
        noise.shared, channels_last, static_cast<const S*>(mean.data_ptr()), static_cast<const S*>(spread.data_ptr()),
        spread_is_std, static_cast<const S*>(data_of(bias_mu)), static_cast<const S*>(data_of(bias_var)),
        FlatFinish<S>::of(epilogue.describe()), static_cast<S*>(out.data_ptr()),
        std.has_value() ? static_cast<S*>(std->data_ptr()) : nullptr});
  }

  OutputNoise noise;
  DType dtype;
  bool channels_last, spread_is_std;
  Tensor mean, spread;                      // dense, laid out alike
  std::optional<Tensor> bias_mu, bias_var;  // contiguous
  Tensor out;                               // laid out as the mean
  DenseEpilogue epilogue;
  std::optional<Tensor> std;  // laid out as the mean, where it is wanted

 private:
  LrtEpilogueArguments(const char* op, const Tensor& mean, const Tensor& spread, bool spread_is_std,
                       const std::optional<Tensor>& bias_mu, const std::optional<Tensor>& bias_var, const Tensor& seed,
                       int64_t stream, int64_t spatial, const EpilogueTensors& epilogue);
};

struct LrtVarianceGradArguments {
  LrtVarianceGradArguments(const Tensor& grad_output, const Tensor& std, const Tensor& seed, int64_t stream,
                           int64_t spatial);

  template <class S, class Run>
  void visit(const Run& run) const {
    run(FlatVarianceGrad<S>{noise.seeds.data, noise.stream, noise.samples,
                            FlatActivation<4>{noise.examples, noise.channels, noise.pixels}, noise.shared,
                            grad_channels_last, std_channels_last, static_cast<const S*>(grad_output.data_ptr()),
                            static_cast<const S*>(std.data_ptr()), static_cast<S*>(out.data_ptr())});
  }

  OutputNoise noise;
  DType dtype;
  bool grad_channels_last, std_channels_last;
  Tensor grad_output, std;  // dense
  Tensor out;               // like std
};

}  // namespace bayesops::ops
