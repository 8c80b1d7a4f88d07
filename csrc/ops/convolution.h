// The checks and shapes that the masked convolutions share, on every device.
#pragma once
#include "ops/tensors.h"

namespace bayesops::ops {

// The arguments that a masked convolution and its gradients share.
struct ConvArguments {
  double p;
  int64_t granularity;
  bool rescale, per_example;
  int64_t stream;
  Sizes stride, padding, dilation;
  int64_t groups;
};

// Those of a convolution that masks nothing.
struct UnmaskedArguments {
  int64_t stream;
  Sizes stride, padding, dilation;
  int64_t groups;

  ConvArguments conv_arguments() const { return {0.0, 0, false, false, stream, stride, padding, dilation, groups}; }
};

// A convolution with 0 (linear) to 3 spatial axes, seen as one with three.
class Convolution {
 public:
  // `input` is [N, C, axes...], shared by all samples, or [S, N, C, axes...].
  Convolution(const char* op, const Sizes& weight, const Sizes& input, const Tensor& seed,
              const std::optional<Tensor>& mask, const ConvArguments& arguments)
      : Convolution(op, weight, input, read_seeds(op, seed), mask, arguments) {}
  Convolution(const char* op, const Sizes& weight, const Sizes& input, const Seeds& seeds,
              const std::optional<Tensor>& mask, const ConvArguments& arguments);

  ConvProblem& problem() { return problem_; }
  const ConvProblem& problem() const { return problem_; }
  int64_t axes() const { return axes_; }
  bool sampled() const { return sampled_; }        // the input has one batch of images per sample
  bool batched() const { return seeds_.batched; }  // the output has one batch of images per sample
  const Sizes& output() const { return output_; }  // without samples
  const Sizes& input() const { return input_; }
  // Sizes of one value for each sample of the output, given those of one.
  Sizes lead(const Sizes& sizes) const { return seeds_.lead(sizes); }

  // A result of the given sizes, with `samples` one for each of the output's, channels last where `like` is.
  Tensor allocate(const Sizes& sizes, bool samples, const Tensor& like, int64_t like_channel) const;
  void check_output(const Tensor& grad_output) const;

 private:
  void set_axes(const Sizes& weight, const ConvArguments& arguments);
  void set_mask(const Sizes& weight, const std::optional<Tensor>& mask, const ConvArguments& arguments);

  const char* op_;
  int64_t axes_;
  Seeds seeds_;
  bool sampled_;
  Sizes input_, output_;
  Mask mask_;
  ConvProblem problem_{};
};

// A weight as the kernels take it, or one for each sample: contiguous, or channels last as `channels_last` modules keep
// it. Anything else is copied. `channel` is the dimension of the input channels.
struct DenseWeight {
  explicit DenseWeight(const Tensor& weight, int64_t channel = 1);
  void describe(ConvProblem& problem) const;

  Tensor tensor;
  bool channels_last;
};

// Of a weight whose mask alone is of interest; `num_examples` 0 means one mask for all examples.
Convolution convolution_of_weight(const char* op, const Sizes& weight, const Tensor& seed,
                                  const std::optional<Tensor>& mask, double p, int64_t granularity, bool rescale,
                                  int64_t num_examples, int64_t groups, int64_t stream);

}  // namespace bayesops::ops
