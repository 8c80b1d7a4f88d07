// What the operators need of a tensor, on every device: checks that say what came, and the views that kernels take.
#pragma once
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <optional>
#include <string>
#include <vector>

#include "kernels/conv/problem.h"

namespace bayesops::ops {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using Sizes = std::vector<int64_t>;

Sizes sizes_of(const Tensor& t);
inline const void* data_of(const std::optional<Tensor>& t) { return t.has_value() ? t->data_ptr() : nullptr; }
std::string describe(const Sizes& sizes);

DType dtype_of(const char* op, const char* name, const Tensor& t);
void check_same_dtype(const char* op, const Tensor& expected, const char* name, const Tensor& t);
void check_same_device(const char* op, const Tensor& expected, const char* name, const Tensor& t);
// Both, and that the tensor has the given shape.
void check_parameter(const char* op, const char* name, const Tensor& t, const Tensor& like, const Sizes& sizes);

Tensor empty_strided(const Sizes& sizes, const Sizes& strides, ScalarType dtype, const Tensor& like);
Tensor empty(const Sizes& sizes, ScalarType dtype, const Tensor& like);
Tensor empty_as(const Tensor& like);  // contiguous
// Strides of a contiguous tensor; with `channels_last`, dimension `channel` moves to the end of memory.
Sizes dense_strides(const Sizes& sizes, int64_t channel, bool channels_last);
// A tensor of `like`'s dtype with these strides.
Tensor empty_dense(const Sizes& sizes, int64_t channel, bool channels_last, const Tensor& like);
// Whether a tensor has these strides; those of dimensions of size 1 do not count.
bool is_dense(const Tensor& t, int64_t channel, bool channels_last);
// The tensor itself where it has them already, a copy otherwise.
Tensor dense(const Tensor& t, int64_t channel, bool channels_last);
// The same in the order of its elements.
inline Tensor dense(const Tensor& t) { return t.is_contiguous() ? t : dense(t, 0, false); }

Tensor sum_over(const Tensor& t, int64_t dim);

// True when a result should be channels last because its input is: several channels, several pixels, and neighbouring
// channels next to each other in memory.
bool is_channels_last(const Tensor& t, int64_t channel);

// The tensor [(samples,) examples, channels, axes...] as kernels see it; `axes` of its trailing dimensions are spatial.
Images images_of(const Tensor& t, bool has_samples, int64_t axes);

struct Seeds {
  // Sizes of one value for each sample, given those of one: [(S,) sizes...].
  Sizes lead(Sizes sizes) const;

  Tensor tensor;  // contiguous; owns what `data` points to, on the device of the operator
  const int64_t* data;
  int64_t count;
  bool batched;  // [S] rather than []
};
Seeds read_seeds(const char* op, const Tensor& seed);
void check_stream(const char* op, int64_t stream);

// The law of a mask that is drawn, or the bytes of one that is given. `base` is the shape of one mask. A given mask may
// have leading dimensions (samples,) or, with per_example, (samples,) examples.
struct Mask {
  Tensor given;  // owns what source.given points to
  MaskSource source;
};
Mask read_mask(const char* op, const std::optional<Tensor>& mask, const Sizes& base, Granularity granularity, double p,
               const Seeds& seeds, int64_t stream, bool per_example, int64_t examples);

void check_probability(const char* op, double p);

}  // namespace bayesops::ops
