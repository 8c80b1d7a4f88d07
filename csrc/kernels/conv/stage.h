// Staging: a slab of images, in any memory format and storage type, becomes channels-last in the computing type with its
// zero halo in place. It is the only place that knows about padding, memory formats and storage types of the input.
#pragma once
#include "kernels/conv/problem.h"
#include "kernels/simd/transpose.h"

BAYESOPS_ISA_BEGIN

// The window of an image that a slab needs, in input coordinates; positions outside the image are zero.
struct Window {
  int64_t low[3];
  int64_t extent[3];
  int64_t pixels() const { return extent[0] * extent[1] * extent[2]; }
};

// `list` names the channels to take, or is null for the first `count`.
struct ChannelList {
  const int32_t* list;
  int64_t count;
  int64_t operator[](int64_t i) const { return list != nullptr ? list[i] : i; }
};

template <class S, class T>
BAYESOPS_INLINE void copy_run(const S* from, T* to, int64_t count) {
  if constexpr (sizeof(S) == sizeof(T)) {
    memcpy(to, from, (size_t)count * sizeof(T));
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = convert<T>(from[i]);
  }
}

// `width` pixels of one row: to[w * channels + c].
template <class S, class T>
void stage_pixels(const S* from, const Images& images, const ChannelList& channels, int64_t width, T* to) {
  constexpr int n = kLanes<T>;
  const int64_t cs = images.channel_stride, ws = images.axis_stride[2], count = channels.count;
  if (channels.list == nullptr && (cs == 1 || count == 1)) {
    if (ws == count) return copy_run(from, to, width * count);
    for (int64_t w = 0; w < width; ++w) copy_run(from + w * ws, to + w * count, count);
  } else if (ws == 1 && count >= 4) {
    for (int64_t c = 0; c < count; c += n) {
      const int rows = (int)(count - c < n ? count - c : n);
      for (int64_t w = 0; w < width; w += n) {
        const int columns = (int)(width - w < n ? width - w : n);
        const uint32_t bits = low_bits(columns);
        transpose_block<T>(
            rows, columns, [&](int i) { return load_as<T>(from + channels[c + i] * cs + w, bits); },
            [&](int i, Vec<T> v) {
              T* p = to + (w + i) * count + c;
              if (rows == n) {
                store(p, v);
              } else {
                store_partial<T>(p, v, rows);
              }
            });
      }
    }
  } else {
    for (int64_t w = 0; w < width; ++w)
      for (int64_t c = 0; c < count; ++c) to[w * count + c] = convert<T>(from[channels[c] * cs + w * ws]);
  }
}

// One image: to[((d * extent[1] + h) * extent[2] + w) * channels + c].
template <class S, class T>
void stage_image(const S* from, const Images& images, const ChannelList& channels, const Window& window, T* to) {
  const int64_t count = channels.count, row = window.extent[2] * count;
  const int64_t first = window.low[2] < 0 ? -window.low[2] : 0;
  const int64_t past = images.size[2] - window.low[2];
  const int64_t last = past < window.extent[2] ? past : window.extent[2];  // columns [first, last) lie inside
  for (int64_t d = 0; d < window.extent[0]; ++d) {
    for (int64_t h = 0; h < window.extent[1]; ++h, to += row) {
      const int64_t id = window.low[0] + d, ih = window.low[1] + h;
      const bool inside = id >= 0 && id < images.size[0] && ih >= 0 && ih < images.size[1] && first < last;
      if (!inside) {
        memset(to, 0, (size_t)row * sizeof(T));
        continue;
      }
      if (first > 0) memset(to, 0, (size_t)(first * count) * sizeof(T));
      stage_pixels(from + id * images.axis_stride[0] + ih * images.axis_stride[1] +
                       (window.low[2] + first) * images.axis_stride[2],
                   images, channels, last - first, to + first * count);
      if (last < window.extent[2]) memset(to + last * count, 0, (size_t)((window.extent[2] - last) * count) * sizeof(T));
    }
  }
}

BAYESOPS_ISA_END
