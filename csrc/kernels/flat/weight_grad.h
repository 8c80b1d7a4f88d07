// Gradients of drawn weights, summed over the draws, as functors over a flat index: what a CUDA thread does, callable
// on the host as well. Noise and masks are drawn where they are multiplied with.
#pragma once
#include "kernels/flat/compute_type.h"
#include "kernels/flat/extent.h"
#include "kernels/flat/masked_weight.h"
#include "kernels/flat/pieces.h"
#include "kernels/flat/streams.h"
#include "kernels/flat/weight_layout.h"

namespace bayesops {

// Sums of gradients [samples][examples][weight], each times mask * scale, one after another: a sum for each piece of
// these draws. `layout` is that of the gradients; the sums lie as their numbers go.
template <class S, class Sum>
struct FlatMaskedWeightGrad {
  using T = typename ComputeOf<S>::T;
  static constexpr int kRun = FlatWeightMask::kRun;

  FlatWeightMask mask;
  FlatWeightLayout layout;  // if its channels are last, the indices are those of FlatMaskedWeightGradTiles
  FlatPieces pieces;
  FlatExtent runs, examples;
  const S* gradients;
  T scale;
  Sum* out;  // [pieces][weight]

  static int64_t runs_of(int64_t weights) { return (weights + kRun - 1) / kRun; }
  static FlatMaskedWeightGrad of(const ConvProblem& p, bool channels_last, const FlatPieces& pieces,
                                 const void* gradients, double scale, void* out) {
    const FlatWeightMask mask = FlatWeightMask::of(p);
    return {mask,
            FlatWeightLayout::of(p.out_channels, p.group_in(), p.taps(), channels_last),
            pieces,
            runs_of(mask.weights),
            mask.examples,
            static_cast<const S*>(gradients),
            static_cast<T>(scale),
            static_cast<Sum*>(out)};
  }
  BAYESOPS_HD_MEMBER int64_t total(const FlatMaskedWeightGrad& f) { return f.pieces.count * f.runs; }
  BAYESOPS_HD_MEMBER void run(const FlatMaskedWeightGrad& f, int64_t index) {
    const auto [piece, run] = divide(index, f.runs);
    const int64_t weights = f.mask.weights, first = run * kRun, count = weights - first;
    T sums[kRun] = {}, gradient[kRun] = {};
    for (int64_t draw = FlatPieces::begin(f.pieces, piece); draw < FlatPieces::end(f.pieces, piece); ++draw) {
      const auto [sample, example] = divide(draw, f.examples);
      const uint32_t bits = FlatWeightMask::bits(f.mask, sample, example * weights + first);
      read_run(f.gradients + draw * weights + first, 1, count, gradient);
      unrolled<kRun>(kRun, [&](int i) { sums[i] += bits >> i & 1 ? gradient[i] : T(0); });
    }
    unrolled<kRun>(kRun, [&](int i) { sums[i] *= f.scale; });
    write_run(sums, 1, count, f.out + piece * weights + first);
  }
};

// The same of gradients whose channels are last in memory: an index names a tile of a piece.
template <class S, class Sum>
struct FlatMaskedWeightGradTiles {
  using T = typename ComputeOf<S>::T;
  static constexpr int kWide = 4;  // with more, half as many threads would hold twice as many sums
  using Tile = FlatWeightTile<kWide>;

  FlatMaskedWeightGrad<S, Sum> sums;
  FlatExtent per_out_channel, per_piece;  // tiles

  static FlatMaskedWeightGradTiles of(const FlatMaskedWeightGrad<S, Sum>& sums) {
    const FlatExtent per_out_channel = Tile::per_out_channel(sums.layout.in_channels);
    return {sums, per_out_channel, sums.layout.out_channels * per_out_channel};
  }
  BAYESOPS_HD_MEMBER int64_t total(const FlatMaskedWeightGradTiles& f) { return f.sums.pieces.count * f.per_piece; }
  BAYESOPS_HD_MEMBER void run(const FlatMaskedWeightGradTiles& f, int64_t index) {
    const FlatWeightLayout& layout = f.sums.layout;
    const FlatDivision at = divide(index, f.per_piece);
    const Tile tile = Tile::of(layout, f.per_out_channel, at.remainder);
    Tile::each_taps(layout, [&](int64_t tap, int taps) { run(f.sums, at.quotient, tile, tap, taps); });
  }

