#include "kernels/counters.h"

#include <atomic>
#include <chrono>

namespace bayesops {

bool counters_enabled = false;

namespace {

std::atomic<uint64_t> totals[kPhases];

// Ticks a second, measured once against the steady clock.
double tick_rate() {
  static const double rate = [] {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    const uint64_t first = time_stamp();
    while (Clock::now() - start < std::chrono::milliseconds(20)) {
    }
    const uint64_t ticks = time_stamp() - first;
    return static_cast<double>(ticks) / std::chrono::duration<double>(Clock::now() - start).count();
  }();
  return rate;
}

}  // namespace

void counters_add(const uint64_t* ticks) {
  for (int i = 0; i < kPhases; ++i) totals[i].fetch_add(ticks[i], std::memory_order_relaxed);
}

void counters_read(double* seconds, bool reset) {
  const double rate = tick_rate();
  for (int i = 0; i < kPhases; ++i) {
    const uint64_t ticks = reset ? totals[i].exchange(0) : totals[i].load();
    seconds[i] = rate > 0 ? static_cast<double>(ticks) / rate : 0.0;
  }
}

}  // namespace bayesops
