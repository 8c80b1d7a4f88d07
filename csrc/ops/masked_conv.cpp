// masked_conv and its two gradients, and masked_weight: a convolution whose kernel is masked by Bernoulli draws.
#include "ops/tensors.h"

namespace bayesops::ops {

namespace {

// The arguments that the three convolutions share.
struct ConvArguments {
  double p;
  int64_t granularity;
  bool rescale, per_example;
  int64_t stream;
  Sizes stride, padding, dilation;
  int64_t groups;
};

// A convolution with 0 (linear) to 3 spatial axes, seen as one with three.
class Convolution {
 public:
  Convolution(const char* op, const Sizes& weight, int64_t input_dims, const Sizes& input, const Tensor& seed,
              const std::optional<Tensor>& mask, const ConvArguments& a)
      : op_(op), axes_(static_cast<int64_t>(weight.size()) - 2), seeds_(read_seeds(op, seed)) {
    STD_TORCH_CHECK(axes_ >= 0 && axes_ <= 3, op, ": weight must have 2 to 5 dimensions, not shape ", describe(weight));
    sampled_ = input_dims == static_cast<int64_t>(weight.size()) + 1;
    STD_TORCH_CHECK(input_dims == static_cast<int64_t>(weight.size()) || (sampled_ && seeds_.batched), op,
                    ": input must have ", weight.size(), " dimensions, or with seeds [S] ", weight.size() + 1,
                    " (one input a sample), not shape ", describe(input));
    const size_t axes = static_cast<size_t>(axes_);
    STD_TORCH_CHECK(a.stride.size() == axes && a.dilation.size() == axes && a.padding.size() == 2 * axes, op,
                    ": stride and dilation need one number for each of ", axes, " axes, padding two");
    STD_TORCH_CHECK(a.groups > 0 && weight[0] % a.groups == 0, op, ": groups = ", a.groups,
                    " must divide the output channels, ", weight[0]);
    input_ = Sizes(input.begin() + (sampled_ ? 1 : 0), input.end());
    STD_TORCH_CHECK(input_[1] == weight[1] * a.groups, op, ": input has ", input_[1], " channels, weight ",
                    describe(weight), " with ", a.groups, " groups wants ", weight[1] * a.groups);
    STD_TORCH_CHECK(!sampled_ || input[0] == seeds_.count, op, ": input has ", input[0], " samples and seed ",
                    seeds_.count);
    STD_TORCH_CHECK(a.granularity >= 0 && a.granularity <= 3, op, ": granularity must be 0 to 3, not ", a.granularity);

    problem_.samples = seeds_.count;
    problem_.examples = input_[0];
    problem_.per_example = a.per_example;
    problem_.groups = a.groups;
    problem_.in_channels = input_[1];
    problem_.out_channels = weight[0];
    for (int i = 0; i < 3; ++i) {
      problem_.kernel[i] = problem_.stride[i] = problem_.dilation[i] = 1;
      problem_.pad_before[i] = 0;
    }
    output_ = {input_[0], weight[0]};
    for (int64_t i = 0; i < axes_; ++i) {
      const int64_t to = 3 - axes_ + i, kernel = weight[i + 2], before = a.padding[2 * i], after = a.padding[2 * i + 1];
      STD_TORCH_CHECK(kernel > 0 && a.stride[i] > 0 && a.dilation[i] > 0 && before >= 0 && after >= 0, op,
                      ": kernel size, stride and dilation must be positive and padding not negative");
      problem_.kernel[to] = kernel;
      problem_.stride[to] = a.stride[i];
      problem_.dilation[to] = a.dilation[i];
      problem_.pad_before[to] = before;
      const int64_t room = input_[i + 2] + before + after - a.dilation[i] * (kernel - 1) - 1;
      STD_TORCH_CHECK(room >= 0, op, ": kernel of ", a.dilation[i] * (kernel - 1) + 1,
                      " does not fit the padded input of ", input_[i + 2] + before + after, " along axis ", i);
      output_.push_back(room / a.stride[i] + 1);
    }

    Sizes base;
    const Granularity granularity = static_cast<Granularity>(a.granularity);
    if (granularity == kGranularityWeight) base = weight;
    if (granularity == kGranularityKernel) base = {weight[0], weight[1]};
    if (granularity == kGranularityInChannel) base = {problem_.in_channels};
    if (granularity == kGranularityOutChannel) base = {problem_.out_channels};
    mask_ = read_mask(op, mask, base, granularity, a.p, seeds_, a.stream, a.per_example, problem_.examples);
    problem_.mask = mask_.source;
    problem_.scale = a.rescale ? 1.0 / (1.0 - a.p) : 1.0;
  }

