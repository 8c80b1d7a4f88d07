// The entry points that every instruction set provides; gathered in isa_table.cpp.
#pragma once
#include "kernels/pointwise/kernels.h"
#include "kernels/simd/isa.h"

BAYESOPS_ISA_BEGIN

void add_predictive_moments(const PredictiveMomentsProblem&, const Parallel&);
void dropout(const DropoutProblem&, const void* input, void* output, const Parallel&);
double gaussian_kl(const GaussianKlProblem&, double* partial, const Parallel&);
void gaussian_kl_gradient(const GaussianKlProblem&, double grad, void* grad_mu, void* grad_rho, const Parallel&);
void logit_noise_cross_entropy(const LogitNoiseProblem&, double* partial, const Parallel&);
void lrt_draw(const LrtDrawProblem&, const void* mean, const void* std, void* out, const Parallel&);
void max_pool(const MaxPoolProblem&, const void* input, void* output, const Parallel&);
void sample_gaussian(const SampleGaussianProblem&, void* weights, double* log_q, double* log_prior, double* partial,
                     const Parallel&);
void sample_gaussian_gradient(const SampleGaussianProblem&, const void* grad_weights, const double* grad_log_q,
                              const double* grad_log_prior, void* grad_mu, void* grad_spread, const Parallel&);
void softplus(const SoftplusProblem&, void* out, const Parallel&);
void softplus_gradient(const SoftplusProblem&, const void* grad, void* grad_rho, const Parallel&);
void softplus_variance(const SoftplusProblem&, void* out, const Parallel&);
void softplus_variance_gradient(const SoftplusProblem&, const void* grad, void* grad_rho, const Parallel&);
void variance_grad(const VarianceGradProblem&, const void* grad, const void* std, void* out, const Parallel&);

BAYESOPS_ISA_END
