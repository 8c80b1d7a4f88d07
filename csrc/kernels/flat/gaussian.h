// Gaussian weights and local reparameterisation as functors over a flat index: what a CUDA thread does, callable on the
// host as well. Index i mostly names a block of four consecutive elements of a stream, so that a thread draws a Philox
// block once.
#pragma once
#include "kernels/flat/activation.h"
#include "kernels/flat/epilogue.h"
#include "kernels/flat/extent.h"
#include "kernels/flat/streams.h"
#include "kernels/flat/weight_layout.h"

namespace bayesops {

// mu + sigma * eps, of neighbours in memory; mu null: zeros.
template <class S, int kCount>
BAYESOPS_HD void write_gaussian(const S* mu, const S* sigma, const float (&z)[kCount], int64_t count, S* out) {
  using T = typename ComputeOf<S>::T;
  T weights[kCount] = {}, mean[kCount] = {};
  read_run(sigma, 1, count, weights);
  unrolled<kCount>(kCount, [&](int i) { weights[i] *= (T)z[i]; });
  if (mu != nullptr) {
    read_run(mu, 1, count, mean);
    unrolled<kCount>(kCount, [&](int i) { weights[i] = mean[i] + weights[i]; });
  }
  write_run(weights, 1, count, out);
}

// out[sample][element] = mu + sigma * eps.
template <class S>
struct FlatGaussianWeight {
  const int64_t* seeds;
  uint32_t stream;
  FlatBlocks blocks;  // of 4
  const S* mu;        // null: zeros
  const S* sigma;
  S* out;

  BAYESOPS_HD_MEMBER int64_t total(const FlatGaussianWeight& f) { return FlatBlocks::total(f.blocks); }
  BAYESOPS_HD_MEMBER void run(const FlatGaussianWeight& f, int64_t index) {
    const auto [sample, block] = divide(index, f.blocks.per_sample);
    const int64_t first = block * 4;
    const NormalBlock normals = normal_block(Stream{(uint64_t)f.seeds[sample], f.stream}, (uint64_t)block);
    write_gaussian(f.mu == nullptr ? nullptr : f.mu + first, f.sigma + first, normals.z, f.blocks.count - first,
                   f.out + sample * f.blocks.count + first);
  }
};

// The same where channels are last in memory, of mu and sigma, too: an index names a tile.
template <class S>
struct FlatGaussianWeightTiles {
  static constexpr int kWide = 4;
  using Tile = FlatWeightTile<kWide>;

  const int64_t* seeds;
  uint32_t stream;
  int64_t samples;
  FlatWeightLayout layout;
  FlatExtent per_out_channel, per_sample;  // tiles
  const S* mu;                             // null: zeros
  const S* sigma;
  S* out;

