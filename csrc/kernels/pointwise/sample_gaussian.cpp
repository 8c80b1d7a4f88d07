// Gaussian weights piece by piece: standard deviations once for all samples, then normals, weights and sums of each
// sample, all of it in buffers that stay in the first cache.
#include "kernels/pointwise/sample_gaussian.h"

#include "kernels/isa_table.h"
#include "kernels/pointwise/entry.h"
#include "kernels/simd/elementary.h"
#include "kernels/simd/transpose.h"

BAYESOPS_ISA_BEGIN

extern const FillKernels kFillKernels;

namespace {

#define BAYESOPS_INLINED __attribute__((always_inline))

constexpr int64_t kPiece = kGaussianPiece;
constexpr int64_t kGrainElements = 1 << 14;

// Single precision, several vectors at a time.
struct FloatLanes {
  using Math = VectorElementary;
  using T = float;
  using F = Math::F;
  static constexpr int n = kChains * kLanes<float>;

  // Calls each(vector, offset) for the vectors of `v`.
  template <class Each>
  BAYESOPS_HD_MEMBER void vectors(VFloat& v, int offset, const Each& each) {
    each(v, offset);
  }
  template <class V, class Each>
  BAYESOPS_HD_MEMBER void vectors(Pair<V>& v, int offset, const Each& each) {
    vectors(v.low, offset, each);
    vectors(v.high, offset + (int)(sizeof(V) / sizeof(float)), each);
  }
  // How many of the `count` first elements the vector at `offset` holds.
  BAYESOPS_HD_MEMBER int within(int count, int offset) {
    const int left = count - offset;
    return left < 0 ? 0 : left < kLanes<float> ? left : kLanes<float>;
  }

  template <class S>
  BAYESOPS_HD_MEMBER F read(const S* p, int count) {
    F all;
    vectors(all, 0, [=](VFloat& v, int offset) {
      if constexpr (sizeof(S) == sizeof(T)) {
        if (count == n) {
          v = load(p + offset);
          return;
        }
      }
      v = load_as<T>(p + offset, low_bits(within(count, offset)));
    });
    return all;
  }
  template <class S>
  BAYESOPS_HD_MEMBER void write(S* p, F all, int count) {
    vectors(all, 0, [=](VFloat& v, int offset) { store_as<T, S>(p + offset, v, within(count, offset)); });
  }
  BAYESOPS_HD_MEMBER F noise(const float* p) { return read(p, n); }
  // The first elements, and zeros.
  BAYESOPS_HD_MEMBER F only(F all, int count) {
    if (count < n)
      vectors(all, 0, [=](VFloat& v, int offset) {
        v = (VFloat)((VInt)v & lane_mask<float>(low_bits(within(count, offset))));
      });
    return all;
  }

  // Sixteen sums in double precision: element i of a piece goes to sum i % 16, however many are worked on at a time, so
  // that every instruction set adds in the same order.
  struct Sums {
    static constexpr int kCount = 16, kWide = kLanes<double>;
    VDouble sum[kCount / kWide] = {};
    BAYESOPS_HD_MEMBER void add(Sums& s, int64_t i, F all) {
      vectors(all, 0, [&](VFloat& v, int offset) {
        const int at = (n % kCount == 0 ? offset : (int)(i + offset)) % kCount;
#if defined(BAYESOPS_AVX512)
        s.sum[at / kWide] += (VDouble)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)v));
        s.sum[at / kWide + 1] += (VDouble)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)v, 1));
#elif defined(BAYESOPS_AVX2)
        s.sum[at / kWide] += (VDouble)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)v));
        s.sum[at / kWide + 1] += (VDouble)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)v, 1));
#else
        for (int k = 0; k < kLanes<float>; ++k) s.sum[(at + k) / kWide][k % kWide] += (double)v[k];
#endif
      });
    }
    BAYESOPS_HD_MEMBER double total(const Sums& s) {
      double total = 0;
      for (int k = 0; k < kCount; ++k) total += s.sum[k / kWide][k % kWide];
      return total;
    }
  };
};

// Double precision, a number at a time: for checks of gradients, not for speed.
struct DoubleLanes {
  using Math = DoubleElementary;
  using T = double;
  using F = double;
  static constexpr int n = 1;

  BAYESOPS_HD_MEMBER F read(const double* p, int) { return *p; }
  BAYESOPS_HD_MEMBER void write(double* p, F v, int) { *p = v; }
  BAYESOPS_HD_MEMBER F noise(const float* p) { return (double)*p; }
  BAYESOPS_HD_MEMBER F only(F v, int) { return v; }

  struct Sums {
    double sum = 0;
    BAYESOPS_HD_MEMBER void add(Sums& s, int64_t, F v) { s.sum += v; }
    BAYESOPS_HD_MEMBER double total(const Sums& s) { return s.sum; }
  };
};

