// The gradient of the variance, a block of pixels and channels at a time: noise comes in rows of channels, so blocks
// are brought into that order, whatever the layout.
#include "kernels/pointwise/variance_grad.h"

#include "kernels/conv/store.h"
#include "kernels/conv/tile_noise.h"
#include "kernels/counters.h"
#include "kernels/pointwise/entry.h"

BAYESOPS_ISA_BEGIN

namespace {

// Where the pixels and channels of dense images are.
struct Layout {
  int64_t pixel_step, channel_step;
  Layout(bool channels_last, int64_t channels, int64_t pixels)
      : pixel_step(channels_last ? channels : 1), channel_step(channels_last ? 1 : pixels) {}
};

template <class S, class T>
void variance_grad_as(const VarianceGradProblem& p, const S* grad, const S* std, S* out, const Parallel& pool) {
  constexpr int n = kLanes<T>, width = kTileChannels<T>;
  const Layout of_grad(p.grad_channels_last, p.channels, p.pixels), of_std(p.std_channels_last, p.channels, p.pixels);
  const int64_t image = p.channels * p.pixels, batch = p.examples * image;
  const int64_t statistics = p.shared_std ? 1 : p.samples, draws = p.shared_std ? p.samples : 1;
  const int64_t blocks = (p.pixels + kStripPixels - 1) / kStripPixels;
  constexpr int64_t kGrainElements = 1 << 13;
  const int64_t elements = kStripPixels * p.channels * (draws > 0 ? draws : 1);
  const int64_t grain = elements < kGrainElements ? kGrainElements / elements : 1;
  parallel_for(pool, statistics * p.examples * blocks, grain, [&](int64_t begin, int64_t end) {
    PhaseClock clock;
    alignas(64) T deviation[kStripPixels * kTileChannels<T>], g[kStripPixels * kTileChannels<T>];
    alignas(64) T sum[kStripPixels * kTileChannels<T>];
    int64_t index[kStripPixels];
    for (int64_t job = begin; job < end; ++job) {
      const int64_t first = job % blocks * kStripPixels, example = job / blocks % p.examples;
      const int64_t statistic = job / blocks / p.examples;
      const int pixels = (int)(p.pixels - first < kStripPixels ? p.pixels - first : kStripPixels);
      for (int i = 0; i < pixels; ++i) index[i] = example * p.pixels + first + i;
      const int64_t from = statistic * batch + example * image, std_at = from + first * of_std.pixel_step;
      for (int64_t channel = 0; channel < p.channels; channel += width) {
        const int count = (int)(p.channels - channel < width ? p.channels - channel : width);
        const ChannelOffsets std_channel{nullptr, channel, of_std.channel_step};
        TileNoise noise(p.channels, channel, count, kStripPixels);
        load_tile<S, T>(std + std_at, pixels, count, of_std.pixel_step, std_channel, deviation);
        memset(sum, 0, sizeof sum);
        for (int64_t draw = 0; draw < draws; ++draw) {
          load_tile<S, T>(grad + from + draw * batch + first * of_grad.pixel_step, pixels, count, of_grad.pixel_step,
                          ChannelOffsets{nullptr, channel, of_grad.channel_step}, g);
          noise.draw(Stream{(uint64_t)p.seeds[statistic * draws + draw], p.stream}, index, pixels);
          const float* eps = noise.rows();
          for (int k = 0; k < pixels * width; k += width, eps += noise.row_step())
            for (int c = 0; c < width; c += n)
              store(sum + k + c, fused_multiply_add(load(g + k + c), load_floats<T>(eps + c), load(sum + k + c)));
        }
        for (int k = 0; k < pixels * width; k += n) {
          using I = typename VectorOf<T>::I;
          const Vec<T> d = load(deviation + k), half = load(sum + k) * broadcast(T(0.5));
          store(sum + k, (Vec<T>)((I)(half / d) & (I)(d > Vec<T>{})));
        }
        store_tile<S, T>(sum, pixels, count, out + std_at, of_std.pixel_step, std_channel);
      }
    }
    clock.mark(kPhaseEpilogue);
  });
}

}  // namespace

void variance_grad(const VarianceGradProblem& problem, const void* grad, const void* std, void* out,
                   const Parallel& pool) {
  VarianceGradProblem p = problem;
  if (p.pixels == 1) {  // examples are pixels, and channels are last in any layout
    p.pixels = p.examples;
    p.examples = 1;
    p.grad_channels_last = p.std_channels_last = true;
  }
  const auto as = [&](auto storage, auto computed) {
    using S = decltype(storage);
    variance_grad_as<S, decltype(computed)>(p, static_cast<const S*>(grad), static_cast<const S*>(std),
                                            static_cast<S*>(out), pool);
  };
  if (p.dtype == kFloat32) return as(float{}, float{});
  if (p.dtype == kFloat64) return as(double{}, double{});
  as(BFloat16{}, float{});
}

BAYESOPS_ISA_END