  static FlatGaussianWeightTiles of(const int64_t* seeds, uint32_t stream, int64_t samples,
                                    const FlatWeightLayout& layout, const void* mu, const void* sigma, void* out) {
    const FlatExtent per_out_channel = Tile::per_out_channel(layout.in_channels);
    return {seeds,
            stream,
            samples,
            layout,
            per_out_channel,
            layout.out_channels * per_out_channel,
            static_cast<const S*>(mu),
            static_cast<const S*>(sigma),
            static_cast<S*>(out)};
  }
  BAYESOPS_HD_MEMBER int64_t total(const FlatGaussianWeightTiles& f) { return f.samples * f.per_sample; }
  BAYESOPS_HD_MEMBER void run(const FlatGaussianWeightTiles& f, int64_t index) {
    const FlatWeightLayout& layout = f.layout;
    const FlatDivision at = divide(index, f.per_sample);
    const Tile tile = Tile::of(layout, f.per_out_channel, at.remainder);
    const Stream stream{(uint64_t)f.seeds[at.quotient], f.stream};
    S* out = f.out + at.quotient * FlatWeightLayout::elements(layout);
    NormalCursor cursor = NormalCursor::at(stream, (uint64_t)Tile::element(tile, layout, 0, 0));
    Tile::each_taps(layout, [&](int64_t tap, int taps) {
      float z[Tile::kTaps][kWide] = {};
      for (int c = 0; c < kWide; ++c)
        unrolled<Tile::kTaps>(taps, [&](int i) {
          const uint64_t element = (uint64_t)Tile::element(tile, layout, c, tap + i);
          push_back(z[i], c < tile.count ? NormalCursor::draw(cursor, element) : 0.0f);
        });
      unrolled<Tile::kTaps>(taps, [&](int i) {
        const int64_t at = FlatWeightLayout::offset(layout, tile.out_channel, tap + i) + tile.first_channel;
        write_gaussian(f.mu == nullptr ? nullptr : f.mu + at, f.sigma + at, z[i], tile.count, out + at);
      });
    });
  }
};

// One draw of an output and what follows it: act((mean + std * eps) * scale + shift + residual), with eps of the
// element. A standard deviation is given, or a variance that it is the root of; biases come first. A convolution may
// round a variance of zero to slightly less: that counts as zero.
template <class S>
struct FlatLrtEpilogue {
  using T = typename ComputeOf<S>::T;

  const int64_t* seeds;
  uint32_t stream;
  int64_t samples;
  FlatActivation<4> shape;
  bool shared;  // all samples have one mean and spread
  bool channels_last;
  const S *mean, *spread;
  bool spread_is_std;                  // a variance otherwise
  const S *bias_mean, *bias_variance;  // of the channels; null: zeros
  FlatFinish<S> finish;
  S *out, *std;  // std null: nobody wants it

  // How many samples an index draws. Those that share mean and spread read them once, unless that leaves a device with
  // too few threads, or channels do not come in fours.
  BAYESOPS_HD_MEMBER int64_t together(const FlatLrtEpilogue& f) {
    constexpr int64_t kEnoughThreads = 1 << 18, kMost = 8;
    if (!f.shared || !FlatActivation<4>::in_runs(f.shape)) return 1;
    const int64_t spare = f.samples * f.shape.blocks / kEnoughThreads;
    return spare < 1 ? 1 : spare < kMost ? spare : kMost;
  }
  BAYESOPS_HD_MEMBER int64_t total(const FlatLrtEpilogue& f) {
    const int64_t each = together(f);
    return (f.samples + each - 1) / each * f.shape.blocks;
  }
  BAYESOPS_HD_MEMBER void run(const FlatLrtEpilogue& f, int64_t index) {
    const auto [some, place] = divide(index, f.shape.blocks);
    const int64_t each = together(f), first = some * each;
    const int64_t end = first + each < f.samples ? first + each : f.samples;
    const int64_t block = FlatActivation<4>::block(f.shape, f.channels_last, place);
    const auto normals = [&](int64_t sample) {
      return normal_block(Stream{(uint64_t)f.seeds[sample], f.stream}, (uint64_t)block);
    };
    FlatElement element = FlatElement::of(f.shape, block * 4);
    if (FlatActivation<4>::in_runs(f.shape)) {
      const Moments<4> moments = Moments<4>::of(f, first, element);
      for (int64_t sample = first; sample < end; ++sample) draw(f, sample, moments, normals(sample).z);
      return;
    }
    const NormalBlock drawn = normals(first);
    for (int i = 0; i < 4 && block * 4 + i < f.shape.count; ++i, FlatElement::step(element, f.shape)) {
      const float z[1] = {drawn.z[i]};
      draw(f, first, Moments<1>::of(f, first, element), z);
    }
  }

 private:
  // Of a run of channels of one pixel.
  template <int kCount>
  struct Moments {
    int64_t at;  // of the first, within its sample
    T mean[kCount], std[kCount];
    typename FlatFinish<S>::template Channels<kCount> finish;

