// Moments of predictive draws as a functor over the places: what a CUDA thread does, callable on the host as well.
#pragma once
#include "kernels/flat/compute_type.h"
#include "kernels/pointwise/predictive_moments.h"

namespace bayesops {

// Draws are taken a few at a time, whose largest logits and sums of exponentials are kept; the moments of a class are
// then formed in registers (Welford, 1962) and merged with those before (Chan, Golub and LeVeque, 1979).
template <class S>
struct FlatPredictiveMoments {
  using T = typename ComputeOf<S>::T;
  using Math = typename ElementaryOf<T>::Math;
  static constexpr int kDraws = 8;

  PredictiveMomentsProblem problem;

  // What probabilities are formed from, for each of a few draws.
  struct Normalisers {
    T highest[kDraws], inverse[kDraws];
  };

  BAYESOPS_HD_MEMBER int64_t total(const PredictiveMomentsProblem& p) { return p.places; }
  BAYESOPS_HD_MEMBER void run(const FlatPredictiveMoments& f, int64_t index) {
    const PredictiveMomentsProblem& p = f.problem;
    int64_t from = 0, mean = 0, deviations = 0, entropy = 0;
    for (int axis = p.axes - 1; axis >= 0; --axis) {
      const int64_t at = index % p.size[axis];
      index /= p.size[axis];
      from += at * p.samples.axis_stride[axis];
      mean += at * p.mean.axis_stride[axis];
      deviations += at * p.deviations.axis_stride[axis];
      entropy += at * p.entropy.axis_stride[axis];
    }
    for (int64_t first = 0; first < p.draws; first += kDraws) {
      const int draws = p.draws - first < kDraws ? (int)(p.draws - first) : kDraws;
      const S* x = static_cast<const S*>(p.samples.data) + from + first * p.draw_stride;
      Normalisers n;
      if (p.softmax) {
        T* to = p.entropy.data == nullptr ? nullptr : static_cast<T*>(p.entropy.data) + entropy;
        normalise(p, x, draws, p.count + first, n, to);
      }
      merge(p, x, draws, p.count + first, n, static_cast<T*>(p.mean.data) + mean,
            static_cast<T*>(p.deviations.data) + deviations);
    }
  }

 private:
  // Never less than what exp makes 0 of, so that 0 log 0 is 0.
  BAYESOPS_HD_MEMBER T below(const S* x, T highest) {
    return Math::at_least((T)*x - highest, Math::constant(sizeof(T) == sizeof(double) ? -750.0f : -150.0f));
  }

  BAYESOPS_HD_MEMBER void normalise(const PredictiveMomentsProblem& p, const S* x, int draws, int64_t count,
                                    Normalisers& n, T* entropy) {
    const T before = entropy == nullptr || count == 0 ? T(0) : *entropy;
    T further = 0;
    for (int draw = 0; draw < draws; ++draw, x += p.draw_stride) {
      T highest = (T)x[0];
      for (int64_t c = 1; c < p.classes; ++c) highest = Math::at_least((T)x[c * p.samples.class_stride], highest);
      T sum = 0, product = 0;
      for (int64_t c = 0; c < p.classes; ++c) {
        const T under = below(x + c * p.samples.class_stride, highest), e = Math::exp(under);
        sum += e;
        product = Math::fma(e, under, product);
      }
      n.highest[draw] = highest;
      n.inverse[draw] = T(1) / sum;
      further += Math::log(sum) - product * n.inverse[draw] - before;
    }
    if (entropy != nullptr) *entropy = before + further / (T)(count + draws);
  }

  BAYESOPS_HD_MEMBER void merge(const PredictiveMomentsProblem& p, const S* x, int draws, int64_t count,
                                const Normalisers& n, T* mean, T* deviations) {
    const double part = (double)draws / (double)(count + draws);
    const T share = (T)part, cross = (T)((double)count * part);
    for (int64_t c = 0; c < p.classes; ++c) {
      T* to_mean = mean + c * p.mean.class_stride;
      T* to_deviations = deviations + c * p.deviations.class_stride;
      // Everything is measured from a number next to the draws, so that a mean far from 0 costs no digits. Of the first
      // probabilities it is 0: their mean may well be far less than any one of them.
      T origin = count == 0 ? T(0) : *to_mean, own_mean = 0, own_deviations = 0;
      for (int draw = 0; draw < draws; ++draw) {
        const S* at = x + draw * p.draw_stride + c * p.samples.class_stride;
        const T value = p.softmax ? Math::exp(below(at, n.highest[draw])) * n.inverse[draw] : (T)*at;
        if (count == 0 && draw == 0 && !p.softmax) origin = value;
        const T away = value - origin, gap = away - own_mean;
        own_mean = Math::fma(gap, T(1) / (T)(draw + 1), own_mean);
        own_deviations = Math::fma(gap, away - own_mean, own_deviations);
      }
      *to_mean = Math::fma(own_mean, share, origin);
      *to_deviations = count == 0 ? own_deviations : *to_deviations + own_deviations + own_mean * own_mean * cross;
    }
  }
};

}  // namespace bayesops
