// Sums over draws, in pieces: a small weight has few threads, and each would go through all draws alone.
#pragma once
#include "kernels/flat/compute_type.h"
#include "kernels/flat/run.h"

namespace bayesops {

// Draws in pieces of neighbours. How many depends on sizes alone, and so do the sums.
struct FlatPieces {
  int64_t draws, draws_per_piece, count;

  // For `runs` threads per piece.
  static FlatPieces of(int64_t draws, int64_t runs) {
    constexpr int64_t kEnoughThreads = 1 << 16, kLeast = 8;  // fewer draws would not pay for what a piece writes
    int64_t size = (draws * runs + kEnoughThreads - 1) / kEnoughThreads;
    if (size < kLeast) size = kLeast;
    while (size * size < draws) ++size;  // or summing the pieces would cost more than the draws of one
    const int64_t count = (draws + size - 1) / size;
    return {draws, size, count > 0 ? count : 1};
  }
  BAYESOPS_HD_MEMBER int64_t begin(const FlatPieces& p, int64_t piece) { return piece * p.draws_per_piece; }
  BAYESOPS_HD_MEMBER int64_t end(const FlatPieces& p, int64_t piece) {
    const int64_t end = (piece + 1) * p.draws_per_piece;
    return end < p.draws ? end : p.draws;
  }
};

// The sum of [pieces][element], one piece after another, times `scale`.
template <class S>
struct FlatSumOfPieces {
  using T = typename ComputeOf<S>::T;
  static constexpr int kRun = 4;

  const T* sums;
  int64_t pieces, elements;
  T scale;
  S* out;

  BAYESOPS_HD_MEMBER int64_t total(const FlatSumOfPieces& f) { return (f.elements + kRun - 1) / kRun; }
  BAYESOPS_HD_MEMBER void run(const FlatSumOfPieces& f, int64_t index) {
    const int64_t first = index * kRun, count = f.elements - first;
    T total[kRun] = {}, sums[kRun] = {};
    for (int64_t piece = 0; piece < f.pieces; ++piece) {
      read_run(f.sums + piece * f.elements + first, 1, count, sums);
      unrolled<kRun>(kRun, [&](int i) { total[i] += sums[i]; });
    }
    unrolled<kRun>(kRun, [&](int i) { total[i] *= f.scale; });
    write_run(total, 1, count, f.out + first);
  }
};

}  // namespace bayesops
