// The divergence in one pass over mu and rho, and its gradient in another, which forms sigma again.
#include "kernels/pointwise/gaussian_kl.h"

#include "kernels/pointwise/entry.h"
#include "kernels/pointwise/lanes.h"

BAYESOPS_ISA_BEGIN

namespace {

// The loops over a piece. Pointers have room for whole steps of Lanes::n.
template <class Lanes>
struct Loops {
  using T = typename Lanes::T;
  using F = typename Lanes::F;
  using Math = typename Lanes::Math;
  using Sums = typename Lanes::Sums;
  using Spread = SoftplusSpread<Math>;

  // Squares are taken in double precision, where they are exact for single precision: only sigma and its logarithm
  // are rounded.
  static __attribute__((noinline)) double divergence(double prior_mu, double precision, const T* mu, const T* rho,
                                                     int64_t count) {
    Sums variances, distances, logs;  // one each: how often they take turns is up to the instruction set
    for (int64_t i = 0; i < count; i += Lanes::n) {
      const F m = Lanes::read(mu + i), by = Lanes::read(rho + i);
      const Spread s = Spread::of(m, by);
      Sums::add(variances, i, s.sigma, count - i, SquaredDistance{0});
      Sums::add(distances, i, m, count - i, SquaredDistance{prior_mu});
      Sums::add(logs, i, Spread::log_sigma(s, by), count - i);
    }
    return 0.5 * precision * (Sums::total(variances) + Sums::total(distances)) - Sums::total(logs);
  }

  static __attribute__((noinline)) void gradient(GaussianKlGradient<Math> g, const T* mu, const T* rho, int64_t count,
                                                 T* grad_mu, T* grad_rho) {
    for (int64_t i = 0; i < count; i += Lanes::n) {
      F of_mu, of_rho;
      GaussianKlGradient<Math>::of(g, Lanes::read(mu + i), Lanes::read(rho + i), of_mu, of_rho);
      Lanes::write(grad_mu + i, of_mu);
      Lanes::write(grad_rho + i, of_rho);
    }
  }
};

template <class Lanes, class S>
class GaussianKl {
  using T = typename Lanes::T;
  using L = Loops<Lanes>;

 public:
  explicit GaussianKl(const GaussianKlProblem& problem)
      : p_(problem), mu_(static_cast<const S*>(problem.mu)), rho_(static_cast<const S*>(problem.rho)) {}

  double divergence(double* partial, const Parallel& pool) const {
    const double precision = GaussianKlProblem::precision(p_);
    each_piece(pool, [&](int64_t piece, int64_t, int64_t count, const T* mu, const T* rho, T*, T*) {
      partial[piece] = L::divergence(p_.prior_mu, precision, mu, rho, count);
    });
    double sum = 0;
    for (int64_t piece = 0; piece < gaussian_pieces(p_.elements); ++piece) sum += partial[piece];
    return sum + (double)p_.elements * (__builtin_log(p_.prior_sigma) - 0.5);
  }

  void gradient(double grad, S* grad_mu, S* grad_rho, const Parallel& pool) const {
    const GaussianKlGradient<typename Lanes::Math> g(p_, grad);
    each_piece(pool, [&](int64_t, int64_t first, int64_t count, const T* mu, const T* rho, T* mu_room, T* rho_room) {
      // Results may take the place of what they are formed from, element by element.
      T* to_mu = place_for(grad_mu + first, count, mu_room);
      T* to_rho = place_for(grad_rho + first, count, rho_room);
      L::gradient(g, mu, rho, count, to_mu, to_rho);
      bring_out(to_mu, count, grad_mu + first);
      bring_out(to_rho, count, grad_rho + first);
    });
  }

 private:
  template <class F>
  void each_piece(const Parallel& pool, const F& f) const {
    parallel_for(pool, gaussian_pieces(p_.elements), kGrain, [&](int64_t begin, int64_t end) {
      alignas(64) T mu_room[kPiece], rho_room[kPiece];
      for (int64_t piece = begin; piece < end; ++piece) {
        const int64_t first = piece * kPiece, left = p_.elements - first, count = left < kPiece ? left : kPiece;
        f(piece, first, count, bring_in(mu_ + first, count, mu_room), bring_in(rho_ + first, count, rho_room), mu_room,
          rho_room);
      }
    });
  }

  const GaussianKlProblem& p_;
  const S *mu_, *rho_;
};

template <class Lanes, class S>
double divergence_as(const GaussianKlProblem& p, double* partial, const Parallel& pool) {
  return GaussianKl<Lanes, S>(p).divergence(partial, pool);
}

template <class Lanes, class S>
void gradient_as(const GaussianKlProblem& p, double grad, void* grad_mu, void* grad_rho, const Parallel& pool) {
  GaussianKl<Lanes, S>(p).gradient(grad, static_cast<S*>(grad_mu), static_cast<S*>(grad_rho), pool);
}

}  // namespace

double gaussian_kl(const GaussianKlProblem& p, double* partial, const Parallel& pool) {
  const auto divergence = p.dtype == kFloat32   ? divergence_as<FloatLanes, float>
                          : p.dtype == kFloat64 ? divergence_as<DoubleLanes, double>
                                                : divergence_as<FloatLanes, BFloat16>;
  return divergence(p, partial, pool);
}

void gaussian_kl_gradient(const GaussianKlProblem& p, double grad, void* grad_mu, void* grad_rho,
                          const Parallel& pool) {
  const auto gradient = p.dtype == kFloat32   ? gradient_as<FloatLanes, float>
                        : p.dtype == kFloat64 ? gradient_as<DoubleLanes, double>
                                              : gradient_as<FloatLanes, BFloat16>;
  gradient(p, grad, grad_mu, grad_rho, pool);
}

BAYESOPS_ISA_END
