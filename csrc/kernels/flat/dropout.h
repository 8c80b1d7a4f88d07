// Dropout as a functor over a flat index: what a CUDA thread does, callable on the host as well.
#pragma once
#include "kernels/flat/activation.h"
#include "kernels/flat/compute_type.h"
#include "kernels/flat/extent.h"
#include "kernels/flat/mask.h"
#include "kernels/pointwise/dropout.h"

namespace bayesops {

// Dropout of [samples][examples][channels, pixels in either order].
template <class S>
struct FlatDropout {
  using T = typename ComputeOf<S>::T;
  static constexpr int kRun = 16;  // as many as a Philox block has

  FlatMask mask;
  int64_t samples;
  FlatActivation<kRun> shape;
  bool shared_input, channels_last, whole_channels;
  T scale;
  const S* input;
  S* out;

  static FlatDropout of(const DropoutProblem& p, const void* input, void* out) {
    return {FlatMask::of(p.mask),
            p.samples,
            FlatActivation<kRun>(p.examples, p.channels, p.pixels),
            p.shared_input,
            p.channels_last || p.pixels == 1,  // which is the same, and goes by runs of any number of channels
            p.whole_channels,
            static_cast<T>(p.scale),
            static_cast<const S*>(input),
            static_cast<S*>(out)};
  }
  BAYESOPS_HD_MEMBER int64_t total(const FlatDropout& f) { return f.samples * f.shape.blocks; }
  BAYESOPS_HD_MEMBER void run(const FlatDropout& f, int64_t index) {
    const auto [sample, place] = divide(index, f.shape.blocks);
    const S* input = f.input + (f.shared_input ? 0 : sample * f.shape.count);
    S* out = f.out + sample * f.shape.count;
    f.whole_channels ? run_channels(f, sample, place, input, out) : run_elements(f, sample, place, input, out);
  }

 private:
  // A run in memory, of one channel or of some.
  BAYESOPS_HD_MEMBER void run_channels(const FlatDropout& f, int64_t sample, int64_t place, const S* input, S* out) {
    const int64_t first = place * kRun, left = f.shape.count - first;
    const FlatExtent row = f.channels_last ? f.shape.channels : f.shape.pixels;
    FlatDivision at = divide(first, row);  // number of the row; where in it
    // Where channels come first, a row is a channel of an example; otherwise it begins with the first of one.
    const auto element_of = [&] {
      return f.channels_last ? at.quotient / f.shape.pixels * f.shape.channels : at.quotient;
    };
    int64_t begins = element_of();
    T values[kRun] = {};
    read_run(input + first, 1, left, values);
    FlatMaskCursor cursor;
    uint32_t bits = 0;
    for (int i = 0; i < kRun && i < left; ++i) {
      const int64_t element = f.channels_last ? begins + at.remainder : begins;
      bits |= (uint32_t)FlatMaskCursor::keeps(cursor, f.mask, sample, element) << i;
      if (++at.remainder < row) continue;
      at = {at.quotient + 1, 0};
      begins = element_of();
    }
    apply_mask(bits, f.scale, values);
    write_run(values, 1, left, out + first);
  }

  BAYESOPS_HD_MEMBER void run_elements(const FlatDropout& f, int64_t sample, int64_t place, const S* input, S* out) {
    const int64_t block = FlatActivation<kRun>::block(f.shape, f.channels_last, place), first = block * kRun;
    uint32_t bits = 0;
    if (f.mask.given == nullptr) {
      bits = FlatMask::block(f.mask, sample, block, f.shape.count);
    } else {
      // A given mask is in torch's order, channels before pixels.
      FlatElement element = FlatElement::of(f.shape, first);
      for (int i = 0; i < kRun && first + i < f.shape.count; ++i, FlatElement::step(element, f.shape))
        bits |= (uint32_t)FlatMask::keeps(f.mask, sample, FlatElement::offset(element, f.shape, false)) << i;
    }
    T values[kRun] = {};
    read_block(f.shape, f.channels_last, block, input, values);
    apply_mask(bits, f.scale, values);
    write_block(f.shape, f.channels_last, block, values, out);
  }
};

}  // namespace bayesops
