// KL(N(mu, sigma²) || N(m, s²)) = (sigma² + (mu - m)²) / (2 s²) - log sigma + log s - 1/2, the divergence of normally
// distributed weights from a normal prior, and the gradient, for scalars, vectors and the device.
#pragma once
#include "kernels/conv/problem.h"
#include "kernels/pointwise/gaussian_terms.h"

namespace bayesops {

struct GaussianKlProblem {
  DType dtype;
  int64_t elements;
  const void *mu, *rho;  // contiguous; sigma = softplus(rho)
  double prior_mu, prior_sigma;

  BAYESOPS_HD_MEMBER double precision(const GaussianKlProblem& p) { return 1 / (p.prior_sigma * p.prior_sigma); }
};

// Of one weight, times `grad`. In mu (mu - m) / s²; in rho (sigma² / s² - 1) sigmoid(rho) / sigma, of which the last
// quotient comes whole and nothing is squared: it holds where sigma vanishes or its square overflows.
template <class Math>
struct GaussianKlGradient {
  using F = typename Math::F;
  using T = typename Math::Element;
  using Spread = SoftplusSpread<Math>;

  T prior_mu, inverse, grad;  // inverse: of s

  BAYESOPS_HD_METHOD GaussianKlGradient(const GaussianKlProblem& p, double grad)
      : prior_mu((T)p.prior_mu), inverse((T)(1 / p.prior_sigma)), grad((T)grad) {}

  BAYESOPS_HD_MEMBER void of(const GaussianKlGradient& g, F mu, F rho, F& of_mu, F& of_rho) {
    const Spread s = Spread::of(mu, rho);
    const F log_slope = Spread::log_slope(Spread::kept(s));
    const F pull = s.sigma * log_slope * (s.sigma * g.inverse) * g.inverse;
    of_mu = (mu - g.prior_mu) * g.inverse * g.inverse * g.grad;
    of_rho = (pull - log_slope) * g.grad;
  }
};

}  // namespace bayesops
