// lrt_draw: draws of a locally reparameterised layer whose mean and standard deviation are already there, for
// prediction. On CUDA it is what lrt_epilogue_fused does with a standard deviation (bayesops/ops/_lrt_draw_rules.py).
#include "kernels/isa_table.h"
#include "ops/epilogue.h"
#include "ops/lrt_arguments.h"
#include "ops/pool.h"

namespace bayesops::ops {

namespace {

constexpr const char* kOp = "lrt_draw";

Tensor lrt_draw(const Tensor given_mean, const Tensor given_std, const Tensor seed, int64_t stream,
                const std::optional<Tensor> scale, const std::optional<Tensor> shift,
                const std::optional<Tensor> residual, bool relu) {
  LrtDrawProblem p;
  p.dtype = dtype_of(kOp, "mean", given_mean);
  STD_TORCH_CHECK(given_mean.dim() >= 2 && given_mean.dim() <= 5, kOp, ": mean must have 2 to 5 dimensions, not shape ",
                  describe(sizes_of(given_mean)));
  const OutputNoise noise(kOp, "mean", given_mean, seed, stream, given_mean.dim() - 2);
  check_parameter(kOp, "std", given_std, given_mean, noise.sizes);
  p.channels_last = is_channels_last(given_mean, 1);
  const Tensor mean = dense(given_mean, 1, p.channels_last), std = dense(given_std, 1, p.channels_last);
  Tensor out = empty_dense(noise.output(), noise.output_channel(), p.channels_last, mean);
  const DenseEpilogue epilogue(kOp, {scale, shift, residual, relu}, noise.sizes, noise.seeds.batched, out);
  if (out.numel() == 0) return out;
  p.samples = noise.samples;
  p.examples = noise.examples;
  p.channels = noise.channels;
  p.pixels = noise.pixels;
  p.seeds = noise.seeds.data;
  p.stream = noise.stream;
  p.epilogue = epilogue.describe();
  kernels().pointwise.lrt_draw(p, mean.data_ptr(), std.data_ptr(), out.data_ptr(), pool());
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  m.def("lrt_draw(Tensor mean, Tensor std, Tensor seed, int stream, " BAYESOPS_EPILOGUE_ARGUMENTS ") -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) { m.impl("lrt_draw", TORCH_BOX(&lrt_draw)); }

}  // namespace bayesops::ops
