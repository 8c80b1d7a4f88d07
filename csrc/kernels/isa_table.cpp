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

namespace {

IsaTable make_table(const char* name, const ConvKernels& conv, const ProbeKernels& probe) {
  return {name,
          kFillKernels,
          conv,
          {dropout, variance_grad, sample_gaussian, sample_gaussian_gradient, gaussian_kl, gaussian_kl_gradient,
           softplus, softplus_gradient, softplus_variance, softplus_variance_gradient, max_pool, lrt_draw,
           add_predictive_moments, logit_noise_cross_entropy},
          probe};
}

}  // namespace

const IsaTable& table() {
  static const IsaTable t = make_table(
      BAYESOPS_STRING(BAYESOPS_ISA),
      {correlate_forward, correlate_input_grad, correlate_weight_grad, local_reparam, local_reparam_input_grad},
      {probe_multiply_add, probe_multiply_add});
  return t;
}

#if defined(BAYESOPS_AVX512_BF16)
const IsaTable& table_with_bf16() {
  static const IsaTable t =
      make_table("avx512_bf16",
                 {correlate_forward_in_pairs, correlate_input_grad_in_pairs, correlate_weight_grad,
                  local_reparam_in_pairs, local_reparam_input_grad_in_pairs},
                 {probe_multiply_add, probe_multiply_add_in_pairs});
  return t;
}
#endif

BAYESOPS_ISA_END
