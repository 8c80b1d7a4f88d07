#include "ops/tensors.h"

namespace bayesops::ops {

Sizes sizes_of(const Tensor& t) {
  const auto sizes = t.sizes();
  return Sizes(sizes.begin(), sizes.end());
}

std::string describe(const Sizes& sizes) {
  std::string text = "[";
  for (size_t i = 0; i < sizes.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(sizes[i]);
  return text + "]";
}

DType dtype_of(const char* op, const char* name, const Tensor& t) {
  switch (t.scalar_type()) {
    case ScalarType::Float:
      return kFloat32;
    case ScalarType::Double:
      return kFloat64;
    case ScalarType::BFloat16:
      return kBFloat16;
    case ScalarType::Half:
      STD_TORCH_CHECK(!t.is_cpu(), op, ": ", name, " is float16, which runs on CUDA only; use bfloat16 on the CPU");
      return kFloat16;
    default:
      STD_TORCH_CHECK(false, op, ": ", name, " must be float32, float64, bfloat16 or (on CUDA) float16");
  }
}

void check_same_dtype(const char* op, const Tensor& expected, const char* name, const Tensor& t) {
  STD_TORCH_CHECK(t.scalar_type() == expected.scalar_type(), op, ": ", name,
                  " must have the dtype of the other tensors");
}

void check_same_device(const char* op, const Tensor& expected, const char* name, const Tensor& t) {
  STD_TORCH_CHECK(t.is_cpu() == expected.is_cpu() && t.get_device_index() == expected.get_device_index(), op, ": ",
                  name, " must be on the device of the other tensors");
}

void check_parameter(const char* op, const char* name, const Tensor& t, const Tensor& like, const Sizes& sizes) {
  check_same_device(op, like, name, t);
  check_same_dtype(op, like, name, t);
  STD_TORCH_CHECK(sizes_of(t) == sizes, op, ": ", name, " must have shape ", describe(sizes), ", not ",
                  describe(sizes_of(t)));
}

namespace {

struct Storage {
  const char* name;
  int64_t bytes;
};
Storage storage_of(ScalarType dtype) {
  switch (dtype) {
    case ScalarType::Double:
      return {"float64", 8};
    case ScalarType::Long:
      return {"int64", 8};
    case ScalarType::Float:
      return {"float32", 4};
    case ScalarType::BFloat16:
      return {"bfloat16", 2};
    case ScalarType::Half:
      return {"float16", 2};
    default:
      return {"bool", 1};
  }
}

}  // namespace

// A failure of torch's would say neither what was asked for nor why: of its reasons only memory is left here.
Tensor empty_strided(const Sizes& sizes, const Sizes& strides, ScalarType dtype, const Tensor& like) {
  int32_t device_type = 0;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(like.get(), &device_type));
  const Storage storage = storage_of(dtype);
  int64_t bytes = storage.bytes;
  bool addressable = true;
  for (const int64_t size : sizes) addressable = addressable && !__builtin_mul_overflow(bytes, size, &bytes);
  AtenTensorHandle handle = nullptr;
  const bool there =
      addressable && aoti_torch_empty_strided(static_cast<int64_t>(sizes.size()), sizes.data(), strides.data(),
                                              torch::stable::detail::to<int32_t>(torch::stable::detail::from(dtype)),
                                              device_type, like.get_device_index(), &handle) == AOTI_TORCH_SUCCESS;
  STD_TORCH_CHECK(there, "bayesops: a tensor of shape ", describe(sizes), ", ", storage.name, ", ",
                  addressable ? std::to_string(bytes) : "more than 2^63", " bytes, could not be allocated on the ",
                  like.is_cpu() ? "CPU" : "GPU");
  return Tensor(handle);
}

Tensor empty(const Sizes& sizes, ScalarType dtype, const Tensor& like) {
  return empty_strided(sizes, dense_strides(sizes, 0, false), dtype, like);
}

Tensor empty_as(const Tensor& like) { return empty(sizes_of(like), like.scalar_type(), like); }

Sizes dense_strides(const Sizes& sizes, int64_t channel, bool channels_last) {
  Sizes strides(sizes.size());
  uint64_t step = 1;  // may overflow; empty_strided refuses such sizes
  const auto place = [&](int64_t i) {
    strides[i] = static_cast<int64_t>(step);
    step *= sizes[i] > 1 ? static_cast<uint64_t>(sizes[i]) : 1;
  };
  if (channels_last) place(channel);
  for (int64_t i = static_cast<int64_t>(sizes.size()) - 1; i >= 0; --i)
    if (!channels_last || i != channel) place(i);
  return strides;
}

Tensor empty_dense(const Sizes& sizes, int64_t channel, bool channels_last, const Tensor& like) {
  return empty_strided(sizes, dense_strides(sizes, channel, channels_last), like.scalar_type(), like);
}

bool is_dense(const Tensor& t, int64_t channel, bool channels_last) {
  const Sizes sizes = sizes_of(t), strides = dense_strides(sizes, channel, channels_last);
  bool same = true;
  for (size_t i = 0; i < sizes.size(); ++i)
    same = same && (sizes[i] <= 1 || t.stride(static_cast<int64_t>(i)) == strides[i]);
  return same;
}

Tensor dense(const Tensor& t, int64_t channel, bool channels_last) {
  if (is_dense(t, channel, channels_last)) return t;
  Tensor copy = empty_dense(sizes_of(t), channel, channels_last, t);
  torch::stable::copy_(copy, t);
  return copy;
}

Tensor sum_over(const Tensor& t, int64_t dim) {
  return torch::stable::sum(t, torch::headeronly::IntHeaderOnlyArrayRef(&dim, 1));
}

bool is_channels_last(const Tensor& t, int64_t channel) {
  int64_t pixels = 1;
  for (int64_t i = channel + 1; i < t.dim(); ++i) pixels *= t.size(i);
  return pixels > 1 && t.stride(channel) == 1;
}

Images images_of(const Tensor& t, bool has_samples, int64_t axes) {
  Images images;
  images.data = t.data_ptr();
  int64_t at = 0;
  images.sample_stride = has_samples ? t.stride(at++) : 0;
  images.example_stride = t.stride(at++);
  images.channel_stride = t.stride(at++);
  for (int64_t a = 3 - axes; a < 3; ++a, ++at) {
    images.axis_stride[a] = t.stride(at);
    images.size[a] = t.size(at);
  }
  return images;
}

Sizes Seeds::lead(Sizes sizes) const {
  if (batched) sizes.insert(sizes.begin(), count);
  return sizes;
}

Seeds read_seeds(const char* op, const Tensor& seed) {
  STD_TORCH_CHECK(seed.scalar_type() == ScalarType::Long, op, ": seed must be an int64 tensor");
  STD_TORCH_CHECK(seed.dim() <= 1, op, ": seed must have shape [] or [S], not ", describe(sizes_of(seed)));
  const Tensor tensor = dense(seed);
  return Seeds{tensor, static_cast<const int64_t*>(tensor.data_ptr()), tensor.numel(), seed.dim() == 1};
}

void check_stream(const char* op, int64_t stream) {
  STD_TORCH_CHECK(stream >= 0 && stream <= 0xFFFFFFFFll, op, ": stream must be in [0, 2^32), not ", stream);
}

void check_probability(const char* op, double p) {
  STD_TORCH_CHECK(p >= 0.0 && p < 1.0, op, ": p must be in [0, 1), not ", p);
}

Mask read_mask(const char* op, const std::optional<Tensor>& mask, const Sizes& base, Granularity granularity, double p,
               const Seeds& seeds, int64_t stream, bool per_example, int64_t examples) {
  check_probability(op, p);
  check_stream(op, stream);
  Mask result;
  MaskSource& source = result.source;
  source.granularity = granularity;
  source.elements = 1;
  for (const int64_t size : base) source.elements *= size;
  source.seeds = seeds.data;
  source.stream = static_cast<uint32_t>(stream);
  if (!mask.has_value()) {
    source.masked = p > 0.0;
    source.law = bernoulli_law(p);
    return result;
  }
  STD_TORCH_CHECK(mask->scalar_type() == ScalarType::Bool, op, ": mask must be a bool tensor");
  check_same_device(op, seeds.tensor, "mask", *mask);
  const Sizes sizes = sizes_of(*mask);
  Sizes shared = base;
  if (per_example) shared.insert(shared.begin(), examples);
  const Sizes full = seeds.lead(shared);
  STD_TORCH_CHECK(sizes == full || sizes == shared, op, ": mask must have shape ", describe(shared), " or ",
                  describe(full), ", not ", describe(sizes));
  result.given = dense(*mask);
  source.masked = true;
  source.given = static_cast<const uint8_t*>(result.given.data_ptr());
  source.given_example_stride = per_example ? source.elements : 0;
  if (seeds.batched && sizes == full) source.given_sample_stride = source.elements * (per_example ? examples : 1);
  return result;
}

}  // namespace bayesops::ops
