// Mean, squared deviations and entropy of the draws of a prediction, a chunk of draws at a time.
#pragma once
#include "kernels/conv/problem.h"

namespace bayesops {

// A place is what is neither draw nor class, a pixel of an example, say; without softmax every element is one. Places
// have axes, which two tensors may walk in different steps.
constexpr int kPlaceAxes = 8;

// Steps in elements; none along an axis that a tensor does not have.
struct PlacedTensor {
  void* data = nullptr;
  int64_t class_stride = 0;
  int64_t axis_stride[kPlaceAxes] = {};
};

struct PredictiveMomentsProblem {
  DType dtype;        // of the samples; all else is float64 with float64 samples, float32 otherwise
  bool softmax;       // over the classes; otherwise there is one class
  int64_t draws;      // of this chunk
  int64_t count = 0;  // draws that came before; where there are none, the results are not read
  int64_t draw_stride, classes, places;
  int axes = 0;
  int64_t size[kPlaceAxes];
  PlacedTensor samples;  // of the first draw
  // results: the mean, the sum of squared deviations from it, and the mean entropy of a draw (no data: not wanted)
  PlacedTensor mean, deviations, entropy;
};

}  // namespace bayesops
