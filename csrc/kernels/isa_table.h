// The kernels of one instruction set, and the choice among them.
#pragma once
#include "kernels/conv/problem.h"
#include "kernels/machine/probe.h"
#include "kernels/pointwise/kernels.h"
#include "kernels/rng/fill.h"

namespace bayesops {

struct IsaTable {
  const char* name;
  FillKernels fill;
  ConvKernels conv;
  PointwiseKernels pointwise;
  ProbeKernels probe;
};

// The best set that this machine has, or the one that BAYESOPS_CPU_CAPABILITY names (baseline, avx2, avx512,
// avx512_bf16); chosen once. Throws std::runtime_error when that name is unknown or not available here.
const IsaTable& kernels();

}  // namespace bayesops
