// From tiles to all results of a slab: pieces along the chosen loop, rows of taps that count, the next panel on its
// way.
#pragma once
#include "kernels/conv/epilogue.h"
#include "kernels/conv/geometry.h"
#include "kernels/conv/weight_set.h"
#include "kernels/counters.h"

BAYESOPS_ISA_BEGIN

// Where the channels of a tile are stored: those from number `first` on, or those that are listed.
static inline ChannelOffsets channel_offsets(const Images& result, const int32_t* list, int64_t first) {
  const int32_t* offsets = result.channel_offsets;
  return ChannelOffsets{list, first, result.channel_stride, offsets != nullptr ? offsets + first : nullptr};
}

// The panel after the one in use, fetched into the cache a little with every piece of work: read for the first time it
// would come from afar.
struct Upcoming {
  const char* data = nullptr;
  int64_t bytes = 0;

  void fetch(int64_t pieces) {
    constexpr int64_t kLine = 64;
    int64_t here = (bytes / pieces + kLine - 1) / kLine * kLine;
    if (here > bytes) here = bytes;
    for (int64_t i = 0; i < here; i += kLine) __builtin_prefetch(data + i, 0, 2);
    data += here;
    bytes -= here;
  }
};

// Rows of taps that meet only padding are left out: the first and last rows of an image have less to add.
template <class T, class M = T>
struct RowTaps {
  bool use;
  Axis axis;
  int64_t first, size;  // number of the slab's first row; rows of the source
  int64_t runs;         // of a row of taps

  void narrow(int64_t row, const TileArguments<T, M>& all, TileArguments<T, M>& a) const {
    const int64_t at = (first + row) * axis.step;
    int64_t begin = 0, end = axis.taps;
    while (begin < end && at + axis.offset[begin] < 0) ++begin;
    while (begin < end && at + axis.offset[end - 1] >= size) --end;
    const int64_t skipped = begin * runs * all.run_length;
    a.runs = all.runs + begin * runs;
    a.run_count = (end - begin) * runs;
    a.panel = all.panel + skipped * all.panel_step;
    if (all.mask != nullptr) a.mask = all.mask + skipped * kTileVectors * kNumbers<M>;
  }
};

static inline bool by_rows_of_taps(const LoopNest& nest, const Axis* axis, bool depthwise) {
  // With one tap along the depth, the runs of a row of taps stand together.
  return nest.by_rows && axis[0].taps == 1 && !depthwise;
}
template <class T, class M = T>
RowTaps<T, M> row_taps_of(const LoopNest& nest, const Axis* axis, bool depthwise, const SlabPlan& plan,
                          const Slab& slab, const Images& source, int64_t run_count) {
  RowTaps<T, M> taps;
  taps.use = by_rows_of_taps(nest, axis, depthwise);
  taps.axis = axis[1];
  taps.first = plan.axis == 1 ? slab.first : 0;
  taps.size = source.size[1];
  taps.runs = axis[1].taps > 0 ? run_count / axis[1].taps : 0;
  return taps;
}

// How the results along the chosen loop are cut into tiles.
struct Pieces {
  int64_t count, shorter, longer;
  explicit Pieces(int64_t results)
      : count((results + kTilePixels - 1) / kTilePixels), shorter(results / count), longer(results % count) {}
  int operator[](int64_t piece) const { return (int)(shorter + (piece < longer ? 1 : 0)); }
};

// Calls row(k) before each walk along the chosen loop, k counting loop[2], and piece(pixels, offset in the slab, offset
// in the result, number of the first result) for every tile of it.
template <class Row, class Piece>
BAYESOPS_INLINE void for_pieces(const LoopNest& nest, const Row& row, const Piece& visit) {
  const Loop& along = nest.loop[3];
  const Pieces pieces(along.count);
  for (int64_t i = 0; i < nest.loop[0].count; ++i)
    for (int64_t j = 0; j < nest.loop[1].count; ++j)
      for (int64_t k = 0; k < nest.loop[2].count; ++k) {
        const auto at = [&](auto step) {
          return i * (nest.loop[0].*step) + j * (nest.loop[1].*step) + k * (nest.loop[2].*step);
        };
        int64_t in = at(&Loop::in_step), out = at(&Loop::out_step), index = at(&Loop::index_step);
        row(k);
        for (int64_t piece = 0; piece < pieces.count; ++piece) {
          const int pixels = pieces[piece];
          visit(pixels, in, out, index);
          in += pixels * along.in_step;
          out += pixels * along.out_step;
          index += pixels * along.index_step;
        }
      }
}
BAYESOPS_INLINE int64_t piece_count(const LoopNest& nest) {
  return nest.loop[0].count * nest.loop[1].count * nest.loop[2].count * Pieces(nest.loop[3].count).count;
}

