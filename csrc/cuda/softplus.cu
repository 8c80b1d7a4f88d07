// softplus and softplus_variance on the device, and their gradients.
#include "kernels/pointwise/softplus.h"

#include "cuda/launch.cuh"
#include "cuda/types.cuh"
#include "kernels/flat/map.h"
#include "ops/softplus_arguments.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

template <template <class> class Function>
Tensor run(const SoftplusArguments& a, const void* grad) {
  with_type(a.problem.dtype, [&](auto type) {
    using S = decltype(type);
    const FlatMap<S, Function> f{a.problem.elements, static_cast<const S*>(a.problem.rho), static_cast<const S*>(grad),
                                 static_cast<S*>(a.out.data_ptr())};
    launch(f, f.total(f), a.out);
  });
  return a.out;
}

Tensor softplus(const Tensor rho) { return run<Softplus>(SoftplusArguments("softplus", rho), nullptr); }

Tensor softplus_grad(const Tensor grad, const Tensor rho) {
  const SoftplusArguments a("softplus_grad", grad, rho);
  return run<Softplus>(a, a.grad.data_ptr());
}

Tensor softplus_variance(const Tensor rho) {
  return run<SoftplusVariance>(SoftplusArguments("softplus_variance", rho), nullptr);
}

Tensor softplus_variance_grad(const Tensor grad, const Tensor rho) {
  const SoftplusArguments a("softplus_variance_grad", grad, rho);
  return run<SoftplusVariance>(a, a.grad.data_ptr());
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) {
  m.impl("softplus", TORCH_BOX(&softplus));
  m.impl("softplus_grad", TORCH_BOX(&softplus_grad));
  m.impl("softplus_variance", TORCH_BOX(&softplus_variance));
  m.impl("softplus_variance_grad", TORCH_BOX(&softplus_variance_grad));
}

}  // namespace bayesops::cuda
