// The pybind11 module: what needs no torch.
#include <pybind11/pybind11.h>

#include "build_facts.h"

namespace py = pybind11;

namespace {

py::dict build_info() {
  py::dict info;
  info["version"] = BAYESOPS_BUILD_VERSION;
  info["compiler"] = BAYESOPS_BUILD_COMPILER;
  info["build_type"] = BAYESOPS_BUILD_TYPE;
  info["instruction_sets"] = py::str(BAYESOPS_BUILD_ISAS).attr("split")(";");
  info["torch"] = BAYESOPS_BUILD_TORCH;
  info["cuda"] = BAYESOPS_BUILD_CUDA[0] ? py::object(py::str(BAYESOPS_BUILD_CUDA)) : py::none();
  return info;
}

}  // namespace

PYBIND11_MODULE(_native, m) {
  m.doc() = "Native parts of bayesops that need no torch.";
  m.def("build_info", &build_info, "Facts about this build: version, compiler, instruction sets, torch, CUDA.");
}