template <class T, class M>
BAYESOPS_INLINE void multiply_tile(const TileArguments<T, M>& a, bool depthwise, int pixels, int vectors) {
  if constexpr (kNumbers<M> == 1) {
    if (depthwise) return depthwise_tile_function<T>(pixels)(a);
  }
  tile_function<T, M>(pixels, vectors, a.mask != nullptr)(a);
}

// All results of one tile of columns over a slab. `all` holds what the tiles share, for the first pixel of the slab;
// `bias` has one number for each channel of the result.
template <class S, class T, class M, class Finish>
void run_tile(const TileArguments<T, M>& all, bool depthwise, const T* bias, const LoopNest& nest,
              const RowTaps<T, M>& row_taps, S* out, const Finish& finish, Upcoming& upcoming, PhaseClock& clock) {
  const int count = finish.channels, vectors = (count + kLanes<T> - 1) / kLanes<T>;
  const ChannelOffsets& channel = finish.channel;
  const bool in_place = Finish::kDirect && stores_directly<S, T>(count, vectors, channel);
  const Loop& along = nest.loop[3];
  Strip<S, T, Finish> strip(finish);
  alignas(64) T listed_bias[kTileChannels<T>];
  TileArguments<T, M> a = all;
  a.bias = bias + channel.first;
  if (channel.list != nullptr) {
    for (int64_t i = 0; i < kTileChannels<T>; ++i) listed_bias[i] = i < count ? bias[channel.list[i]] : T(0);
    a.bias = listed_bias;
  }
  a.out_step = in_place ? along.out_step : kTileChannels<T>;
  a.pixel_step = along.in_step;
  int64_t left = piece_count(nest);
  for_pieces(
      nest,
      [&](int64_t row) {
        if (row_taps.use) row_taps.narrow(row, all, a);
      },
      [&](int pixels, int64_t in, int64_t to, int64_t index) {
        if (upcoming.bytes > 0) upcoming.fetch(left);
        --left;
        a.x = all.x + in;
        if constexpr (sizeof(S) == sizeof(T)) {
          if (in_place) a.out = out + to + channel.first;
        }
        clock.start();
        if (!in_place) {
          a.out = strip.room(pixels, out + to, index, along.index_step);
          clock.mark(kPhaseEpilogue);
        }
        multiply_tile(a, depthwise, pixels, vectors);
        clock.mark(kPhaseMultiply);
      });
  clock.start();
  strip.flush();
  clock.mark(kPhaseEpilogue);
}

// A column that is switched off is its bias, or the epilogue of that.
template <class S, class T>
void fill_columns(const ChannelSkip& columns, int64_t kept, int64_t total, const T* bias, int64_t channel_stride,
                  const Loop* loops, S* out, const Epilogue& epilogue, const S* residual) {
  int64_t next = 0;
  for (int64_t c = 0; c < total; ++c) {
    if (next < kept && columns.list[next] == c) {
      ++next;
      continue;
    }
    const S value = convert<S>(bias[c]);
    const TileEpilogue<S, T> of_column(epilogue, 1, 0, ChannelOffsets{nullptr, c, channel_stride}, out, residual);
    for (int64_t i = 0; i < loops[0].count; ++i)
      for (int64_t d = 0; d < loops[1].count; ++d)
        for (int64_t h = 0; h < loops[2].count; ++h) {
          S* to = out + c * channel_stride + i * loops[0].out_step + d * loops[1].out_step + h * loops[2].out_step;
          if (!of_column.given()) {
            for (int64_t w = 0; w < loops[3].count; ++w) to[w * loops[3].out_step] = value;
          } else {
            for (int64_t w = 0; w < loops[3].count; ++w, to += loops[3].out_step)
              *to = convert<S>(of_column.of(bias[c], to));
          }
        }
  }
}

BAYESOPS_ISA_END
