// add_predictive_moments as CUDA threads run it, run by the host. test_predictive_moments_functors.py compiles this
// file.
#include "kernels/flat/predictive_moments_steps.h"

#include <vector>

namespace {

using namespace bayesops;

// What the operator makes of its tensors' sizes and strides.
struct Problem {
  int64_t softmax, draws, count, draw_stride, classes, places, axes;
  int64_t size[kPlaceAxes];
  int64_t class_stride[4], axis_stride[4][kPlaceAxes];  // of samples, mean, deviations, entropy

  PredictiveMomentsProblem with(DType dtype, void* const* data) const {
    PredictiveMomentsProblem p;
    p.dtype = dtype;
    p.softmax = softmax != 0;
    p.draws = draws;
    p.count = count;
    p.draw_stride = draw_stride;
    p.classes = classes;
    p.places = places;
    p.axes = (int)axes;
    PlacedTensor* tensors[4] = {&p.samples, &p.mean, &p.deviations, &p.entropy};
    for (int axis = 0; axis < kPlaceAxes; ++axis) p.size[axis] = size[axis];
    for (int t = 0; t < 4; ++t) {
      tensors[t]->data = data[t];
      tensors[t]->class_stride = class_stride[t];
      for (int axis = 0; axis < kPlaceAxes; ++axis) tensors[t]->axis_stride[axis] = axis_stride[t][axis];
    }
    return p;
  }
};

template <class F>
void run_all(const F& f) {
  for (int64_t index = F::total(f); index-- > 0;) F::run(f, index);
}

// What threads are: places, with classes in registers or not, or what is done in steps.
enum Way : int64_t { kPlacesInRegisters, kPlaces, kInSteps };

template <class S>
void run_as(const PredictiveMomentsProblem& p, int64_t way) {
  if (way == kPlaces) return run_all(FlatPredictiveMoments<S>{p});
  if (way == kPlacesInRegisters)
    return p.softmax ? run_all(FlatMomentsInRegisters<S, 12>{p}) : run_all(FlatMomentsOfNumbers<S>{p});
  std::vector<char> room;
  const auto allocate = [&](int64_t bytes) -> void* {
    room.assign((size_t)bytes, -1);
    return room.data();
  };
  moments_in_steps<S>(p, allocate, [](const auto& f) { run_all(f); });
}

}  // namespace

extern "C" {

void add_float32(const Problem* problem, void* const* data, int64_t way) {
  run_as<float>(problem->with(kFloat32, data), way);
}
void add_float64(const Problem* problem, void* const* data, int64_t way) {
  run_as<double>(problem->with(kFloat64, data), way);
}

}  // extern "C"
