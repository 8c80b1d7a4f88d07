// The thread pool as kernels see it. Kernels know no torch: csrc/ops passes libtorch's pool.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace bayesops {

struct Parallel {
  using Body = void (*)(int64_t begin, int64_t end, void* context);
  void (*run)(int64_t count, int64_t grain, Body body, void* context);
  int threads;
};

// Calls f(begin, end) over [0, count), at least `grain` items at a time.
template <class F>
static inline __attribute__((always_inline)) void parallel_for(const Parallel& pool, int64_t count, int64_t grain,
                                                               const F& f) {
  if (count <= 0) return;
  if (pool.threads <= 1 || count <= grain) return f(0, count);
  pool.run(
      count, grain, [](int64_t begin, int64_t end, void* context) { (*static_cast<const F*>(context))(begin, end); },
      const_cast<void*>(static_cast<const void*>(&f)));
}

// Work space that stays with the thread from call to call, so that no call pays for fresh pages. Aligned to 64 bytes;
// one buffer a slot, its contents lost when a larger one is asked for. Throws where there is not so much memory.
enum ScratchSlot : int {
  kScratchBits,
  kScratchExpand,
  kScratchPanel,
  kScratchStage,
  kScratchTile,
  kScratchTables,
  kScratchColumns,
  kScratchSum,
  kScratchNoise,
  kScratchSigns,
  kScratchSampleSum,
  kScratchNoisePanel,
  kScratchNumbers,
  kScratchSharedBits,  // from here on: owned by the calling thread, read by all
  kScratchSharedPanel,
  kScratchSharedTables,
  kScratchSourcePanel,
  kScratchSharedOffsets,
  kScratchSlots,
};
void* scratch_room(ScratchSlot slot, int64_t count, size_t size);

template <class T>
static inline __attribute__((always_inline)) T* scratch(ScratchSlot slot, int64_t count) {
  return static_cast<T*>(scratch_room(slot, count, sizeof(T)));
}

}  // namespace bayesops
