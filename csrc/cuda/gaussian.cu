// The noise of the Gaussian convolutions on the device: weights, draws of outputs, and the gradient of a variance,
// which the CPU has in its kernels.
#include "cuda/launch_as.cuh"
#include "ops/gaussian_noise.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

Tensor lrt_variance_grad(const Tensor grad_output, const Tensor std, const Tensor seed, int64_t stream,
                         int64_t spatial) {
  const LrtVarianceGradArguments a(grad_output, std, seed, stream, spatial);
  FlatOnDevice::run(a);
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) {
  GaussianNoise<FlatOnDevice>::implement(m);
  m.impl("lrt_variance_grad", TORCH_BOX(&lrt_variance_grad));
}

}  // namespace bayesops::cuda
