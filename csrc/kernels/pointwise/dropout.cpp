// Dropout: factors (0 or the scale) are formed from mask bits a block at a time and multiplied in, in the layout at
// hand.
#include "kernels/conv/masks.h"
#include "kernels/pointwise/entry.h"
#include "kernels/simd/transpose.h"

BAYESOPS_ISA_BEGIN

namespace {

constexpr int64_t kBlockPixels = 64, kBlockChannels = 64;

// A dropped element is zero whatever it was: no NaN or infinity survives.
template <class S, class T>
BAYESOPS_INLINE void multiply(const S* x, Vec<T> factor, int count, S* out) {
  using I = typename VectorOf<T>::I;
  const I kept = (I)(factor != Vec<T>{});
  if constexpr (sizeof(S) == sizeof(T)) {
    if (count == kLanes<T>) return store(out, (Vec<T>)((I)(load(x) * factor) & kept));
  }
  store_as<T, S>(out, (Vec<T>)((I)(load_as<T>(x, low_bits(count)) * factor) & kept), count);
}

// The same for a whole plane under one factor.
template <class S, class T>
void multiply_plane(const S* x, T factor, int64_t count, S* out) {
  if (factor == T(0)) {
    memset(out, 0, (size_t)count * sizeof(S));
  } else {
    for (int64_t i = 0; i < count; ++i) out[i] = convert<S>(convert<T>(x[i]) * factor);
  }
}

// The factors of consecutive elements of a mask.
template <class T>
BAYESOPS_INLINE Vec<T> factors(const BitRange& bits, int64_t element, int count, T scale) {
  return (Vec<T>)((typename VectorOf<T>::I)broadcast<T>(scale) &
                  lane_mask<T>(BitRange::read(bits, element) & low_bits(count)));
}

template <class S, class T>
class Dropout {
 public:
  Dropout(const DropoutProblem& problem, const S* input, S* output) : p_(problem), input_(input), output_(output) {}

  // Whole planes are worked on where a draw switches one; blocks of pixels otherwise.
  bool by_planes() const { return p_.whole_channels && !p_.channels_last && p_.pixels > 1; }
  int64_t blocks() const {
    return by_planes() ? (p_.channels + kBlockChannels - 1) / kBlockChannels
                       : (p_.pixels + kBlockPixels - 1) / kBlockPixels;
  }
  int64_t block_elements() const { return by_planes() ? kBlockChannels * p_.pixels : kBlockPixels * p_.channels; }

  void run(int64_t sample, int64_t example, int64_t block, uint64_t* room) const {
    const int64_t image = p_.channels * p_.pixels, first = block * kBlockPixels;
    const int64_t pixels = p_.pixels - first < kBlockPixels ? p_.pixels - first : kBlockPixels;
    const S* x = input_ + ((p_.shared_input ? 0 : sample * p_.examples) + example) * image;
    S* out = output_ + (sample * p_.examples + example) * image;
    if (by_planes()) {
      const int64_t channel = block * kBlockChannels;
      const int64_t count = p_.channels - channel < kBlockChannels ? p_.channels - channel : kBlockChannels;
      const BitRange bits = mask_bits(p_.mask, sample, 0, example * p_.channels + channel, count, room);
      for (int64_t c = 0; c < count; ++c)
        multiply_plane<S, T>(x + (channel + c) * p_.pixels, bits[c] ? (T)p_.scale : T(0), p_.pixels,
                             out + (channel + c) * p_.pixels);
    } else if (p_.whole_channels) {
      channels(x, out, first, pixels, mask_bits(p_.mask, sample, 0, example * p_.channels, p_.channels, room));
    } else if (p_.mask.given != nullptr) {
      given(x, out, first, pixels, p_.mask.given + sample * p_.mask.given_sample_stride + example * image);
    } else {
      const int64_t element = (example * p_.pixels + first) * p_.channels;
      elements(x, out, first, pixels, mask_bits(p_.mask, sample, 0, element, pixels * p_.channels, room));
    }
  }

 private:
  void elements(const S* x, S* out, int64_t first, int64_t pixels, const BitRange& bits) const {
    constexpr int n = kLanes<T>;
    const T scale = (T)p_.scale;
    if (p_.channels_last || p_.channels == 1 || p_.pixels == 1) {
      const int64_t from = first * p_.channels, count = pixels * p_.channels;
      for (int64_t i = 0; i < count; i += n) {
        const int here = (int)(count - i < n ? count - i : n);
        multiply<S, T>(x + from + i, factors<T>(bits, i, here, scale), here, out + from + i);
      }
      return;
    }
    // Bits run along channels, memory along pixels: the factors are transposed.
    for (int64_t c = 0; c < p_.channels; c += n) {
      const int channels = (int)(p_.channels - c < n ? p_.channels - c : n);
      for (int64_t i = 0; i < pixels; i += n) {
        const int here = (int)(pixels - i < n ? pixels - i : n);
        transpose_block<T>(
            here, channels, [&](int r) { return factors<T>(bits, (i + r) * p_.channels + c, channels, scale); },
            [&](int k, Vec<T> factor) {
              const int64_t at = (c + k) * p_.pixels + first + i;
              multiply<S, T>(x + at, factor, here, out + at);
            });
      }
    }
  }

  // Channels last: the same factors for every pixel.
  void channels(const S* x, S* out, int64_t first, int64_t pixels, const BitRange& bits) const {
    constexpr int n = kLanes<T>;
    for (int64_t c = 0; c < p_.channels; c += n) {
      const int here = (int)(p_.channels - c < n ? p_.channels - c : n);
      const Vec<T> factor = factors<T>(bits, c, here, (T)p_.scale);
      for (int64_t i = first; i < first + pixels; ++i)
        multiply<S, T>(x + i * p_.channels + c, factor, here, out + i * p_.channels + c);
    }
  }

  void given(const S* x, S* out, int64_t first, int64_t pixels, const uint8_t* mask) const {
    for (int64_t c = 0; c < p_.channels; ++c)
      for (int64_t i = first; i < first + pixels; ++i) {
        const int64_t at = p_.channels_last ? i * p_.channels + c : c * p_.pixels + i;
        out[at] = convert<S>(mask[c * p_.pixels + i] != 0 ? convert<T>(x[at]) * (T)p_.scale : T(0));
      }
  }

  const DropoutProblem& p_;
  const S* input_;
  S* output_;
};

template <class S, class T>
void dropout_as(const DropoutProblem& p, const void* input, void* output, const Parallel& pool) {
  const Dropout<S, T> dropout(p, static_cast<const S*>(input), static_cast<S*>(output));
  const int64_t blocks = dropout.blocks(), room = bit_words(kBlockPixels * p.channels);
  constexpr int64_t kGrainElements = 1 << 14;
  const int64_t elements = dropout.block_elements();
  const int64_t grain = elements > 0 && elements < kGrainElements ? kGrainElements / elements : 1;
  parallel_for(pool, p.samples * p.examples * blocks, grain, [&](int64_t begin, int64_t end) {
    uint64_t* bits = scratch<uint64_t>(kScratchBits, room);
    for (int64_t i = begin; i < end; ++i)
      dropout.run(i / blocks / p.examples, i / blocks % p.examples, i % blocks, bits);
  });
}

}  // namespace

void dropout(const DropoutProblem& p, const void* input, void* output, const Parallel& pool) {
  if (p.dtype == kFloat32) return dropout_as<float, float>(p, input, output, pool);
  if (p.dtype == kFloat64) return dropout_as<double, double>(p, input, output, pool);
  return dropout_as<BFloat16, float>(p, input, output, pool);
}

BAYESOPS_ISA_END
