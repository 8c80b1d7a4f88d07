// Chooses the instruction set once, when the first kernel is asked for.
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels/isa_table.h"

#if BAYESOPS_HAVE_AVX512
#include <cpuid.h>
#endif

namespace bayesops {

// The build compiles either the baseline alone or all sets of x86-64 (cmake/Kernels.cmake).
namespace baseline {
const IsaTable& table();
}
#if BAYESOPS_HAVE_AVX512
namespace avx2 {
const IsaTable& table();
}
namespace avx512 {
const IsaTable& table();
#if BAYESOPS_HAVE_AVX512_BF16
const IsaTable& table_with_bf16();
#endif
}  // namespace avx512
#endif

namespace {

#if BAYESOPS_HAVE_AVX512
// Which __builtin_cpu_supports does not know in every compiler.
bool has_f16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
         has_f16c();
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#if BAYESOPS_HAVE_AVX512_BF16
bool has_avx512_bf16() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned kBit = 1u << 5;
  return has_avx512() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & kBit) != 0;
}
#endif
#endif

const IsaTable& choose() {
  const char* value = std::getenv("BAYESOPS_CPU_CAPABILITY");
  const std::string wanted = value == nullptr ? "" : value;
  if (wanted == "baseline") return baseline::table();
  bool known = wanted.empty();
#if BAYESOPS_HAVE_AVX512
  known = known || wanted == "avx2" || wanted == "avx512" || wanted == "avx512_bf16";
#if BAYESOPS_HAVE_AVX512_BF16
  if ((wanted.empty() || wanted == "avx512_bf16") && has_avx512_bf16()) return avx512::table_with_bf16();
#endif
  if ((wanted.empty() || wanted == "avx512") && has_avx512()) return avx512::table();
  if ((wanted.empty() || wanted == "avx2") && has_avx2()) return avx2::table();
#endif
  if (!known)
    throw std::runtime_error("BAYESOPS_CPU_CAPABILITY is '" + wanted +
                             "'; it can be baseline, avx2, avx512 or avx512_bf16");
  if (!wanted.empty())
    throw std::runtime_error("BAYESOPS_CPU_CAPABILITY is '" + wanted + "', which this processor does not have");
  return baseline::table();
}

}  // namespace

const IsaTable& kernels() {
  static const IsaTable& chosen = choose();
  return chosen;
}

}  // namespace bayesops
