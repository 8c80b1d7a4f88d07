// gaussian_weight and lrt_epilogue: the noise of the Gaussian convolutions as they run on CUDA, weights or outputs
// written once beside the library's own convolutions. On the CPU, where only tests call them, they do what CUDA threads
// do.
#include <torch/headeronly/util/BFloat16.h>

#include <tuple>

#include "ops/gaussian_weight_arguments.h"
#include "ops/lrt_arguments.h"
#include "ops/pool.h"

namespace bayesops::ops {

namespace {

constexpr int64_t kGrain = 1 << 12;  // indices a job

template <class F>
void run(const F& f) {
  parallel_for(pool(), F::total(f), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) F::run(f, index);
  });
}

// Runs the functor of `arguments` for its dtype.
template <class Arguments>
void run_as(const Arguments& arguments) {
  if (arguments.dtype == kFloat64) return run(arguments.template functor<double>());
  if (arguments.dtype == kBFloat16) return run(arguments.template functor<torch::headeronly::BFloat16>());
  run(arguments.template functor<float>());
}

Tensor gaussian_weight(const std::optional<Tensor> mu, const Tensor sigma, const Tensor seed, int64_t stream) {
  const GaussianWeightArguments a(mu, sigma, seed, stream);
  run_as(a);
  return a.out;
}

std::tuple<Tensor, Tensor> lrt_epilogue(const Tensor mean, const Tensor variance, const Tensor seed, int64_t stream,
                                        int64_t spatial) {
  const LrtEpilogueArguments a(mean, variance, seed, stream, spatial);
  run_as(a);
  return {a.out, a.std};
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  m.def("gaussian_weight(Tensor? mu, Tensor sigma, Tensor seed, int stream) -> Tensor");
  m.def(
      "lrt_epilogue(Tensor mean, Tensor variance, Tensor seed, int stream, int spatial) -> (Tensor output, Tensor "
      "std)");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) {
  m.impl("gaussian_weight", TORCH_BOX(&gaussian_weight));
  m.impl("lrt_epilogue", TORCH_BOX(&lrt_epilogue));
}

}  // namespace bayesops::ops
