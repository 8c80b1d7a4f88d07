// The entry points that every instruction set provides; gathered in isa_table.cpp.
#pragma once
#include "kernels/simd/isa.h"

BAYESOPS_ISA_BEGIN

double probe_multiply_add(int64_t steps, float* sink);
#if defined(BAYESOPS_AVX512_BF16)
double probe_multiply_add_in_pairs(int64_t steps, float* sink);
#endif

BAYESOPS_ISA_END
