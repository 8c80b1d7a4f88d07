// Which input pixels meet which taps, axis by axis, and how the work is cut into slabs.
//
// Forward and input gradient are the same correlation: result(q) = sum over taps of source(q * step + offset(tap)).
//   forward:        step = stride, offset(t) = t * dilation - pad.
//   input gradient: the input pixels of one phase, i = phase + stride * q, see the output pixels q + offset(t) with
//                   offset(t) = (phase + pad - t * dilation) / stride, for the taps that divide evenly.
#pragma once
#include "kernels/conv/stage.h"

BAYESOPS_ISA_BEGIN

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

// How images are cut: along `axis`, `rows` results at a time where one image is large, several images where it is
// small.
struct SlabPlan {
  int axis;
  int64_t images, rows, images_total, rows_total;

  int64_t row_blocks() const { return (rows_total + rows - 1) / rows; }
  int64_t count() const { return (images_total + images - 1) / images * row_blocks(); }
  Slab operator[](int64_t i) const {
    const int64_t image = i / row_blocks() * images, row = i % row_blocks() * rows;
    return Slab{image, image + images < images_total ? image + images : images_total, row,
                row + rows < rows_total ? row + rows : rows_total};
  }
};

// Staged slabs share the second-level cache with one panel.
constexpr int64_t kSlabBytes = 320 << 10;

// At least `wanted` slabs where there are as many rows, so that every thread has work.
static inline SlabPlan plan_slabs(const Axis* axes, int64_t images, int64_t bytes_per_pixel, int64_t wanted) {
  SlabPlan plan;
  plan.axis = axes[0].count > 1 ? 0 : axes[1].count > 1 ? 1 : 2;
  plan.images_total = images;
  plan.rows_total = axes[plan.axis].count;
  int64_t other = bytes_per_pixel;
  for (int a = 0; a < 3; ++a)
    if (a != plan.axis) other *= axes[a].extent(axes[a].count);
  const int64_t whole = other * axes[plan.axis].extent(plan.rows_total);
  if (whole <= kSlabBytes) {
    plan.rows = plan.rows_total;
    plan.images = whole > 0 ? kSlabBytes / whole : images;
    const int64_t fair = (images + wanted - 1) / wanted;
    if (plan.images > fair) plan.images = fair;
    if (plan.images < 1) plan.images = 1;
  } else {
    plan.images = 1;
    const int64_t halo = axes[plan.axis].extent(1) - 1;
    const int64_t affordable = (kSlabBytes / other - halo) / axes[plan.axis].step;
    plan.rows = affordable < 4 ? 4 : affordable;
  }
  if (images < wanted) {
    const int64_t blocks = (wanted + images - 1) / images;
    const int64_t fair = (plan.rows_total + blocks - 1) / blocks;
    if (plan.rows > fair) plan.rows = fair;
  }
  if (plan.rows > plan.rows_total) plan.rows = plan.rows_total;
  if (plan.rows < 1) plan.rows = 1;
  plan.rows = (plan.rows_total + plan.row_blocks() - 1) / plan.row_blocks();  // even blocks
  return plan;
}

// A loop over results: how far one step moves in the staged slab and in the result.
struct Loop {
  int64_t count, in_step, out_step;
};

// The four loops over (image, depth, height, width) with neighbours merged where both sides allow, the one
// whose consecutive results make up a tile, last: the one that cuts into the fullest tiles.
struct LoopNest {
  Loop loop[4];
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
  for (int i = 0; i < 4; ++i) nest.loop[i] = Loop{1, 0, 0};
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
  const Loop chosen = nest.loop[along];
  nest.loop[along] = nest.loop[3];
  nest.loop[3] = chosen;
  return nest;
}

BAYESOPS_ISA_END
