// Gaussian weights and local reparameterisation as functors over a flat index: what a CUDA thread does, callable on the
// host as well. Index i names a block of four consecutive elements of a stream, so that a thread draws a Philox block
// once.
#pragma once
#include "kernels/flat/epilogue.h"
#include "kernels/flat/streams.h"

namespace bayesops {

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
    using T = typename ComputeOf<S>::T;
    const int64_t per_sample = FlatBlocks::per_sample(f.blocks), sample = index / per_sample,
                  block = index % per_sample;
    const NormalBlock normals = normal_block(Stream{(uint64_t)f.seeds[sample], f.stream}, (uint64_t)block);
    for (int i = 0; i < 4 && block * 4 + i < f.blocks.count; ++i) {
      const int64_t element = block * 4 + i;
      T w = (T)f.sigma[element] * (T)normals.z[i];
      if (f.mu != nullptr) w = (T)f.mu[element] + w;
      f.out[sample * f.blocks.count + element] = (S)w;
    }
  }
};

// The sums over samples of gradients [samples][element], and of these times eps, one after another.
template <class S>
struct FlatGaussianWeightGrad {
  const int64_t* seeds;
  uint32_t stream;
  FlatBlocks blocks;  // of 4
  const S* gradients;
  S *mu, *sigma;

  BAYESOPS_HD_MEMBER int64_t total(const FlatGaussianWeightGrad& f) { return FlatBlocks::per_sample(f.blocks); }
  BAYESOPS_HD_MEMBER void run(const FlatGaussianWeightGrad& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    const int64_t all = f.blocks.count, first = index * 4, count = all - first < 4 ? all - first : 4;
    T of_mu[4] = {0, 0, 0, 0}, of_sigma[4] = {0, 0, 0, 0};
    for (int64_t sample = 0; sample < f.blocks.samples; ++sample) {
      const NormalBlock normals = normal_block(Stream{(uint64_t)f.seeds[sample], f.stream}, (uint64_t)index);
      for (int i = 0; i < 4 && i < count; ++i) {
        const T gradient = (T)f.gradients[sample * all + first + i];
        of_mu[i] += gradient;
        of_sigma[i] += gradient * (T)normals.z[i];
      }
    }
    for (int i = 0; i < 4 && i < count; ++i) {
      f.mu[first + i] = (S)of_mu[i];
      f.sigma[first + i] = (S)of_sigma[i];
    }
  }
};

// An activation's elements in the order of its noise: (example, pixel, channel), channels fastest.
struct FlatActivation {
  int64_t examples, channels, pixels;

  BAYESOPS_HD_MEMBER int64_t count(const FlatActivation& a) { return a.examples * a.channels * a.pixels; }
  BAYESOPS_HD_MEMBER int64_t blocks(const FlatActivation& a) { return (count(a) + 3) / 4; }
  // The block that is number `index` to be worked on. Threads of neighbouring indices should meet in memory: where
  // channels come first, they take the same four channels of neighbouring pixels, if no block is across two pixels.
  BAYESOPS_HD_MEMBER int64_t block(const FlatActivation& a, bool channels_last, int64_t index) {
    if (channels_last || a.channels % 4 != 0) return index;
    const int64_t quads = a.channels / 4, pixel = index % a.pixels, quad = index / a.pixels % quads;
    return (index / a.pixels / quads * a.pixels + pixel) * quads + quad;
  }
};

// One of them. A block's elements are stepped through, so that what divisions find out is found out once.
struct FlatElement {
  int64_t example, pixel, channel;

  BAYESOPS_HD_MEMBER FlatElement of(const FlatActivation& a, int64_t number) {
    const int64_t row = number / a.channels;
    return {row / a.pixels, row % a.pixels, number % a.channels};
  }
  BAYESOPS_HD_MEMBER void step(FlatElement& e, const FlatActivation& a) {
    if (++e.channel < a.channels) return;
    e.channel = 0;
    if (++e.pixel < a.pixels) return;
    e.pixel = 0;
    ++e.example;
  }
  // Where it lies in memory.
  BAYESOPS_HD_MEMBER int64_t offset(const FlatElement& e, const FlatActivation& a, bool channels_last) {
    return channels_last ? (e.example * a.pixels + e.pixel) * a.channels + e.channel
                         : (e.example * a.channels + e.channel) * a.pixels + e.pixel;
  }
};

