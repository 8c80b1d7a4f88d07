// The weight source: weights become a panel, in the order in which the tiles read it, with the mask applied on the way.
// Panel: one row for each step of the reduction, kTileChannels columns (channels of the result), missing ones zero.
#pragma once
#include "kernels/conv/masks.h"
#include "kernels/simd/transpose.h"

BAYESOPS_ISA_BEGIN

template <class S>
struct WeightSource {
  const S* weight;        // null: ones, so that the panel is the mask itself
  const BitRange* bits;   // null: everything is kept
};

template <class S, class T>
BAYESOPS_INLINE Vec<T> masked_weights(const WeightSource<S>& source, int64_t element, int count) {
  uint32_t keep = low_bits(count);
  if (source.bits != nullptr) keep &= BitRange::read(*source.bits, element);
  if (source.weight == nullptr) {
    const Vec<T> ones = broadcast<T>(1);
    return (Vec<T>)((typename VectorOf<T>::I)ones & lane_mask<T>(keep));
  }
  if constexpr (sizeof(S) == sizeof(T)) {
    // A whole vector needs no care at the end of the array.
    if (count == kLanes<T>) return load_masked<T, false>(source.weight + element, keep);
  }
  return load_as<T>(source.weight + element, keep);
}

// rows: one for each panel column, at element row_element(i) of the weight, `length` consecutive elements each.
// Element k of a row goes to panel row panel_row[k], or nowhere if that is negative.
template <class S, class T, class RowElement>
BAYESOPS_INLINE void pack_rows(const WeightSource<S>& source, int columns, int vectors, int64_t length,
                               const RowElement& row_element, const int32_t* panel_row, T* panel, int64_t panel_step) {
  constexpr int n = kLanes<T>;
  for (int v = 0; v < vectors; ++v) {
    const int rows = columns - v * n < n ? columns - v * n : n;
    int64_t element[n];
    for (int i = 0; i < rows; ++i) element[i] = row_element(v * n + i);
    for (int64_t k = 0; k < length; k += n) {
      const int count = (int)(length - k < n ? length - k : n);
      transpose_block<T>(
          rows, count, [&](int i) { return masked_weights<S, T>(source, element[i] + k, count); },
          [&](int i, Vec<T> w) {
            const int32_t row = panel_row[k + i];
            if (row >= 0) store(panel + row * panel_step + v * n, w);
          });
    }
  }
}

BAYESOPS_ISA_END
