// Gathers the kernels of one instruction set; compiled once for each.
#include "kernels/isa_table.h"

#include "kernels/conv/entry.h"
#include "kernels/machine/entry.h"
#include "kernels/pointwise/entry.h"
#include "kernels/simd/isa.h"

#define BAYESOPS_STRING_(x) #x
#define BAYESOPS_STRING(x) BAYESOPS_STRING_(x)

BAYESOPS_ISA_BEGIN

extern const FillKernels kFillKernels;

const IsaTable& table() {
  static const IsaTable t = {
      BAYESOPS_STRING(BAYESOPS_ISA),
      kFillKernels,
      {correlate_forward, correlate_input_grad, correlate_weight_grad, local_reparam, local_reparam_input_grad},
      {dropout, variance_grad, sample_gaussian, sample_gaussian_gradient, gaussian_kl, gaussian_kl_gradient, softplus,
       softplus_gradient, softplus_variance, softplus_variance_gradient, max_pool, lrt_draw, add_predictive_moments,
       logit_noise_cross_entropy},
      {probe_multiply_add}};
  return t;
}

BAYESOPS_ISA_END
