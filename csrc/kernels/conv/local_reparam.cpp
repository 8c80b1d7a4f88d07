// Local reparameterisation (Kingma, Salimans and Welling, 2015): the convolution of means and that of variances over
// one reading of the input, and noise that is drawn where their sums are.
#include "kernels/conv/bfloat16_pairs.h"
#include "kernels/conv/draw_finish.h"
#include "kernels/conv/entry.h"
#include "kernels/conv/paired.h"
#include "kernels/conv/patches.h"

BAYESOPS_ISA_BEGIN

namespace {

// Takes the sums of mean and variance, and draws from them; the standard deviation is stored where it is wanted.
template <class S, class T>
struct MomentsFinish {
  int64_t pixel_step;
  const int64_t* seeds;
  SlabResult<S> at;
  int64_t draws, draw_stride;  // all draws share mean and variance
  int64_t sample_pixels;       // with one draw: pixels of all examples that a seed serves
  S* std;                      // of the slab's first result, or null
  DrawFinish<S, T> finish;
  int64_t residual_step;  // how much further than its result a residual stands, for each sample

  void operator()(T* mean, T* variance, int pixels, const int64_t* index, S* to) {
    constexpr int n = kLanes<T>, row = kTileChannels<T>;
    const int count = (int)at.count;
    const int width = count <= n ? n : row;
    for (int i = 0; i < pixels * row; i += row)
      for (int c = 0; c < width; c += n) store(variance + i + c, square_root(load(variance + i + c)));
    if (std != nullptr) store_tile<S, T>(variance, pixels, count, std + (to - at.out), pixel_step, at.channel);
    int64_t pixel[kStripPixels];
    for (int i = 0; i < pixels; ++i) pixel[i] = at.first_pixel + index[i];
    if (draws == 1) return draw_by_sample(mean, variance, pixels, pixel, to);
    for (int64_t draw = 0; draw < draws; ++draw) {
      S* here = to + draw * draw_stride;
      if (draw > 0) expect_strip(here, count, pixel_step, at.channel);
      finish(seeds[draw], mean, variance, pixels, pixel, here, draw * residual_step);
    }
  }

  void draw_by_sample(const T* mean, const T* deviation, int pixels, int64_t* pixel, S* to) {
    constexpr int row = kTileChannels<T>;
    for (int first = 0, last; first < pixels; first = last) {
      const int64_t sample = pixel[first] / sample_pixels;
      last = end_of_sample(pixel, first, pixels, sample);
      for (int i = first; i < last; ++i) pixel[i] -= sample * sample_pixels;
      finish(seeds[sample], mean + first * row, deviation + first * row, last - first, pixel + first,
             to + first * pixel_step, sample * residual_step);
    }
  }

  int end_of_sample(const int64_t* pixel, int first, int pixels, int64_t sample) const {
    int last = first + 1;
    while (last < pixels && pixel[last] >= sample * sample_pixels && pixel[last] < (sample + 1) * sample_pixels) ++last;
    return last;
  }
};

template <class S, class T, class M = T>
bool forward_as(const ConvProblem& mean, const ConvProblem& variance, int64_t draws, int64_t examples,
                const Images& input, const Images& output, const Images* std, const Parallel& pool) {
  const int64_t phase[3] = {0, 0, 0};
  const Epilogue& epilogue = mean.epilogue;
  // A residual of its own stands where the result does; from one that is shared, results move away sample by sample.
  const int64_t sample_step = draws == 1 ? examples * output.example_stride : output.sample_stride;
  const int64_t residual_step = epilogue.residual_sample_stride == 0 ? -sample_step : 0;
  const int64_t noise = draws * mean.examples * image_pixels(output) * mean.out_channels;
  PairedCorrelation<S, T, M> correlation(mean, variance, false, input, nullptr, output, noise, pool);
  return correlation.run(phase, true, [&](const SlabResult<S>& at) {
    const S* results = static_cast<const S*>(output.data);
    S* to = std != nullptr ? static_cast<S*>(std->data) + (at.out - results) : nullptr;
    const int count = (int)at.count;
    return MomentsFinish<S, T>{at.pixel_step,
                               mean.noise.seeds,
                               at,
                               draws,
                               output.sample_stride,
                               examples * image_pixels(output),
                               to,
                               DrawFinish<S, T>{mean.noise.stream, count, at.pixel_step, at.channel,
                                                TileNoise(mean.out_channels, at.first, count, kStripPixels),
                                                TileEpilogue<S, T>(epilogue, count, at.pixel_step, at.channel, results,
                                                                   static_cast<const S*>(epilogue.residual))},
                               residual_step};
  });
}

// grad_input = (gradient through the mean) + 2 * input * (gradient through the variance).
template <class S, class T>
struct InputGradFinish {
  int64_t pixel_step;
  SlabResult<S> at;
  const S* input;  // laid out as the result

