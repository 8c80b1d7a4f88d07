// One CUDA thread an index of a functor, on torch's current stream.
#pragma once
#include <cuda_runtime.h>
#include <torch/csrc/stable/accelerator.h>

#include "ops/tensors.h"

namespace bayesops::cuda {

// Small blocks: of functors with 168 registers a thread, an SM holds three of 128 threads, but one of 256.
constexpr int kThreads = 128;

template <class F>
__global__ void __launch_bounds__(kThreads) run_flat(const F f, int64_t total) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index < total) F::run(f, index);
}

// `like` names the device; the launch does not wait.
template <class F>
void launch(const F& f, int64_t total, const ops::Tensor& like) {
  if (total == 0) return;
  constexpr int64_t kMostBlocks = 0x7FFFFFFF;
  const int64_t blocks = (total + kThreads - 1) / kThreads;
  STD_TORCH_CHECK(blocks <= kMostBlocks, "bayesops: ", total, " elements are too many for one CUDA launch");
  const int32_t device = like.get_device_index();
  const torch::stable::accelerator::DeviceGuard guard(device);
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device, &stream));
  run_flat<F><<<static_cast<unsigned>(blocks), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(f, total);
  const cudaError_t error = cudaGetLastError();
  STD_TORCH_CHECK(error == cudaSuccess, "bayesops: CUDA launch failed: ", cudaGetErrorString(error));
}

}  // namespace bayesops::cuda
