// Transposed copies of whole matrices, a register block at a time.
#pragma once
#include "kernels/simd/vector.h"

BAYESOPS_ISA_BEGIN

BAYESOPS_INLINE uint32_t low_bits(int64_t count) { return count >= 32 ? ~0u : (1u << count) - 1u; }

template <class T, class S>
BAYESOPS_INLINE void store_as(S* p, Vec<T> v, int count) {
  if constexpr (sizeof(S) == sizeof(T)) {
    store_partial<T>(p, v, count);
  } else if (count == kLanes<T>) {
    store_whole(p, v);
  } else {
#if defined(BAYESOPS_AVX512)
    _mm256_mask_storeu_epi16(p, (__mmask16)low_bits(count),
                             (__m256i) __builtin_convertvector(bfloat16_bits(v) >> 16, VHalf));
#else
    for (int i = 0; i < count; ++i) p[i] = convert<S>((T)v[i]);
#endif
  }
}

// to(column c, row r) = from(row r, column c) for one block of at most kLanes x kLanes. Rows are given one by one.
template <class T, class RowLoad, class ColumnStore>
BAYESOPS_INLINE void transpose_block(int rows, int columns, const RowLoad& row, const ColumnStore& column) {
  constexpr int n = kLanes<T>;
  Vec<T> r[n];
  for (int i = 0; i < n; ++i) r[i] = i < rows ? row(i) : Vec<T>{};
  transpose<T>(r);
  if (columns == n) {
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) column(i, r[i]);
  } else {
    // Of a known place each: an index that varies would keep them all in memory.
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i)
      if (i < columns) column(i, r[i]);
  }
}

BAYESOPS_ISA_END
