# _C_cuda, by nvcc through CMake and against the headers of whatever torch is there, a CPU wheel included: what only a CUDA
# torch exports (aoti_torch_get_current_cuda_stream and its like) is resolved when such a torch loads the library.

set(architectures ${BAYESOPS_CUDA_ARCHS})
list(SORT architectures COMPARE NATURAL)
list(POP_BACK architectures newest)
list(TRANSFORM architectures APPEND "-real")
set(CMAKE_CUDA_ARCHITECTURES ${architectures} ${newest}) # plain number: machine code and PTX
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static) # the wheel then needs a driver only
enable_language(CUDA)
message(STATUS "bayesops: CUDA ${CMAKE_CUDA_COMPILER_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")

bayesops_stable_library(_C_cuda)
target_sources(_C_cuda PRIVATE ${BAYESOPS_CUDA_SOURCES})
# In a CUDA torch, libtorch.so names libtorch_cuda.so, where the rest of our symbols are.
target_link_libraries(_C_cuda PRIVATE "${BAYESOPS_TORCH_DIR}/lib/libtorch.so")
target_compile_definitions(_C_cuda PRIVATE USE_CUDA)
# As on the CPU (Flags.cmake): fused multiply-adds only where the code says so.
target_compile_options(_C_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr;--fmad=false;-Xcompiler=-Wall>")
