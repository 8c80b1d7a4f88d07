// Gaussian weights piece by piece: standard deviations once for all samples, then normals, weights and sums of each
// sample, all of it in buffers that stay in the first cache.
#include "kernels/pointwise/sample_gaussian.h"

#include "kernels/isa_table.h"
#include "kernels/pointwise/entry.h"
#include "kernels/pointwise/lanes.h"

BAYESOPS_ISA_BEGIN

extern const FillKernels kFillKernels;

namespace {

// The loops over a piece. Pointers have room for whole steps of Lanes::n.
template <class Lanes>
struct Loops {
  using T = typename Lanes::T;
  using F = typename Lanes::F;
  using Math = typename Lanes::Math;
  using Sums = typename Lanes::Sums;

  // Standard deviations; returns the sum of their logarithms.
  template <template <class> class SpreadOf>
  static __attribute__((noinline)) double deviations(const T* mu, const T* spread, int64_t count, T* sigma) {
    using Spread = SpreadOf<Math>;
    Sums logs;
    for (int64_t i = 0; i < count; i += Lanes::n) {
      const F by = Lanes::read(spread + i);
      const Spread s = Spread::of(Lanes::read(mu + i), by);
      Lanes::write(sigma + i, s.sigma);
      Sums::add(logs, i, Spread::log_sigma(s, by), count - i);
    }
    return Sums::total(logs);
  }

  // Weights, the sum of squares of the noise, and the sum of log densities.
  template <template <class> class PriorOf>
  static __attribute__((noinline)) void draw(const PriorLaw& law, const T* mu, const T* sigma, const float* eps,
                                             int64_t count, T* weights, double& sum_squares, double& sum_prior) {
    using Prior = PriorOf<Math>;
    [[maybe_unused]] const Prior prior = Prior::of(law);
    Sums squares, densities;
    for (int64_t i = 0; i < count; i += Lanes::n) {
      const F z = Lanes::noise(eps + i);
      const F w = Lanes::read(mu + i) + Lanes::read(sigma + i) * z;
      Lanes::write(weights + i, w);
      Sums::add(squares, i, z * z, count - i);
      if constexpr (Prior::kAny) Sums::add(densities, i, Prior::log_density(prior, w), count - i);
    }
    sum_squares = Sums::total(squares);
    sum_prior = Sums::total(densities);
  }

  // Standard deviations, and what their gradient needs besides.
  template <template <class> class SpreadOf>
  static __attribute__((noinline)) void slopes(const T* mu, const T* spread, int64_t count, T* sigma, T* kept) {
    using Spread = SpreadOf<Math>;
    for (int64_t i = 0; i < count; i += Lanes::n) {
      const Spread s = Spread::of(Lanes::read(mu + i), Lanes::read(spread + i));
      Lanes::write(sigma + i, s.sigma);
      Lanes::write(kept + i, Spread::kept(s));
    }
  }

  // Adds g and g * eps of one sample, where g is the cotangent of a weight; the first sample finds nothing to add to.
  template <template <class> class PriorOf>
  static __attribute__((noinline)) void gather(const PriorLaw& law, const T* mu, const T* sigma, const float* eps,
                                               const T* grad_weights, T grad_log_prior, bool is_first, int64_t count,
                                               T* of_mu, T* of_sigma) {
    using Prior = PriorOf<Math>;
    [[maybe_unused]] const Prior prior = Prior::of(law);
    [[maybe_unused]] const F factor = F{} + grad_log_prior;
    for (int64_t i = 0; i < count; i += Lanes::n) {
      const F z = Lanes::noise(eps + i);
      F g = grad_weights == nullptr ? F{} : Lanes::read(grad_weights + i);
      if constexpr (Prior::kAny) g += factor * Prior::slope(prior, Lanes::read(mu + i) + Lanes::read(sigma + i) * z);
      F by_sigma = g * z;
      if (!is_first) {
        g += Lanes::read(of_mu + i);
        by_sigma += Lanes::read(of_sigma + i);
      }
      Lanes::write(of_mu + i, g);
      Lanes::write(of_sigma + i, by_sigma);
    }
  }

