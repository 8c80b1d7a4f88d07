# bayesops_stable_library(NAME): a shared library over torch's stable ABI, good for every torch from 2.10 on.

if(NOT EXISTS "${BAYESOPS_TORCH_DIR}/include/torch/csrc/stable/library.h")
  message(FATAL_ERROR "BAYESOPS_TORCH_DIR must name the directory of a torch >= 2.10 package, got '${BAYESOPS_TORCH_DIR}'")
endif()

function(bayesops_stable_library name)
  add_library(${name} MODULE)
  set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".so")
  target_link_libraries(${name} PRIVATE bayesops_flags)
  target_include_directories(${name} SYSTEM PRIVATE "${BAYESOPS_TORCH_DIR}/include")
  # Hides every header and function that is younger than torch 2.10 or not stable.
  target_compile_definitions(${name} PRIVATE TORCH_TARGET_VERSION=0x020a000000000000ULL)
  # Named as needed so that its symbols are found: torch itself loads it out of sight of other libraries.
  target_link_options(${name} PRIVATE "LINKER:--no-as-needed")
  # The compiler's own libraries come first: libtorch_cpu.so also exports pieces of the C++ library, without versions.
  target_link_libraries(${name} PRIVATE ${CMAKE_CXX_IMPLICIT_LINK_LIBRARIES} "${BAYESOPS_TORCH_DIR}/lib/libtorch_cpu.so")
endfunction()
