// The instances of the inner loop, one for every number of outputs a tile can have.
#include "kernels/conv/microkernel.h"

BAYESOPS_ISA_BEGIN

namespace {

// The weights of a vector of columns, as the tile multiplies them.
template <bool kMasked, class T>
BAYESOPS_INLINE Vec<T> load_weights(const T* panel, const uint16_t* mask) {
  return kMasked ? load_masked<T, false>(panel, *mask) : load(panel);
}
#if defined(BAYESOPS_AVX512_BF16)
template <bool kMasked>
BAYESOPS_INLINE VUint load_weights(const BFloat16Pair* panel, const uint16_t* mask) {
  return kMasked ? load_masked(panel, mask[0], mask[kTileVectors]) : load(panel);
}
#endif

template <class T, class M, int P, int NV, bool kMasked>
void tile(const TileArguments<T, M>& a) {
  using V = Vec<T>;
  constexpr int n = kLanes<T>;
  V sum[P][NV];
#pragma GCC unroll 14
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) sum[p][v] = V{};
  const M* panel = a.panel;
  const uint16_t* mask = a.mask;
  const int64_t panel_step = a.panel_step, step = a.step, pixel_step = a.pixel_step;
  for (int64_t r = 0; r < a.run_count; ++r) {
    const M* x = a.x + a.runs[r];
    for (int64_t i = 0; i < a.run_length; ++i) {
      decltype(load(panel)) w[NV];
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) w[v] = load_weights<kMasked>(panel + v * n, mask + v);
      panel += panel_step;
      if (kMasked) mask += kTileVectors * kNumbers<M>;
#pragma GCC unroll 14
      for (int p = 0; p < P; ++p) {
        const auto s = broadcast(x[p * pixel_step]);
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

template <class T, class M, bool kMasked>
TileFunction<T, M> dense_tile(int pixels, int vectors) {
#define BAYESOPS_TILE(P)                                                   \
  {                                                                        \
    tile<T, M, fitting(P), 1, kMasked>, tile<T, M, fitting(P), 2, kMasked> \
  }
  static constexpr TileFunction<T, M> table[][kTileVectors] = {BAYESOPS_FOR_PIXELS(BAYESOPS_TILE)};
#undef BAYESOPS_TILE
  return table[pixels - 1][vectors - 1];
}

template <class T, class M>
TileFunction<T, M> tile_function(int pixels, int vectors, bool masked) {
  if constexpr (kMaskInTile) {
    if (masked) return dense_tile<T, M, true>(pixels, vectors);
  }
  return dense_tile<T, M, false>(pixels, vectors);
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
#if defined(BAYESOPS_AVX512_BF16)
template TileFunction<float, BFloat16Pair> tile_function<float, BFloat16Pair>(int, int, bool);
#endif
template TileFunction<float> depthwise_tile_function<float>(int);
template TileFunction<double> depthwise_tile_function<double>(int);

BAYESOPS_ISA_END
