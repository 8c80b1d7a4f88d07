// The weight source: weights become a panel, in the order in which the tiles read it, and the mask is applied to it: in
// a masked copy, or as words that the tiles apply when they load.
// Panel: one row for each step of the reduction, kTileChannels columns (channels of the result), missing ones zero.
#pragma once
#include "kernels/conv/masks.h"
#include "kernels/simd/transpose.h"

BAYESOPS_ISA_BEGIN

// Where the elements of a strip go: element k to panel row row[k] + offset, or nowhere if row[k] is negative.
struct StripRows {
  const int32_t* row;
  int64_t offset;
};

// Elements [begin, end) of the strips of one vector of columns; load(i, k, bits) gives those of column i from k on.
template <class T, class Load>
BAYESOPS_INLINE void pack_vector(int columns, int64_t begin, int64_t end, const Load& load_row, const StripRows& rows,
                                 T* panel, int64_t panel_step) {
  constexpr int n = kLanes<T>;
  for (int64_t k = begin; k < end; k += n) {
    const int count = (int)(end - k < n ? end - k : n);
    transpose_block<T>(
        columns, count, [&](int i) { return load_row(i, k, low_bits(count)); },
        [&](int i, Vec<T> w) {
          const int64_t row = rows.row[k + i];
          if (row >= 0) store(panel + (row + rows.offset) * panel_step, w);
        });
  }
}

// A strip: for each of `columns` panel columns, `length` consecutive weights from element(column) on.
template <class S, class T, class Element>
BAYESOPS_INLINE void pack_strip(const S* weight, int columns, int vectors, int64_t length, const Element& element,
                                const StripRows& rows, T* panel, int64_t panel_step) {
  constexpr int n = kLanes<T>;
  for (int v = 0; v < vectors; ++v) {
    const int here = columns - v * n < n ? columns - v * n : n;
    int64_t first[n];
    for (int i = 0; i < here; ++i) first[i] = element(v * n + i);
    pack_vector<T>(
        here, 0, length, [&](int i, int64_t k, uint32_t bits) { return load_as<T>(weight + first[i] + k, bits); }, rows,
        panel + v * n, panel_step);
  }
}

// value where bit `bit` of the lane's field is set, 0 elsewhere.
template <class T>
BAYESOPS_INLINE Vec<T> select_bit(typename VectorOf<T>::I fields, int bit, Vec<T> value) {
#if defined(BAYESOPS_AVX512)
  if constexpr (sizeof(T) == 4) {
    const __m512i probe = _mm512_set1_epi32((int)(1u << bit));
    return (Vec<T>)_mm512_maskz_mov_ps(_mm512_test_epi32_mask((__m512i)fields, probe), (__m512)value);
  } else {
    const __m512i probe = _mm512_set1_epi64(1ll << bit);
    return (Vec<T>)_mm512_maskz_mov_pd(_mm512_test_epi64_mask((__m512i)fields, probe), (__m512d)value);
  }
#else
  using I = typename VectorOf<T>::I;
  using Int = typename VectorOf<T>::Int;
  return (Vec<T>)((I)value & (I)((fields & (I{} + ((Int)1 << bit))) != 0));
#endif
}

// The masked copy of a panel that is packed already: the cheap way to the panels of many masks. A field
// of mask bits is fetched for each column, then serves a number of rows.
template <class T, class Element>
BAYESOPS_INLINE void mask_strip(const BitRange& bits, int columns, int vectors, int64_t length, const Element& element,
                                const StripRows& rows, const T* from, T* to, int64_t panel_step) {
  constexpr int n = kLanes<T>;
  constexpr int kField = 25;  // of the 32 bits read, up to 7 lie before the first wanted
  using Int = typename VectorOf<T>::Int;
  for (int v = 0; v < vectors; ++v) {
    const int here = columns - v * n < n ? columns - v * n : n;
    int64_t first[n];
    for (int i = 0; i < n; ++i) first[i] = element(v * n + (i < here ? i : 0));
    for (int64_t k = 0; k < length; k += kField) {
      alignas(64) Int field[n];
      for (int i = 0; i < n; ++i) field[i] = (Int)BitRange::read(bits, first[i] + k);
      typename VectorOf<T>::I fields;
      memcpy(&fields, field, sizeof fields);
      const int count = (int)(length - k < kField ? length - k : kField);
      for (int j = 0; j < count; ++j) {
        const int64_t row = rows.row[k + j];
        if (row < 0) continue;
        const int64_t at = (row + rows.offset) * panel_step + v * n;
        store(to + at, select_bit<T>(fields, j, load(from + at)));
      }
    }
  }
}

// The bits of a strip in panel order, for tiles that mask as they load: words[row * vectors + v], bit i for column
// v * kLanes + i. Bits come in rows of the weight; here columns of bits become words, 16 rows of the panel at a time.
template <class T, int kVectors, class Element>
BAYESOPS_INLINE void word_strip(const BitRange& bits, int columns, int64_t length, const Element& element,
                                const StripRows& rows, uint16_t* words) {
  constexpr int n = kLanes<T>, width = n * kVectors;
  static_assert(width <= 32 && n <= 16, "a word holds the columns of a vector");
  constexpr int kFields = 48;  // bits of the 64 read: up to 7 lie before the first wanted
  int64_t first[width];
  for (int i = 0; i < width; ++i) first[i] = bits.offset + element(i < columns ? i : 0);
  for (int64_t k = 0; k < length; k += kFields) {
    alignas(64) uint64_t field[width];
    for (int i = 0; i < width; ++i) {
      const int64_t at = first[i] + k;
      uint64_t read;
      memcpy(&read, reinterpret_cast<const char*>(bits.words) + (at >> 3), sizeof read);
      field[i] = read >> (at & 7);
    }
    const int64_t last = length - k < kFields ? length - k : kFields;
    for (int64_t q = 0; q < last; q += 16) {
      alignas(64) uint16_t part[32] = {};
      for (int i = 0; i < width; ++i) part[i] = (uint16_t)(field[i] >> q);
      const int count = (int)(last - q < 16 ? last - q : 16);
      for (int j = 0; j < count; ++j) {
        const int64_t row = rows.row[k + q + j];
        if (row < 0) continue;
        uint32_t word;
#if defined(BAYESOPS_AVX512)
        word = _mm512_test_epi16_mask(_mm512_load_si512(part), _mm512_set1_epi16((short)(1 << j)));
#else
        word = 0;
        for (int i = 0; i < width; ++i) word |= (uint32_t)(part[i] >> j & 1) << i;
#endif
        for (int v = 0; v < kVectors; ++v) words[(row + rows.offset) * kVectors + v] = (uint16_t)(word >> (v * n));
      }
    }
  }
}

BAYESOPS_ISA_END
