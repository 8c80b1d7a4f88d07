#include "ops/epilogue.h"

namespace bayesops::ops {

std::optional<Tensor> per_channel(const char* op, const char* name, const std::optional<Tensor>& given,
                                  int64_t channels, const Tensor& like) {
  if (!given.has_value()) return std::nullopt;
  check_parameter(op, name, *given, like, {channels});
  return dense(*given);
}

DenseEpilogue::DenseEpilogue(const char* op, const EpilogueTensors& given, const Sizes& image, bool batched,
                             const Tensor& out) {
  dense_.scale = per_channel(op, "scale", given.scale, image[1], out);
  dense_.shift = per_channel(op, "shift", given.shift, image[1], out);
  dense_.relu = given.relu;
  if (!given.residual.has_value()) return;
  const Tensor& residual = *given.residual;
  residual_shared_ = sizes_of(residual) == image;
  check_parameter(op, "residual", residual, out, residual_shared_ ? image : sizes_of(out));
  const bool channels_last = is_channels_last(out, batched ? 2 : 1);
  dense_.residual = dense(residual, residual_shared_ ? 1 : 2, channels_last);
}

Epilogue DenseEpilogue::describe() const {
  Epilogue epilogue;
  epilogue.scale = data_of(dense_.scale);
  epilogue.shift = data_of(dense_.shift);
  epilogue.residual = data_of(dense_.residual);
  if (!residual_shared_) {
    epilogue.residual_sample_stride = 1;  // dense, whatever the stride of a dimension of one sample
    for (int64_t i = 1; i < dense_.residual->dim(); ++i) epilogue.residual_sample_stride *= dense_.residual->size(i);
  }
  epilogue.relu = dense_.relu;
  return epilogue;
}

}  // namespace bayesops::ops
