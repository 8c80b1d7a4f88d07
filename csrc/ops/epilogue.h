// The last arguments of a fused operator: what it makes of its results, act(result * scale + shift + residual).
#pragma once
#include "ops/convolution.h"

// In a schema.
#define BAYESOPS_EPILOGUE_ARGUMENTS "Tensor? scale, Tensor? shift, Tensor? residual, bool relu"

namespace bayesops::ops {

// As they come. By default there is no epilogue.
struct EpilogueTensors {
  std::optional<Tensor> scale, shift;  // [O]
  std::optional<Tensor> residual;      // of the output's shape, or shared by all samples
  bool relu = false;
};

// A parameter [channels], contiguous, of the dtype and on the device of `like`.
std::optional<Tensor> per_channel(const char* op, const char* name, const std::optional<Tensor>& given,
                                  int64_t channels, const Tensor& like);

// As the kernels take them: checked, and the residual laid out as the output, copied where it is not.
class DenseEpilogue {
 public:
  // `image` is the size of `out`, which has several samples in front of it if `batched`.
  DenseEpilogue(const char* op, const EpilogueTensors& given, const Sizes& image, bool batched, const Tensor& out);
  Epilogue describe() const;

 private:
  EpilogueTensors dense_;
  bool residual_shared_ = true;
};

}  // namespace bayesops::ops
