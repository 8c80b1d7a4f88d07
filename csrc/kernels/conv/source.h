// The input side of a slab: where its pixels are, staged or in place, and the order of the taps over them.
#pragma once
#include "kernels/conv/geometry.h"
#include "kernels/conv/masks.h"
#include "kernels/counters.h"

BAYESOPS_ISA_BEGIN

// Pixels of a slab in the type that is multiplied, channels last; `x` is the first pixel that the first tap sees.
template <class M>
struct SlabView {
  const M* x;
  int64_t pixel[3];  // from one pixel to the next along an axis
  int64_t image;     // from one image to the next
};

// What a thread has staged last, so that sets which share an input stage it once.
template <class M>
struct Staged {
  const M* data = nullptr;
  int64_t sample = -1, tag = -1;
};

// An image serves as its own slab when it is channels last, its numbers are those of the operands, and no tap falls
// outside.
template <class S, class M>
bool readable_in_place(const Images& source, const Axis* axis, int64_t channels) {
  bool yes = sizeof(S) * kNumbers<M> == sizeof(M) && (source.channel_stride == 1 || channels == 1);
  yes = yes && reinterpret_cast<uintptr_t>(source.data) % alignof(M) == 0;
  yes = yes && source.sample_stride % kNumbers<M> == 0 && source.example_stride % kNumbers<M> == 0;
  for (int a = 0; a < 3; ++a) {
    yes = yes && axis[a].low() >= 0 && axis[a].low() + axis[a].extent(axis[a].count) <= source.size[a];
    yes = yes && source.axis_stride[a] % kNumbers<M> == 0;
  }
  return yes;
}

// The axes of a slab: those of the whole, shortened along the cut.
static inline void slab_axes(const Axis* whole, const SlabPlan& plan, const Slab& slab, Axis* axis) {
  for (int a = 0; a < 3; ++a) axis[a] = whole[a];
  axis[plan.axis].count = slab.last - slab.first;
}

// Room that the largest slab needs, in operands.
template <class M>
int64_t slab_elements(const Axis* whole, const SlabPlan& plan, int64_t channels) {
  int64_t elements = plan.most_images() * (channels / kNumbers<M>);
  for (int a = 0; a < 3; ++a) elements *= whole[a].extent(a == plan.axis ? plan.most_rows() : whole[a].count);
  return elements + kVectorBytes / (int)sizeof(M);
}

// What happens to the pixels of a slab on their way: signs that turn the channels of each image (rows of `step`; null:
// none), and squares.
struct StageChange {
  const float* signs;
  int64_t step;
  bool squared;
};

BAYESOPS_INLINE void turn_signs(BFloat16Pair* pixel, const float* sign, int64_t channels) {
  for (int64_t c = 0; c < channels; c += 2) {
    const uint32_t low = sign[c] < 0 ? 0x8000u : 0, high = sign[c + 1] < 0 ? 0x80000000u : 0;
    pixel[c / 2].bits ^= low | high;
  }
}
template <class T>
BAYESOPS_INLINE void turn_signs(T* pixel, const float* sign, int64_t channels) {
  for (int64_t c = 0; c < channels; ++c) pixel[c] *= (T)sign[c];
}

// The squares of `count` operands.
template <class T>
BAYESOPS_INLINE void square(const T* from, int64_t count, T* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = from[i] * from[i];
}
BAYESOPS_INLINE void square(const BFloat16Pair* from, int64_t count, BFloat16Pair* to) {
  constexpr int n = kLanes<float>;  // whole vectors: a slab has room for one more
  for (int64_t i = 0; i < count; i += n) {
    const VFloat low = lower(load(from + i)), high = upper(load(from + i));
    store(to + i, pairs_of(low * low, high * high));
  }
}

template <class M>
void change_pixels(const StageChange& change, int64_t image, int64_t pixels, int64_t channels, M* pixel) {
  if (change.squared) square(pixel, pixels * channels / kNumbers<M>, pixel);
  if (change.signs == nullptr) return;
  const float* sign = change.signs + image * change.step;
  for (int64_t i = 0; i < pixels; ++i, pixel += channels / kNumbers<M>) turn_signs(pixel, sign, channels);
}

// The signs of a slab's images under Flipout, rows of `step`: those of the input channels, then of the output channels.
struct FlipSigns {
  const float* inputs;
  const float* outputs;
  int64_t step;
};

// Some input and some output channels.
struct SignRange {
  int64_t first_in, ins, first_out, outs;

  int64_t step() const { return ins + outs + 2 * kLanes<float>; }  // whole vectors are read
};

