// softplus and its gradient on the device.
#include "cuda/launch.cuh"
#include "cuda/types.cuh"
#include "kernels/flat/softplus.h"
#include "ops/softplus_arguments.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

void run(const SoftplusArguments& a, const void* grad) {
  with_type(a.problem.dtype, [&](auto type) {
    using S = decltype(type);
    const FlatSoftplus<S> f{a.problem, static_cast<const S*>(grad), static_cast<S*>(a.out.data_ptr())};
    launch(f, f.total(f), a.out);
  });
}

Tensor softplus(const Tensor rho) {
  const SoftplusArguments a("softplus", rho);
  run(a, nullptr);
  return a.out;
}

Tensor softplus_grad(const Tensor grad, const Tensor rho) {
  const SoftplusArguments a("softplus_grad", grad, rho);
  run(a, a.grad.data_ptr());
  return a.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) {
  m.impl("softplus", TORCH_BOX(&softplus));
  m.impl("softplus_grad", TORCH_BOX(&softplus_grad));
}

}  // namespace bayesops::cuda
