// The pointwise kernels of one instruction set.
#pragma once
#include "kernels/pointwise/dropout.h"
#include "kernels/pointwise/gaussian_kl.h"
#include "kernels/pointwise/logit_noise_cross_entropy.h"
#include "kernels/pointwise/lrt_draw.h"
#include "kernels/pointwise/max_pool.h"
#include "kernels/pointwise/predictive_moments.h"
#include "kernels/pointwise/sample_gaussian.h"
#include "kernels/pointwise/softplus.h"
#include "kernels/pointwise/variance_grad.h"

namespace bayesops {

struct PointwiseKernels {
  void (*dropout)(const DropoutProblem&, const void* input, void* output, const Parallel&);
  void (*variance_grad)(const VarianceGradProblem&, const void* grad, const void* std, void* out, const Parallel&);
  // weights [samples, elements]; log_q, log_prior [samples]; `partial` has room for 2 * samples * pieces numbers.
  void (*sample_gaussian)(const SampleGaussianProblem&, void* weights, double* log_q, double* log_prior,
                          double* partial, const Parallel&);
  // Cotangents of the three, any of them null for zeros; gradients of mu and spread.
  void (*sample_gaussian_gradient)(const SampleGaussianProblem&, const void* grad_weights, const double* grad_log_q,
                                   const double* grad_log_prior, void* grad_mu, void* grad_spread, const Parallel&);
  // `partial` has room for a number a piece.
  double (*gaussian_kl)(const GaussianKlProblem&, double* partial, const Parallel&);
  void (*gaussian_kl_gradient)(const GaussianKlProblem&, double grad, void* grad_mu, void* grad_rho, const Parallel&);
  void (*softplus)(const SoftplusProblem&, void* out, const Parallel&);
  void (*softplus_gradient)(const SoftplusProblem&, const void* grad, void* grad_rho, const Parallel&);
  void (*softplus_variance)(const SoftplusProblem&, void* out, const Parallel&);
  void (*softplus_variance_gradient)(const SoftplusProblem&, const void* grad, void* grad_rho, const Parallel&);
  void (*max_pool)(const MaxPoolProblem&, const void* input, void* output, const Parallel&);
  void (*lrt_draw)(const LrtDrawProblem&, const void* mean, const void* std, void* out, const Parallel&);
  void (*add_predictive_moments)(const PredictiveMomentsProblem&, const Parallel&);
  // Without `losses` their sums go to `partial`, one a panel (logit_noise_panels).
  void (*logit_noise_cross_entropy)(const LogitNoiseProblem&, double* partial, const Parallel&);
};

}  // namespace bayesops
