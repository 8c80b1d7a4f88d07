// gaussian_weight_grad and masked_weight_grad on the device: every sample's gradient is read once.
#include "ops/weight_grad.h"

#include "cuda/launch_as.cuh"

namespace bayesops::cuda {

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) { ops::WeightGrad<FlatOnDevice>::implement(m); }

}  // namespace bayesops::cuda
