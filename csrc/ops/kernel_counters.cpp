// Where time goes inside the fused kernels, and what the machine can do: for the profiler and the benchmarks.
#include <chrono>

#include "kernels/counters.h"
#include "kernels/isa_table.h"
#include "ops/pool.h"
#include "ops/tensors.h"

namespace bayesops::ops {

namespace {

// Seconds since the last reset, summed over threads: draw, pack, multiply, epilogue, stage.
Tensor kernel_counters(bool reset) {
  Tensor out = torch::stable::empty({kPhases}, ScalarType::Double);
  counters_read(static_cast<double*>(out.data_ptr()), reset);
  return out;
}

void set_kernel_counters(bool enabled) { counters_enabled = enabled; }

std::string cpu_capability() { return kernels().name; }

// Floating-point operations a second of fused multiply-adds in registers, of float32 or of bfloat16, on all of
// libtorch's threads at once.
double measure_multiply_add_peak(double seconds, bool bfloat16) {
  using Clock = std::chrono::steady_clock;
  const ProbeKernels& probe = kernels().probe;
  const auto multiply_add = bfloat16 ? probe.multiply_add_bfloat16 : probe.multiply_add;
  const Parallel threads = pool();
  std::vector<double> rate(static_cast<size_t>(threads.threads), 0.0);
  torch::stable::parallel_for(0, threads.threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float sink = 0;
      double operations = 0, elapsed = 0;
      const auto start = Clock::now();
      do {
        operations += multiply_add(20000, &sink);
        elapsed = std::chrono::duration<double>(Clock::now() - start).count();
      } while (elapsed < seconds);
      rate[static_cast<size_t>(t)] = sink == sink ? operations / elapsed : 0.0;
    }
  });
  double total = 0;
  for (const double r : rate) total += r;
  return total;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  m.def("kernel_counters(bool reset) -> Tensor");
  m.def("set_kernel_counters(bool enabled) -> ()");
  m.def("cpu_capability() -> str");
  m.def("measure_multiply_add_peak(float seconds, bool bfloat16) -> float");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CompositeExplicitAutograd, m) {
  m.impl("kernel_counters", TORCH_BOX(&kernel_counters));
  m.impl("set_kernel_counters", TORCH_BOX(&set_kernel_counters));
  m.impl("cpu_capability", TORCH_BOX(&cpu_capability));
  m.impl("measure_multiply_add_peak", TORCH_BOX(&measure_multiply_add_peak));
}

}  // namespace bayesops::ops
