// The divergence of Gaussian weights from a normal prior, and its gradient, as functors.
#pragma once
#include "kernels/flat/compute_type.h"
#include "kernels/flat/run.h"
#include "kernels/flat/streams.h"
#include "kernels/pointwise/gaussian_kl.h"

namespace bayesops {

// An index writes its own share of the sum, of the blocks that FlatRows gives it.
template <class S>
struct FlatGaussianKl {
  GaussianKlProblem problem;
  double each;      // of every weight: log s - 1/2
  double* partial;  // [indices]

  BAYESOPS_HD_MEMBER int64_t total(const GaussianKlProblem& p) { return FlatRows::indices(p.elements); }
  BAYESOPS_HD_MEMBER void run(const FlatGaussianKl& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    using Spread = SoftplusSpread<typename ElementaryOf<T>::Math>;
    const GaussianKlProblem& p = f.problem;
    const S *mu = static_cast<const S*>(p.mu), *rho = static_cast<const S*>(p.rho);
    // Squares in double precision, where they are exact for single precision: only sigma and its logarithm are rounded.
    double squares = 0, rest = 0;
    FlatRows::each_block(index, p.elements, [&](int64_t first) {
      T m[4], r[4];
      read_run(mu + first, 1, p.elements - first, m);
      read_run(rho + first, 1, p.elements - first, r);
      unrolled<4>(p.elements - first, [&](int i) {
        const Spread s = Spread::of(m[i], r[i]);
        const double distance = (double)m[i] - p.prior_mu, sigma = (double)s.sigma;
        squares += sigma * sigma + distance * distance;
        rest += f.each - (double)Spread::log_sigma(s, r[i]);
      });
    });
    f.partial[index] = 0.5 * GaussianKlProblem::precision(p) * squares + rest;
  }
};

// Four elements per index.
template <class S>
struct FlatGaussianKlGradient {
  GaussianKlProblem problem;
  const double* grad;
  S *grad_mu, *grad_rho;

  BAYESOPS_HD_MEMBER int64_t total(const GaussianKlProblem& p) { return (p.elements + 3) / 4; }
  BAYESOPS_HD_MEMBER void run(const FlatGaussianKlGradient& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    using Gradient = GaussianKlGradient<typename ElementaryOf<T>::Math>;
    const GaussianKlProblem& p = f.problem;
    const Gradient gradient(p, *f.grad);
    const int64_t first = index * 4, left = p.elements - first;
    T m[4], r[4], of_mu[4], of_rho[4];
    read_run(static_cast<const S*>(p.mu) + first, 1, left, m);
    read_run(static_cast<const S*>(p.rho) + first, 1, left, r);
    unrolled<4>(left, [&](int i) { Gradient::of(gradient, m[i], r[i], of_mu[i], of_rho[i]); });
    write_run(of_mu, 1, left, f.grad_mu + first);
    write_run(of_rho, 1, left, f.grad_rho + first);
  }
};

}  // namespace bayesops