// Calls step(i, count) for elements i to i + count, as many as are worked on at a time.
template <class Lanes, class Step>
BAYESOPS_INLINE void each_step(int64_t count, const Step& step) {
  constexpr int n = Lanes::n;
  int64_t i = 0;
  for (; i + n <= count; i += n) step(i, n);
  if (i < count) step(i, (int)(count - i));
}

template <class Lanes, class S, template <class> class SpreadOf, template <class> class PriorOf>
class SampleGaussian {
  using T = typename Lanes::T;
  using F = typename Lanes::F;
  using Math = typename Lanes::Math;
  using Sums = typename Lanes::Sums;
  using Spread = SpreadOf<Math>;
  using Prior = PriorOf<Math>;

 public:
  explicit SampleGaussian(const SampleGaussianProblem& problem)
      : p_(problem),
        mu_(static_cast<const S*>(problem.mu)),
        spread_(static_cast<const S*>(problem.spread)),
        pieces_(gaussian_pieces(problem.elements)) {}

  void draw(S* weights, double* log_q, double* log_prior, double* partial, const Parallel& pool) const {
    double* partial_prior = partial + p_.samples * pieces_;
    // Samples of one piece are neighbours: a thread forms the standard deviations of a piece once.
    parallel_for(pool, pieces_ * p_.samples, grain(), [&](int64_t begin, int64_t end) {
      alignas(64) T sigma[kPiece];
      alignas(64) float eps[kPiece];
      double log_sigma = 0;
      for (int64_t job = begin; job < end; ++job) {
        const int64_t piece = job / p_.samples, sample = job % p_.samples, first = piece * kPiece, count = size(piece);
        if (job == begin || sample == 0) log_sigma = standard_deviations(first, count, sigma);
        noise(sample, first, count, eps);
        Sums squares, prior;
        draw_piece(first, count, sigma, eps, weights + sample * p_.elements + first, squares, prior);
        partial[sample * pieces_ + piece] = -0.5 * Sums::total(squares) - log_sigma;
        partial_prior[sample * pieces_ + piece] = Sums::total(prior);
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
    const int64_t pieces_at_once = grain() / (p_.samples > 0 ? p_.samples : 1);
    parallel_for(pool, pieces_, pieces_at_once > 0 ? pieces_at_once : 1, [&](int64_t begin, int64_t end) {
      Room room;
      for (int64_t piece = begin; piece < end; ++piece) {
        const int64_t first = piece * kPiece, count = size(piece);
        slopes(first, count, room);
        if (p_.samples == 0) clear(count, room);
        for (int64_t sample = 0; sample < p_.samples; ++sample) {
          noise(sample, first, count, room.eps);
          const S* weights = grad_weights == nullptr ? nullptr : grad_weights + sample * p_.elements + first;
          const T prior = grad_log_prior == nullptr ? T(0) : (T)grad_log_prior[sample];
          if (sample == 0) {
            gather<true>(first, count, weights, prior, room);
          } else {
            gather<false>(first, count, weights, prior, room);
          }
        }
        finish(first, count, (T)sum_log_q, room, grad_mu + first, grad_spread + first);
      }
    });
  }

 private:
  // What a piece's gradient is formed in: sums over the samples of g and of g * eps, g the cotangent of a weight.
  struct Room {
    alignas(64) T sigma[kPiece], kept[kPiece], of_mu[kPiece], of_sigma[kPiece];
    alignas(64) float eps[kPiece];
  };

  static int64_t grain() { return kGrainElements / kPiece; }
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

  // Returns the sum of log sigma.
  double standard_deviations(int64_t first, int64_t count, T* sigma) const {
    Sums logs;
    each_step<Lanes>(count, [&](int64_t i, int here) BAYESOPS_INLINED {
      const F spread = Lanes::read(spread_ + first + i, here);
      const Spread s = Spread::of(Lanes::read(mu_ + first + i, here), spread);
      Lanes::write(sigma + i, s.sigma, Lanes::n);
      Sums::add(logs, i, Lanes::only(Spread::log_sigma(s, spread), here));
    });
    return Sums::total(logs);
  }

  void draw_piece(int64_t first, int64_t count, const T* sigma, const float* eps, S* weights, Sums& squares,
                  Sums& prior) const {
    [[maybe_unused]] const Prior law = Prior::of(p_.prior);
    each_step<Lanes>(count, [&](int64_t i, int here) BAYESOPS_INLINED {
      const F z = Lanes::noise(eps + i);
      const F w = Lanes::read(mu_ + first + i, here) + Lanes::read(sigma + i, Lanes::n) * z;
      Lanes::write(weights + i, w, here);
      Sums::add(squares, i, Lanes::only(z * z, here));
      if constexpr (Prior::kAny) Sums::add(prior, i, Lanes::only(Prior::log_density(law, w), here));
    });
  }

  void slopes(int64_t first, int64_t count, Room& room) const {
    each_step<Lanes>(count, [&](int64_t i, int here) BAYESOPS_INLINED {
      const Spread s = Spread::of(Lanes::read(mu_ + first + i, here), Lanes::read(spread_ + first + i, here));
      Lanes::write(room.sigma + i, s.sigma, Lanes::n);
      Lanes::write(room.kept + i, Spread::kept(s), Lanes::n);
    });
  }

  template <bool is_first>
  void gather(int64_t first, int64_t count, const S* grad_weights, T grad_log_prior, Room& room) const {
    [[maybe_unused]] const Prior law = Prior::of(p_.prior);
    [[maybe_unused]] const F prior_factor = F{} + grad_log_prior;
    each_step<Lanes>(count, [&](int64_t i, int here) BAYESOPS_INLINED {
      const F z = Lanes::noise(room.eps + i);
      F g = grad_weights == nullptr ? F{} : Lanes::read(grad_weights + i, here);
      if constexpr (Prior::kAny) {
        const F w = Lanes::read(mu_ + first + i, here) + Lanes::read(room.sigma + i, Lanes::n) * z;
        g += prior_factor * Prior::slope(law, w);
      }
      F of_mu = g, of_sigma = g * z;
      if constexpr (!is_first) {
        of_mu += Lanes::read(room.of_mu + i, Lanes::n);
        of_sigma += Lanes::read(room.of_sigma + i, Lanes::n);
      }
      Lanes::write(room.of_mu + i, of_mu, Lanes::n);
      Lanes::write(room.of_sigma + i, of_sigma, Lanes::n);
    });
  }

  static void clear(int64_t count, Room& room) {
    each_step<Lanes>(count, [&](int64_t i, int) BAYESOPS_INLINED {
      Lanes::write(room.of_mu + i, F{}, Lanes::n);
      Lanes::write(room.of_sigma + i, F{}, Lanes::n);
    });
  }

  void finish(int64_t first, int64_t count, T grad_log_q, const Room& room, S* grad_mu, S* grad_spread) const {
    each_step<Lanes>(count, [&](int64_t i, int here) BAYESOPS_INLINED {
      const F kept = Lanes::read(room.kept + i, Lanes::n), of_sigma = Lanes::read(room.of_sigma + i, Lanes::n);
      F of_mu = Lanes::read(room.of_mu + i, Lanes::n);
      if constexpr (Spread::kOfMean)
        of_mu += Spread::of_mean(kept, Lanes::read(mu_ + first + i, here), of_sigma, F{} - grad_log_q);
      const F of_log_sigma = of_sigma * Lanes::read(room.sigma + i, Lanes::n) - grad_log_q;
      Lanes::write(grad_mu + i, of_mu, here);
      Lanes::write(grad_spread + i, of_log_sigma * Spread::log_slope(kept), here);
    });
  }

  const SampleGaussianProblem& p_;
  const S *mu_, *spread_;
  int64_t pieces_;
};

template <class Lanes, class S, template <class> class Spread, class Call>
void with_prior(const SampleGaussianProblem& p, const Call& call) {
  switch (p.prior.kind) {
    case kPriorNone:
      return call(SampleGaussian<Lanes, S, Spread, NoPrior>(p), S{});
    case kPriorGaussian:
      return call(SampleGaussian<Lanes, S, Spread, GaussianPrior>(p), S{});
    case kPriorLaplace:
      return call(SampleGaussian<Lanes, S, Spread, LaplacePrior>(p), S{});
    case kPriorMixture:
      return call(SampleGaussian<Lanes, S, Spread, MixturePrior>(p), S{});
  }
}

template <class Lanes, class S, class Call>
void with_spread(const SampleGaussianProblem& p, const Call& call) {
  if (p.alpha) return with_prior<Lanes, S, AlphaSpread>(p, call);
  with_prior<Lanes, S, SoftplusSpread>(p, call);
}

// Calls call(kernel of this problem, a number of its storage type).
template <class Call>
void with_kernel(const SampleGaussianProblem& p, const Call& call) {
  if (p.dtype == kFloat32) return with_spread<FloatLanes, float>(p, call);
  if (p.dtype == kFloat64) return with_spread<DoubleLanes, double>(p, call);
  with_spread<FloatLanes, BFloat16>(p, call);
}

}  // namespace

void sample_gaussian(const SampleGaussianProblem& p, void* weights, double* log_q, double* log_prior, double* partial,
                     const Parallel& pool) {
  with_kernel(p, [&](const auto& kernel, auto type) {
    using S = decltype(type);
    kernel.draw(static_cast<S*>(weights), log_q, log_prior, partial, pool);
  });
}

void sample_gaussian_gradient(const SampleGaussianProblem& p, const void* grad_weights, const double* grad_log_q,
                              const double* grad_log_prior, void* grad_mu, void* grad_spread, const Parallel& pool) {
  SampleGaussianProblem needed = p;
  if (grad_log_prior == nullptr) needed.prior.kind = kPriorNone;
  with_kernel(needed, [&](const auto& kernel, auto type) {
    using S = decltype(type);
    kernel.gradient(static_cast<const S*>(grad_weights), grad_log_q, grad_log_prior, static_cast<S*>(grad_mu),
                    static_cast<S*>(grad_spread), pool);
  });
}

BAYESOPS_ISA_END