 private:
  BAYESOPS_HD_MEMBER void run(const FlatMaskedWeightGrad<S, Sum>& f, int64_t piece, const Tile& tile, int64_t tap,
                              int taps) {
    const int64_t weights = f.mask.weights;
    const S* from = f.gradients + FlatWeightLayout::offset(f.layout, tile.out_channel, tap) + tile.first_channel;
    const auto count = [&](int i) { return i < taps ? tile.count : 0; };
    T sums[Tile::kTaps][kWide] = {};
    for (int64_t draw = FlatPieces::begin(f.pieces, piece); draw < FlatPieces::end(f.pieces, piece); ++draw) {
      uint32_t kept[kWide] = {};
      const auto [sample, example] = divide(draw, f.examples);
      FlatWeightMask::tile_bits(f.mask, f.layout, tile, sample, example, tap, taps, kept);
      T gradient[Tile::kTaps][kWide] = {};
      read_runs(from + draw * weights, f.layout.in_channels, 1, count, gradient);
      unrolled<Tile::kTaps>(taps, [&](int i) {
        unrolled<kWide>(kWide, [&](int c) { sums[i][c] += kept[c] >> i & 1 ? gradient[i][c] : T(0); });
      });
    }
    Sum* const out = f.out + piece * weights;
    if (f.layout.taps == Tile::kTaps && tile.count == kWide) {  // 3 x 3 kernels: the tile's elements follow each other
      unrolled<Tile::kTaps>(Tile::kTaps, [&](int four) {
        T neighbours[kWide];
        unrolled<kWide>(kWide, [&](int j) {
          const int number = four * kWide + j;
          neighbours[j] = sums[number % Tile::kTaps][number / Tile::kTaps] * f.scale;
        });
        write_run(neighbours, 1, kWide, out + Tile::element(tile, f.layout, 0, 0) + four * kWide);
      });
    } else {
      unrolled<kWide>(tile.count, [&](int c) {
        unrolled<Tile::kTaps>(
            taps, [&](int i) { out[Tile::element(tile, f.layout, c, tap + i)] = (Sum)(sums[i][c] * f.scale); });
      });
    }
  }
};

// The sums over samples of gradients [samples][element], and of these times eps, one after another: sums for each piece
// of the samples. `layout` is that of the gradients; the sums lie as their numbers go.
template <class S, class Sum>
struct FlatGaussianWeightGrad {
  static constexpr int kRun = 4;

  const int64_t* seeds;
  uint32_t stream;
  FlatWeightLayout layout;
  FlatPieces pieces;
  FlatExtent runs;
  const S* gradients;
  Sum *mu, *sigma;  // [pieces][element]

  static int64_t runs_of(int64_t elements) { return (elements + kRun - 1) / kRun; }
  BAYESOPS_HD_MEMBER int64_t total(const FlatGaussianWeightGrad& f) { return f.pieces.count * f.runs; }
  BAYESOPS_HD_MEMBER void run(const FlatGaussianWeightGrad& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    const auto [piece, block] = divide(index, f.runs);
    const int64_t all = FlatWeightLayout::elements(f.layout), first = block * kRun, count = all - first;
    T of_mu[kRun] = {}, of_sigma[kRun] = {}, gradient[kRun] = {};
    for (int64_t sample = FlatPieces::begin(f.pieces, piece); sample < FlatPieces::end(f.pieces, piece); ++sample) {
      const NormalBlock normals = normal_block(Stream{(uint64_t)f.seeds[sample], f.stream}, (uint64_t)block);
      FlatWeightLayout::read(f.layout, f.gradients + sample * all, first, count, gradient);
      for (int i = 0; i < kRun; ++i) {
        of_mu[i] += gradient[i];
        of_sigma[i] += gradient[i] * (T)normals.z[i];
      }
    }
    write_run(of_mu, 1, count, f.mu + piece * all + first);
    write_run(of_sigma, 1, count, f.sigma + piece * all + first);
  }
};

}  // namespace bayesops
