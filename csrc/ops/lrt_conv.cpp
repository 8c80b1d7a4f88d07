// lrt_conv, its form with an epilogue and its gradients: local reparameterisation, the convolution of means and that of
// variances in one pass.
#include "kernels/isa_table.h"
#include "ops/epilogue.h"
#include "ops/lrt_arguments.h"
#include "ops/pool.h"

namespace bayesops::ops {

namespace {

// Means and variances of weights and biases, as the kernels take them.
struct Moments {
  Moments(const char* op, const Tensor& images, const Tensor& mu, const Tensor& var)
      : weight_mu(dense(mu)), weight_var(dense(var)) {
    check_parameter(op, "weight_mu", mu, images, sizes_of(mu));
    check_parameter(op, "weight_var", var, images, sizes_of(mu));
  }
  void add_biases(const char* op, const Tensor& images, const std::optional<Tensor>& mu,
                  const std::optional<Tensor>& var) {
    bias_mu = per_channel(op, "bias_mu", mu, weight_mu.size(0), images);
    bias_var = per_channel(op, "bias_var", var, weight_mu.size(0), images);
  }
  // The two problems that differ in these tensors.
  ConvProblem mean(const ConvProblem& problem) const {
    ConvProblem p = problem;
    p.weight = weight_mu.data_ptr();
    p.bias = data_of(bias_mu);
    return p;
  }
  ConvProblem variance(const ConvProblem& problem) const {
    ConvProblem p = problem;
    p.weight = weight_var.data_ptr();
    p.bias = data_of(bias_var);
    return p;
  }