  ConvProblem& problem() { return problem_; }
  int64_t axes() const { return axes_; }
  bool sampled() const { return sampled_; }             // the input has one image a sample
  bool batched() const { return seeds_.batched; }       // the output has one image a sample
  const Sizes& output() const { return output_; }       // without samples
  const Sizes& input() const { return input_; }

  Sizes with_samples(const Sizes& sizes) const {
    Sizes all = sizes;
    all.insert(all.begin(), seeds_.count);
    return all;
  }

  // A result of the given sizes, channels last where `like` is.
  Tensor allocate(const Sizes& sizes, bool samples, const Tensor& like, int64_t like_channel) const {
    const Sizes all = samples ? with_samples(sizes) : sizes;
    const bool last = axes_ > 0 && is_channels_last(like, like_channel);
    return empty_strided(all, dense_strides(all, samples ? 2 : 1, last), like.scalar_type(), like);
  }

  void check_output(const Tensor& grad_output) const {
    const Sizes wanted = batched() ? with_samples(output_) : output_;
    STD_TORCH_CHECK(sizes_of(grad_output) == wanted, op_, ": grad_output must have shape ", describe(wanted), ", not ",
                    describe(sizes_of(grad_output)));
  }

 private:
  const char* op_;
  int64_t axes_;
  Seeds seeds_;
  bool sampled_;
  Sizes input_, output_;
  Mask mask_;
  ConvProblem problem_{};
};

Tensor masked_conv(const Tensor input, const Tensor weight, const std::optional<Tensor> bias, const Tensor seed,
                   const std::optional<Tensor> mask, double p, int64_t granularity, bool rescale, bool per_example,
                   int64_t stream, const Sizes stride, const Sizes padding, const Sizes dilation, int64_t groups) {
  const char* op = "masked_conv";
  check_cpu(op, "input", input);
  check_cpu(op, "weight", weight);
  check_same_dtype(op, input, "weight", weight);
  Convolution conv(op, sizes_of(weight), input.dim(), sizes_of(input), seed, mask,
                   ConvArguments{p, granularity, rescale, per_example, stream, stride, padding, dilation, groups});
  std::optional<Tensor> b;
  if (bias.has_value()) {
    check_cpu(op, "bias", *bias);
    check_same_dtype(op, input, "bias", *bias);
    STD_TORCH_CHECK(bias->dim() == 1 && bias->size(0) == weight.size(0), op, ": bias must have shape [", weight.size(0),
                    "], not ", describe(sizes_of(*bias)));
    b = torch::stable::contiguous(*bias);
  }
  const Tensor w = torch::stable::contiguous(weight);
  Tensor out = conv.allocate(conv.output(), conv.batched(), input, conv.sampled() ? 2 : 1);
  if (out.numel() == 0) return out;
  conv.problem().dtype = dtype_of(op, "input", input);
  conv.problem().weight = w.data_ptr();
  kernels().conv.forward(conv.problem(), images_of(input, conv.sampled(), conv.axes()),
                         images_of(out, conv.batched(), conv.axes()), b.has_value() ? b->data_ptr() : nullptr, pool());
  return out;
}

Tensor masked_conv_input_grad(const Tensor grad_output, const Tensor weight, const Tensor seed,
                              const std::optional<Tensor> mask, const Sizes input_size, double p, int64_t granularity,
                              bool rescale, bool per_example, int64_t stream, const Sizes stride, const Sizes padding,
                              const Sizes dilation, int64_t groups) {
  const char* op = "masked_conv_input_grad";
  check_cpu(op, "grad_output", grad_output);
  check_cpu(op, "weight", weight);
  check_same_dtype(op, grad_output, "weight", weight);
  Convolution conv(op, sizes_of(weight), static_cast<int64_t>(input_size.size()), input_size, seed, mask,
                   ConvArguments{p, granularity, rescale, per_example, stream, stride, padding, dilation, groups});
  conv.check_output(grad_output);
  const Tensor w = torch::stable::contiguous(weight);
  // One gradient a sample; where the samples share the input, their sum.
  Tensor grad = conv.allocate(conv.input(), conv.batched(), grad_output, conv.batched() ? 2 : 1);
  if (grad.numel() > 0) {
    if (grad_output.numel() == 0) {
      torch::stable::zero_(grad);
    } else {
      conv.problem().dtype = dtype_of(op, "grad_output", grad_output);
      conv.problem().weight = w.data_ptr();
      kernels().conv.input_grad(conv.problem(), images_of(grad_output, conv.batched(), conv.axes()),
                                images_of(grad, conv.batched(), conv.axes()), pool());
    }
  }
  if (!conv.batched() || conv.sampled()) return grad;
  const int64_t samples[1] = {0};
  return torch::stable::sum(grad, torch::headeronly::IntHeaderOnlyArrayRef(samples, 1));
}

Tensor masked_conv_weight_grad(const Tensor grad_output, const Tensor input, const Tensor seed,
                               const std::optional<Tensor> mask, const Sizes weight_size, double p, int64_t granularity,
                               bool rescale, bool per_example, int64_t stream, const Sizes stride, const Sizes padding,
                               const Sizes dilation, int64_t groups) {
  const char* op = "masked_conv_weight_grad";
  check_cpu(op, "grad_output", grad_output);
  check_cpu(op, "input", input);
  check_same_dtype(op, grad_output, "input", input);
  Convolution conv(op, weight_size, input.dim(), sizes_of(input), seed, mask,
                   ConvArguments{p, granularity, rescale, per_example, stream, stride, padding, dilation, groups});
  conv.check_output(grad_output);
  const DType dtype = dtype_of(op, "input", input);
  Tensor grad = empty(weight_size, dtype == kFloat64 ? ScalarType::Double : ScalarType::Float, input);
  if (grad.numel() > 0) {
    conv.problem().dtype = dtype;
    conv.problem().weight = nullptr;
    kernels().conv.weight_grad(conv.problem(), images_of(grad_output, conv.batched(), conv.axes()),
                               images_of(input, conv.sampled(), conv.axes()), grad.data_ptr(), pool());
  }
  return dtype == kBFloat16 ? torch::stable::to(grad, ScalarType::BFloat16) : grad;
}

// The masked weights themselves: [(S,) (N,) weight...]; num_examples 0 means one mask for all examples.
Tensor masked_weight(const Tensor weight, const Tensor seed, const std::optional<Tensor> mask, double p,
                     int64_t granularity, bool rescale, int64_t num_examples, int64_t groups, int64_t stream) {
  const char* op = "masked_weight";
  check_cpu(op, "weight", weight);
  const Sizes sizes = sizes_of(weight);
  const size_t axes = sizes.size() - 2;
  // An input that the kernel fits exactly; only its channels and examples matter here.
  Sizes input = {num_examples > 0 ? num_examples : 1, sizes[1] * groups};
  input.insert(input.end(), sizes.begin() + 2, sizes.end());
  Convolution conv(op, sizes, static_cast<int64_t>(sizes.size()), input, seed, mask,
                   ConvArguments{p, granularity, rescale, num_examples > 0, stream, Sizes(axes, 1), Sizes(2 * axes, 0),
                                 Sizes(axes, 1), groups});
  Sizes all = sizes;
  if (num_examples > 0) all.insert(all.begin(), num_examples);
  if (conv.batched()) all = conv.with_samples(all);
  const Tensor w = torch::stable::contiguous(weight);
  Tensor out = empty(all, weight.scalar_type(), weight);
  if (out.numel() == 0) return out;
  conv.problem().dtype = dtype_of(op, "weight", weight);
  conv.problem().weight = w.data_ptr();
  kernels().conv.masked_weight(conv.problem(), out.data_ptr(), pool());
  return out;
}

}  // namespace

#define BAYESOPS_CONV_ARGUMENTS                                                                              \
  "float p, int granularity, bool rescale, bool per_example, int stream, int[] stride, int[] padding, int[] " \
  "dilation, int groups) -> Tensor"

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  m.def("masked_conv(Tensor input, Tensor weight, Tensor? bias, Tensor seed, Tensor? mask, " BAYESOPS_CONV_ARGUMENTS);
  m.def(
      "masked_conv_input_grad(Tensor grad_output, Tensor weight, Tensor seed, Tensor? mask, SymInt[] "
      "input_size, " BAYESOPS_CONV_ARGUMENTS);
  m.def(
      "masked_conv_weight_grad(Tensor grad_output, Tensor input, Tensor seed, Tensor? mask, SymInt[] "
      "weight_size, " BAYESOPS_CONV_ARGUMENTS);
  m.def(
      "masked_weight(Tensor weight, Tensor seed, Tensor? mask, float p, int granularity, bool rescale, SymInt "
      "num_examples, int groups, int stream) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) {
  m.impl("masked_conv", TORCH_BOX(&masked_conv));
  m.impl("masked_conv_input_grad", TORCH_BOX(&masked_conv_input_grad));
  m.impl("masked_conv_weight_grad", TORCH_BOX(&masked_conv_weight_grad));
  m.impl("masked_weight", TORCH_BOX(&masked_weight));
}

}  // namespace bayesops::ops
