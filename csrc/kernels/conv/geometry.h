// Which input pixels meet which taps, axis by axis, and how the work is cut into slabs.
//
// Forward and input gradient are the same correlation: result(q) = sum over taps of source(q * step + offset(tap)).
//   forward:        step = stride, offset(t) = t * dilation - pad.
//   input gradient: the input pixels of one phase, i = phase + stride * q, see the output pixels q + offset(t) with
//                   offset(t) = (phase + pad - t * dilation) / stride, for the taps that divide evenly.
#pragma once
#include "kernels/conv/stage.h"

BAYESOPS_ISA_BEGIN

static inline int64_t image_pixels(const Images& images) { return images.size[0] * images.size[1] * images.size[2]; }

// The pool, or the calling thread alone for a convolution of `pixels` outputs an image that is over before other
// threads are awake.
static inline Parallel enough_threads(const ConvProblem& p, int64_t pixels, const Parallel& pool,
                                      int64_t output_noise = 0) {
  const double weights = (double)p.out_channels * (double)p.weight_row();
  const double images = (double)p.samples * (double)p.examples, sets = p.per_example ? images : (double)p.samples;
  // Nanoseconds, at a core's usual rates of multiply-adds and of weights drawn and packed.
  const double estimate = images * (double)pixels * weights / 100.0 + sets * weights / 5.0 + (double)output_noise / 2.0;
  constexpr double kWorthwhile = 6000.0;
  return estimate < kWorthwhile ? Parallel{pool.run, 1} : pool;
}

struct Axis {
  int64_t count;      // results along the axis
  int64_t step;       // source pixels between results
  int64_t out_first;  // where result 0 is stored, and the distance to result 1, in pixels
  int64_t out_step;
  int64_t taps;  // that take part, offsets ascending
  int64_t* offset;
  int32_t* tap;
  bool adjacent;  // offsets are consecutive numbers

  int64_t low() const { return taps == 0 ? 0 : offset[0]; }
  int64_t extent(int64_t results) const {
    return taps == 0 ? 0 : (results - 1) * step + offset[taps - 1] - offset[0] + 1;
  }
  void note_adjacency() {
    adjacent = true;
    for (int64_t i = 1; i < taps; ++i) adjacent = adjacent && offset[i] == offset[i - 1] + 1;
  }
};

static inline void forward_axis(Axis& axis, const ConvProblem& p, int a, int64_t results) {
  axis.count = results;
  axis.step = p.stride[a];
  axis.out_first = 0;
  axis.out_step = 1;
  axis.taps = p.kernel[a];
  for (int64_t t = 0; t < axis.taps; ++t) {
    axis.offset[t] = t * p.dilation[a] - p.pad_before[a];
    axis.tap[t] = (int32_t)t;
  }
  axis.note_adjacency();
}

static inline void input_grad_axis(Axis& axis, const ConvProblem& p, int a, int64_t input_size, int64_t phase) {
  axis.count = phase < input_size ? (input_size - phase + p.stride[a] - 1) / p.stride[a] : 0;
  axis.step = 1;
  axis.out_first = phase;
  axis.out_step = p.stride[a];
  axis.taps = 0;
  for (int64_t t = p.kernel[a] - 1; t >= 0; --t) {
    const int64_t numerator = phase + p.pad_before[a] - t * p.dilation[a];
    if (numerator % p.stride[a] != 0) continue;
    axis.offset[axis.taps] = numerator / p.stride[a];
    axis.tap[axis.taps++] = (int32_t)t;
  }
  axis.note_adjacency();
}

// A slab: results [first, last) along one axis of images [first_image, last_image).
struct Slab {
  int64_t first_image, last_image, first, last;
};

// How the work is cut: blocks of images, and where one image is large, blocks of its rows along `axis`; even ones.
struct SlabPlan {
  int axis;
  int64_t images, rows;  // in all
  int64_t image_blocks, row_blocks;

  int64_t count() const { return image_blocks * row_blocks; }
  int64_t most_images() const { return (images + image_blocks - 1) / image_blocks; }
  int64_t most_rows() const { return (rows + row_blocks - 1) / row_blocks; }
  Slab operator[](int64_t i) const {
    const int64_t image = i / row_blocks, row = i % row_blocks;
    return Slab{images * image / image_blocks, images * (image + 1) / image_blocks, rows * row / row_blocks,
                rows * (row + 1) / row_blocks};
  }
};

// Staged slabs share the second-level cache with one panel. Where an image has few results, several are worked on
// together even so: every tile reads the whole panel, which is as large as an image's channels are many.
constexpr int64_t kSlabBytes = 320 << 10, kFewestResults = 32;

