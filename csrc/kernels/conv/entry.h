// The entry points that every instruction set provides; gathered in isa_table.cpp.
#pragma once
#include "kernels/conv/problem.h"
#include "kernels/simd/isa.h"

BAYESOPS_ISA_BEGIN

void correlate_forward(const ConvProblem&, const Images& input, const Images& output, const Parallel&);
void correlate_input_grad(const ConvProblem&, const Images& grad_output, const Images& grad_input, const Parallel&);
void correlate_weight_grad(const ConvProblem&, const Images& grad_output, const Images& input, void* grad_weight,
                           void* grad_sigma, const Parallel&);
bool local_reparam(const ConvProblem& mean, const ConvProblem& variance, int64_t draws, int64_t examples,
                   const Images& input, const Images& output, const Images* std, const Parallel&);
void local_reparam_input_grad(const ConvProblem& mean, const ConvProblem& variance, const Images& grad_mean,
                              const Images& grad_variance, const Images& input, const Images& grad_input,
                              const Parallel&);

#if defined(BAYESOPS_AVX512_BF16)
// The same, but problems in bfloat16 are multiplied in pairs where that can be (conv/bfloat16_pairs.h).
void correlate_forward_in_pairs(const ConvProblem&, const Images& input, const Images& output, const Parallel&);
void correlate_input_grad_in_pairs(const ConvProblem&, const Images& grad_output, const Images& grad_input,
                                   const Parallel&);
bool local_reparam_in_pairs(const ConvProblem& mean, const ConvProblem& variance, int64_t draws, int64_t examples,
                            const Images& input, const Images& output, const Images* std, const Parallel&);
void local_reparam_input_grad_in_pairs(const ConvProblem& mean, const ConvProblem& variance, const Images& grad_mean,
                                       const Images& grad_variance, const Images& input, const Images& grad_input,
                                       const Parallel&);
#endif

BAYESOPS_ISA_END
