// The entry points that every instruction set provides; gathered in isa_table.cpp.
#pragma once
#include "kernels/pointwise/dropout.h"
#include "kernels/simd/isa.h"

BAYESOPS_ISA_BEGIN

void dropout(const DropoutProblem&, const void* input, void* output, const Parallel&);

BAYESOPS_ISA_END
