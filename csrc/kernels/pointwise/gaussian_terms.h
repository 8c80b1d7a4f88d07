// What one Gaussian weight adds to log q and log prior, and the derivatives, for scalars, vectors and the device.
//
// `Math` is one of rng/elementary.h or its vector twin. What does not depend on the weight (log sqrt(2 pi), log of a
// prior's scale) is left out here; `PriorLaw::constant` and kLogSqrt2Pi are added once a sum.
#pragma once
#include "kernels/rng/elementary.h"

namespace bayesops {

constexpr double kLogSqrt2Pi = 0.91893853320467274178;

enum PriorKind : int { kPriorNone, kPriorGaussian, kPriorLaplace, kPriorMixture };

// A prior as kernels take it.
struct PriorLaw {
  PriorKind kind = kPriorNone;
  double location = 0, inverse_scale = 0;  // Gaussian, Laplace
  // Mixture of a wide and a narrow Gaussian around 0: half the precision of the wide one, what the narrow one has more,
  // and log (pi_wide / sigma_wide) - log (pi_narrow / sigma_narrow).
  double wide = 0, gap = 0, log_odds = 0;
  double constant = 0;  // of each weight's log density
};

// --- the posterior: sigma, log sigma and their slopes in the parameter that spreads it ---

// sigma = softplus(rho). Where rho is negative, sigma = t * log1p(t) / t with t = e^rho, so that its logarithm is rho
// plus one that is next to 0: exact long after sigma itself has lost its digits.
template <class Math>
struct SoftplusSpread {
  using F = typename Math::F;
  static constexpr bool kOfMean = false;  // sigma does not depend on mu

  F sigma, t, base;
  decltype(F{} < F{}) negative;

  BAYESOPS_HD_MEMBER SoftplusSpread of(F, F rho) {
    SoftplusSpread s;
    s.negative = rho < F{};
    s.t = Math::exp_minus(Math::absolute(rho));
    // torch's softplus is the identity above 20: in double precision that shows.
    if constexpr (sizeof(typename Math::Element) == sizeof(double)) s.t = Math::select(rho > 20.0, 0.0, s.t);
    const F ratio = Math::log1p_over(s.t);
    s.sigma = Math::fma(s.t, ratio, Math::at_least(rho, F{}));
    s.base = Math::select(s.negative, ratio, s.sigma);
    return s;
  }
  // d sigma / d rho = sigmoid(rho).
  BAYESOPS_HD_MEMBER F slope(const SoftplusSpread& s) {
    const F one = Math::constant(1);
    return Math::select(s.negative, s.t, one) / (s.t + one);
  }
  BAYESOPS_HD_MEMBER F log_sigma(const SoftplusSpread& s, F rho) { return Math::at_most(rho, F{}) + Math::log(s.base); }
  // What is kept of a weight beside sigma, for its gradient: d log sigma / d rho = sigmoid(rho) / sigma, without a
  // quotient of vanishing numbers.
  BAYESOPS_HD_MEMBER F kept(const SoftplusSpread& s) {
    return Math::constant(1) / ((s.t + Math::constant(1)) * s.base);
  }
  BAYESOPS_HD_MEMBER F log_slope(F kept) { return kept; }
};

// sigma = exp(log_alpha / 2) |mu|.
template <class Math>
struct AlphaSpread {
  using F = typename Math::F;
  static constexpr bool kOfMean = true;

  F sigma, mu, root;

