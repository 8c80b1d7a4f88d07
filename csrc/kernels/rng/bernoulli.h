// Bernoulli draws at about one random byte an element, exact to 2^-32, for host and device.
//
// With T = floor(p * 2^32) an element is dropped when its 32-bit number is below T. Only the top byte of that number is
// drawn at first; the other 24 bits come from a second domain when the byte equals the top byte of T (1 element in
// 256).
#pragma once
#include "kernels/rng/philox.h"

namespace bayesops {

struct BernoulliLaw {
  uint32_t high;  // top byte of T
  uint32_t low;   // the 24 bits below
};

BAYESOPS_HD BernoulliLaw bernoulli_law(double p) {
  const uint32_t threshold = (uint32_t)(p * 4294967296.0);  // p < 1, so this fits
  return BernoulliLaw{threshold >> 24, threshold & 0xFFFFFFu};
}

BAYESOPS_HD bool bernoulli_tie_keeps(Stream s, BernoulliLaw law, uint64_t element) {
  return (philox_word(s, kDomainBernoulliTie, element) >> 8) >= law.low;
}

// True where the element is kept, which happens with probability 1 - p.
BAYESOPS_HD bool bernoulli_keeps(Stream s, BernoulliLaw law, uint64_t element) {
  const uint32_t byte = (philox_word(s, kDomainBernoulli, element >> 2) >> (8 * (element & 3))) & 0xFFu;
  if (byte != law.high) return byte > law.high;
  return bernoulli_tie_keeps(s, law, element);
}

}  // namespace bayesops