  // From the sums over samples to the gradients.
  template <template <class> class SpreadOf>
  static __attribute__((noinline)) void finish(const T* mu, const T* sigma, const T* kept, const T* of_mu,
                                               const T* of_sigma, T grad_log_q, int64_t count, T* grad_mu,
                                               T* grad_spread) {
    using Spread = SpreadOf<Math>;
    for (int64_t i = 0; i < count; i += Lanes::n) {
      const F k = Lanes::read(kept + i), by_sigma = Lanes::read(of_sigma + i);
      F g = Lanes::read(of_mu + i);
      if constexpr (Spread::kOfMean) g += Spread::of_mean(k, Lanes::read(mu + i), by_sigma, F{} - grad_log_q);
      Lanes::write(grad_mu + i, g);
      Lanes::write(grad_spread + i, (by_sigma * Lanes::read(sigma + i) - grad_log_q) * Spread::log_slope(k));
    }
  }
};

template <class Lanes, class S>
class SampleGaussian {
  using T = typename Lanes::T;
  using L = Loops<Lanes>;

 public:
  explicit SampleGaussian(const SampleGaussianProblem& problem)
      : p_(problem),
        mu_(static_cast<const S*>(problem.mu)),
        spread_(static_cast<const S*>(problem.spread)),
        pieces_(gaussian_pieces(problem.elements)) {}

  void draw(S* weights, double* log_q, double* log_prior, double* partial, const Parallel& pool) const {
    double* partial_prior = partial + p_.samples * pieces_;
    // Samples of one piece are neighbours: a thread forms the standard deviations of a piece once.
    parallel_for(pool, pieces_ * p_.samples, kGrain, [&](int64_t begin, int64_t end) {
      alignas(64) T mu_room[kPiece], spread_room[kPiece], sigma[kPiece], weight_room[kPiece];
      alignas(64) float eps[kPiece];
      const T* mu = nullptr;
      double log_sigma = 0;
      for (int64_t job = begin; job < end; ++job) {
        const int64_t piece = job / p_.samples, sample = job % p_.samples, first = piece * kPiece, count = size(piece);
        if (job == begin || sample == 0) {
          mu = bring_in(mu_ + first, count, mu_room);
          const T* spread = bring_in(spread_ + first, count, spread_room);
          log_sigma = p_.alpha ? L::template deviations<AlphaSpread>(mu, spread, count, sigma)
                               : L::template deviations<SoftplusSpread>(mu, spread, count, sigma);
        }
        noise(sample, first, count, eps);
        S* to = weights + sample * p_.elements + first;
        T* drawn = place_for(to, count, weight_room);
        double squares, prior;
        switch (p_.prior.kind) {
          case kPriorNone:
            L::template draw<NoPrior>(p_.prior, mu, sigma, eps, count, drawn, squares, prior);
            break;
          case kPriorGaussian:
            L::template draw<GaussianPrior>(p_.prior, mu, sigma, eps, count, drawn, squares, prior);
            break;
          case kPriorLaplace:
            L::template draw<LaplacePrior>(p_.prior, mu, sigma, eps, count, drawn, squares, prior);
            break;
          case kPriorMixture:
            L::template draw<MixturePrior>(p_.prior, mu, sigma, eps, count, drawn, squares, prior);
            break;
        }
        bring_out(drawn, count, to);
        partial[sample * pieces_ + piece] = -0.5 * squares - log_sigma;
        partial_prior[sample * pieces_ + piece] = prior;
      }
    });
    const double elements = (double)p_.elements;
    for (int64_t sample = 0; sample < p_.samples; ++sample) {
      log_q[sample] = in_order(partial + sample * pieces_) - elements * kLogSqrt2Pi;
      log_prior[sample] = in_order(partial_prior + sample * pieces_) + elements * p_.prior.constant;
    }
  }