BAYESOPS_INLINE int64_t flip_step(const ConvProblem& p) {
  return SignRange{0, p.in_channels, 0, p.out_channels}.step();
}

// `room` for range.step() numbers an image.
static inline FlipSigns draw_signs(const ConvProblem& p, int64_t sample, int64_t first_image, int64_t images,
                                   const SignRange& range, float* room) {
  const int64_t step = range.step(), repeat = p.noise.sign_repeat, total = p.in_channels / repeat + p.out_channels;
  const Stream stream{(uint64_t)p.noise.seeds[sample], p.noise.stream};
  for (int64_t n = 0; n < images; ++n) {
    const int64_t first = (first_image + n) * total;
    if (range.ins == p.in_channels && range.outs == p.out_channels) {
      float *signs = room + n * step, *drawn = signs + range.ins - range.ins / repeat;
      kFillKernels.signs(drawn, first, total, stream);
      for (int64_t i = 0; repeat > 1 && i < range.ins; ++i) signs[i] = drawn[i / repeat];  // never written unread
    } else {
      kFillKernels.signs(room + n * step, first + range.first_in, range.ins, stream);
      kFillKernels.signs(room + n * step + range.ins, first + p.in_channels + range.first_out, range.outs, stream);
    }
  }
  return FlipSigns{room, room + range.ins, step};
}
static inline FlipSigns draw_signs(const ConvProblem& p, int64_t sample, int64_t first_image, int64_t images,
                                   float* room) {
  return draw_signs(p, sample, first_image, images, SignRange{0, p.in_channels, 0, p.out_channels}, room);
}

// Stages a slab into `room` unless it can be read in place or is what `staged` holds already.
template <class S, class M>
SlabView<M> open_slab(const Images& source, const Axis* axis, const SlabPlan& plan, const Slab& slab, int64_t sample,
                      int64_t example, const ChannelList& channels, bool in_place, const StageChange& change,
                      int64_t tag, M* room, Staged<M>& staged, PhaseClock& clock) {
  Window window;
  for (int a = 0; a < 3; ++a) {
    window.low[a] = axis[a].low() + (a == plan.axis ? slab.first * axis[a].step : 0);
    window.extent[a] = axis[a].extent(axis[a].count);
  }
  const S* image = static_cast<const S*>(source.data) + sample * source.sample_stride + example * source.example_stride;
  SlabView<M> view;
  const bool changed = change.signs != nullptr || change.squared;
  if (in_place && !changed) {
    view.x = reinterpret_cast<const M*>(image);
    for (int a = 0; a < 3; ++a) {
      view.pixel[a] = source.axis_stride[a] / kNumbers<M>;
      view.x += window.low[a] * view.pixel[a];
    }
    view.image = source.example_stride / kNumbers<M>;
    return view;
  }
  view.pixel[2] = channels.count / kNumbers<M>;
  view.pixel[1] = view.pixel[2] * window.extent[2];
  view.pixel[0] = view.pixel[1] * window.extent[1];
  view.image = view.pixel[0] * window.extent[0];
  const bool selected = channels.list != nullptr;  // this set's own channels: nobody else's slab
  const int64_t from_sample = source.sample_stride == 0 && change.signs == nullptr ? 0 : sample;
  if (selected || staged.data == nullptr || staged.sample != from_sample || staged.tag != tag) {
    const int64_t images = slab.last_image - slab.first_image;
    clock.start();
    for (int64_t n = 0; n < images; ++n) {
      stage_image<S, M>(image + n * source.example_stride, source, channels, window, room + n * view.image);
      if (changed) change_pixels(change, n, window.pixels(), channels.count, room + n * view.image);
    }
    clock.mark(kPhaseStage);
    staged = Staged<M>{room, selected ? -1 : from_sample, tag};
  }
  view.x = staged.data;
  return view;
}

// Offsets of the taps in a slab. Taps that are neighbours along the width are one run where `merged`.
static inline int64_t tap_runs(const Axis* axis, const int64_t* pixel, bool merged, int64_t* run) {
  int64_t count = 0;
  const int64_t width_taps = merged && axis[2].taps > 1 ? 1 : axis[2].taps;
  for (int64_t d = 0; d < axis[0].taps; ++d)
    for (int64_t h = 0; h < axis[1].taps; ++h)
      for (int64_t w = 0; w < width_taps; ++w)
        run[count++] = (axis[0].offset[d] - axis[0].low()) * pixel[0] + (axis[1].offset[h] - axis[1].low()) * pixel[1] +
                       (axis[2].offset[w] - axis[2].low()) * pixel[2];
  return count;
}

BAYESOPS_ISA_END
