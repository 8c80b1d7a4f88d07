# Compile through ccache where it is installed.
find_program(BAYESOPS_CCACHE ccache)
if(BAYESOPS_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${BAYESOPS_CCACHE}")
  set(CMAKE_CUDA_COMPILER_LAUNCHER "${BAYESOPS_CCACHE}")
endif()