  void gradient(const S* grad_weights, const double* grad_log_q, const double* grad_log_prior, S* grad_mu,
                S* grad_spread, const Parallel& pool) const {
    double sum_log_q = 0;
    if (grad_log_q != nullptr)
      for (int64_t sample = 0; sample < p_.samples; ++sample) sum_log_q += grad_log_q[sample];
    const PriorKind prior = grad_log_prior == nullptr ? kPriorNone : p_.prior.kind;
    const int64_t grain = kGrain / (p_.samples > 0 ? p_.samples : 1);
    parallel_for(pool, pieces_, grain > 0 ? grain : 1, [&](int64_t begin, int64_t end) {
      alignas(64) T mu_room[kPiece], other_room[kPiece], sigma[kPiece], kept[kPiece], of_mu[kPiece], of_sigma[kPiece];
      alignas(64) float eps[kPiece];
      for (int64_t piece = begin; piece < end; ++piece) {
        const int64_t first = piece * kPiece, count = size(piece);
        const T* mu = bring_in(mu_ + first, count, mu_room);
        const T* spread = bring_in(spread_ + first, count, other_room);
        if (p_.alpha) {
          L::template slopes<AlphaSpread>(mu, spread, count, sigma, kept);
        } else {
          L::template slopes<SoftplusSpread>(mu, spread, count, sigma, kept);
        }
        if (p_.samples == 0) {
          memset(of_mu, 0, sizeof of_mu);
          memset(of_sigma, 0, sizeof of_sigma);
        }
        for (int64_t sample = 0; sample < p_.samples; ++sample) {
          noise(sample, first, count, eps);
          const T* given = nullptr;
          if (grad_weights != nullptr) given = bring_in(grad_weights + sample * p_.elements + first, count, other_room);
          const T factor = grad_log_prior == nullptr ? T(0) : (T)grad_log_prior[sample];
          switch (prior) {
            case kPriorNone:
              L::template gather<NoPrior>(p_.prior, mu, sigma, eps, given, factor, sample == 0, count, of_mu, of_sigma);
              break;
            case kPriorGaussian:
              L::template gather<GaussianPrior>(p_.prior, mu, sigma, eps, given, factor, sample == 0, count, of_mu,
                                                of_sigma);
              break;
            case kPriorLaplace:
              L::template gather<LaplacePrior>(p_.prior, mu, sigma, eps, given, factor, sample == 0, count, of_mu,
                                               of_sigma);
              break;
            case kPriorMixture:
              L::template gather<MixturePrior>(p_.prior, mu, sigma, eps, given, factor, sample == 0, count, of_mu,
                                               of_sigma);
              break;
          }
        }
        // The results may take the place of what they are formed from, element by element.
        T* to_mu = place_for(grad_mu + first, count, of_mu);
        T* to_spread = place_for(grad_spread + first, count, of_sigma);
        if (p_.alpha) {
          L::template finish<AlphaSpread>(mu, sigma, kept, of_mu, of_sigma, (T)sum_log_q, count, to_mu, to_spread);
        } else {
          L::template finish<SoftplusSpread>(mu, sigma, kept, of_mu, of_sigma, (T)sum_log_q, count, to_mu, to_spread);
        }
        bring_out(to_mu, count, grad_mu + first);
        bring_out(to_spread, count, grad_spread + first);
      }
    });
  }

 private:
  int64_t size(int64_t piece) const {
    const int64_t left = p_.elements - piece * kPiece;
    return left < kPiece ? left : kPiece;
  }
  void noise(int64_t sample, int64_t first, int64_t count, float* eps) const {
    kFillKernels.normals(eps, first, count, Stream{(uint64_t)p_.seeds[sample], p_.stream});
  }
  double in_order(const double* partial) const {
    double sum = 0;
    for (int64_t piece = 0; piece < pieces_; ++piece) sum += partial[piece];
    return sum;
  }

  const SampleGaussianProblem& p_;
  const S *mu_, *spread_;
  int64_t pieces_;
};

template <class Lanes, class S>
void draw_as(const SampleGaussianProblem& p, void* weights, double* log_q, double* log_prior, double* partial,
             const Parallel& pool) {
  SampleGaussian<Lanes, S>(p).draw(static_cast<S*>(weights), log_q, log_prior, partial, pool);
}

template <class Lanes, class S>
void gradient_as(const SampleGaussianProblem& p, const void* grad_weights, const double* grad_log_q,
                 const double* grad_log_prior, void* grad_mu, void* grad_spread, const Parallel& pool) {
  SampleGaussian<Lanes, S>(p).gradient(static_cast<const S*>(grad_weights), grad_log_q, grad_log_prior,
                                       static_cast<S*>(grad_mu), static_cast<S*>(grad_spread), pool);
}

}  // namespace

void sample_gaussian(const SampleGaussianProblem& p, void* weights, double* log_q, double* log_prior, double* partial,
                     const Parallel& pool) {
  const auto draw = p.dtype == kFloat32   ? draw_as<FloatLanes, float>
                    : p.dtype == kFloat64 ? draw_as<DoubleLanes, double>
                                          : draw_as<FloatLanes, BFloat16>;
  draw(p, weights, log_q, log_prior, partial, pool);
}

void sample_gaussian_gradient(const SampleGaussianProblem& p, const void* grad_weights, const double* grad_log_q,
                              const double* grad_log_prior, void* grad_mu, void* grad_spread, const Parallel& pool) {
  const auto gradient = p.dtype == kFloat32   ? gradient_as<FloatLanes, float>
                        : p.dtype == kFloat64 ? gradient_as<DoubleLanes, double>
                                              : gradient_as<FloatLanes, BFloat16>;
  gradient(p, grad_weights, grad_log_q, grad_log_prior, grad_mu, grad_spread, pool);
}

BAYESOPS_ISA_END
