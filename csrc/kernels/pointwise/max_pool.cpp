// Max pooling, and an activation of what comes out.
//
// What a window holds is compared in torch's order, row by row, and of equal elements the first stays: so the signs of
// zeros are torch's, too. Where the channels fill vectors, each window is taken by itself. Where they do not, all those
// that begin at any pixel of a row are, since these fill vectors, and the ones that are wanted are picked.
#include "kernels/pointwise/max_pool.h"

#include "kernels/pointwise/entry.h"
#include "kernels/pointwise/lanes.h"
#include "kernels/simd/transpose.h"

BAYESOPS_ISA_BEGIN

namespace {

// --- vectors ---------------------------------------------------------------------------------------------------------

using bayesops::later;  // of numbers

// Of vectors. The instruction takes its last operand where both are equal or one is NaN.
BAYESOPS_INLINE VFloat later(VFloat held, VFloat next) {
#if defined(BAYESOPS_AVX512)
  const __m512 h = (__m512)held, n = (__m512)next;
  return (VFloat)_mm512_mask_max_ps(n, _mm512_cmp_ps_mask(n, n, _CMP_ORD_Q), n, h);
#else
  return (VInt)(next > held) | (VInt)(next != next) ? next : held;
#endif
}
BAYESOPS_INLINE VDouble later(VDouble held, VDouble next) {
#if defined(BAYESOPS_AVX512)
  const __m512d h = (__m512d)held, n = (__m512d)next;
  return (VDouble)_mm512_mask_max_pd(n, _mm512_cmp_pd_mask(n, n, _CMP_ORD_Q), n, h);
#else
  return (VLong)(next > held) | (VLong)(next != next) ? next : held;
#endif
}

// The elements of even index of two vectors.
template <class V>
BAYESOPS_INLINE V even_lanes(V a, V b) {
  constexpr int n = (int)(sizeof(V) / sizeof(a[0]));
#if defined(__clang__)
  V even;
  for (int i = 0; i < n; ++i) even[i] = 2 * i < n ? a[2 * i] : b[2 * i - n];
  return even;
#else
  decltype(a == b) lanes;
  for (int i = 0; i < n; ++i) lanes[i] = 2 * i;
  return __builtin_shuffle(a, b, lanes);
#endif
}

// --- windows ---------------------------------------------------------------------------------------------------------

// What of a window lies inside the image; steps in elements.
struct Window {
  int64_t rows, columns, row_step, column_step;
};

// Of the elements at(offset) of a window, the greatest. Loops over a window of Side x Side are unrolled.
template <int Side, class At>
BAYESOPS_INLINE auto greatest(Window w, const At& at) {
  if (Side > 0) w.rows = w.columns = Side;
  auto held = at(0);
  for (int64_t c = 1; c < w.columns; ++c) held = later(held, at(c * w.column_step));
  for (int64_t r = 1; r < w.rows; ++r)
    for (int64_t c = 0; c < w.columns; ++c) held = later(held, at(r * w.row_step + c * w.column_step));
  return held;
}

// to[i] = the greatest of the window that begins at x + i, for i in [0, count). Up to a vector too much is written.
template <int Side, class S, class T>
BAYESOPS_INLINE void span(const S* x, const Window& w, int64_t count, T* to) {
  constexpr int n = kLanes<T>;
  if (count < n) {
#if defined(BAYESOPS_AVX512)
    const uint32_t bits = low_bits(count);
    store(to, greatest<Side>(w, [=](int64_t offset) { return load_as<T>(x + offset, bits); }));
#else
    for (int64_t i = 0; i < count; ++i)
      to[i] = greatest<Side>(w, [=](int64_t offset) { return convert<T>(x[i + offset]); });
#endif
    return;
  }
  const auto whole = [=](int64_t i) {
    store(to + i, greatest<Side>(w, [=](int64_t offset) { return load_whole<T>(x + i + offset); }));
  };
  int64_t i = 0;
  for (; i + n <= count; i += n) whole(i);
  if (i < count) whole(count - n);  // some elements twice
}

// to[j] = from[j * stride], for pixels of fewer channels than a vector holds. Up to a vector too much is read, and
// written.
template <class T>
BAYESOPS_INLINE void pick(const T* from, int64_t count, int64_t stride, int64_t channels, T* to) {
  constexpr int n = kLanes<T>;
  if (channels > 1) {
    for (int64_t j = 0; j < count; ++j) store(to + j * channels, load(from + j * stride * channels));
  } else if (stride == 2) {
    for (int64_t j = 0; j < count; j += n) store(to + j, even_lanes(load(from + 2 * j), load(from + 2 * j + n)));
  } else {
    for (int64_t j = 0; j < count; ++j) to[j] = from[j * stride];
  }
}

// Rows of outputs. `Side` is that of the window, 0 for one that is no small square.
template <int Side, class S, class T>
class Rows {
 public:
  Rows(const MaxPoolProblem& p, const S* input)
      : p_(p), input_(input), row_(p.size[1] * p.channels), kernel_(p.kernel[1]), stride_(p.stride[1]) {
    const int64_t outputs = p.out_size[1], room = p.size[1] + p.padding[1] - kernel_;
    first_ = least(outputs, (p.padding[1] + stride_ - 1) / stride_);
    end_ = room < 0 ? first_ : most(first_, least(outputs, room / stride_ + 1));
  }

  int64_t length() const { return p_.out_size[1] * p_.channels; }
  int64_t work_space() const { return row_ + 3 * kLanes<T>; }

