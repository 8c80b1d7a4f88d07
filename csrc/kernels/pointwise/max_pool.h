// The greatest element of each window of an image, and an activation of it.
#pragma once
#include "kernels/conv/problem.h"
#include "kernels/rng/philox.h"

namespace bayesops {

enum Activation : int { kIdentity, kRelu, kSoftplus };

// Images of height x width x channels, contiguous; planes of a tensor that has its channels first are images of one
// channel. Axes: 0 height, 1 width. A window may reach over the edges of the image, but never lies outside.
struct MaxPoolProblem {
  DType dtype;
  int64_t images, channels;
  int64_t size[2], out_size[2];
  int64_t kernel[2], stride[2], padding[2];
  Activation activation;
};

// `next` where it is greater or NaN.
template <class T>
BAYESOPS_HD T later(T held, T next) {
  return next > held || next != next ? next : held;
}

}  // namespace bayesops
