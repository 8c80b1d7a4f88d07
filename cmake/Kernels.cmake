# bayesops_kernels: the torch-free objects that _C and _native link (_C_cuda needs their headers only).
#
# BAYESOPS_KERNEL_SOURCES are compiled once per instruction set, with BAYESOPS_ISA naming it; each copy lives in its own
# namespace (bayesops::avx2, ...), and tools/check_isa_symbols.py sees to it that nothing else leaves these objects.
# BAYESOPS_COMMON_SOURCES are compiled once, for the baseline.

set(BAYESOPS_ISAS baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  list(APPEND BAYESOPS_ISAS avx2 avx512)
endif()
set(BAYESOPS_FLAGS_baseline "")
set(BAYESOPS_FLAGS_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(BAYESOPS_FLAGS_avx512 ${BAYESOPS_FLAGS_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)

# Fused multiply-adds are written out where they are wanted: the compiler adding its own would make results depend on the
# instruction set.
add_library(bayesops_flags INTERFACE)
target_compile_options(bayesops_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-fno-math-errno;-ffp-contract=off>")
target_include_directories(bayesops_flags INTERFACE "${CMAKE_CURRENT_SOURCE_DIR}/csrc")
# Error messages quote __FILE__: without this, the folders of the building machine.
foreach(folder IN ITEMS "${CMAKE_SOURCE_DIR}" "${BAYESOPS_TORCH_DIR}/include")
  target_compile_options(
    bayesops_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-ffile-prefix-map=${folder}/=>"
                             "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler='-ffile-prefix-map=${folder}/='>")
endforeach()
if(BAYESOPS_SANITIZE)
  target_compile_options(bayesops_flags INTERFACE -fsanitize=${BAYESOPS_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(bayesops_flags INTERFACE -fsanitize=${BAYESOPS_SANITIZE})
endif()

add_library(bayesops_common OBJECT ${BAYESOPS_COMMON_SOURCES})
target_link_libraries(bayesops_common PUBLIC bayesops_flags)
foreach(isa IN LISTS BAYESOPS_ISAS)
  string(TOUPPER ${isa} ISA)
  target_compile_definitions(bayesops_common PRIVATE BAYESOPS_HAVE_${ISA}=1)
endforeach()

add_library(bayesops_kernels INTERFACE)
target_link_libraries(bayesops_kernels INTERFACE bayesops_flags $<TARGET_OBJECTS:bayesops_common>)
foreach(isa IN LISTS BAYESOPS_ISAS)
  add_library(bayesops_kernels_${isa} OBJECT ${BAYESOPS_KERNEL_SOURCES})
  target_compile_definitions(bayesops_kernels_${isa} PRIVATE BAYESOPS_ISA=${isa})
  target_compile_options(bayesops_kernels_${isa} PRIVATE ${BAYESOPS_FLAGS_${isa}})
  target_link_libraries(bayesops_kernels_${isa} PRIVATE bayesops_flags)
  target_link_libraries(bayesops_kernels INTERFACE $<TARGET_OBJECTS:bayesops_kernels_${isa}>)
endforeach()
