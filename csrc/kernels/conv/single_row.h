// Weights that are drawn to meet a single row of input. In a panel they would be written once and read once: they are
// multiplied where they lie instead, along the reduction.
#pragma once
#include "kernels/conv/drawn_panel.h"
#include "kernels/counters.h"
#include "kernels/simd/transpose.h"

BAYESOPS_ISA_BEGIN

// Whether every set has weights of its own, and one result: linear maps, forward, of one example.
static inline bool meets_single_rows(const ConvProblem& p, const Roles& r, int64_t images_per_set, int64_t pixels) {
  const bool own = p.noise.drawn || (p.mask.masked && p.mask.granularity <= kGranularityKernel);
  const bool linear = p.groups == 1 && p.taps() == 1 && p.in_channels > 0 && !r.depthwise && !r.backward;
  return own && linear && images_per_set == 1 && pixels == 1;
}

// The products of x[k] and weights(k, number of lanes that count), k < count, added up in as many parts as there are
// lanes.
template <class T, class Weights>
BAYESOPS_INLINE Vec<T> multiply_row(const T* x, int64_t count, const Weights& weights) {
  constexpr int n = kLanes<T>, kParts = 4;  // they hide the latency of the multiply-adds
  Vec<T> sum[kParts] = {};
  int64_t k = 0;
  for (; k + kParts * n <= count; k += kParts * n)
    for (int i = 0; i < kParts; ++i) sum[i] = fused_multiply_add(weights(k + i * n, n), load(x + k + i * n), sum[i]);
  for (int i = 0; k < count; k += n, ++i) {
    const int here = (int)(count - k < n ? count - k : n);
    sum[i] = fused_multiply_add(weights(k, here), load_as<T>(x + k, low_bits(here)), sum[i]);
  }
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

template <class S, class T>
BAYESOPS_INLINE Vec<T> load_kept(const S* weight, uint32_t kept, int count) {
  if constexpr (sizeof(S) == sizeof(T)) {
    if (count == kLanes<T>) return load_masked<T, false>(weight, kept);
  }
  return (Vec<T>)((typename VectorOf<T>::I)load_as<T>(weight, low_bits(count)) & lane_mask<T>(kept));
}

// Masked weights: the parts of the sums of columns `first` + c.
template <class S, class T>
void multiply_masked_rows(const ConvProblem& p, const BitRange& bits, int64_t first, int64_t columns, const T* x,
                          Vec<T>* parts) {
  const S* weight = static_cast<const S*>(p.weight);
  const int64_t length = p.weight_row();
  for (int64_t c = 0; c < columns; ++c) {
    const int64_t row = (first + c) * length;
    parts[c] = multiply_row<T>(x, length, [&](int64_t k, int here) {
      return load_kept<S, T>(weight + row + k, BitRange::read(bits, row + k), here);
    });
  }
}

// Gaussian weights, their noise drawn for several columns at once or, where these are long, piece by piece.
template <class S, class T>
void multiply_drawn_rows(const ConvProblem& p, int64_t sample, int64_t first, int64_t columns, const T* x,
                         Vec<T>* parts, PhaseClock& clock) {
  constexpr int64_t kRange = 1 << 13;
  const DrawnWeights<S, T> weights{static_cast<const S*>(p.weight), static_cast<const S*>(p.noise.sigma)};
  const int64_t length = p.weight_row(), piece = length < kRange ? length : kRange, together = kRange / piece;
  float* room = scratch<float>(kScratchNoise, noise_room(kRange));
  for (int64_t c = 0; c < columns; c += together) {
    const int64_t here = columns - c < together ? columns - c : together;
    for (int64_t begin = 0; begin < length; begin += piece) {
      const int64_t count = length - begin < piece ? length - begin : piece, row = (first + c) * length + begin;
      const float* noise = draw_noise(p.noise, sample, row, (here - 1) * length + count, room);
      clock.mark(kPhasePack);
      for (int64_t i = 0; i < here; ++i) {
        const Vec<T> of_piece = multiply_row<T>(x + begin, count, [&](int64_t k, int lanes) {
          const int64_t at = i * length + k;
          return DrawnWeights<S, T>::load(weights, row + at, noise + at, low_bits(lanes));
        });
        parts[c + i] = begin == 0 ? of_piece : parts[c + i] + of_piece;
      }
      clock.mark(kPhaseMultiply);
    }
  }
}

// The results of a tile of columns, as the tiles of panels leave them: sums * scale + bias.
template <class S, class T>
void multiply_single_row(const ConvProblem& p, const WeightSet& set, int64_t sample, const ColumnTile& tile, const T* x,
                         const T* bias, T* sums, PhaseClock& clock) {
  constexpr int n = kLanes<T>;
  alignas(64) Vec<T> parts[kTileChannels<T>];
  if (p.noise.drawn) {
    multiply_drawn_rows<S, T>(p, sample, tile.first, tile.count, x, parts, clock);
  } else {
    multiply_masked_rows<S, T>(p, set.bits, tile.first, tile.count, x, parts);
  }
  const Vec<T> scale = broadcast((T)p.scale);
  for (int c = 0; c < tile.count; c += n) {
    const int here = (int)(tile.count - c < n ? tile.count - c : n);
    Vec<T> sum{};
    transpose_block<T>(here, n, [&](int i) { return parts[c + i]; }, [&](int, Vec<T> part) { sum += part; });
    store(sums + c, fused_multiply_add(sum, scale, load(bias + tile.first + c)));
  }
  clock.mark(kPhaseMultiply);
}

BAYESOPS_ISA_END