  Tensor weight_mu, weight_var;
  std::optional<Tensor> bias_mu, bias_var;
};

template <class S>
bool any_below_zero(const S* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (values[i] < S(0)) return true;
  return false;
}

bool any_below_zero(const Tensor& values, DType dtype) {
  const int64_t count = values.numel();
  if (dtype == kFloat32) return any_below_zero(static_cast<const float*>(values.data_ptr()), count);
  if (dtype == kFloat64) return any_below_zero(static_cast<const double*>(values.data_ptr()), count);
  const auto* bits = static_cast<const uint16_t*>(values.data_ptr());
  for (int64_t i = 0; i < count; ++i)
    if (bits[i] > 0x8000u && bits[i] <= 0xFF80u) return true;  // sign bit set, neither -0 nor a NaN
  return false;
}

// Samples that have images of their own are more examples: their axis and that of examples become one. A tensor in
// which that cannot be is copied.
struct FoldedImages {
  FoldedImages(const Tensor& t, const Convolution& conv, bool sampled) : tensor(t) {
    const bool folds = !sampled || t.size(0) <= 1 || t.size(1) <= 1 || t.stride(0) == t.size(1) * t.stride(1);
    if (!folds) tensor = dense(t);
    images = images_of(tensor, sampled, conv.axes());
    if (!sampled) return;
    if (t.size(1) == 1) images.example_stride = images.sample_stride;
    images.sample_stride = 0;
  }
  Tensor tensor;
  Images images;
};

ConvProblem folded(const Convolution& conv) {
  ConvProblem problem = conv.problem();
  if (conv.sampled()) problem.examples *= problem.samples;
  problem.samples = 1;
  return problem;
}

struct Output {
  Tensor out;
  std::optional<Tensor> std;
};

Output forward(const char* op, const Tensor& input, const Tensor& mu, const Tensor& var,
               const std::optional<Tensor>& bias_mu, const std::optional<Tensor>& bias_var, const Tensor& seed,
               const UnmaskedArguments& arguments, bool with_std, const EpilogueTensors& epilogue) {
  Moments moments(op, input, mu, var);
  moments.add_biases(op, input, bias_mu, bias_var);
  Convolution conv(op, sizes_of(mu), sizes_of(input), seed, std::nullopt, arguments.conv_arguments());
  const bool sampled = conv.sampled();
  const int64_t channel = sampled ? 2 : 1;
  conv.problem().dtype = dtype_of(op, "input", input);
  STD_TORCH_CHECK(!moments.bias_var.has_value() || !any_below_zero(*moments.bias_var, conv.problem().dtype), op,
                  ": bias_var must not be negative");
  Output result{conv.allocate(conv.output(), conv.batched(), input, channel), std::nullopt};
  if (with_std) result.std = conv.allocate(conv.output(), sampled, input, channel);
  const DenseEpilogue e(op, epilogue, conv.output(), conv.batched(), result.out);
  if (result.out.numel() == 0) {
    if (with_std) torch::stable::zero_(*result.std);
    return result;
  }
  // Samples that share their input share its mean and variance: they are draws of one result.
  const bool shared = conv.batched() && !sampled;
  ConvProblem problem = folded(conv);
  problem.noise.seeds = problem.mask.seeds;
  problem.noise.stream = problem.mask.stream;
  problem.epilogue = e.describe();
  const FoldedImages images(input, conv, sampled);
  const Images outputs =
      shared ? images_of(result.out, true, conv.axes()) : FoldedImages(result.out, conv, sampled).images;
  std::optional<FoldedImages> std;
  if (with_std) std.emplace(*result.std, conv, sampled);
  const bool valid = kernels().conv.local_reparam(moments.mean(problem), moments.variance(problem),
                                                  shared ? conv.problem().samples : 1, conv.problem().examples,
                                                  images.images, outputs, with_std ? &std->images : nullptr, pool());
  STD_TORCH_CHECK(valid, op, ": weight_var must not be negative");
  return result;
}

Tensor lrt_conv(const Tensor input, const Tensor weight_mu, const Tensor weight_var,
                const std::optional<Tensor> bias_mu, const std::optional<Tensor> bias_var, const Tensor seed,
                int64_t stream, const Sizes stride, const Sizes padding, const Sizes dilation, int64_t groups) {
  return forward("lrt_conv", input, weight_mu, weight_var, bias_mu, bias_var, seed,
                 UnmaskedArguments{stream, stride, padding, dilation, groups}, false, {})
      .out;
}

Tensor lrt_conv_fused(const Tensor input, const Tensor weight_mu, const Tensor weight_var,
                      const std::optional<Tensor> bias_mu, const std::optional<Tensor> bias_var, const Tensor seed,
                      int64_t stream, const Sizes stride, const Sizes padding, const Sizes dilation, int64_t groups,
                      const std::optional<Tensor> scale, const std::optional<Tensor> shift,
                      const std::optional<Tensor> residual, bool relu) {
  return forward("lrt_conv_fused", input, weight_mu, weight_var, bias_mu, bias_var, seed,
                 UnmaskedArguments{stream, stride, padding, dilation, groups}, false,
                 EpilogueTensors{scale, shift, residual, relu})
      .out;
}

std::tuple<Tensor, Tensor> lrt_conv_std(const Tensor input, const Tensor weight_mu, const Tensor weight_var,
                                        const std::optional<Tensor> bias_mu, const std::optional<Tensor> bias_var,
                                        const Tensor seed, int64_t stream, const Sizes stride, const Sizes padding,
                                        const Sizes dilation, int64_t groups) {
  const Output result = forward("lrt_conv", input, weight_mu, weight_var, bias_mu, bias_var, seed,
                                UnmaskedArguments{stream, stride, padding, dilation, groups}, true, {});
  return {result.out, *result.std};
}

// The convolution that gradients belong to; they have one sample for each of the input's.
Convolution convolution_of_gradients(const char* op, const Sizes& weight, const Sizes& input, const Tensor& grad_mean,
                                     const Tensor& grad_variance, const UnmaskedArguments& arguments) {
  const bool sampled = input.size() == weight.size() + 1;
  const Seeds samples{grad_mean, nullptr, sampled ? input[0] : 1, sampled};
  Convolution conv(op, weight, input, samples, std::nullopt, arguments.conv_arguments());
  conv.check_output(grad_mean);
  check_parameter(op, "grad_variance", grad_variance, grad_mean, sizes_of(grad_mean));
  conv.problem().dtype = dtype_of(op, "grad_mean", grad_mean);
  return conv;
}

// `t` with the strides of `like`, which has its shape.
Tensor laid_out_as(const Tensor& t, const Tensor& like) {
  bool same = true;
  Sizes strides;
  for (int64_t i = 0; i < t.dim(); ++i) {
    same = same && (t.size(i) <= 1 || t.stride(i) == like.stride(i));
    strides.push_back(like.stride(i));
  }
  if (same) return t;
  Tensor copy = empty_strided(sizes_of(t), strides, t.scalar_type(), t);
  torch::stable::copy_(copy, t);
  return copy;
}

Tensor lrt_conv_input_grad(const Tensor grad_mean, const Tensor grad_variance, const Tensor input,
                           const Tensor weight_mu, const Tensor weight_var, const Sizes stride, const Sizes padding,
                           const Sizes dilation, int64_t groups) {
  const char* op = "lrt_conv_input_grad";
  const Moments moments(op, grad_mean, weight_mu, weight_var);
  Convolution conv = convolution_of_gradients(op, sizes_of(weight_mu), sizes_of(input), grad_mean, grad_variance,
                                              UnmaskedArguments{0, stride, padding, dilation, groups});
  Tensor grad = conv.allocate(conv.input(), conv.sampled(), grad_mean, conv.sampled() ? 2 : 1);
  if (grad.numel() == 0) return grad;
  if (grad_mean.numel() == 0) {
    torch::stable::zero_(grad);
    return grad;
  }
  check_parameter(op, "input", input, grad_mean, sizes_of(input));
  const bool sampled = conv.sampled();
  const ConvProblem problem = folded(conv);
  const FoldedImages of_mean(grad_mean, conv, sampled), of_variance(grad_variance, conv, sampled);
  const FoldedImages x(laid_out_as(input, grad), conv, sampled), out(grad, conv, sampled);
  kernels().conv.local_reparam_input_grad(moments.mean(problem), moments.variance(problem), of_mean.images,
                                          of_variance.images, x.images, out.images, pool());
  return grad;
}

std::tuple<Tensor, Tensor> lrt_conv_weight_grad(const Tensor grad_mean, const Tensor grad_variance, const Tensor input,
                                                const Sizes weight_size, const Sizes stride, const Sizes padding,
                                                const Sizes dilation, int64_t groups) {
  const char* op = "lrt_conv_weight_grad";
  check_parameter(op, "input", input, grad_mean, sizes_of(input));
  Convolution conv = convolution_of_gradients(op, weight_size, sizes_of(input), grad_mean, grad_variance,
                                              UnmaskedArguments{0, stride, padding, dilation, groups});
  const DType dtype = conv.problem().dtype;
  const ScalarType computed = dtype == kFloat64 ? ScalarType::Double : ScalarType::Float;
  Tensor of_mu = empty(weight_size, computed, input), of_var = empty(weight_size, computed, input);
  if (of_mu.numel() > 0) {
    const bool sampled = conv.sampled();
    const ConvProblem plain = folded(conv);
    ConvProblem squares = plain;
    squares.squared_input = true;
    const FoldedImages x(input, conv, sampled), of_mean(grad_mean, conv, sampled);
    const FoldedImages of_variance(grad_variance, conv, sampled);
    kernels().conv.weight_grad(plain, of_mean.images, x.images, of_mu.data_ptr(), nullptr, pool());
    kernels().conv.weight_grad(squares, of_variance.images, x.images, of_var.data_ptr(), nullptr, pool());
  }
  if (dtype != kBFloat16) return {of_mu, of_var};
  return {torch::stable::to(of_mu, ScalarType::BFloat16), torch::stable::to(of_var, ScalarType::BFloat16)};
}

Tensor lrt_variance_grad(const Tensor grad_output, const Tensor std, const Tensor seed, int64_t stream,
                         int64_t spatial) {
  const LrtVarianceGradArguments a(grad_output, std, seed, stream, spatial);
  const OutputNoise& noise = a.noise;
  if (a.out.numel() > 0)
    kernels().pointwise.variance_grad(
        VarianceGradProblem{a.dtype, noise.samples, noise.examples, noise.channels, noise.pixels, noise.shared,
                            a.grad_channels_last, a.std_channels_last, noise.seeds.data, noise.stream},
        a.grad_output.data_ptr(), a.std.data_ptr(), a.out.data_ptr(), pool());
  return a.out;
}

}  // namespace

#define BAYESOPS_GEOMETRY "int[] stride, int[] padding, int[] dilation, int groups"
#define BAYESOPS_LRT_ARGUMENTS                                                                          \
  "Tensor input, Tensor weight_mu, Tensor weight_var, Tensor? bias_mu, Tensor? bias_var, Tensor seed, " \
  "int stream, " BAYESOPS_GEOMETRY

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  m.def("lrt_conv(" BAYESOPS_LRT_ARGUMENTS ") -> Tensor");
  m.def("lrt_conv_fused(" BAYESOPS_LRT_ARGUMENTS ", " BAYESOPS_EPILOGUE_ARGUMENTS ") -> Tensor");
  // The standard deviation, too: what the backward pass keeps.
  m.def("lrt_conv_std(" BAYESOPS_LRT_ARGUMENTS ") -> (Tensor, Tensor)");
  m.def(
      "lrt_conv_input_grad(Tensor grad_mean, Tensor grad_variance, Tensor input, Tensor weight_mu, Tensor "
      "weight_var, " BAYESOPS_GEOMETRY ") -> Tensor");
  m.def(
      "lrt_conv_weight_grad(Tensor grad_mean, Tensor grad_variance, Tensor input, SymInt[] "
      "weight_size, " BAYESOPS_GEOMETRY ") -> (Tensor, Tensor)");
  m.def("lrt_variance_grad(Tensor grad_output, Tensor std, Tensor seed, int stream, int spatial) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) {
  m.impl("lrt_conv", TORCH_BOX(&lrt_conv));
  m.impl("lrt_conv_fused", TORCH_BOX(&lrt_conv_fused));
  m.impl("lrt_conv_std", TORCH_BOX(&lrt_conv_std));
  m.impl("lrt_conv_input_grad", TORCH_BOX(&lrt_conv_input_grad));
  m.impl("lrt_conv_weight_grad", TORCH_BOX(&lrt_conv_weight_grad));
  m.impl("lrt_variance_grad", TORCH_BOX(&lrt_variance_grad));
}

}  // namespace bayesops::ops
