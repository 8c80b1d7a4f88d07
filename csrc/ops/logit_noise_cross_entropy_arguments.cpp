#include "ops/logit_noise_cross_entropy_arguments.h"

namespace bayesops::ops {

namespace {

constexpr const char* kOp = "logit_noise_cross_entropy";

// Tensor t [examples, classes, pixels...], dense; one class is the class of all.
ClassImages class_images(const Tensor& t) {
  const bool channels_last = is_channels_last(t, 1);
  int64_t pixels = 1;
  for (int64_t i = 2; i < t.dim(); ++i) pixels *= t.size(i);
  const int64_t classes = t.size(1);
  ClassImages images;
  images.data = t.data_ptr();
  images.example_stride = classes * pixels;
  images.class_stride = classes == 1 ? 0 : channels_last ? 1 : pixels;
  images.pixel_stride = channels_last ? classes : 1;
  return images;
}

Tensor dense_as_is(const Tensor& t) { return dense(t, 1, is_channels_last(t, 1)); }

}  // namespace

LogitNoiseArguments::LogitNoiseArguments(const Tensor& logits, const Tensor& log_var, const Tensor& target,
                                         const Tensor& seed, int64_t stream, const std::optional<Tensor>& weight,
                                         int64_t ignore_index, bool mean_of_losses, int64_t given_reduction,
                                         bool gradients)
    : seeds(read_seeds(kOp, seed)) {
  problem.dtype = dtype_of(kOp, "logits", logits);
  const Sizes sizes = sizes_of(logits);
  STD_TORCH_CHECK(sizes.size() >= 2 && sizes[1] >= 1, kOp,
                  ": logits must have the shape [N, C, *] with one class at least, not ", describe(sizes));
  Sizes shared = sizes, places = sizes;
  shared[1] = 1;
  places.erase(places.begin() + 1);
  check_same_dtype(kOp, logits, "log_var", log_var);
  STD_TORCH_CHECK(sizes_of(log_var) == sizes || sizes_of(log_var) == shared, kOp, ": log_var must have the shape ",
                  describe(sizes), " or ", describe(shared), ", not ", describe(sizes_of(log_var)));
  STD_TORCH_CHECK(target.scalar_type() == ScalarType::Long, kOp, ": target must be an int64 tensor");
  STD_TORCH_CHECK(sizes_of(target) == places, kOp, ": target must have the shape ", describe(places), ", not ",
                  describe(sizes_of(target)));
  STD_TORCH_CHECK(seeds.batched && seeds.count >= 1, kOp, ": seed must have the shape [T], T at least 1, not ",
                  describe(sizes_of(seed)));
  STD_TORCH_CHECK(given_reduction >= kReductionNone && given_reduction <= kReductionSum, kOp,
                  ": reduction must be 0 (none), 1 (mean) or 2 (sum), not ", given_reduction);
  check_stream(kOp, stream);
  for (const auto& [name, t] :
       {std::pair<const char*, const Tensor*>{"log_var", &log_var}, {"target", &target}, {"seed", &seed}})
    check_same_device(kOp, logits, name, *t);
  reduction = static_cast<Reduction>(given_reduction);
  computing = problem.dtype == kFloat64 ? ScalarType::Double : ScalarType::Float;

  mean_ = dense_as_is(logits);
  log_var_ = dense_as_is(log_var);
  target_ = dense(target);
  if (weight.has_value()) {
    STD_TORCH_CHECK(weight->scalar_type() == computing, kOp, ": weight must be ",
                    computing == ScalarType::Double ? "float64" : "float32", " for logits of this dtype");
    check_same_device(kOp, logits, "weight", *weight);
    STD_TORCH_CHECK(sizes_of(*weight) == Sizes{sizes[1]}, kOp, ": weight must have the shape [", sizes[1], "], not ",
                    describe(sizes_of(*weight)));
    weight_ = dense(*weight);
    problem.weight = weight_->data_ptr();
  }
  problem.draws = seeds.count;
  problem.examples = sizes[0];
  problem.classes = sizes[1];
  problem.pixels = 1;
  for (size_t i = 2; i < sizes.size(); ++i) problem.pixels *= sizes[i];
  problem.logits = class_images(mean_);
  problem.log_var = class_images(log_var_);
  problem.seeds = seeds.data;
  problem.stream = static_cast<uint32_t>(stream);
  problem.target = static_cast<const int64_t*>(target_.data_ptr());
  problem.ignore_index = ignore_index;
  problem.mean_of_losses = mean_of_losses;
  if (!gradients) return;
  grad_logits = empty_strided(sizes, dense_strides(sizes, 1, is_channels_last(mean_, 1)), computing, mean_);
  const Sizes of_log_var = sizes_of(log_var_);
  grad_log_var =
      empty_strided(of_log_var, dense_strides(of_log_var, 1, is_channels_last(log_var_, 1)), computing, mean_);
  problem.grad_logits = class_images(*grad_logits);
  problem.grad_log_var = class_images(*grad_log_var);
}

Tensor LogitNoiseArguments::empty_losses() const { return empty(sizes_of(target_), computing, mean_); }
Tensor LogitNoiseArguments::empty_scalar(ScalarType dtype) const { return empty({}, dtype, mean_); }

}  // namespace bayesops::ops