  void operator()(T* mean, T* variance, int pixels, const int64_t*, S* to) const {
    constexpr int n = kLanes<T>, row = kTileChannels<T>;
    const int count = (int)at.count;
    alignas(64) T x[kStripPixels * kTileChannels<T>];
    load_tile<S, T>(input + (to - at.out), pixels, count, pixel_step, at.channel, x);
    for (int i = 0; i < pixels; ++i)
      for (int c = 0; c < count; c += n) {
        const int k = i * row + c;
        store(mean + k, fused_multiply_add(load(x + k) + load(x + k), load(variance + k), load(mean + k)));
      }
    store_tile<S, T>(mean, pixels, count, to, pixel_step, at.channel);
  }
};

template <class S, class T, class M = T>
void input_grad_as(const ConvProblem& mean, const ConvProblem& variance, const Images& grad_mean,
                   const Images& grad_variance, const Images& input, const Images& grad_input, const Parallel& pool) {
  const auto finish = [&](const SlabResult<S>& at) {
    const S* x = static_cast<const S*>(input.data) + (at.out - static_cast<const S*>(grad_input.data));
    return InputGradFinish<S, T>{at.pixel_step, at, x};
  };
  int64_t phase[3] = {0, 0, 0};
  if (is_of_patches<T>(mean, grad_mean, grad_input)) {
    const ConvProblem one[2] = {problem_of_patches(mean), problem_of_patches(variance)};
    const Images patches = images_of_patches(mean, grad_input);
    PairedCorrelation<S, T, M>(one[0], one[1], true, grad_mean, &grad_variance, patches, 0, pool)
        .run(phase, false, finish);
    return;
  }
  PairedCorrelation<S, T, M> correlation(mean, variance, true, grad_mean, &grad_variance, grad_input, 0, pool);
  for (phase[0] = 0; phase[0] < mean.stride[0]; ++phase[0])
    for (phase[1] = 0; phase[1] < mean.stride[1]; ++phase[1])
      for (phase[2] = 0; phase[2] < mean.stride[2]; ++phase[2]) correlation.run(phase, false, finish);
}

}  // namespace

bool local_reparam(const ConvProblem& mean, const ConvProblem& variance, int64_t draws, int64_t examples,
                   const Images& input, const Images& output, const Images* std, const Parallel& pool) {
  const auto as = [&](auto storage, auto computed) {
    return forward_as<decltype(storage), decltype(computed)>(mean, variance, draws, examples, input, output, std, pool);
  };
  if (mean.dtype == kFloat32) return as(float{}, float{});
  if (mean.dtype == kFloat64) return as(double{}, double{});
  return as(BFloat16{}, float{});
}

void local_reparam_input_grad(const ConvProblem& mean, const ConvProblem& variance, const Images& grad_mean,
                              const Images& grad_variance, const Images& input, const Images& grad_input,
                              const Parallel& pool) {
  const auto as = [&](auto storage, auto computed) {
    input_grad_as<decltype(storage), decltype(computed)>(mean, variance, grad_mean, grad_variance, input, grad_input,
                                                         pool);
  };
  if (mean.dtype == kFloat32) return as(float{}, float{});
  if (mean.dtype == kFloat64) return as(double{}, double{});
  as(BFloat16{}, float{});
}

#if defined(BAYESOPS_AVX512_BF16)
bool local_reparam_in_pairs(const ConvProblem& mean, const ConvProblem& variance, int64_t draws, int64_t examples,
                            const Images& input, const Images& output, const Images* std, const Parallel& pool) {
  if (!multiplies_pairs(mean, roles_of(mean, false), image_pixels(output)))
    return local_reparam(mean, variance, draws, examples, input, output, std, pool);
  return forward_as<BFloat16, float, BFloat16Pair>(mean, variance, draws, examples, input, output, std, pool);
}

void local_reparam_input_grad_in_pairs(const ConvProblem& mean, const ConvProblem& variance, const Images& grad_mean,
                                       const Images& grad_variance, const Images& input, const Images& grad_input,
                                       const Parallel& pool) {
  if (!multiplies_pairs(mean, roles_of(mean, true), image_pixels(grad_input)))
    return local_reparam_input_grad(mean, variance, grad_mean, grad_variance, input, grad_input, pool);
  input_grad_as<BFloat16, float, BFloat16Pair>(mean, variance, grad_mean, grad_variance, input, grad_input, pool);
}
#endif

BAYESOPS_ISA_END