  // Row y of an image. Up to a vector too much is written to `to`.
  __attribute__((always_inline)) void run(int64_t image, int64_t y, T* work, T* to) const {
    const int64_t top = y * p_.stride[0] - p_.padding[0];
    const int64_t from = most(top, 0), until = least(top + p_.kernel[0], p_.size[0]);
    const S* x = input_ + (image * p_.size[0] + from) * row_;
    const Window window{until - from, kernel_, row_, p_.channels};
    if (Side > 0 && window.rows == Side) {
      outputs<Side>(x, window, work, to);
    } else {
      outputs<0>(x, window, work, to);
    }
  }

 private:
  static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
  static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

  template <int Whole>
  __attribute__((always_inline)) void outputs(const S* x, const Window& window, T* work, T* to) const {
    if (first_ > 0) over_edge(x, window, 0, first_, to);
    if (p_.channels >= kLanes<T>) {
      for (int64_t i = first_; i < end_; ++i)
        span<Whole>(x + (i * stride_ - p_.padding[1]) * p_.channels, window, p_.channels, to + i * p_.channels);
    } else if (first_ < end_) {
      // The windows that begin at any pixel, of which some are picked.
      const int64_t count = end_ - first_, steps = (count - 1) * stride_ + 1;
      T *const place = to + first_ * p_.channels, *const found = stride_ == 1 ? place : work;
      span<Whole>(x + (first_ * stride_ - p_.padding[1]) * p_.channels, window, steps * p_.channels, found);
      if (stride_ != 1) pick(found, count, stride_, p_.channels, place);
    }
    if (end_ < p_.out_size[1]) over_edge(x, window, end_, p_.out_size[1], to);
  }
  // Outputs whose windows may reach over an end of the rows.
  __attribute__((noinline)) void over_edge(const S* x, Window window, int64_t first, int64_t end, T* to) const {
    for (int64_t i = first; i < end; ++i) {
      const int64_t left = i * stride_ - p_.padding[1], from = most(left, 0);
      window.columns = least(left + kernel_, p_.size[1]) - from;
      span<0>(x + from * p_.channels, window, p_.channels, to + i * p_.channels);
    }
  }

  const MaxPoolProblem& p_;
  const S* input_;
  int64_t row_, kernel_, stride_;
  int64_t first_, end_;  // outputs of a row whose windows do not reach over its ends
};

// --- activations, in place, and the result ---------------------------------------------------------------------------

// There is room for whole steps behind the last element.
template <class Lanes, class T>
BAYESOPS_INLINE void activate(Activation activation, T* x, int64_t count) {
  if (activation == kRelu) {
    for (int64_t i = 0; i < count; i += kLanes<T>) {
      const Vec<T> v = load(x + i);
      store(x + i, v < Vec<T>{} ? Vec<T>{} : v);  // -0 and NaN stay what they are
    }
  } else if (activation == kSoftplus) {
    using F = typename Lanes::F;
    for (int64_t i = 0; i < count; i += Lanes::n)
      Lanes::write(x + i, SoftplusSpread<typename Lanes::Math>::of(F{}, Lanes::read(x + i)).sigma);
  }
}

template <class T>
BAYESOPS_INLINE void bring_result(const T* from, int64_t count, T* to) {
  memcpy(to, from, (size_t)count * sizeof(T));
}
BAYESOPS_INLINE void bring_result(const float* from, int64_t count, BFloat16* to) {
  int64_t i = 0;
  for (; i + kLanes<float> <= count; i += kLanes<float>) store_whole(to + i, load(from + i));
  for (; i < count; ++i) to[i] = convert<BFloat16>(from[i]);
}

template <int Side, class Lanes, class S>
void max_pool_of(const MaxPoolProblem& p, const void* input, void* output, const Parallel& pool) {
  using T = typename Lanes::T;
  const Rows<Side, S, T> rows(p, static_cast<const S*>(input));
  S* const out = static_cast<S*>(output);
  const int64_t length = rows.length(), read = p.size[1] * p.channels;
  // Short rows are brought together, so that there is something to activate.
  const int64_t together = length < kPiece ? kPiece / length : 1;
  const int64_t grain = read < (1 << 14) ? (1 << 14) / read : 1;
  parallel_for(pool, p.images * p.out_size[0], grain, [&](int64_t begin, int64_t end) {
    T* work = scratch<T>(kScratchStage, rows.work_space());
    T* block = scratch<T>(kScratchTile, together * length + Lanes::n + kLanes<T>);
    int64_t image = begin / p.out_size[0], y = begin % p.out_size[0];
    for (int64_t row = begin; row < end; row += together) {
      const int64_t here = end - row < together ? end - row : together;
      for (int64_t i = 0; i < here; ++i) {
        rows.run(image, y, work, block + i * length);
        if (++y == p.out_size[0]) y = 0, ++image;
      }
      activate<Lanes>(p.activation, block, here * length);
      bring_result(block, here * length, out + row * length);
    }
  });
}

template <class Lanes, class S>
void max_pool_as(const MaxPoolProblem& p, const void* input, void* output, const Parallel& pool) {
  const int64_t side = p.kernel[0] == p.kernel[1] ? p.kernel[0] : 0;
  const auto max_pool = side == 2   ? max_pool_of<2, Lanes, S>
                        : side == 3 ? max_pool_of<3, Lanes, S>
                                    : max_pool_of<0, Lanes, S>;
  max_pool(p, input, output, pool);
}

}  // namespace

void max_pool(const MaxPoolProblem& p, const void* input, void* output, const Parallel& pool) {
  const auto max_pool = p.dtype == kFloat32   ? max_pool_as<FloatLanes, float>
                        : p.dtype == kFloat64 ? max_pool_as<DoubleLanes, double>
                                              : max_pool_as<FloatLanes, BFloat16>;
  max_pool(p, input, output, pool);
}

BAYESOPS_ISA_END
