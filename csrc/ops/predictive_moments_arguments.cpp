#include "ops/predictive_moments_arguments.h"

#include <algorithm>

namespace bayesops::ops {

namespace {

constexpr const char* kOp = "add_predictive_moments";
constexpr int kTensors = 4;  // samples, mean, deviations, entropy

DType dtype_of_samples(const Tensor& samples) {
  // Unlike the operators that multiply, this one takes float16 everywhere: it reads it only.
  return samples.scalar_type() == ScalarType::Half ? kFloat16 : dtype_of(kOp, "samples", samples);
}

// A result is an accumulator of `sizes`, each of whose elements has its own memory.
void check_result(const Tensor& samples, const char* name, const Tensor& t, const Sizes& sizes) {
  const bool is_double = samples.scalar_type() == ScalarType::Double;
  STD_TORCH_CHECK(t.scalar_type() == (is_double ? ScalarType::Double : ScalarType::Float), kOp, ": ", name, " must be ",
                  is_double ? "float64 for samples of float64" : "float32 for samples of float32 and less");
  check_same_device(kOp, samples, name, t);
  const auto own = t.sizes(), strides = t.strides();
  STD_TORCH_CHECK(std::equal(own.begin(), own.end(), sizes.begin(), sizes.end()), kOp, ": ", name,
                  " must have the shape ", describe(sizes), ", not ", describe(sizes_of(t)));
  for (size_t i = 0; i < own.size(); ++i)
    STD_TORCH_CHECK(strides[i] != 0 || own[i] <= 1, kOp, ": ", name,
                    " is written to, so it must not be expanded, as its dimension ", i, " is");
}

// A dimension of the places with each tensor's step along it.
struct Axis {
  int64_t size;
  int64_t stride[kTensors];

  bool continues(const Axis& inner) const {
    for (int t = 0; t < kTensors; ++t)
      if (stride[t] != inner.size * inner.stride[t]) return false;
    return true;
  }
};

}  // namespace

PredictiveMomentsProblem predictive_moments_problem(const Tensor& samples, bool softmax, int64_t count,
                                                    const Tensor& mean, const Tensor& deviations,
                                                    const std::optional<Tensor>& expected_entropy) {
  PredictiveMomentsProblem p;
  p.dtype = dtype_of_samples(samples);
  p.softmax = softmax;
  p.count = count;
  STD_TORCH_CHECK(count >= 0, kOp, ": count must not be negative, not ", count);
  const Sizes all = sizes_of(samples);
  STD_TORCH_CHECK(all.size() >= (softmax ? 2 : 1), kOp, ": samples must have the shape ",
                  softmax ? "[S, N, C, *] or [S, C]" : "[S, *]", ", not ", describe(all));
  const Sizes sizes(all.begin() + 1, all.end());
  const int64_t dims = static_cast<int64_t>(sizes.size()), classes = softmax ? std::min<int64_t>(1, dims - 1) : dims;
  check_result(samples, "mean", mean, sizes);
  check_result(samples, "deviations", deviations, sizes);
  const Tensor* tensors[kTensors] = {&samples, &mean, &deviations, nullptr};
  if (expected_entropy.has_value()) {
    STD_TORCH_CHECK(softmax, kOp, ": expected_entropy is that of probabilities, so it needs softmax");
    Sizes without = sizes;
    without.erase(without.begin() + classes);
    check_result(samples, "expected_entropy", *expected_entropy, without);
    tensors[3] = &*expected_entropy;
  }
  STD_TORCH_CHECK(!softmax || sizes[classes] > 0, kOp, ": samples must have a class at least, not the shape ",
                  describe(all));

  PlacedTensor* placed[kTensors] = {&p.samples, &p.mean, &p.deviations, &p.entropy};
  p.draws = all[0];
  p.draw_stride = samples.stride(0);
  p.classes = softmax ? sizes[classes] : 1;
  p.places = samples.numel() == 0 ? 0 : samples.numel() / (p.draws * p.classes);
  if (p.places == 0) return p;

  std::vector<Axis> axes;
  for (int t = 0; t < kTensors; ++t)
    if (tensors[t] != nullptr) placed[t]->data = tensors[t]->data_ptr();
  for (int64_t dim = 0; dim < dims; ++dim) {
    const int64_t steps[kTensors] = {
        samples.stride(dim + 1), mean.stride(dim), deviations.stride(dim),
        tensors[3] == nullptr || dim == classes ? 0 : tensors[3]->stride(dim - (dim > classes))};
    if (dim == classes) {
      for (int t = 0; t < kTensors; ++t) placed[t]->class_stride = steps[t];
    } else if (sizes[dim] > 1) {
      axes.push_back(Axis{sizes[dim], {steps[0], steps[1], steps[2], steps[3]}});
    }
  }
  // In the order of memory, so that what lies side by side becomes one axis.
  std::stable_sort(axes.begin(), axes.end(), [](const Axis& a, const Axis& b) { return a.stride[0] > b.stride[0]; });
  size_t kept = 0;
  for (size_t i = 1; i < axes.size(); ++i) {
    if (axes[kept].continues(axes[i])) {
      axes[i].size *= axes[kept].size;
      axes[kept] = axes[i];
    } else {
      axes[++kept] = axes[i];
    }
  }
  if (!axes.empty()) axes.resize(kept + 1);
  STD_TORCH_CHECK(axes.size() <= kPlaceAxes, kOp, ": samples of the shape ", describe(all), " lie in ", axes.size(),
                  " separate runs of memory; make them contiguous");
  p.axes = static_cast<int>(axes.size());
  for (int axis = 0; axis < p.axes; ++axis) {
    p.size[axis] = axes[axis].size;
    for (int t = 0; t < kTensors; ++t) placed[t]->axis_stride[axis] = axes[axis].stride[t];
  }
  return p;
}

}  // namespace bayesops::ops
