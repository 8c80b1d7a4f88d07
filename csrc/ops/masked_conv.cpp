// masked_conv, its form with an epilogue and its two gradients: a convolution whose kernel is masked by Bernoulli
// draws.
#include "kernels/isa_table.h"
#include "ops/epilogue.h"
#include "ops/pool.h"

namespace bayesops::ops {

namespace {

Tensor forward(const char* op, const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
               const Tensor& seed, const std::optional<Tensor>& mask, const ConvArguments& arguments,
               const EpilogueTensors& epilogue) {
  check_same_device(op, input, "weight", weight);
  check_same_dtype(op, input, "weight", weight);
  Convolution conv(op, sizes_of(weight), sizes_of(input), seed, mask, arguments);
  const std::optional<Tensor> b = per_channel(op, "bias", bias, weight.size(0), input);
  const DenseWeight w(weight);
  Tensor out = conv.allocate(conv.output(), conv.batched(), input, conv.sampled() ? 2 : 1);
  const DenseEpilogue e(op, epilogue, conv.output(), conv.batched(), out);
  if (out.numel() == 0) return out;
  conv.problem().dtype = dtype_of(op, "input", input);
  w.describe(conv.problem());
  conv.problem().bias = data_of(b);
  conv.problem().epilogue = e.describe();
  kernels().conv.forward(conv.problem(), images_of(input, conv.sampled(), conv.axes()),
                         images_of(out, conv.batched(), conv.axes()), pool());
  return out;
}

Tensor masked_conv(const Tensor input, const Tensor weight, const std::optional<Tensor> bias, const Tensor seed,
                   const std::optional<Tensor> mask, double p, int64_t granularity, bool rescale, bool per_example,
                   int64_t stream, const Sizes stride, const Sizes padding, const Sizes dilation, int64_t groups) {
  return forward("masked_conv", input, weight, bias, seed, mask,
                 ConvArguments{p, granularity, rescale, per_example, stream, stride, padding, dilation, groups}, {});
}

Tensor masked_conv_fused(const Tensor input, const Tensor weight, const std::optional<Tensor> bias, const Tensor seed,
                         const std::optional<Tensor> mask, double p, int64_t granularity, bool rescale,
                         bool per_example, int64_t stream, const Sizes stride, const Sizes padding,
                         const Sizes dilation, int64_t groups, const std::optional<Tensor> scale,
                         const std::optional<Tensor> shift, const std::optional<Tensor> residual, bool relu) {
  return forward("masked_conv_fused", input, weight, bias, seed, mask,
                 ConvArguments{p, granularity, rescale, per_example, stream, stride, padding, dilation, groups},
                 EpilogueTensors{scale, shift, residual, relu});
}

Tensor masked_conv_input_grad(const Tensor grad_output, const Tensor weight, const Tensor seed,
                              const std::optional<Tensor> mask, const Sizes input_size, double p, int64_t granularity,
                              bool rescale, bool per_example, int64_t stream, const Sizes stride, const Sizes padding,
                              const Sizes dilation, int64_t groups) {
  const char* op = "masked_conv_input_grad";
  check_same_device(op, grad_output, "weight", weight);
  check_same_dtype(op, grad_output, "weight", weight);
  Convolution conv(op, sizes_of(weight), input_size, seed, mask,
                   ConvArguments{p, granularity, rescale, per_example, stream, stride, padding, dilation, groups});
  conv.check_output(grad_output);
  const DenseWeight w(weight);
  // One gradient per sample; where the samples share the input, their sum.
  Tensor grad = conv.allocate(conv.input(), conv.batched(), grad_output, conv.batched() ? 2 : 1);
  if (grad.numel() > 0) {
    if (grad_output.numel() == 0) {
      torch::stable::zero_(grad);
    } else {
      conv.problem().dtype = dtype_of(op, "grad_output", grad_output);
      w.describe(conv.problem());
      kernels().conv.input_grad(conv.problem(), images_of(grad_output, conv.batched(), conv.axes()),
                                images_of(grad, conv.batched(), conv.axes()), pool());
    }
  }
  return conv.batched() && !conv.sampled() ? sum_over(grad, 0) : grad;
}

Tensor masked_conv_weight_grad(const Tensor grad_output, const Tensor input, const Tensor seed,
                               const std::optional<Tensor> mask, const Sizes weight_size, double p, int64_t granularity,
                               bool rescale, bool per_example, int64_t stream, const Sizes stride, const Sizes padding,
                               const Sizes dilation, int64_t groups) {
  const char* op = "masked_conv_weight_grad";
  check_same_device(op, grad_output, "input", input);
  check_same_dtype(op, grad_output, "input", input);
  Convolution conv(op, weight_size, sizes_of(input), seed, mask,
                   ConvArguments{p, granularity, rescale, per_example, stream, stride, padding, dilation, groups});
  conv.check_output(grad_output);
  const DType dtype = dtype_of(op, "input", input);
  Tensor grad = empty(weight_size, dtype == kFloat64 ? ScalarType::Double : ScalarType::Float, input);
  if (grad.numel() > 0) {
    conv.problem().dtype = dtype;
    conv.problem().weight = nullptr;
    kernels().conv.weight_grad(conv.problem(), images_of(grad_output, conv.batched(), conv.axes()),
                               images_of(input, conv.sampled(), conv.axes()), grad.data_ptr(), nullptr, pool());
  }
  return dtype == kBFloat16 ? torch::stable::to(grad, ScalarType::BFloat16) : grad;
}

}  // namespace

#define BAYESOPS_CONV_ARGUMENTS                                                                               \
  "float p, int granularity, bool rescale, bool per_example, int stream, int[] stride, int[] padding, int[] " \
  "dilation, int groups"
#define BAYESOPS_MASKED_CONV_ARGUMENTS \
  "Tensor input, Tensor weight, Tensor? bias, Tensor seed, Tensor? mask, " BAYESOPS_CONV_ARGUMENTS

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  m.def("masked_conv(" BAYESOPS_MASKED_CONV_ARGUMENTS ") -> Tensor");
  m.def("masked_conv_fused(" BAYESOPS_MASKED_CONV_ARGUMENTS ", " BAYESOPS_EPILOGUE_ARGUMENTS ") -> Tensor");
  m.def(
      "masked_conv_input_grad(Tensor grad_output, Tensor weight, Tensor seed, Tensor? mask, SymInt[] "
      "input_size, " BAYESOPS_CONV_ARGUMENTS ") -> Tensor");
  m.def(
      "masked_conv_weight_grad(Tensor grad_output, Tensor input, Tensor seed, Tensor? mask, SymInt[] "
      "weight_size, " BAYESOPS_CONV_ARGUMENTS ") -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) {
  m.impl("masked_conv", TORCH_BOX(&masked_conv));
  m.impl("masked_conv_fused", TORCH_BOX(&masked_conv_fused));
  m.impl("masked_conv_input_grad", TORCH_BOX(&masked_conv_input_grad));
  m.impl("masked_conv_weight_grad", TORCH_BOX(&masked_conv_weight_grad));
}

}  // namespace bayesops::ops
