// The entry points that every instruction set provides; gathered in isa_table.cpp.
#pragma once
#include "kernels/simd/isa.h"

BAYESOPS_ISA_BEGIN

double probe_multiply_add(int64_t steps, float* sink);

BAYESOPS_ISA_END
