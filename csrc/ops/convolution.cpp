#include "ops/convolution.h"

namespace bayesops::ops {

Convolution::Convolution(const char* op, const Sizes& weight, const Sizes& input, const Seeds& seeds,
                         const std::optional<Tensor>& mask, const ConvArguments& a)
    : op_(op), axes_(static_cast<int64_t>(weight.size()) - 2), seeds_(seeds) {
  STD_TORCH_CHECK(axes_ >= 0 && axes_ <= 3, op, ": weight must have 2 to 5 dimensions, not shape ", describe(weight));
  sampled_ = input.size() == weight.size() + 1;
  STD_TORCH_CHECK(input.size() == weight.size() || (sampled_ && seeds_.batched), op, ": input must have ",
                  weight.size(), " dimensions, or with seeds [S] ", weight.size() + 1,
                  " (one input per sample), not shape ", describe(input));
  STD_TORCH_CHECK(a.groups > 0 && weight[0] % a.groups == 0, op, ": groups = ", a.groups,
                  " must divide the output channels, ", weight[0]);
  input_ = Sizes(input.begin() + (sampled_ ? 1 : 0), input.end());
  STD_TORCH_CHECK(input_[1] == weight[1] * a.groups, op, ": input has ", input_[1], " channels, weight ",
                  describe(weight), " with ", a.groups, " groups wants ", weight[1] * a.groups);
  STD_TORCH_CHECK(!sampled_ || input[0] == seeds_.count, op, ": input has ", input[0], " samples and seed ",
                  seeds_.count);
  problem_.samples = seeds_.count;
  problem_.examples = input_[0];
  problem_.per_example = a.per_example;
  problem_.groups = a.groups;
  problem_.in_channels = input_[1];
  problem_.out_channels = weight[0];
  set_axes(weight, a);
  set_mask(weight, mask, a);
}

void Convolution::set_axes(const Sizes& weight, const ConvArguments& a) {
  const size_t axes = static_cast<size_t>(axes_);
  STD_TORCH_CHECK(a.stride.size() == axes && a.dilation.size() == axes && a.padding.size() == 2 * axes, op_,
                  ": stride and dilation need one number for each of ", axes, " axes, padding two");
  for (int i = 0; i < 3; ++i) {
    problem_.kernel[i] = problem_.stride[i] = problem_.dilation[i] = 1;
    problem_.pad_before[i] = 0;
  }
  output_ = {input_[0], weight[0]};
  // Kernels count in 64 bits: what they count must fit, whatever an argument says.
  constexpr int64_t kMost = int64_t{1} << 31, kMostPadded = int64_t{1} << 56;
  int64_t everything = problem_.in_channels > weight[0] ? problem_.in_channels : weight[0];
  for (size_t i = 0; i < axes; ++i) {
    const size_t to = 3 - axes + i;
    const int64_t kernel = weight[i + 2], before = a.padding[2 * i], after = a.padding[2 * i + 1];
    STD_TORCH_CHECK(kernel > 0 && a.stride[i] > 0 && a.dilation[i] > 0 && before >= 0 && after >= 0, op_,
                    ": kernel size, stride and dilation must be positive and padding not negative");
    STD_TORCH_CHECK(kernel < kMost && a.stride[i] < kMost && a.dilation[i] < kMost && before < kMost && after < kMost,
                    op_, ": kernel size, stride, dilation and padding must be less than 2^31; along axis ", i,
                    " they are ", kernel, ", ", a.stride[i], ", ", a.dilation[i], " and ", before, ", ", after);
    problem_.kernel[to] = kernel;
    problem_.stride[to] = a.stride[i];
    problem_.dilation[to] = a.dilation[i];
    problem_.pad_before[to] = before;
    const int64_t window = a.dilation[i] * (kernel - 1) + 1, padded = input_[i + 2] + before + after;
    STD_TORCH_CHECK(padded >= window, op_, ": kernel of ", window, " does not fit the padded input of ", padded,
                    " along axis ", i);
    STD_TORCH_CHECK(window < kMost, op_, ": the reach of the window, dilation * (kernel size - 1) + 1, must be less ",
                    "than 2^31, not ", window, " along axis ", i);
    STD_TORCH_CHECK(!__builtin_mul_overflow(everything, padded, &everything) && everything <= kMostPadded, op_,
                    ": the padded input is too large: ", padded, " along axis ", i);
    output_.push_back((padded - window) / a.stride[i] + 1);
  }
}

void Convolution::set_mask(const Sizes& weight, const std::optional<Tensor>& mask, const ConvArguments& a) {
  STD_TORCH_CHECK(a.granularity >= kGranularityWeight && a.granularity <= kGranularityChannel, op_,
                  ": granularity must be 0 to 4, not ", a.granularity);
  const auto granularity = static_cast<Granularity>(a.granularity);
  Sizes base;
  switch (granularity) {
    case kGranularityWeight:
      base = weight;
      break;
    case kGranularityKernel:
      base = {weight[0], weight[1]};
      break;
    case kGranularityInChannel:
      base = {problem_.in_channels};
      break;
    case kGranularityOutChannel:
      base = {problem_.out_channels};
      break;
    case kGranularityChannel:
      base = {problem_.in_channels + problem_.out_channels};
      break;
  }
  mask_ = read_mask(op_, mask, base, granularity, a.p, seeds_, a.stream, a.per_example, problem_.examples);
  problem_.mask = mask_.source;
  // A weight between two channel draws is kept with probability (1 - p)^2.
  const double kept = granularity == kGranularityChannel ? (1.0 - a.p) * (1.0 - a.p) : 1.0 - a.p;
  problem_.scale = a.rescale ? 1.0 / kept : 1.0;
}

Tensor Convolution::allocate(const Sizes& sizes, bool samples, const Tensor& like, int64_t like_channel) const {
  const Sizes all = samples ? lead(sizes) : sizes;
  const bool last = axes_ > 0 && is_channels_last(like, like_channel);
  return empty_strided(all, dense_strides(all, samples ? 2 : 1, last), like.scalar_type(), like);
}

void Convolution::check_output(const Tensor& grad_output) const {
  const Sizes wanted = lead(output_);
  STD_TORCH_CHECK(sizes_of(grad_output) == wanted, op_, ": grad_output must have shape ", describe(wanted), ", not ",
                  describe(sizes_of(grad_output)));
}

DenseWeight::DenseWeight(const Tensor& weight, int64_t channel) : tensor(weight), channels_last(false) {
  channels_last = weight.dim() > channel + 1 && weight.size(channel) > 1 && is_dense(weight, channel, true) &&
                  !weight.is_contiguous();
  if (!channels_last) tensor = dense(weight);
}

void DenseWeight::describe(ConvProblem& problem) const {
  problem.weight = tensor.data_ptr();
  problem.weight_channels_last = channels_last;
}

// The mask of a weight does not depend on where the convolution goes: an input that the kernel fits exactly will do.
Convolution convolution_of_weight(const char* op, const Sizes& weight, const Tensor& seed,
                                  const std::optional<Tensor>& mask, double p, int64_t granularity, bool rescale,
                                  int64_t num_examples, int64_t groups, int64_t stream) {
  STD_TORCH_CHECK(weight.size() >= 2, op, ": weight must have 2 to 5 dimensions, not shape ", describe(weight));
  const size_t axes = weight.size() - 2;
  Sizes input = {num_examples > 0 ? num_examples : 1, weight[1] * groups};
  input.insert(input.end(), weight.begin() + 2, weight.end());
  return Convolution(op, weight, input, seed, mask,
                     ConvArguments{p, granularity, rescale, num_examples > 0, stream, Sizes(axes, 1),
                                   Sizes(2 * axes, 0), Sizes(axes, 1), groups});
}

}  // namespace bayesops::ops