// One draw of an output and what follows it: act((mean + std * eps) * scale + shift + residual), with eps of the
// element. A standard deviation is given, or a variance that it is the root of; biases come first. A convolution may
// round a variance of zero to slightly less: that counts as zero.
template <class S>
struct FlatLrtEpilogue {
  const int64_t* seeds;
  uint32_t stream;
  int64_t samples;
  FlatActivation shape;
  bool shared;  // all samples have one mean and spread
  bool channels_last;
  const S *mean, *spread;
  bool spread_is_std;                  // a variance otherwise
  const S *bias_mean, *bias_variance;  // of the channels; null: zeros
  FlatFinish<S> finish;
  S *out, *std;  // std null: nobody wants it

  BAYESOPS_HD_MEMBER int64_t total(const FlatLrtEpilogue& f) { return f.samples * FlatActivation::blocks(f.shape); }
  BAYESOPS_HD_MEMBER void run(const FlatLrtEpilogue& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    const int64_t count = FlatActivation::count(f.shape), per_sample = FlatActivation::blocks(f.shape);
    const int64_t sample = index / per_sample,
                  block = FlatActivation::block(f.shape, f.channels_last, index % per_sample);
    const NormalBlock normals = normal_block(Stream{(uint64_t)f.seeds[sample], f.stream}, (uint64_t)block);
    FlatElement element = FlatElement::of(f.shape, block * 4);
    for (int i = 0; i < 4 && block * 4 + i < count; ++i, FlatElement::step(element, f.shape)) {
      const int64_t at = FlatElement::offset(element, f.shape, f.channels_last);
      const int64_t from = (f.shared ? 0 : sample * count) + at;
      T mean = (T)f.mean[from], std = (T)f.spread[from];
      if (f.bias_mean != nullptr) mean += (T)f.bias_mean[element.channel];
      if (f.bias_variance != nullptr) std += (T)f.bias_variance[element.channel];
      if (!f.spread_is_std) std = std < T(0) ? T(0) : root(std);
      const T draw = exact_multiply_add(std, (T)normals.z[i], mean);
      f.out[sample * count + at] = (S)FlatFinish<S>::apply(f.finish, draw, sample, element.channel, at);
      if (f.std != nullptr && (!f.shared || sample == 0)) f.std[from] = (S)std;
    }
  }
};

// out = grad * eps / (2 std), 0 where std is 0; summed over the samples that share std.
template <class S>
struct FlatVarianceGrad {
  const int64_t* seeds;
  uint32_t stream;
  int64_t samples;
  FlatActivation shape;
  bool shared;
  bool grad_channels_last, std_channels_last;
  const S *grad, *std;
  S* out;  // laid out as std

  BAYESOPS_HD_MEMBER int64_t total(const FlatVarianceGrad& f) {
    return (f.shared ? 1 : f.samples) * FlatActivation::blocks(f.shape);
  }
  BAYESOPS_HD_MEMBER void run(const FlatVarianceGrad& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    const int64_t count = FlatActivation::count(f.shape), per_sample = FlatActivation::blocks(f.shape);
    const int64_t block = FlatActivation::block(f.shape, f.std_channels_last, index % per_sample);
    const int64_t first = f.shared ? 0 : index / per_sample, end = f.shared ? f.samples : first + 1;
    const FlatElement start = FlatElement::of(f.shape, block * 4);
    T sums[4] = {0, 0, 0, 0};
    for (int64_t sample = first; sample < end; ++sample) {
      const NormalBlock normals = normal_block(Stream{(uint64_t)f.seeds[sample], f.stream}, (uint64_t)block);
      FlatElement element = start;
      for (int i = 0; i < 4 && block * 4 + i < count; ++i, FlatElement::step(element, f.shape)) {
        const int64_t at = FlatElement::offset(element, f.shape, f.grad_channels_last);
        sums[i] += (T)f.grad[sample * count + at] * (T)normals.z[i];
      }
    }
    FlatElement element = start;
    for (int i = 0; i < 4 && block * 4 + i < count; ++i, FlatElement::step(element, f.shape)) {
      const int64_t at = (f.shared ? 0 : first * count) + FlatElement::offset(element, f.shape, f.std_channels_last);
      const T std = (T)f.std[at];
      f.out[at] = (S)(std == T(0) ? T(0) : sums[i] / (T(2) * std));
    }
  }
};

}  // namespace bayesops