// `shares`: how many threads will divide the slabs; their number is then a multiple of that where rows allow it.
static inline SlabPlan plan_slabs(const Axis* axes, int64_t images, int64_t bytes_per_pixel, int64_t shares) {
  SlabPlan plan;
  plan.axis = axes[0].count > 1 ? 0 : axes[1].count > 1 ? 1 : 2;
  plan.images = images;
  plan.rows = axes[plan.axis].count;
  plan.image_blocks = images > 0 ? images : 1;
  plan.row_blocks = 1;
  int64_t line = bytes_per_pixel;  // bytes of one row
  for (int a = 0; a < 3; ++a)
    if (a != plan.axis) line *= axes[a].extent(axes[a].count);
  const int64_t whole = line * axes[plan.axis].extent(plan.rows);
  const int64_t results = axes[0].count * axes[1].count * axes[2].count;
  if (whole <= kSlabBytes || results <= kFewestResults) {
    int64_t together = whole > 0 ? kSlabBytes / whole : images;  // at least 1 unless there are no images
    if (whole > 0 && together * results < kFewestResults) together = kFewestResults / results;
    if (together > 0) plan.image_blocks = (images + together - 1) / together;
    plan.image_blocks = (plan.image_blocks + shares - 1) / shares * shares;
    if (plan.image_blocks > images) plan.image_blocks = images;
  } else {
    constexpr int64_t kFewestRows = 4;  // fewer would stage mostly halo
    const int64_t halo = axes[plan.axis].extent(1) - 1;
    const int64_t affordable = (kSlabBytes / line - halo) / axes[plan.axis].step;
    const int64_t rows = affordable < kFewestRows ? kFewestRows : affordable;
    plan.row_blocks = (plan.rows + rows - 1) / rows;
  }
  // Many slabs balance by themselves.
  while (plan.count() % shares != 0 && plan.count() < 8 * shares && plan.row_blocks < plan.rows) ++plan.row_blocks;
  return plan;
}

// A loop over results: how far one step moves in the staged slab, in the result, and in the count of the slab's
// results.
struct Loop {
  int64_t count, in_step, out_step, index_step;
};

// The loops over the images, planes, lines and pixels of a slab's results.
static inline void slab_loops(const Axis* axis, int64_t images, const int64_t* pixel, int64_t image,
                              const Images& result, Loop* loops) {
  int64_t index_step = 1;
  for (int a = 2; a >= 0; --a) {
    loops[a + 1] = Loop{axis[a].count, axis[a].step * pixel[a], axis[a].out_step * result.axis_stride[a], index_step};
    index_step *= axis[a].count;
  }
  loops[0] = Loop{images, image, result.example_stride, index_step};
}
// Where the first of those results is stored, after that of the slab's first image.
static inline int64_t slab_offset(const Axis* axis, const SlabPlan& plan, const Slab& slab, const Images& result) {
  int64_t offset = 0;
  for (int a = 0; a < 3; ++a)
    offset += (axis[a].out_first + (a == plan.axis ? slab.first * axis[a].out_step : 0)) * result.axis_stride[a];
  return offset;
}

// The four loops over (image, depth, height, width) with neighbours merged where both sides allow, the one
// whose consecutive results make up a tile, last: the one that cuts into the fullest tiles.
struct LoopNest {
  Loop loop[4];
  bool by_rows;  // tiles lie within rows, and loop[2] is the loop over rows
};

BAYESOPS_INLINE int64_t tile_cost(int64_t count, int64_t full) {
  constexpr int64_t kShort = 4;  // below this a tile waits for the latency of its additions
  const int64_t tiles = (count + full - 1) / full, base = count / tiles, longer = count % tiles;
  const int64_t a = base < kShort ? kShort : base, b = base + 1 < kShort ? kShort : base + 1;
  return (tiles - longer) * a + longer * b;
}

static inline LoopNest nest_loops(const Loop* from, int64_t full) {
  LoopNest nest;
  int last = 3;
  for (int i = 0; i < 4; ++i) nest.loop[i] = Loop{1, 0, 0, 0};
  nest.loop[3] = from[3];
  for (int i = 2; i >= 0; --i) {
    Loop& inner = nest.loop[last];
    if (from[i].count == 1) continue;
    if (inner.count == 1) {
      inner = from[i];
    } else if (from[i].in_step == inner.count * inner.in_step && from[i].out_step == inner.count * inner.out_step) {
      inner.count *= from[i].count;
    } else {
      nest.loop[--last] = from[i];
    }
  }
  int along = 3;
  double best = 0;
  for (int i = 3; i >= last; --i) {
    const double cost = (double)tile_cost(nest.loop[i].count, full) / (double)nest.loop[i].count;
    if (i == 3 || cost < best * 0.95) {
      best = cost;
      along = i;
    }
  }
  nest.by_rows = along == 3 && from[3].count > 1 && nest.loop[3].count == from[3].count &&
                 nest.loop[2].count == from[2].count && nest.loop[2].in_step == from[2].in_step;
  const Loop chosen = nest.loop[along];
  nest.loop[along] = nest.loop[3];
  nest.loop[3] = chosen;
  return nest;
}

BAYESOPS_ISA_END
