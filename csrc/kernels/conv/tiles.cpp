// The instances of the inner loop, one for every number of outputs a tile can have.
#include "kernels/conv/microkernel.h"

BAYESOPS_ISA_BEGIN

namespace {

template <class T, int P, int NV, bool kMasked>
void tile(const TileArguments<T>& a) {
  using V = Vec<T>;
  constexpr int n = kLanes<T>;
  V sum[P][NV];
#pragma GCC unroll 14
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) sum[p][v] = V{};
  const T* panel = a.panel;
  const uint16_t* mask = a.mask;
  const int64_t panel_step = a.panel_step, step = a.step, pixel_step = a.pixel_step;
  for (int64_t r = 0; r < a.run_count; ++r) {
    const T* x = a.x + a.runs[r];
    for (int64_t i = 0; i < a.run_length; ++i) {
      V w[NV];
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) w[v] = kMasked ? load_masked<T, false>(panel + v * n, mask[v]) : load(panel + v * n);
      panel += panel_step;
      if (kMasked) mask += kTileVectors;
#pragma GCC unroll 14
      for (int p = 0; p < P; ++p) {
        const V s = broadcast(x[p * pixel_step]);
#pragma GCC unroll 2
        for (int v = 0; v < NV; ++v) sum[p][v] = fused_multiply_add(s, w[v], sum[p][v]);
      }
      x += step;
    }
  }
  const V scale = broadcast(a.scale);
#pragma GCC unroll 14
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v)
      store(a.out + p * a.out_step + v * n, fused_multiply_add(sum[p][v], scale, load(a.bias + v * n)));
}

template <class T, int P>
void depthwise_tile(const TileArguments<T>& a) {
  using V = Vec<T>;
  V sum[P];
#pragma GCC unroll 14
  for (int p = 0; p < P; ++p) sum[p] = V{};
  const T* panel = a.panel;
  for (int64_t r = 0; r < a.run_count; ++r) {
    const T* x = a.x + a.runs[r];
    const V w = load(panel);
    panel += a.panel_step;
#pragma GCC unroll 14
    for (int p = 0; p < P; ++p) sum[p] = fused_multiply_add(load(x + p * a.pixel_step), w, sum[p]);
  }
  const V scale = broadcast(a.scale), bias = load(a.bias);
#pragma GCC unroll 14
  for (int p = 0; p < P; ++p) store(a.out + p * a.out_step, fused_multiply_add(sum[p], scale, bias));
}

}  // namespace

// Sizes beyond kTilePixels are never asked for; they repeat the largest instance instead of compiling one that spills.
#define BAYESOPS_FOR_PIXELS(X) X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), X(9), X(10), X(11), X(12), X(13), X(14)
constexpr int fitting(int pixels) { return pixels < kTilePixels ? pixels : kTilePixels; }

template <class T, bool kMasked>
TileFunction<T> dense_tile(int pixels, int vectors) {
#define BAYESOPS_TILE(P)                                             \
  {                                                                  \
    tile<T, fitting(P), 1, kMasked>, tile<T, fitting(P), 2, kMasked> \
  }
  static constexpr TileFunction<T> table[][kTileVectors] = {BAYESOPS_FOR_PIXELS(BAYESOPS_TILE)};
#undef BAYESOPS_TILE
  return table[pixels - 1][vectors - 1];
}

template <class T>
TileFunction<T> tile_function(int pixels, int vectors, bool masked) {
  if constexpr (kMaskInTile) {
    if (masked) return dense_tile<T, true>(pixels, vectors);
  }
  return dense_tile<T, false>(pixels, vectors);
}

template <class T>
TileFunction<T> depthwise_tile_function(int pixels) {
#define BAYESOPS_TILE(P) depthwise_tile<T, fitting(P)>
  static constexpr TileFunction<T> table[] = {BAYESOPS_FOR_PIXELS(BAYESOPS_TILE)};
#undef BAYESOPS_TILE
  return table[pixels - 1];
}

template TileFunction<float> tile_function<float>(int, int, bool);
template TileFunction<double> tile_function<double>(int, int, bool);
template TileFunction<float> depthwise_tile_function<float>(int);
template TileFunction<double> depthwise_tile_function<double>(int);

BAYESOPS_ISA_END
