// Sizes that flat indices are divided by. A 64-bit division is dozens of instructions on a GPU, and an index goes
// through several: an extent brings what makes a multiplication of 32 bits do instead.
#pragma once
#include "kernels/rng/philox.h"

namespace bayesops {

class FlatExtent {
 public:
  // Granlund and Montgomery (1994), for indices below 2^31, which nearly all are.
  BAYESOPS_HD_METHOD FlatExtent(int64_t size) : size_(size), magic_(0), shift_(31) {
    if (size <= 0 || size >> 31 != 0) return;  // nothing to divide; or what is below 2^31 gives 0
    shift_ = 0;
    while ((int64_t)1 << shift_ < size) ++shift_;
    magic_ = (uint32_t)(((((uint64_t)1 << shift_) - (uint64_t)size) << 32) / (uint64_t)size + 1);
  }
  BAYESOPS_HD_METHOD operator int64_t() const { return size_; }

  // Of index / extent, for indices that are not negative.
  BAYESOPS_HD_MEMBER int64_t quotient(int64_t index, const FlatExtent& e) {
    if (index >> 31 != 0) return index / e.size_;
    const uint32_t small = (uint32_t)index;
#if defined(__CUDA_ARCH__)
    const uint32_t high = __umulhi(small, e.magic_);
#else
    const uint32_t high = (uint32_t)((uint64_t)small * e.magic_ >> 32);
#endif
    return (high + small) >> e.shift_;
  }

 private:
  int64_t size_;
  uint32_t magic_, shift_;
};

BAYESOPS_HD int64_t operator/(int64_t index, const FlatExtent& e) { return FlatExtent::quotient(index, e); }

// Both at once: a compiler does not see that two divisions are the same. `auto [a, b]` names them where no lambda needs
// the names: those of C++17 cannot capture them.
struct FlatDivision {
  int64_t quotient, remainder;
};
BAYESOPS_HD FlatDivision divide(int64_t index, const FlatExtent& e) {
  const int64_t quotient = index / e;
  return {quotient, index - quotient * (int64_t)e};
}
BAYESOPS_HD int64_t operator%(int64_t index, const FlatExtent& e) { return divide(index, e).remainder; }

}  // namespace bayesops
