// What a convolution is asked to do, without torch: shapes, strides, and where the mask comes from.
#pragma once
#include "kernels/parallel.h"
#include "kernels/rng/bernoulli.h"

namespace bayesops {

enum DType : int { kFloat32, kFloat64, kBFloat16, kFloat16 };  // kFloat16 on CUDA only

// What one Bernoulli draw switches.
enum Granularity : int {
  kGranularityWeight,
  kGranularityKernel,  // the window of one input-output pair
  kGranularityInChannel,
  kGranularityOutChannel,
  kGranularityChannel,  // input and output channels alike: a mask holds the input channels, then the output channels
};

// Where the masks of all (sample, example) pairs come from.
struct MaskSource {
  bool masked = false;  // false: nothing is dropped (p = 0 and no mask given)
  Granularity granularity = kGranularityWeight;
  int64_t elements = 0;  // of one mask
  // drawn:
  const int64_t* seeds = nullptr;  // one per sample
  uint32_t stream = 0;
  BernoulliLaw law{0, 0};
  // given (takes precedence): bytes, non-zero means kept
  const uint8_t* given = nullptr;
  int64_t given_sample_stride = 0;
  int64_t given_example_stride = 0;
};

// Gaussian weights: weight + sigma * eps. eps of an element of the weight is that element of the stream's normals.
struct NoiseSource {
  bool drawn = false;
  const void* sigma = nullptr;     // laid out as the weight
  const int64_t* seeds = nullptr;  // one per sample
  uint32_t stream = 0;
  // Flipout: every example turns the signs of its input and output channels. They are elements of the logical tensor
  // [examples, in_channels + out_channels] of the stream's signs.
  bool flipped = false;
  int64_t sign_repeat = 1;  // so many neighbouring input channels stand for one (patches.h)
};

// A batch of images in any memory format; strides in elements. Axes: 0 depth, 1 height, 2 width.
struct Images {
  void* data = nullptr;
  int64_t sample_stride = 0;  // 0: shared by all samples
  int64_t example_stride = 0;
  int64_t channel_stride = 0;
  int64_t axis_stride[3] = {0, 0, 0};
  int64_t size[3] = {1, 1, 1};
  const int32_t* channel_offsets = nullptr;  // of results: where channels are stored, instead of channel_stride apart
};

// What a forward pass makes of its results before they are stored: act(result * scale + shift + residual).
struct Epilogue {
  const void* scale = nullptr;         // [out_channels]; null: 1
  const void* shift = nullptr;         // [out_channels]; null: 0
  const void* residual = nullptr;      // laid out as the result; null: nothing is added
  int64_t residual_sample_stride = 0;  // 0: shared by all samples
  bool relu = false;

  bool given() const { return scale != nullptr || shift != nullptr || residual != nullptr || relu; }
};

struct ConvProblem {
  DType dtype;
  int64_t samples, examples;
  bool per_example;  // one mask for each example, not one for the batch
  int64_t groups, in_channels, out_channels;
  int64_t kernel[3], stride[3], pad_before[3], dilation[3];
  const void* weight;  // [out_channels, in_channels / groups, kernel...]; null: zeros, where noise is drawn
  bool weight_channels_last = false;  // in memory the kernel axes stand before the input channels
  MaskSource mask;
  NoiseSource noise;
  double scale;  // on the masked weight: 1 / (1 - p) or 1
  // Added to the result of a forward pass: [out_channels], or one for each sample.
  const void* bias = nullptr;
  int64_t bias_sample_stride = 0;
  bool squared_input = false;  // gradient of a weight that multiplies squares
  // With flipped signs the result is added to `base`, which is laid out as the result.
  const void* base = nullptr;
  int64_t base_sample_stride = 0;
  Epilogue epilogue;  // of a forward pass

  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t group_in() const { return in_channels / groups; }
  int64_t group_out() const { return out_channels / groups; }
  int64_t weight_row() const { return group_in() * taps(); }  // elements of one output channel
  bool depthwise() const { return groups > 1 && group_in() == 1 && group_out() == 1; }
};

struct ConvKernels {
  // output = conv(input, weight * mask * scale) + bias, and the epilogue of that
  void (*forward)(const ConvProblem&, const Images& input, const Images& output, const Parallel&);
  // grad_input, one for each sample
  void (*input_grad)(const ConvProblem&, const Images& grad_output, const Images& grad_input, const Parallel&);
  // grad_weight summed over samples and examples, in the computing type; `problem.weight` is not read. Where noise is
  // drawn, grad_sigma too, and grad_weight may be null.
  void (*weight_grad)(const ConvProblem&, const Images& grad_output, const Images& input, void* grad_weight,
                      void* grad_sigma, const Parallel&);
  // output = mean + sqrt(variance) * eps, and std = sqrt(variance) unless null. The problems differ in weight and bias
  // alone, the noise is that of `mean`. Either `draws` samples of the output share the input, or (draws = 1) there is a
  // seed for every `examples` of the images, which are all samples' examples one after the other; so are those of a
  // residual, unless it is shared. The epilogue is that of `mean`, for each draw. False, with a result that means
  // nothing, if a weight of `variance` is negative.
  bool (*local_reparam)(const ConvProblem& mean, const ConvProblem& variance, int64_t draws, int64_t examples,
                        const Images& input, const Images& output, const Images* std, const Parallel&);
  // The input's gradient from those of mean and variance; grad_input is laid out as the input.
  void (*local_reparam_input_grad)(const ConvProblem& mean, const ConvProblem& variance, const Images& grad_mean,
                                   const Images& grad_variance, const Images& input, const Images& grad_input,
                                   const Parallel&);
};

}  // namespace bayesops
