#include "ops/max_pool_arguments.h"

namespace bayesops::ops {

namespace {

constexpr const char* kOp = "max_pool2d_activation";

void check_pair(const char* name, const Sizes& pair, int64_t minimum) {
  constexpr int64_t kMost = int64_t{1} << 31;
  STD_TORCH_CHECK(pair.size() == 2 && pair[0] >= minimum && pair[1] >= minimum && pair[0] < kMost && pair[1] < kMost,
                  kOp, ": ", name, " must be two numbers of at least ", minimum, " and less than 2^31, not ",
                  describe(pair));
}

// How many windows an axis has: with ceil_mode also one that reaches over the end, if it begins before it.
int64_t windows(int64_t size, int64_t kernel, int64_t stride, int64_t padding, bool ceil_mode) {
  const int64_t room = size + 2 * padding - kernel;
  if (room < 0 && !(ceil_mode && room + stride > 0)) return 0;
  const int64_t count = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  return ceil_mode && (count - 1) * stride >= size + padding ? count - 1 : count;
}

}  // namespace

MaxPoolArguments::MaxPoolArguments(const Tensor& given, const Sizes& kernel_size, const Sizes& stride,
                                   const Sizes& padding, bool ceil_mode, int64_t activation) {
  MaxPoolProblem& p = problem;
  p.dtype = dtype_of(kOp, "input", given);
  check_pair("kernel_size", kernel_size, 1);
  check_pair("stride", stride, 1);
  check_pair("padding", padding, 0);
  STD_TORCH_CHECK(padding[0] <= kernel_size[0] / 2 && padding[1] <= kernel_size[1] / 2, kOp,
                  ": padding must be at most half of kernel_size ", describe(kernel_size), ", not ", describe(padding));
  STD_TORCH_CHECK(activation >= kIdentity && activation <= kSoftplus, kOp,
                  ": activation must be 0 (none), 1 (relu) or 2 (softplus), not ", activation);
  const Sizes sizes = sizes_of(given);
  const int64_t channel = given.dim() - 3;
  bool filled = channel == 0 || channel == 1;
  for (size_t i = channel == 1 ? 1 : 0; filled && i < sizes.size(); ++i) filled = sizes[i] > 0;
  STD_TORCH_CHECK(filled, kOp, ": input must have shape [N, C, H, W] or [C, H, W], nothing but N zero, not ",
                  describe(sizes));

  const bool channels_last = is_channels_last(given, channel);
  input = dense(given, channel, channels_last);
  Sizes out_sizes = sizes;
  for (int64_t axis = 0; axis < 2; ++axis) {
    const int64_t size = given.size(channel + 1 + axis);
    p.size[axis] = size;
    p.kernel[axis] = kernel_size[axis];
    p.stride[axis] = stride[axis];
    p.padding[axis] = padding[axis];
    p.out_size[axis] = windows(size, p.kernel[axis], p.stride[axis], p.padding[axis], ceil_mode);
    STD_TORCH_CHECK(p.out_size[axis] > 0, kOp, ": input of shape ", describe(sizes), " is too small for kernel_size ",
                    describe(kernel_size), " and padding ", describe(padding));
    out_sizes[channel + 1 + axis] = p.out_size[axis];
  }
  out = empty_dense(out_sizes, channel, channels_last, input);
  const int64_t examples = channel == 1 ? sizes[0] : 1, channels = sizes[channel];
  p.images = channels_last ? examples : examples * channels;
  p.channels = channels_last ? channels : 1;
  p.activation = static_cast<Activation>(activation);
}

}  // namespace bayesops::ops
