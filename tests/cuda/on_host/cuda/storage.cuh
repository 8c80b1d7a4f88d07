// Stands in for csrc/cuda/storage.cuh: 16-bit storage types on the host.
#pragma once
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

namespace bayesops::cuda {

using BFloat16 = torch::headeronly::BFloat16;
using Half = torch::headeronly::Half;

}  // namespace bayesops::cuda
