// Gaussian weights and local reparameterisation as functors over a flat index: what a CUDA thread does, callable on the
// host as well. Index i names a block of four consecutive elements of a stream, so that a thread draws a Philox block
// once.
#pragma once
#include "kernels/flat/compute_type.h"
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

// An activation's elements in the order of its noise: (example, pixel, channel), channels fastest.
struct FlatActivation {
  int64_t examples, channels, pixels;

  BAYESOPS_HD_MEMBER int64_t count(const FlatActivation& a) { return a.examples * a.channels * a.pixels; }
  BAYESOPS_HD_MEMBER int64_t blocks(const FlatActivation& a) { return (count(a) + 3) / 4; }
  // Where an element lies in memory.
  BAYESOPS_HD_MEMBER int64_t offset(const FlatActivation& a, bool channels_last, int64_t element) {
    if (channels_last) return element;
    const int64_t channel = element % a.channels, pixel = element / a.channels % a.pixels;
    return (element / a.channels / a.pixels * a.channels + channel) * a.pixels + pixel;
  }
  // The block that is number `index` to be worked on. Threads of neighbouring indices should meet in memory: where
  // channels come first, they take the same four channels of neighbouring pixels, if no block is across two pixels.
  BAYESOPS_HD_MEMBER int64_t block(const FlatActivation& a, bool channels_last, int64_t index) {
    if (channels_last || a.channels % 4 != 0) return index;
    const int64_t quads = a.channels / 4, pixel = index % a.pixels, quad = index / a.pixels % quads;
    return (index / a.pixels / quads * a.pixels + pixel) * quads + quad;
  }
};

BAYESOPS_HD float root(float x) { return ScalarMath::sqrt(x); }
BAYESOPS_HD double root(double x) {
#if defined(__CUDA_ARCH__)
  return __dsqrt_rn(x);
#else
  return __builtin_sqrt(x);
#endif
}

// out[sample] = mean + std * eps with std = sqrt(variance), which is written as well. A convolution may round a
// variance of zero to slightly less: that counts as zero.
template <class S>
struct FlatLrtEpilogue {
  const int64_t* seeds;
  uint32_t stream;
  int64_t samples;
  FlatActivation shape;
  bool shared;  // all samples have one mean and variance
  bool channels_last;
  const S *mean, *variance;
  S *out, *std;

  BAYESOPS_HD_MEMBER int64_t total(const FlatLrtEpilogue& f) { return f.samples * FlatActivation::blocks(f.shape); }
  BAYESOPS_HD_MEMBER void run(const FlatLrtEpilogue& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    const int64_t count = FlatActivation::count(f.shape), per_sample = FlatActivation::blocks(f.shape);
    const int64_t sample = index / per_sample,
                  block = FlatActivation::block(f.shape, f.channels_last, index % per_sample);
    const NormalBlock normals = normal_block(Stream{(uint64_t)f.seeds[sample], f.stream}, (uint64_t)block);
    for (int i = 0; i < 4 && block * 4 + i < count; ++i) {
      const int64_t at = FlatActivation::offset(f.shape, f.channels_last, block * 4 + i);
      const int64_t from = (f.shared ? 0 : sample * count) + at;
      const T variance = (T)f.variance[from];
      const T std = variance < T(0) ? T(0) : root(variance);
      f.out[sample * count + at] = (S)((T)f.mean[from] + std * (T)normals.z[i]);
      if (!f.shared || sample == 0) f.std[from] = (S)std;
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
    T sums[4] = {0, 0, 0, 0};
    for (int64_t sample = first; sample < end; ++sample) {
      const NormalBlock normals = normal_block(Stream{(uint64_t)f.seeds[sample], f.stream}, (uint64_t)block);
      for (int i = 0; i < 4 && block * 4 + i < count; ++i) {
        const int64_t at = FlatActivation::offset(f.shape, f.grad_channels_last, block * 4 + i);
        sums[i] += (T)f.grad[sample * count + at] * (T)normals.z[i];
      }
    }
    for (int i = 0; i < 4 && block * 4 + i < count; ++i) {
      const int64_t at =
          (f.shared ? 0 : first * count) + FlatActivation::offset(f.shape, f.std_channels_last, block * 4 + i);
      const T std = (T)f.std[at];
      f.out[at] = (S)(std == T(0) ? T(0) : sums[i] / (T(2) * std));
    }
  }
};

}  // namespace bayesops
