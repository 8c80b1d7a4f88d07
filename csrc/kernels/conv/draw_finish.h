// Draws of results whose mean and standard deviation are at hand: mean + deviation * eps, and the epilogue of that.
#pragma once
#include "kernels/conv/epilogue.h"
#include "kernels/conv/tile_noise.h"

BAYESOPS_ISA_BEGIN

// Draws the channels of one tile, a strip of pixels at a time.
template <class S, class T>
struct DrawFinish {
  uint32_t stream;
  int count;  // channels of the tile
  int64_t pixel_step;
  ChannelOffsets channel;
  TileNoise noise;
  TileEpilogue<S, T> epilogue;

  // Stores at `to` the draw of pixels [pixels][kTileChannels], which are numbers `index` of all that the seed serves;
  // `ahead` as in TileEpilogue.
  void operator()(int64_t seed, const T* mean, const T* deviation, int pixels, const int64_t* index, S* to,
                  int64_t ahead) {
    constexpr int n = kLanes<T>, row = kTileChannels<T>;
    const int width = count <= n ? n : row;
    noise.draw(Stream{(uint64_t)seed, stream}, index, pixels);
    const float* eps = noise.rows();
    const int64_t step = noise.row_step();
    alignas(64) T draw[kStripPixels * kTileChannels<T>];
    for (int k = 0; k < pixels * row; k += row, eps += step)
      for (int c = 0; c < width; c += n)
        store(draw + k + c, fused_multiply_add(load(deviation + k + c), load_floats<T>(eps + c), load(mean + k + c)));
    if (epilogue.given()) {
      epilogue.store_tile(draw, pixels, to, ahead);
    } else {
      store_tile<S, T>(draw, pixels, count, to, pixel_step, channel);
    }
  }
};

BAYESOPS_ISA_END
