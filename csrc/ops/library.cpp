// The operator library. Each operator adds itself in its own file, with STABLE_TORCH_LIBRARY_FRAGMENT.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(bayesops, library) { (void)library; }
