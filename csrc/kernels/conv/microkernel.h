// The inner loop: a tile of P outputs x NV vectors of channels, all accumulators in registers.
//
// For every step of the reduction: NV vectors of the packed panel against P broadcast inputs, P * NV fused
// multiply-adds. The reduction runs in one fixed order, whatever the tile, so results do not depend on how work is cut.
// Sums are of type T; what is multiplied, M, is that or a pair of neighbouring channels in bfloat16.
#pragma once
#include "kernels/simd/bfloat16_pair.h"

BAYESOPS_ISA_BEGIN

// Accumulators + panel vectors + one broadcast fit the registers.
constexpr int kTilePixels = kVectorRegisters == 32 ? 14 : 6;
constexpr int kTileVectors = 2;
template <class T>
constexpr int kTileChannels = kTileVectors * kLanes<T>;

// Weights can be masked as the tile loads them, where a masked load costs nothing; elsewhere panels are masked copies.
#if defined(BAYESOPS_AVX512)
constexpr bool kMaskInTile = true;
#else
constexpr bool kMaskInTile = false;
#endif

// A tile reads input x[runs[r] + i * step + p * pixel_step] for r < run_count, i < run_length, p < P, and a panel row
// for each (r, i) in turn.
template <class T, class M = T>
struct TileArguments {
  const M* x;
  int64_t pixel_step;
  int64_t step;
  const int64_t* runs;
  int64_t run_count;
  int64_t run_length;
  const M* panel;
  int64_t panel_step;
  const uint16_t* mask;  // kTileVectors words for each number of a panel row's operands; null: the panel as it is
  T scale;
  const T* bias;  // one a channel of the tile
  T* out;         // out[p * out_step + channel]
  int64_t out_step;
};

template <class T, class M = T>
using TileFunction = void (*)(const TileArguments<T, M>&);

// The tile of 1 <= pixels <= kTilePixels and 1 <= vectors <= kTileVectors; defined in conv/tiles.cpp.
template <class T, class M = T>
TileFunction<T, M> tile_function(int pixels, int vectors, bool masked);
// Depthwise: every channel has its own input, so the input is a vector too, and runs are single taps.
template <class T>
TileFunction<T> depthwise_tile_function(int pixels);

BAYESOPS_ISA_END
