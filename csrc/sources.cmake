# The one list of native sources. A new operator adds its files here.

# Compiled once per instruction set.
set(BAYESOPS_KERNEL_SOURCES
  csrc/kernels/rng/fill.cpp
)

# Torch-free, compiled once.
set(BAYESOPS_COMMON_SOURCES
  csrc/kernels/machine/placeholder.cpp
)

# Schemas, checks and CPU dispatch of the torch operators: _C.
set(BAYESOPS_OPS_SOURCES
  csrc/ops/library.cpp
)

# CUDA kernels and registrations: _C_cuda.
set(BAYESOPS_CUDA_SOURCES
  csrc/cuda/placeholder.cu
)

# The pybind11 module: _native.
set(BAYESOPS_NATIVE_SOURCES
  csrc/python/native.cpp
)
