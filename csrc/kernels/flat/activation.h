// Elements of an activation in the order of its noise, (example, pixel, channel) with channels fastest, and where they
// lie in memory.
#pragma once
#include "kernels/flat/extent.h"
#include "kernels/flat/run.h"

namespace bayesops {

// Of one sample, cut into blocks of kBlock elements: as many as a Philox block of the stream has.
template <int kBlock>
struct FlatActivation {
  FlatExtent channels, pixels;
  FlatExtent runs;  // of kBlock channels in each pixel, if that comes out even, or 0
  int64_t count;    // of elements
  FlatExtent blocks;

  BAYESOPS_HD_METHOD FlatActivation(int64_t examples, int64_t channels, int64_t pixels)
      : channels(channels),
        pixels(pixels),
        runs(channels % kBlock == 0 ? channels / kBlock : 0),
        count(examples * channels * pixels),
        blocks((count + kBlock - 1) / kBlock) {}
  // Whether no block is across two pixels.
  BAYESOPS_HD_MEMBER bool in_runs(const FlatActivation& a) { return a.runs != 0; }
  // The block that is number `index` to be worked on. Threads of neighbouring indices should meet in memory: where
  // channels come first, they take the same channels of neighbouring pixels.
  BAYESOPS_HD_MEMBER int64_t block(const FlatActivation& a, bool channels_last, int64_t index) {
    if (channels_last || !in_runs(a)) return index;
    const auto [row, pixel] = divide(index, a.pixels);
    const auto [example, run] = divide(row, a.runs);
    return (example * a.pixels + pixel) * a.runs + run;
  }
};

// One of them. A block's elements are stepped through, so that what divisions find out is found out once.
struct FlatElement {
  int64_t example, pixel, channel;

  template <int kBlock>
  BAYESOPS_HD_MEMBER FlatElement of(const FlatActivation<kBlock>& a, int64_t number) {
    const auto [row, channel] = divide(number, a.channels);
    const auto [example, pixel] = divide(row, a.pixels);
    return {example, pixel, channel};
  }
  template <int kBlock>
  BAYESOPS_HD_MEMBER void step(FlatElement& e, const FlatActivation<kBlock>& a) {
    if (++e.channel < a.channels) return;
    e.channel = 0;
    if (++e.pixel < a.pixels) return;
    e.pixel = 0;
    ++e.example;
  }
  // Where it lies in memory.
  template <int kBlock>
  BAYESOPS_HD_MEMBER int64_t offset(const FlatElement& e, const FlatActivation<kBlock>& a, bool channels_last) {
    return channels_last ? (e.example * a.pixels + e.pixel) * a.channels + e.channel
                         : (e.example * a.channels + e.channel) * a.pixels + e.pixel;
  }
};

// The elements of a block in their order; of the last one there may be less.
template <class S, class T, int kBlock>
BAYESOPS_HD void read_block(const FlatActivation<kBlock>& a, bool channels_last, int64_t block, const S* from,
                            T (&to)[kBlock]) {
  const int64_t first = block * kBlock, left = a.count - first;
  if (channels_last) return read_run(from + first, 1, left, to);
  FlatElement element = FlatElement::of(a, first);
  if (FlatActivation<kBlock>::in_runs(a))
    return read_run(from + FlatElement::offset(element, a, false), a.pixels, kBlock, to);
  for (int i = 0; i < kBlock && i < left; ++i, FlatElement::step(element, a))
    to[i] = (T)from[FlatElement::offset(element, a, false)];
}
template <class S, class T, int kBlock>
BAYESOPS_HD void write_block(const FlatActivation<kBlock>& a, bool channels_last, int64_t block,
                             const T (&values)[kBlock], S* to) {
  const int64_t first = block * kBlock, left = a.count - first;
  if (channels_last) return write_run(values, 1, left, to + first);
  FlatElement element = FlatElement::of(a, first);
  if (FlatActivation<kBlock>::in_runs(a))
    return write_run(values, a.pixels, kBlock, to + FlatElement::offset(element, a, false));
  for (int i = 0; i < kBlock && i < left; ++i, FlatElement::step(element, a))
    to[FlatElement::offset(element, a, false)] = (S)values[i];
}

}  // namespace bayesops
