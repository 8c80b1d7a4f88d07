#include <cstdlib>
#include <new>

#include "kernels/parallel.h"

namespace bayesops {

namespace {

struct Buffer {
  void* data = nullptr;
  size_t capacity = 0;
  ~Buffer() { std::free(data); }
};

// A thread gives back what a single huge call needed once a later call needs far less.
constexpr size_t kKeep = size_t{64} << 20;

}  // namespace

void* scratch_bytes(ScratchSlot slot, size_t bytes) {
  thread_local Buffer buffers[kScratchSlots];
  Buffer& b = buffers[slot];
  const bool oversized = b.capacity > kKeep && bytes < b.capacity / 8;
  if (bytes > b.capacity || oversized) {
    const size_t wanted = (bytes + 4095) & ~size_t{4095};
    std::free(b.data);
    b.data = nullptr;
    b.capacity = 0;
    b.data = std::aligned_alloc(4096, wanted);
    if (b.data == nullptr) throw std::bad_alloc();
    b.capacity = wanted;
  }
  return b.data;
}

}  // namespace bayesops
