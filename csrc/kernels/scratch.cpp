#include <cstdlib>
#include <stdexcept>
#include <string>

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

// Of counts that come from arguments: their bytes may be more than there are addresses.
size_t bytes_of(int64_t count, size_t size) {
  size_t bytes = 0;
  if (count < 0 || __builtin_mul_overflow(static_cast<size_t>(count), size, &bytes) || bytes > SIZE_MAX / 2)
    throw std::runtime_error("bayesops: work space for " + std::to_string(count) + " numbers could not be allocated");
  return bytes;
}

}  // namespace

void* scratch_room(ScratchSlot slot, int64_t count, size_t size) {
  const size_t bytes = bytes_of(count, size);
  thread_local Buffer buffers[kScratchSlots];
  Buffer& b = buffers[slot];
  const bool oversized = b.capacity > kKeep && bytes < b.capacity / 8;
  if (bytes > b.capacity || oversized) {
    const size_t wanted = (bytes + 4095) & ~size_t{4095};
    std::free(b.data);
    b.data = nullptr;
    b.capacity = 0;
    b.data = std::aligned_alloc(4096, wanted);
    if (b.data == nullptr)
      throw std::runtime_error("bayesops: work space of " + std::to_string(wanted) + " bytes could not be allocated");
    b.capacity = wanted;
  }
  return b.data;
}

}  // namespace bayesops
