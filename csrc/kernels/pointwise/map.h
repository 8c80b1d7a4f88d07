// A function of one number over a tensor, and its gradient: in pieces, several numbers at a time, so that neither
// threads nor instruction sets show in a bit of the result.
#pragma once
#include "kernels/pointwise/lanes.h"

BAYESOPS_ISA_BEGIN

// A Function is a template of Math with two members, value(x) and gradient(grad, x).
//
// The loops over a piece. Pointers have room for whole steps of Lanes::n.
template <class Lanes, template <class> class Function>
struct MapLoops {
  using T = typename Lanes::T;
  using Of = Function<typename Lanes::Math>;

  static __attribute__((noinline)) void value(const T* x, int64_t count, T* to) {
    for (int64_t i = 0; i < count; i += Lanes::n) Lanes::write(to + i, Of::value(Lanes::read(x + i)));
  }
  static __attribute__((noinline)) void gradient(const T* grad, const T* x, int64_t count, T* to) {
    for (int64_t i = 0; i < count; i += Lanes::n)
      Lanes::write(to + i, Of::gradient(Lanes::read(grad + i), Lanes::read(x + i)));
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

template <template <class> class Function, class Lanes, class S>
void map_as(int64_t elements, const void* from, void* out, const Parallel& pool) {
  const S* x = static_cast<const S*>(from);
  S* to = static_cast<S*>(out);
  each_piece(elements, pool, [=](int64_t first, int64_t count) {
    alignas(64) typename Lanes::T room[kPiece];
    auto* place = place_for(to + first, count, room);
    MapLoops<Lanes, Function>::value(bring_in(x + first, count, room), count, place);
    bring_out(place, count, to + first);
  });
}

template <template <class> class Function, class Lanes, class S>
void map_gradient_as(int64_t elements, const void* grad, const void* from, void* out, const Parallel& pool) {
  const S *given = static_cast<const S*>(grad), *x = static_cast<const S*>(from);
  S* to = static_cast<S*>(out);
  each_piece(elements, pool, [=](int64_t first, int64_t count) {
    alignas(64) typename Lanes::T x_room[kPiece], room[kPiece];
    auto* place = place_for(to + first, count, room);
    MapLoops<Lanes, Function>::gradient(bring_in(given + first, count, room), bring_in(x + first, count, x_room), count,
                                        place);
    bring_out(place, count, to + first);
  });
}

// out[i] = Function of x[i].
template <template <class> class Function>
void map(DType dtype, int64_t elements, const void* x, void* out, const Parallel& pool) {
  const auto run = dtype == kFloat32   ? map_as<Function, FloatLanes, float>
                   : dtype == kFloat64 ? map_as<Function, DoubleLanes, double>
                                       : map_as<Function, FloatLanes, BFloat16>;
  run(elements, x, out, pool);
}

// out[i] = the gradient in x[i], of grad[i].
template <template <class> class Function>
void map_gradient(DType dtype, int64_t elements, const void* grad, const void* x, void* out, const Parallel& pool) {
  const auto run = dtype == kFloat32   ? map_gradient_as<Function, FloatLanes, float>
                   : dtype == kFloat64 ? map_gradient_as<Function, DoubleLanes, double>
                                       : map_gradient_as<Function, FloatLanes, BFloat16>;
  run(elements, grad, x, out, pool);
}

BAYESOPS_ISA_END
