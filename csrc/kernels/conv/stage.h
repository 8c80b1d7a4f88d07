// Staging: a slab of images, in any memory format and storage type, becomes channels-last, in the type that is
// multiplied, and with its zero halo in place. It is the only place that knows about padding, memory formats and
// storage types of the input.
#pragma once
#include "kernels/conv/problem.h"
#include "kernels/simd/bfloat16_pair.h"
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

// The channels of a pixel become operands of type M, each of one channel or of two neighbours.

// `count` operands of one or more pixels whose channels stand together.
template <class S, class M>
BAYESOPS_INLINE void copy_run(const S* from, M* to, int64_t count) {
  if constexpr (sizeof(S) * kNumbers<M> == sizeof(M)) {
    memcpy(to, from, (size_t)count * sizeof(M));
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = convert<M>(from[i]);
  }
}
// Operand i of a pixel whose channels are `step` apart.
template <class S, class M>
BAYESOPS_INLINE M read_operand(const S* pixel, const ChannelList& channels, int64_t step, int64_t i) {
  if constexpr (kNumbers<M> == 1) {
    return convert<M>(pixel[channels[i] * step]);
  } else {
    return M{(uint32_t)pixel[channels[2 * i] * step].bits | (uint32_t)pixel[channels[2 * i + 1] * step].bits << 16};
  }
}
// The same of neighbouring pixels, those whose bits are set, as vectors of a type of the operands' size.
template <class M>
struct SizedAs {
  using T = M;
};
template <>
struct SizedAs<BFloat16Pair> {
  using T = float;
};
template <class S, class M>
BAYESOPS_INLINE Vec<typename SizedAs<M>::T> read_operands(const S* pixels, const ChannelList& channels, int64_t step,
                                                          int64_t i, uint32_t bits) {
  if constexpr (kNumbers<M> == 1) {
    return load_as<M>(pixels + channels[i] * step, bits);
  } else {
    const VFloat low = load_as<float>(pixels + channels[2 * i] * step, bits);
    const VFloat high = load_as<float>(pixels + channels[2 * i + 1] * step, bits);
    return (VFloat)((VUint)low >> 16 | (VUint)high);
  }
}

// The part of a window that lies inside the image: `rows` x `lines` of `width` pixels.
struct Inside {
  int64_t planes, lines, width;
  int64_t from_plane, from_line;  // steps in the image
  int64_t to_plane, to_line;      // steps in the slab
};

// Channels apart, pixels together (channels first). A block of channels at a time through all lines: few streams of
// memory, each read in order.
template <class S, class M>
void stage_planes(const S* from, const Images& images, const ChannelList& channels, const Inside& part, M* to) {
  using T = typename SizedAs<M>::T;
  constexpr int n = kLanes<T>, k = kNumbers<M>;
  const int64_t cs = images.channel_stride, count = channels.count / k;
  for (int64_t c = 0; c < count; c += n) {
    const int rows = (int)(count - c < n ? count - c : n);
    for (int64_t d = 0; d < part.planes; ++d)
      for (int64_t h = 0; h < part.lines; ++h) {
        const S* line = from + d * part.from_plane + h * part.from_line;
        T* out = reinterpret_cast<T*>(to + d * part.to_plane + h * part.to_line + c);
        for (int64_t i = k * (c + n); i < k * (c + 2 * n) && i < channels.count; ++i)
          __builtin_prefetch(line + channels[i] * cs);
        for (int64_t w = 0; w < part.width; w += n) {
          const int columns = (int)(part.width - w < n ? part.width - w : n);
          const uint32_t bits = low_bits(columns);
          transpose_block<T>(
              rows, columns, [&](int i) { return read_operands<S, M>(line + w, channels, cs, c + i, bits); },
              [&](int i, Vec<T> v) {
                T* p = out + (w + i) * count;
                if (rows == n) {
                  store(p, v);
                } else {
                  store_partial<T>(p, v, rows);
                }
              });
        }
      }
  }
}

template <class S, class M>
void stage_lines(const S* from, const Images& images, const ChannelList& channels, const Inside& part, M* to) {
  const int64_t cs = images.channel_stride, ws = images.axis_stride[2], count = channels.count / kNumbers<M>;
  const bool together = channels.list == nullptr && (cs == 1 || channels.count == 1);
  for (int64_t d = 0; d < part.planes; ++d)
    for (int64_t h = 0; h < part.lines; ++h) {
      const S* line = from + d * part.from_plane + h * part.from_line;
      M* out = to + d * part.to_plane + h * part.to_line;
      if (together && ws == channels.count) {
        copy_run(line, out, part.width * count);
      } else if (together) {
        for (int64_t w = 0; w < part.width; ++w) copy_run(line + w * ws, out + w * count, count);
      } else {
        for (int64_t w = 0; w < part.width; ++w)
          for (int64_t c = 0; c < count; ++c) out[w * count + c] = read_operand<S, M>(line + w * ws, channels, cs, c);
      }
    }
}

// One image: to[((d * extent[1] + h) * extent[2] + w) * operands of a pixel + c].
template <class S, class M>
void stage_image(const S* from, const Images& images, const ChannelList& channels, const Window& window, M* to) {
  const int64_t count = channels.count / kNumbers<M>;
  int64_t first[3], last[3];
  bool halo = false, empty = false;
  for (int a = 0; a < 3; ++a) {  // positions [first, last) of the window lie inside the image
    first[a] = window.low[a] < 0 ? -window.low[a] : 0;
    const int64_t past = images.size[a] - window.low[a];
    last[a] = past < window.extent[a] ? past : window.extent[a];
    halo = halo || first[a] > 0 || last[a] < window.extent[a];
    empty = empty || first[a] >= last[a];
  }
  if (halo) memset(to, 0, (size_t)(window.pixels() * count) * sizeof(M));
  if (empty || count == 0) return;
  Inside part;
  part.planes = last[0] - first[0];
  part.lines = last[1] - first[1];
  part.width = last[2] - first[2];
  part.from_plane = images.axis_stride[0];
  part.from_line = images.axis_stride[1];
  part.to_line = window.extent[2] * count;
  part.to_plane = window.extent[1] * part.to_line;
  for (int a = 0; a < 3; ++a) from += (window.low[a] + first[a]) * images.axis_stride[a];
  to += first[0] * part.to_plane + first[1] * part.to_line + first[2] * count;
  if (images.axis_stride[2] == 1 && channels.count >= 4 && images.channel_stride != 1) {
    stage_planes(from, images, channels, part, to);
  } else {
    stage_lines(from, images, channels, part, to);
  }
}

BAYESOPS_ISA_END
