// lrt_conv and its gradients: local reparameterisation, the convolution of means and that of variances in one pass.
#include "ops/convolution.h"

namespace bayesops::ops {

#define BAYESOPS_LRT_ARGUMENTS                                                                                      \
  "Tensor input, Tensor weight_mu, Tensor weight_var, Tensor? bias_mu, Tensor? bias_var, Tensor seed, int stream, " \
  "int[] stride, int[] padding, int[] dilation, int groups) -> "
#define BAYESOPS_GEOMETRY "int[] stride, int[] padding, int[] dilation, int groups) -> "

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  m.def("lrt_conv(" BAYESOPS_LRT_ARGUMENTS "Tensor");
  // The standard deviation, too: what the backward pass keeps.
  m.def("lrt_conv_std(" BAYESOPS_LRT_ARGUMENTS "(Tensor, Tensor)");
  m.def(
      "lrt_conv_input_grad(Tensor grad_mean, Tensor grad_variance, Tensor input, Tensor weight_mu, Tensor "
      "weight_var, " BAYESOPS_GEOMETRY "Tensor");
  m.def(
      "lrt_conv_weight_grad(Tensor grad_mean, Tensor grad_variance, Tensor input, SymInt[] "
      "weight_size, " BAYESOPS_GEOMETRY "(Tensor, Tensor)");
  m.def("lrt_variance_grad(Tensor grad_output, Tensor std, Tensor seed, int stream, int spatial) -> Tensor");
}

}  // namespace bayesops::ops
