// Panels of Gaussian weights: mu + sigma * eps comes into being on its way from the weights to the panel.
#pragma once
#include "kernels/conv/weight_set.h"
#include "kernels/rng/fill.h"

BAYESOPS_ISA_BEGIN

// Room for `count` normals wherever they start, and for whole vectors read past their end.
BAYESOPS_INLINE int64_t noise_room(int64_t count) { return count + 2 * kFillAlign; }

// Normals [first, first + count) of a sample.
static inline const float* draw_noise(const NoiseSource& noise, int64_t sample, int64_t first, int64_t count,
                                      float* room) {
  const int64_t start = fill_start(first);
  kFillKernels.normals(room, start, first - start + count, Stream{(uint64_t)noise.seeds[sample], noise.stream});
  return room + (first - start);
}

// A weight's mean may be left out; where sigma is left out, too, the panel holds the noise itself.
template <class S, class T>
struct DrawnWeights {
  const S* mu;
  const S* sigma;

  BAYESOPS_HD_MEMBER Vec<T> load(const DrawnWeights& w, int64_t element, const float* noise, uint32_t bits) {
    const Vec<T> eps = load_floats<T>(noise);
    if (w.sigma == nullptr) return eps;
    const Vec<T> sigma = load_as<T>(w.sigma + element, bits);
    return w.mu != nullptr ? fused_multiply_add(sigma, eps, load_as<T>(w.mu + element, bits)) : sigma * eps;
  }
};

// The longest range of the stream that is drawn at once.
constexpr int64_t kDrawnTogether = 1 << 13;

// Elements [first, first + count) of every strip.
struct StripRange {
  int64_t first, count;
};

// The panel of a tile for one sample, or a range of its strips' elements; `strip_row` names the rows of those. As in
// pack_panel the tile may be several where columns adjoin, of up to kTileRange columns. The strips of neighbouring
// columns are neighbours in the weight, so the noise of the tile, or of a vector of its columns, is one range of the
// stream; long strips take it piece by piece.
template <class S, class T>
void draw_panel(const ConvProblem& p, const Roles& r, const DrawnWeights<S, T>& weights, int64_t sample,
                const ColumnTile& tile, const int32_t* strip_row, T* panel, int64_t panel_step, const StripRange& range,
                int64_t between = 0) {
  constexpr int n = kLanes<T>;
  constexpr int64_t kTileRange = kDrawnTogether, kVectorRange = 1 << 15, kPiece = 1024;
  const int columns = (int)tile.count;
  const int64_t length = strip_length(p, r);
  const bool whole = range.count == length;
  const bool by_tile = whole && columns * length <= kTileRange, by_vector = whole && n * length <= kVectorRange;
  const bool adjoin = columns_adjoin(p, r, WeightSet{});
  float* room = scratch<float>(kScratchNoise, by_tile     ? noise_room(columns * length)
                                              : by_vector ? noise_room(n * length)
                                                          : n * noise_room(kPiece));
  for_strips(p, r, WeightSet{}, tile, [&](const auto& element, int64_t offset) {
    const StripRows rows{strip_row, offset};
    const float* of_tile = by_tile ? draw_noise(p.noise, sample, element(0), columns * length, room) : nullptr;
    if (adjoin && by_tile) {  // one tap: neighbouring columns are neighbouring weights
      if (strip_row[0] < 0) return;
      T* row = panel + (strip_row[0] + offset) * panel_step;
      for_vectors<T>(columns, panel_step, between, [&](int c, int64_t at) {
        store(row + at, DrawnWeights<S, T>::load(weights, element(c), of_tile + c, low_bits(columns - c)));
      });
      return;
    }
    for (int c = 0; c < columns; c += n) {
      const int here = columns - c < n ? columns - c : n;
      const int64_t first = element(c) + range.first;
      const float* noise[n];
      const int64_t piece = by_tile || by_vector ? length : kPiece;
      for (int64_t begin = 0; begin < range.count; begin += piece) {
        const int64_t end = begin + piece < range.count ? begin + piece : range.count;
        const float* of_vector = by_tile ? of_tile + c * length : nullptr;
        if (!by_tile && by_vector) of_vector = draw_noise(p.noise, sample, first, here * length, room);
        for (int i = 0; i < here; ++i)
          noise[i] = of_vector != nullptr ? of_vector + i * length
                                          : draw_noise(p.noise, sample, first + i * length + begin, end - begin,
                                                       room + i * noise_room(kPiece));
        pack_vector<T>(
            here, begin, end,
            [&](int i, int64_t k, uint32_t bits) {
              return DrawnWeights<S, T>::load(weights, first + i * length + k, noise[i] + (k - begin), bits);
            },
            rows, panel + c, panel_step);
      }
    }
  });
}

template <class S, class T>
void draw_panel(const ConvProblem& p, const Roles& r, const DrawnWeights<S, T>& weights, int64_t sample,
                const ColumnTile& tile, const int32_t* strip_row, T* panel, int64_t panel_step, int64_t between) {
  draw_panel<S, T>(p, r, weights, sample, tile, strip_row, panel, panel_step, StripRange{0, strip_length(p, r)},
                   between);
}

BAYESOPS_ISA_END