    BAYESOPS_HD_MEMBER Moments of(const FlatLrtEpilogue& f, int64_t sample, const FlatElement& first) {
      const int64_t step = f.channels_last ? 1 : (int64_t)f.shape.pixels;
      Moments m;
      m.at = FlatElement::offset(first, f.shape, f.channels_last);
      m.finish = FlatFinish<S>::template read<kCount>(f.finish, first.channel, 1, kCount);
      const int64_t from = (f.shared ? 0 : sample * f.shape.count) + m.at;
      T bias[kCount];
      read_run(f.mean + from, step, kCount, m.mean);
      read_run(f.spread + from, step, kCount, m.std);
      if (f.bias_mean != nullptr) {
        read_run(f.bias_mean + first.channel, 1, kCount, bias);
        for (int i = 0; i < kCount; ++i) m.mean[i] += bias[i];
      }
      if (f.bias_variance != nullptr) {
        read_run(f.bias_variance + first.channel, 1, kCount, bias);
        for (int i = 0; i < kCount; ++i) m.std[i] += bias[i];
      }
      if (!f.spread_is_std)
        for (int i = 0; i < kCount; ++i) m.std[i] = m.std[i] < T(0) ? T(0) : root(m.std[i]);
      if (f.std != nullptr && (!f.shared || sample == 0)) write_run(m.std, step, kCount, f.std + from);
      return m;
    }
  };

  template <int kCount>
  BAYESOPS_HD_MEMBER void draw(const FlatLrtEpilogue& f, int64_t sample, const Moments<kCount>& moments,
                               const float (&z)[kCount]) {
    const int64_t step = f.channels_last ? 1 : (int64_t)f.shape.pixels;
    T draws[1][kCount];
    for (int i = 0; i < kCount; ++i) draws[0][i] = exact_multiply_add(moments.std[i], (T)z[i], moments.mean[i]);
    const auto all = [](int) { return kCount; };
    FlatFinish<S>::apply(f.finish, moments.finish, sample, moments.at, 0, step, all, draws);
    write_run(draws[0], step, kCount, f.out + sample * f.shape.count + moments.at);
  }
};

// out = grad * eps / (2 std), 0 where std is 0; summed over the samples that share std.
template <class S>
struct FlatVarianceGrad {
  const int64_t* seeds;
  uint32_t stream;
  int64_t samples;
  FlatActivation<4> shape;
  bool shared;
  bool grad_channels_last, std_channels_last;
  const S *grad, *std;
  S* out;  // laid out as std

  BAYESOPS_HD_MEMBER int64_t total(const FlatVarianceGrad& f) { return (f.shared ? 1 : f.samples) * f.shape.blocks; }
  BAYESOPS_HD_MEMBER void run(const FlatVarianceGrad& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    const auto [number, place] = divide(index, f.shape.blocks);
    const int64_t block = FlatActivation<4>::block(f.shape, f.std_channels_last, place);
    const int64_t first = f.shared ? 0 : number, end = f.shared ? f.samples : first + 1;
    const int64_t from = f.shared ? 0 : first * f.shape.count;
    T sums[4] = {}, values[4] = {};
    for (int64_t sample = first; sample < end; ++sample) {
      const NormalBlock normals = normal_block(Stream{(uint64_t)f.seeds[sample], f.stream}, (uint64_t)block);
      read_block(f.shape, f.grad_channels_last, block, f.grad + sample * f.shape.count, values);
      for (int i = 0; i < 4; ++i) sums[i] += values[i] * (T)normals.z[i];
    }
    read_block(f.shape, f.std_channels_last, block, f.std + from, values);
    for (int i = 0; i < 4; ++i) values[i] = values[i] == T(0) ? T(0) : sums[i] / (T(2) * values[i]);
    write_block(f.shape, f.std_channels_last, block, values, f.out + from);
  }
};

}  // namespace bayesops