  BAYESOPS_HD_MEMBER AlphaSpread of(F mu, F log_alpha) {
    const F root = Math::exp(log_alpha * Math::constant(0.5f));
    return AlphaSpread{root * Math::absolute(mu), mu, root};
  }
  BAYESOPS_HD_MEMBER F log_sigma(const AlphaSpread& s, F log_alpha) {
    return log_alpha * Math::constant(0.5f) + Math::log_abs(s.mu);
  }
  BAYESOPS_HD_MEMBER F kept(const AlphaSpread& s) { return s.root; }
  BAYESOPS_HD_MEMBER F log_slope(F) { return Math::constant(0.5f); }
  // The part of mu's gradient that comes by sigma and log sigma, whose cotangents are given. At 0 it is 0, as the
  // derivative of |mu| is in torch.
  BAYESOPS_HD_MEMBER F of_mean(F root, F mu, F grad_sigma, F grad_log_sigma) {
    const F turned = Math::select(mu < F{}, -grad_sigma, grad_sigma);
    const auto vanishes = Math::absolute(mu) < Math::constant(0x1p-126f);
    return Math::select(vanishes, F{}, turned * root + grad_log_sigma / mu);
  }
};

// --- priors: log density of a weight (without its constant) and its slope ---

template <class Math>
struct NoPrior {
  using F = typename Math::F;
  static constexpr bool kAny = false;
  BAYESOPS_HD_MEMBER NoPrior of(const PriorLaw&) { return NoPrior{}; }
  BAYESOPS_HD_MEMBER F log_density(const NoPrior&, F) { return F{}; }
  BAYESOPS_HD_MEMBER F slope(const NoPrior&, F) { return F{}; }
};

template <class Math>
struct GaussianPrior {
  using F = typename Math::F;
  static constexpr bool kAny = true;
  F location, inverse_scale;
  BAYESOPS_HD_MEMBER GaussianPrior of(const PriorLaw& law) {
    return GaussianPrior{Math::constant(law.location), Math::constant(law.inverse_scale)};
  }
  BAYESOPS_HD_MEMBER F log_density(const GaussianPrior& p, F w) {
    const F z = (w - p.location) * p.inverse_scale;
    return z * z * Math::constant(-0.5f);
  }
  BAYESOPS_HD_MEMBER F slope(const GaussianPrior& p, F w) {
    return (w - p.location) * p.inverse_scale * -p.inverse_scale;
  }
};

template <class Math>
struct LaplacePrior {
  using F = typename Math::F;
  static constexpr bool kAny = true;
  F location, inverse_scale;
  BAYESOPS_HD_MEMBER LaplacePrior of(const PriorLaw& law) {
    return LaplacePrior{Math::constant(law.location), Math::constant(law.inverse_scale)};
  }
  BAYESOPS_HD_MEMBER F log_density(const LaplacePrior& p, F w) {
    return Math::absolute(w - p.location) * -p.inverse_scale;
  }
  // 0 at the kink, as torch has it.
  BAYESOPS_HD_MEMBER F slope(const LaplacePrior& p, F w) {
    const F away = w - p.location;
    const F one_side = Math::select(away < F{}, p.inverse_scale, -p.inverse_scale);
    return Math::select(away == F{}, F{}, one_side);
  }
};

// Blundell et al. (2015), eq. 7, by logsumexp: with d = log of wide over narrow at w, the sum's logarithm is that of
// the wide component plus softplus(-d). d grows with |w|, so that nothing overflows and the tail is the wide
// component's.
template <class Math>
struct MixturePrior {
  using F = typename Math::F;
  static constexpr bool kAny = true;
  F wide, gap, log_odds;
  BAYESOPS_HD_MEMBER MixturePrior of(const PriorLaw& law) {
    // A narrow component that single precision cannot hold is one at which no weight but 0 can be.
    constexpr double kMost = 3e38;
    const double gap = sizeof(typename Math::Element) == sizeof(float) && law.gap > kMost ? kMost : law.gap;
    return MixturePrior{Math::constant(law.wide), Math::constant(gap), Math::constant(law.log_odds)};
  }
  BAYESOPS_HD_MEMBER F odds(const MixturePrior& p, F square) { return Math::fma(square, p.gap, p.log_odds); }
  BAYESOPS_HD_MEMBER F log_density(const MixturePrior& p, F w) {
    const F square = w * w, d = odds(p, square);
    const F t = Math::exp_minus(Math::absolute(d));
    const F wide = Math::fma(square, -p.wide, Math::at_least(-d, F{}));
    return Math::fma(t, Math::log1p_over(t), wide);
  }
  BAYESOPS_HD_MEMBER F slope(const MixturePrior& p, F w) {
    const F d = odds(p, w * w);
    const F t = Math::exp_minus(Math::absolute(d));
    const F narrow = Math::select(d < F{}, Math::constant(1), t) / (t + Math::constant(1));  // its responsibility
    return w * Math::constant(-2) * Math::fma(p.gap, narrow, p.wide);
  }
};

}  // namespace bayesops
