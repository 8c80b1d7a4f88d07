// sampled_conv and flipout_conv, their forms with an epilogue and their gradients: convolutions whose weights are
// Gaussian draws.
#include "kernels/isa_table.h"
#include "ops/epilogue.h"
#include "ops/pool.h"

namespace bayesops::ops {

namespace {

// Which of the two families an operator belongs to, and its name in messages.
enum Family { kSampled, kFlipout };

// A Gaussian weight as the kernels take it.
struct GaussianWeight {
  GaussianWeight(const char* op, const Tensor& images, const Tensor& mean, const Tensor& deviation)
      : mu(dense(mean)), sigma(dense(deviation)) {
    check_parameter(op, "weight_mu", mean, images, sizes_of(mean));
    check_parameter(op, "weight_sigma", deviation, images, sizes_of(mean));
  }
  Tensor mu, sigma;
};

// The problem of the mean alone, and that of the draws: mu + sigma * eps, or under Flipout what is added to the mean.
ConvProblem mean_of(const ConvProblem& problem, const GaussianWeight& weight) {
  ConvProblem mean = problem;
  mean.weight = weight.mu.data_ptr();
  return mean;
}
ConvProblem draws_of(const ConvProblem& problem, const GaussianWeight& weight, Family family) {
  ConvProblem draws = problem;
  draws.weight = family == kFlipout ? nullptr : weight.mu.data_ptr();
  draws.noise = NoiseSource{true, weight.sigma.data_ptr(), problem.mask.seeds, problem.mask.stream, family == kFlipout};
  return draws;
}

// What the second pass of Flipout adds to.
void add_to(ConvProblem& problem, const Images& base) {
  problem.base = base.data;
  problem.base_sample_stride = base.sample_stride;
}

Tensor forward(const char* op, Family family, const Tensor& input, const Tensor& mu, const Tensor& sigma,
               const std::optional<Tensor>& bias, const Tensor& seed, const UnmaskedArguments& arguments,
               const EpilogueTensors& epilogue) {
  const GaussianWeight weight(op, input, mu, sigma);
  Convolution conv(op, sizes_of(mu), sizes_of(input), seed, std::nullopt, arguments.conv_arguments());
  std::optional<Tensor> b;
  if (bias.has_value()) {
    const bool each = conv.batched() && bias->dim() == 2;
    check_parameter(op, "bias", *bias, input, each ? Sizes{seed.size(0), mu.size(0)} : Sizes{mu.size(0)});
    b = dense(*bias);
    conv.problem().bias = b->data_ptr();
    conv.problem().bias_sample_stride = each ? mu.size(0) : 0;
  }
  const int64_t channel = conv.sampled() ? 2 : 1;
  Tensor out = conv.allocate(conv.output(), conv.batched(), input, channel);
  const DenseEpilogue e(op, epilogue, conv.output(), conv.batched(), out);
  if (out.numel() == 0) return out;
  conv.problem().dtype = dtype_of(op, "input", input);
  const Images images = images_of(input, conv.sampled(), conv.axes());
  const Images outputs = images_of(out, conv.batched(), conv.axes());
  ConvProblem draws = draws_of(conv.problem(), weight, family);
  draws.epilogue = e.describe();
  if (family == kSampled) {
    kernels().conv.forward(draws, images, outputs, pool());
    return out;
  }
  ConvProblem mean = mean_of(conv.problem(), weight);
  Tensor shared_mean;
  if (conv.batched() && !conv.sampled()) {  // samples that share their input share its mean, but not their bias
    shared_mean = conv.allocate(conv.output(), false, input, channel);
    const Images means = images_of(shared_mean, false, conv.axes());
    mean.samples = 1;
    mean.bias = nullptr;
    kernels().conv.forward(mean, images, means, pool());
    add_to(draws, means);
  } else {
    kernels().conv.forward(mean, images, outputs, pool());
    draws.bias = nullptr;  // it is there already
    add_to(draws, outputs);
  }
  kernels().conv.forward(draws, images, outputs, pool());
  return out;
}

Tensor input_grad(const char* op, Family family, const Tensor& grad_output, const Tensor& mu, const Tensor& sigma,
                  const Tensor& seed, const Sizes& input_size, const UnmaskedArguments& arguments) {
  const GaussianWeight weight(op, grad_output, mu, sigma);
  Convolution conv(op, sizes_of(mu), input_size, seed, std::nullopt, arguments.conv_arguments());
  conv.check_output(grad_output);
  // One gradient per sample; where the samples share the input, their sum.
  Tensor grad = conv.allocate(conv.input(), conv.batched(), grad_output, conv.batched() ? 2 : 1);
  if (grad.numel() > 0) {
    if (grad_output.numel() == 0) {
      torch::stable::zero_(grad);
    } else {
      conv.problem().dtype = dtype_of(op, "grad_output", grad_output);
      const Images outputs = images_of(grad_output, conv.batched(), conv.axes());
      const Images inputs = images_of(grad, conv.batched(), conv.axes());
      ConvProblem draws = draws_of(conv.problem(), weight, family);
      if (family == kFlipout) {
        kernels().conv.input_grad(mean_of(conv.problem(), weight), outputs, inputs, pool());
        add_to(draws, inputs);
      }
      kernels().conv.input_grad(draws, outputs, inputs, pool());
    }
  }
  return conv.batched() && !conv.sampled() ? sum_over(grad, 0) : grad;
}

std::tuple<Tensor, Tensor> weight_grad(const char* op, Family family, const Tensor& grad_output, const Tensor& input,
                                       const Tensor& seed, const Sizes& weight_size,
                                       const UnmaskedArguments& arguments) {
  check_same_device(op, grad_output, "input", input);
  check_same_dtype(op, grad_output, "input", input);
  Convolution conv(op, weight_size, sizes_of(input), seed, std::nullopt, arguments.conv_arguments());
  conv.check_output(grad_output);
  const DType dtype = dtype_of(op, "input", input);
  const ScalarType computed = dtype == kFloat64 ? ScalarType::Double : ScalarType::Float;
  Tensor grad_mu = empty(weight_size, computed, input), grad_sigma = empty(weight_size, computed, input);
  if (grad_mu.numel() > 0) {
    conv.problem().dtype = dtype;
    const Images outputs = images_of(grad_output, conv.batched(), conv.axes());
    const Images inputs = images_of(input, conv.sampled(), conv.axes());
    ConvProblem draws = conv.problem();
    draws.noise = NoiseSource{true, nullptr, draws.mask.seeds, draws.mask.stream, family == kFlipout};
    void* mean = grad_mu.data_ptr();
    if (family == kFlipout) {
      kernels().conv.weight_grad(conv.problem(), outputs, inputs, mean, nullptr, pool());
      mean = nullptr;
    }
    kernels().conv.weight_grad(draws, outputs, inputs, mean, grad_sigma.data_ptr(), pool());
  }
  if (dtype != kBFloat16) return {grad_mu, grad_sigma};
  return {torch::stable::to(grad_mu, ScalarType::BFloat16), torch::stable::to(grad_sigma, ScalarType::BFloat16)};
}

Tensor sampled_conv(const Tensor input, const Tensor weight_mu, const Tensor weight_sigma,
                    const std::optional<Tensor> bias, const Tensor seed, int64_t stream, const Sizes stride,
                    const Sizes padding, const Sizes dilation, int64_t groups) {
  return forward("sampled_conv", kSampled, input, weight_mu, weight_sigma, bias, seed,
                 UnmaskedArguments{stream, stride, padding, dilation, groups}, {});
}
Tensor flipout_conv(const Tensor input, const Tensor weight_mu, const Tensor weight_sigma,
                    const std::optional<Tensor> bias, const Tensor seed, int64_t stream, const Sizes stride,
                    const Sizes padding, const Sizes dilation, int64_t groups) {
  return forward("flipout_conv", kFlipout, input, weight_mu, weight_sigma, bias, seed,
                 UnmaskedArguments{stream, stride, padding, dilation, groups}, {});
}
Tensor sampled_conv_fused(const Tensor input, const Tensor weight_mu, const Tensor weight_sigma,
                          const std::optional<Tensor> bias, const Tensor seed, int64_t stream, const Sizes stride,
                          const Sizes padding, const Sizes dilation, int64_t groups, const std::optional<Tensor> scale,
                          const std::optional<Tensor> shift, const std::optional<Tensor> residual, bool relu) {
  return forward("sampled_conv_fused", kSampled, input, weight_mu, weight_sigma, bias, seed,
                 UnmaskedArguments{stream, stride, padding, dilation, groups},
                 EpilogueTensors{scale, shift, residual, relu});
}
Tensor flipout_conv_fused(const Tensor input, const Tensor weight_mu, const Tensor weight_sigma,
                          const std::optional<Tensor> bias, const Tensor seed, int64_t stream, const Sizes stride,
                          const Sizes padding, const Sizes dilation, int64_t groups, const std::optional<Tensor> scale,
                          const std::optional<Tensor> shift, const std::optional<Tensor> residual, bool relu) {
  return forward("flipout_conv_fused", kFlipout, input, weight_mu, weight_sigma, bias, seed,
                 UnmaskedArguments{stream, stride, padding, dilation, groups},
                 EpilogueTensors{scale, shift, residual, relu});
}
Tensor sampled_conv_input_grad(const Tensor grad_output, const Tensor weight_mu, const Tensor weight_sigma,
                               const Tensor seed, const Sizes input_size, int64_t stream, const Sizes stride,
                               const Sizes padding, const Sizes dilation, int64_t groups) {
  return input_grad("sampled_conv_input_grad", kSampled, grad_output, weight_mu, weight_sigma, seed, input_size,
                    UnmaskedArguments{stream, stride, padding, dilation, groups});
}
Tensor flipout_conv_input_grad(const Tensor grad_output, const Tensor weight_mu, const Tensor weight_sigma,
                               const Tensor seed, const Sizes input_size, int64_t stream, const Sizes stride,
                               const Sizes padding, const Sizes dilation, int64_t groups) {
  return input_grad("flipout_conv_input_grad", kFlipout, grad_output, weight_mu, weight_sigma, seed, input_size,
                    UnmaskedArguments{stream, stride, padding, dilation, groups});
}
std::tuple<Tensor, Tensor> sampled_conv_weight_grad(const Tensor grad_output, const Tensor input, const Tensor seed,
                                                    const Sizes weight_size, int64_t stream, const Sizes stride,
                                                    const Sizes padding, const Sizes dilation, int64_t groups) {
  return weight_grad("sampled_conv_weight_grad", kSampled, grad_output, input, seed, weight_size,
                     UnmaskedArguments{stream, stride, padding, dilation, groups});
}
std::tuple<Tensor, Tensor> flipout_conv_weight_grad(const Tensor grad_output, const Tensor input, const Tensor seed,
                                                    const Sizes weight_size, int64_t stream, const Sizes stride,
                                                    const Sizes padding, const Sizes dilation, int64_t groups) {
  return weight_grad("flipout_conv_weight_grad", kFlipout, grad_output, input, seed, weight_size,
                     UnmaskedArguments{stream, stride, padding, dilation, groups});
}

}  // namespace

#define BAYESOPS_UNMASKED_ARGUMENTS "int stream, int[] stride, int[] padding, int[] dilation, int groups"
#define BAYESOPS_WEIGHT "Tensor weight_mu, Tensor weight_sigma, "
#define BAYESOPS_GAUSSIAN_CONV_ARGUMENTS \
  "Tensor input, " BAYESOPS_WEIGHT "Tensor? bias, Tensor seed, " BAYESOPS_UNMASKED_ARGUMENTS

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  m.def("sampled_conv(" BAYESOPS_GAUSSIAN_CONV_ARGUMENTS ") -> Tensor");
  m.def("flipout_conv(" BAYESOPS_GAUSSIAN_CONV_ARGUMENTS ") -> Tensor");
  m.def("sampled_conv_fused(" BAYESOPS_GAUSSIAN_CONV_ARGUMENTS ", " BAYESOPS_EPILOGUE_ARGUMENTS ") -> Tensor");
  m.def("flipout_conv_fused(" BAYESOPS_GAUSSIAN_CONV_ARGUMENTS ", " BAYESOPS_EPILOGUE_ARGUMENTS ") -> Tensor");
  m.def("sampled_conv_input_grad(Tensor grad_output, " BAYESOPS_WEIGHT
        "Tensor seed, SymInt[] input_size, " BAYESOPS_UNMASKED_ARGUMENTS ") -> Tensor");
  m.def("flipout_conv_input_grad(Tensor grad_output, " BAYESOPS_WEIGHT
        "Tensor seed, SymInt[] input_size, " BAYESOPS_UNMASKED_ARGUMENTS ") -> Tensor");
  m.def(
      "sampled_conv_weight_grad(Tensor grad_output, Tensor input, Tensor seed, SymInt[] "
      "weight_size, " BAYESOPS_UNMASKED_ARGUMENTS ") -> (Tensor, Tensor)");
  m.def(
      "flipout_conv_weight_grad(Tensor grad_output, Tensor input, Tensor seed, SymInt[] "
      "weight_size, " BAYESOPS_UNMASKED_ARGUMENTS ") -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) {
  m.impl("sampled_conv", TORCH_BOX(&sampled_conv));
  m.impl("flipout_conv", TORCH_BOX(&flipout_conv));
  m.impl("sampled_conv_fused", TORCH_BOX(&sampled_conv_fused));
  m.impl("flipout_conv_fused", TORCH_BOX(&flipout_conv_fused));
  m.impl("sampled_conv_input_grad", TORCH_BOX(&sampled_conv_input_grad));
  m.impl("flipout_conv_input_grad", TORCH_BOX(&flipout_conv_input_grad));
  m.impl("sampled_conv_weight_grad", TORCH_BOX(&sampled_conv_weight_grad));
  m.impl("flipout_conv_weight_grad", TORCH_BOX(&flipout_conv_weight_grad));
}

}  // namespace bayesops::ops
