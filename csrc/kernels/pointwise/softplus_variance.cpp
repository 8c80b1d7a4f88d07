// softplus(rho)² in one pass over rho, and its gradient 2 softplus(rho) sigmoid(rho) in another.
#include "kernels/pointwise/softplus_variance.h"

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
  using Spread = SoftplusSpread<Math>;

  static __attribute__((noinline)) void variance(const T* rho, int64_t count, T* to) {
    for (int64_t i = 0; i < count; i += Lanes::n) {
      const Spread s = Spread::of(F{}, Lanes::read(rho + i));
      Lanes::write(to + i, s.sigma * s.sigma);
    }
  }

  static __attribute__((noinline)) void gradient(const T* grad, const T* rho, int64_t count, T* to) {
    for (int64_t i = 0; i < count; i += Lanes::n) {
      const Spread s = Spread::of(F{}, Lanes::read(rho + i));
      const F one = Math::constant(1);
      const F slope = Math::select(s.negative, s.t, one) / (s.t + one);  // sigmoid(rho)
      Lanes::write(to + i, Lanes::read(grad + i) * (s.sigma + s.sigma) * slope);
    }
  }
};

// Calls f(first, count) for every piece.
template <class F>
void each_piece(int64_t elements, const Parallel& pool, const F& f) {
  parallel_for(pool, gaussian_pieces(elements), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t first = piece * kPiece, left = elements - first;
      f(first, left < kPiece ? left : kPiece);
    }
  });
}

template <class Lanes, class S>
void variance_as(const SoftplusVarianceProblem& p, void* out, const Parallel& pool) {
  const S* rho = static_cast<const S*>(p.rho);
  S* to = static_cast<S*>(out);
  each_piece(p.elements, pool, [=](int64_t first, int64_t count) {
    alignas(64) typename Lanes::T room[kPiece];
    auto* place = place_for(to + first, count, room);
    Loops<Lanes>::variance(bring_in(rho + first, count, room), count, place);
    bring_out(place, count, to + first);
  });
}

template <class Lanes, class S>
void gradient_as(const SoftplusVarianceProblem& p, const void* grad, void* grad_rho, const Parallel& pool) {
  const S *rho = static_cast<const S*>(p.rho), *given = static_cast<const S*>(grad);
  S* to = static_cast<S*>(grad_rho);
  each_piece(p.elements, pool, [=](int64_t first, int64_t count) {
    alignas(64) typename Lanes::T rho_room[kPiece], room[kPiece];
    auto* place = place_for(to + first, count, room);
    Loops<Lanes>::gradient(bring_in(given + first, count, room), bring_in(rho + first, count, rho_room), count, place);
    bring_out(place, count, to + first);
  });
}

}  // namespace

void softplus_variance(const SoftplusVarianceProblem& p, void* out, const Parallel& pool) {
  const auto variance = p.dtype == kFloat32   ? variance_as<FloatLanes, float>
                        : p.dtype == kFloat64 ? variance_as<DoubleLanes, double>
                                              : variance_as<FloatLanes, BFloat16>;
  variance(p, out, pool);
}

void softplus_variance_gradient(const SoftplusVarianceProblem& p, const void* grad, void* grad_rho,
                                const Parallel& pool) {
  const auto gradient = p.dtype == kFloat32   ? gradient_as<FloatLanes, float>
                        : p.dtype == kFloat64 ? gradient_as<DoubleLanes, double>
                                              : gradient_as<FloatLanes, BFloat16>;
  gradient(p, grad, grad_rho, pool);
}

BAYESOPS_ISA_END
