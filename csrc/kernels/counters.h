// Where time goes inside the fused kernels: time-stamp ticks summed over threads, off unless asked for.
#pragma once
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bayesops {

enum Phase : int { kPhaseDraw, kPhasePack, kPhaseMultiply, kPhaseEpilogue, kPhaseStage, kPhases };

extern bool counters_enabled;  // written only between operator calls
void counters_add(const uint64_t* ticks);
// Seconds of each phase since the last reset.
void counters_read(double* seconds, bool reset);

static inline __attribute__((always_inline, unused)) uint64_t time_stamp() {
#if defined(__x86_64__)
  return __rdtsc();
#elif defined(__aarch64__)
  uint64_t t;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
  return t;
#else
  return 0;
#endif
}

// Attributes the time since the last mark to a phase. One object a job; adds to the totals when it goes.
class PhaseClock {
 public:
  __attribute__((always_inline)) inline PhaseClock() : enabled_(counters_enabled) {
    if (__builtin_expect(enabled_, 0)) last_ = time_stamp();
  }
  __attribute__((always_inline)) inline ~PhaseClock() {
    if (__builtin_expect(enabled_, 0)) counters_add(ticks_);
  }
  PhaseClock(const PhaseClock&) = delete;
  PhaseClock& operator=(const PhaseClock&) = delete;
  // The time since the last mark belonged to no phase.
  __attribute__((always_inline)) inline void start() {
    if (__builtin_expect(enabled_, 0)) last_ = time_stamp();
  }
  __attribute__((always_inline)) inline void mark(Phase phase) {
    if (__builtin_expect(enabled_, 0)) {
      const uint64_t now = time_stamp();
      ticks_[phase] += now - last_;
      last_ = now;
    }
  }

 private:
  bool enabled_;
  uint64_t last_ = 0;
  uint64_t ticks_[kPhases] = {};
};

}  // namespace bayesops
