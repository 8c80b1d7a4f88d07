// The random streams of rng/*.h, many elements at a time. Compiled once per instruction set.
#pragma once
#include "kernels/rng/bernoulli.h"
#include "kernels/rng/philox.h"

namespace bayesops {

// Elements [first, first + count), where `first` is a multiple of 64 and the buffers have room for count rounded up to
// a multiple of 64.
struct FillKernels {
  // Bit i of bits[i / 64] is set where element first + i is kept.
  void (*bernoulli_bits)(uint64_t* bits, int64_t first, int64_t count, Stream s, BernoulliLaw law);
  // The same as bytes, 1 for kept; `first` and `count` as they come.
  void (*bernoulli_bytes)(uint8_t* out, int64_t first, int64_t count, Stream s, BernoulliLaw law);
  // +1 or -1.
  void (*signs)(float* out, int64_t first, int64_t count, Stream s);
  void (*normals)(float* out, int64_t first, int64_t count, Stream s);
  // Rows of normals of the machine's own length (kNormalRow): row i holds those from element 4 * block[i] on. For
  // tiles, whose rows lie apart in the stream.
  void (*normal_rows)(float* out, const uint64_t* block, int64_t rows, Stream s);
  // Raw words of a domain, one an element.
  void (*words)(uint32_t* out, int64_t first, int64_t count, Stream s, Domain domain);
};

constexpr int64_t kFillAlign = 64;
static inline int64_t fill_start(int64_t first) { return first & ~(kFillAlign - 1); }

// Calls fill(to, first, count) for the whole blocks of 64 elements, and for the rest with a buffer that has room for
// one more. `first` is a multiple of 64.
template <class T, class Fill>
static inline void fill_exactly(T* to, int64_t first, int64_t count, const Fill& fill) {
  const int64_t whole = count / kFillAlign * kFillAlign;
  if (whole > 0) fill(to, first, whole);
  if (whole == count) return;
  T rest[kFillAlign];
  fill(rest, first + whole, count - whole);
  for (int64_t i = whole; i < count; ++i) to[i] = rest[i - whole];
}

}  // namespace bayesops
