// Local reparameterisation (Kingma, Salimans and Welling, 2015): the convolution of means and that of variances over
// one reading of the input, and noise that is drawn where their sums are.
#include "kernels/conv/entry.h"
#include "kernels/conv/epilogue.h"
#include "kernels/conv/paired.h"
#include "kernels/conv/tile_noise.h"

BAYESOPS_ISA_BEGIN

namespace {

// out = mean + sqrt(variance) * eps, and the epilogue of that; the standard deviation is stored where it is wanted.
template <class S, class T>
struct DrawFinish {
  int64_t pixel_step;
  const NoiseSource& source;
  SlabResult<S> at;
  int64_t draws, draw_stride;  // all draws share mean and variance
  int64_t sample_pixels;       // with one draw: pixels of all examples that a seed serves
  S* std;                      // of the slab's first result, or null
  TileNoise noise;
  TileEpilogue<S, T> epilogue;
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
    alignas(64) T sums[kStripPixels * kTileChannels<T>];
    for (int64_t draw = 0; draw < draws; ++draw) {
      if (draw > 0) expect_strip(to + draw * draw_stride, count, pixel_step, at.channel);
      for (int first = 0, last; first < pixels; first = last) {
        const int64_t sample = draws == 1 ? pixel[first] / sample_pixels : draw;
        last = draws == 1 ? end_of_sample(pixel, first, pixels, sample) : pixels;
        if (draws == 1)
          for (int i = first; i < last; ++i) pixel[i] -= sample * sample_pixels;
        S* here = to + draw * draw_stride + first * pixel_step;
        noise.draw(Stream{(uint64_t)source.seeds[sample], source.stream}, pixel + first, last - first);
        add_noise(mean, variance, first, last, width, sums);
        if (epilogue.given()) epilogue.store_tile(sums + first * row, last - first, here, sample * residual_step);
      }
      if (!epilogue.given()) store_tile<S, T>(sums, pixels, count, to + draw * draw_stride, pixel_step, at.channel);
    }
  }

  void add_noise(const T* mean, const T* deviation, int first, int last, int width, T* sums) const {
    constexpr int n = kLanes<T>, row = kTileChannels<T>;
    const float* eps = noise.rows();
    const int64_t step = noise.row_step();
    for (int k = first * row; k < last * row; k += row, eps += step)
      for (int c = 0; c < width; c += n)
        store(sums + k + c, fused_multiply_add(load(deviation + k + c), load_floats<T>(eps + c), load(mean + k + c)));
  }

  int end_of_sample(const int64_t* pixel, int first, int pixels, int64_t sample) const {
    int last = first + 1;
    while (last < pixels && pixel[last] >= sample * sample_pixels && pixel[last] < (sample + 1) * sample_pixels) ++last;
    return last;
  }
};

template <class S, class T>
bool forward_as(const ConvProblem& mean, const ConvProblem& variance, int64_t draws, int64_t examples,
                const Images& input, const Images& output, const Images* std, const Parallel& pool) {
  const int64_t phase[3] = {0, 0, 0};
  const Epilogue& epilogue = mean.epilogue;
  // A residual of its own stands where the result does; from one that is shared, results move away sample by sample.
  const int64_t sample_step = draws == 1 ? examples * output.example_stride : output.sample_stride;
  const int64_t residual_step = epilogue.residual_sample_stride == 0 ? -sample_step : 0;
  const int64_t noise = draws * mean.examples * image_pixels(output) * mean.out_channels;
  PairedCorrelation<S, T> correlation(mean, variance, false, input, nullptr, output, noise, pool);
  return correlation.run(phase, true, [&](const SlabResult<S>& at) {
    const S* results = static_cast<const S*>(output.data);
    S* to = std != nullptr ? static_cast<S*>(std->data) + (at.out - results) : nullptr;
    return DrawFinish<S, T>{at.pixel_step,
                            mean.noise,
                            at,
                            draws,
                            output.sample_stride,
                            examples * image_pixels(output),
                            to,
                            TileNoise(mean.out_channels, at.first, (int)at.count, kStripPixels),
                            TileEpilogue<S, T>(epilogue, (int)at.count, at.pixel_step, at.channel, results,
                                               static_cast<const S*>(epilogue.residual)),
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

template <class S, class T>
void input_grad_as(const ConvProblem& mean, const ConvProblem& variance, const Images& grad_mean,
                   const Images& grad_variance, const Images& input, const Images& grad_input, const Parallel& pool) {
  PairedCorrelation<S, T> correlation(mean, variance, true, grad_mean, &grad_variance, grad_input, 0, pool);
  const auto finish = [&](const SlabResult<S>& at) {
    const S* x = static_cast<const S*>(input.data) + (at.out - static_cast<const S*>(grad_input.data));
    return InputGradFinish<S, T>{at.pixel_step, at, x};
  };
  int64_t phase[3];
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

BAYESOPS_ISA_END
