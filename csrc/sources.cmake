# The one list of native sources. A new operator adds its files here.

# Compiled once per instruction set.
set(BAYESOPS_KERNEL_SOURCES
  csrc/kernels/conv/correlate.cpp
  csrc/kernels/conv/local_reparam.cpp
  csrc/kernels/conv/tiles.cpp
  csrc/kernels/conv/weight_grad.cpp
  csrc/kernels/isa_table.cpp
  csrc/kernels/machine/probe.cpp
  csrc/kernels/pointwise/dropout.cpp
  csrc/kernels/pointwise/gaussian_kl.cpp
  csrc/kernels/pointwise/logit_noise_cross_entropy.cpp
  csrc/kernels/pointwise/lrt_draw.cpp
  csrc/kernels/pointwise/max_pool.cpp
  csrc/kernels/pointwise/predictive_moments.cpp
  csrc/kernels/pointwise/sample_gaussian.cpp
  csrc/kernels/pointwise/softplus.cpp
  csrc/kernels/pointwise/variance_grad.cpp
  csrc/kernels/rng/fill.cpp
)

# Torch-free, compiled once.
set(BAYESOPS_COMMON_SOURCES
  csrc/kernels/counters.cpp
  csrc/kernels/isa_choice.cpp
  csrc/kernels/scratch.cpp
)

# Schemas, checks and CPU dispatch of the torch operators: _C.
set(BAYESOPS_OPS_SOURCES
  csrc/ops/conv_epilogue.cpp
  csrc/ops/conv_epilogue_arguments.cpp
  csrc/ops/convolution.cpp
  csrc/ops/dropout.cpp
  csrc/ops/dropout_arguments.cpp
  csrc/ops/epilogue.cpp
  csrc/ops/gaussian_kl.cpp
  csrc/ops/gaussian_noise.cpp
  csrc/ops/gaussian_weight_arguments.cpp
  csrc/ops/kernel_counters.cpp
  csrc/ops/library.cpp
  csrc/ops/logit_noise_cross_entropy.cpp
  csrc/ops/logit_noise_cross_entropy_arguments.cpp
  csrc/ops/lrt_arguments.cpp
  csrc/ops/lrt_conv.cpp
  csrc/ops/lrt_draw.cpp
  csrc/ops/masked_conv.cpp
  csrc/ops/masked_weight.cpp
  csrc/ops/masked_weight_arguments.cpp
  csrc/ops/max_pool.cpp
  csrc/ops/max_pool_arguments.cpp
  csrc/ops/predictive_moments.cpp
  csrc/ops/predictive_moments_arguments.cpp
  csrc/ops/random.cpp
  csrc/ops/sample_gaussian.cpp
  csrc/ops/sample_gaussian_arguments.cpp
  csrc/ops/sampled_conv.cpp
  csrc/ops/softplus.cpp
  csrc/ops/tensors.cpp
  csrc/ops/weight_grad.cpp
  csrc/ops/weight_grad_arguments.cpp
)

# CUDA kernels and registrations, and the checks that they share with the CPU: _C_cuda.
set(BAYESOPS_CUDA_SOURCES
  csrc/cuda/conv_epilogue.cu
  csrc/cuda/dropout.cu
  csrc/cuda/gaussian.cu
  csrc/cuda/gaussian_kl.cu
  csrc/cuda/logit_noise_cross_entropy.cu
  csrc/cuda/masked_weight.cu
  csrc/cuda/max_pool.cu
  csrc/cuda/predictive_moments.cu
  csrc/cuda/random.cu
  csrc/cuda/sample_gaussian.cu
  csrc/cuda/softplus.cu
  csrc/cuda/weight_grad.cu
  csrc/ops/conv_epilogue_arguments.cpp
  csrc/ops/convolution.cpp
  csrc/ops/dropout_arguments.cpp
  csrc/ops/epilogue.cpp
  csrc/ops/gaussian_weight_arguments.cpp
  csrc/ops/logit_noise_cross_entropy_arguments.cpp
  csrc/ops/lrt_arguments.cpp
  csrc/ops/masked_weight_arguments.cpp
  csrc/ops/max_pool_arguments.cpp
  csrc/ops/predictive_moments_arguments.cpp
  csrc/ops/sample_gaussian_arguments.cpp
  csrc/ops/tensors.cpp
  csrc/ops/weight_grad_arguments.cpp
)

# The pybind11 module: _native.
set(BAYESOPS_NATIVE_SOURCES
  csrc/python/native.cpp
)
