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

# The set avx512_bf16 is avx512 with one more instruction, written by name where it is used: the assembler must know it.
set(BAYESOPS_INSTRUCTION_SETS ${BAYESOPS_ISAS})
if("avx512" IN_LIST BAYESOPS_ISAS)
  include(CheckCXXSourceCompiles)
  check_cxx_source_compiles("int main() { __asm__(\"vdpbf16ps %zmm0, %zmm1, %zmm2\"); }" BAYESOPS_HAVE_AVX512_BF16)
  if(BAYESOPS_HAVE_AVX512_BF16)
    list(APPEND BAYESOPS_INSTRUCTION_SETS avx512_bf16)
    target_compile_definitions(bayesops_flags INTERFACE BAYESOPS_HAVE_AVX512_BF16=1)
  endif()
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
