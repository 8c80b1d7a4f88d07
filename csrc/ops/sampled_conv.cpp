// sampled_conv and flipout_conv with their gradients: convolutions whose weights are Gaussian draws.
#include "ops/convolution.h"

namespace bayesops::ops {

#define BAYESOPS_CONV_ARGUMENTS \
  "Tensor seed, int stream, int[] stride, int[] padding, int[] dilation, int groups) -> Tensor"
#define BAYESOPS_GRAD_ARGUMENTS(SIZE) \
  "Tensor seed, SymInt[] " SIZE ", int stream, int[] stride, int[] padding, int[] dilation, int groups) -> "

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  m.def("sampled_conv(Tensor input, Tensor weight_mu, Tensor weight_sigma, Tensor? bias, " BAYESOPS_CONV_ARGUMENTS);
  m.def("sampled_conv_input_grad(Tensor grad_output, Tensor weight_mu, Tensor weight_sigma, " BAYESOPS_GRAD_ARGUMENTS(
      "input_size") "Tensor");
  m.def("sampled_conv_weight_grad(Tensor grad_output, Tensor input, " BAYESOPS_GRAD_ARGUMENTS(
      "weight_size") "(Tensor, Tensor)");
  m.def("flipout_conv(Tensor input, Tensor weight_mu, Tensor weight_sigma, Tensor? bias, " BAYESOPS_CONV_ARGUMENTS);
  m.def("flipout_conv_input_grad(Tensor grad_output, Tensor weight_mu, Tensor weight_sigma, " BAYESOPS_GRAD_ARGUMENTS(
      "input_size") "Tensor");
  m.def("flipout_conv_weight_grad(Tensor grad_output, Tensor input, " BAYESOPS_GRAD_ARGUMENTS(
      "weight_size") "(Tensor, Tensor)");
}

}  // namespace bayesops::ops
