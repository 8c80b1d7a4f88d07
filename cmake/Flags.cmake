# bayesops_flags: how all of our C++ is compiled.

# Fused multiply-adds are written out where they are wanted: the compiler adding its own would make results depend on the
# instruction set.
add_library(bayesops_flags INTERFACE)
target_compile_options(bayesops_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-fno-math-errno;-ffp-contract=off>")
get_filename_component(bayesops_root "${CMAKE_CURRENT_LIST_DIR}" DIRECTORY)
target_include_directories(bayesops_flags INTERFACE "${bayesops_root}/csrc")
# Error messages quote __FILE__: without this, the folders of the building machine.
foreach(folder IN ITEMS "${bayesops_root}" "${BAYESOPS_TORCH_DIR}/include")
  target_compile_options(
    bayesops_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-ffile-prefix-map=${folder}/=>"
                             "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler='-ffile-prefix-map=${folder}/='>")
endforeach()
if(BAYESOPS_SANITIZE)
  target_compile_options(bayesops_flags INTERFACE -fsanitize=${BAYESOPS_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(bayesops_flags INTERFACE -fsanitize=${BAYESOPS_SANITIZE})
endif()
