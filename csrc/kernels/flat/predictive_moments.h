// Moments of predictive draws as functors: what CUDA threads do, callable on the host as well.
#pragma once
#include "kernels/flat/compute_type.h"
#include "kernels/flat/run.h"
#include "kernels/pointwise/predictive_moments.h"

namespace bayesops {

// Of probabilities, draws are taken a few at a time, whose largest logits and sums of exponentials are kept; the
// moments of a class are then formed in registers (Welford, 1962) and merged with those before (Chan, Golub and
// LeVeque, 1979). Numbers as they are, all at once: their mean may be far larger than what they deviate by, and each
// merging rounds it.
template <class S>
struct PredictiveMomentsSteps {
  using T = typename ComputeOf<S>::T;
  using Math = typename ElementaryOf<T>::Math;
  static constexpr int kDraws = 8;
  static constexpr int kClasses = 32;  // that are summed alone: thousands in one sum would lose digits

  // Where a place is in each of the tensors.
  struct Offsets {
    int64_t samples, mean, deviations, entropy;
  };
  // What the probabilities of a draw are formed from, and its entropy.
  struct Normaliser {
    T highest, inverse, entropy;
  };

  BAYESOPS_HD_MEMBER Offsets offsets(const PredictiveMomentsProblem& p, int64_t place) {
    Offsets o{0, 0, 0, 0};
    for (int axis = p.axes - 1; axis >= 0; --axis) {
      const int64_t at = place % p.size[axis];
      place /= p.size[axis];
      o.samples += at * p.samples.axis_stride[axis];
      o.mean += at * p.mean.axis_stride[axis];
      o.deviations += at * p.deviations.axis_stride[axis];
      o.entropy += at * p.entropy.axis_stride[axis];
    }
    return o;
  }

  // The first logit of a draw of a place, by its number in [draws][places].
  BAYESOPS_HD_MEMBER const S* draw(const PredictiveMomentsProblem& p, int64_t number) {
    return static_cast<const S*>(p.samples.data) + offsets(p, number % p.places).samples +
           number / p.places * p.draw_stride;
  }
  // Of one draw, whose logits begin at `x`.
  BAYESOPS_HD_MEMBER Normaliser normaliser(const PredictiveMomentsProblem& p, const S* x) {
    T highest = (T)x[0];
    for (int64_t part = 0; part < parts(p); ++part) highest = Math::at_least(highest_of(p, x, part), highest);
    Sums all{0, 0};
    for (int64_t part = 0; part < parts(p); ++part) add(all, sums_of(p, x, part, highest));
    return normaliser(highest, all.sum, all.product);
  }
  // The same from parts of the classes: the largest logit of one, and its sums by the largest of all.
  struct Sums {
    T sum, product;
  };
  BAYESOPS_HD_MEMBER int64_t parts(const PredictiveMomentsProblem& p) { return (p.classes + kClasses - 1) / kClasses; }
  BAYESOPS_HD_MEMBER T highest_of(const PredictiveMomentsProblem& p, const S* x, int64_t part) {
    T highest = (T)x[part * kClasses * p.samples.class_stride];
    each(p, x, part, [&](S logit) { highest = Math::at_least((T)logit, highest); });
    return highest;
  }
  BAYESOPS_HD_MEMBER Sums sums_of(const PredictiveMomentsProblem& p, const S* x, int64_t part, T highest) {
    Sums sums{0, 0};
    each(p, x, part, [&](S logit) { add_logit(logit, highest, sums.sum, sums.product); });
    return sums;
  }
  BAYESOPS_HD_MEMBER T highest_of_parts(const PredictiveMomentsProblem& p, const T* parts_highest) {
    T highest = parts_highest[0];
    for (int64_t part = 1; part < parts(p); ++part) highest = Math::at_least(parts_highest[part], highest);
    return highest;
  }
  BAYESOPS_HD_MEMBER void add(Sums& all, const Sums& sums) {
    all.sum += sums.sum;
    all.product += sums.product;
  }
  BAYESOPS_HD_MEMBER Normaliser normaliser(T highest, T sum, T product) {
    const T inverse = T(1) / sum;
    return {highest, inverse, Math::log(sum) - product * inverse};
  }
  // Returns the exponential.
  BAYESOPS_HD_MEMBER T add_logit(S x, T highest, T& sum, T& product) {
    const T under = below(x, highest), e = quick_exp(under);
    sum += e;
    product = Math::fma(e, under, product);
    return e;
  }

  // Merges the entropies of a few draws, after `count` others.
  BAYESOPS_HD_MEMBER void merge_entropies(const Normaliser (&n)[kDraws], int draws, int64_t count, T& entropy) {
    const T before = count == 0 ? T(0) : entropy;
    T further = 0;
    unrolled<kDraws>(draws, [&](int draw) { further += n[draw].entropy - before; });
    entropy = before + further / (T)(count + draws);
  }

  // A few draws of one class, after `count` others. Everything is measured from a number next to the draws, so that a
  // mean far from 0 costs no digits. Of the first probabilities it is 0: their mean may well be far less than any one
  // of them.
  struct Few {
    T origin, mean, deviations;
  };
  BAYESOPS_HD_MEMBER Few begin(int64_t count, const T* mean) { return {count == 0 ? T(0) : *mean, 0, 0}; }
  // A draw's part of the mean of all so far, and what few draws and those before weigh in all: found once for all
  // classes, since a division is many instructions.
  BAYESOPS_HD_MEMBER T part_of(int64_t draw) { return T(1) / (T)(draw + 1); }
  struct Share {
    T of_few, of_both;
  };
  BAYESOPS_HD_MEMBER Share share(int64_t draws, int64_t count) {
    const double part = (double)draws / (double)(count + draws);
    return {(T)part, (T)((double)count * part)};
  }
  BAYESOPS_HD_MEMBER void add(Few& few, T part, T value) {
    const T away = value - few.origin, gap = away - few.mean;
    few.mean = Math::fma(gap, part, few.mean);
    few.deviations = Math::fma(gap, away - few.mean, few.deviations);
  }
  BAYESOPS_HD_MEMBER void merge(const Few& few, const Share& share, int64_t count, T* mean, T* deviations) {
    *mean = Math::fma(few.mean, share.of_few, few.origin);
    *deviations = count == 0 ? few.deviations : *deviations + few.deviations + few.mean * few.mean * share.of_both;
  }

  // The logits of one class in a few draws, the first of them at `x`: read before any of them is waited for.
  BAYESOPS_HD_MEMBER void read(const PredictiveMomentsProblem& p, const S* x, int draws, S (&logits)[kDraws]) {
    unrolled<kDraws>(draws, [&](int draw) { logits[draw] = x[draw * p.draw_stride]; });
  }
  // Their probabilities.
  BAYESOPS_HD_MEMBER void merge(const S (&logits)[kDraws], const Normaliser (&n)[kDraws], int draws, int64_t count,
                                T* mean, T* deviations) {
    Few few = begin(count, mean);
    unrolled<kDraws>(draws, [&](int draw) {
      add(few, part_of(draw), quick_exp(below(logits[draw], n[draw].highest)) * n[draw].inverse);
    });
    merge(few, share(draws, count), count, mean, deviations);
  }

 private:
  template <class Use>
  BAYESOPS_HD_MEMBER void each(const PredictiveMomentsProblem& p, const S* x, int64_t part, const Use& use) {
    constexpr int kRun = 8;
    const int64_t first = part * kClasses, last = first + kClasses < p.classes ? first + kClasses : p.classes;
    for (int64_t c = first; c < last; c += kRun) {
      S logits[kRun] = {};
      read_run(x + c * p.samples.class_stride, p.samples.class_stride, last - c, logits);
      unrolled<kRun>(last - c, [&](int i) { use(logits[i]); });
    }
  }
  // Never less than what exp makes 0 of, so that 0 log 0 is 0.
  BAYESOPS_HD_MEMBER T below(S x, T highest) {
    return Math::at_least((T)x - highest, Math::constant(sizeof(T) == sizeof(double) ? -750.0f : -150.0f));
  }
};

// An index is a place of a softmax: the draws are gone through once.
template <class S>
struct FlatPredictiveMoments {
  using Steps = PredictiveMomentsSteps<S>;
  using T = typename Steps::T;

  PredictiveMomentsProblem problem;

  BAYESOPS_HD_MEMBER int64_t total(const FlatPredictiveMoments& f) { return f.problem.places; }
  BAYESOPS_HD_MEMBER void run(const FlatPredictiveMoments& f, int64_t index) {
    const PredictiveMomentsProblem& p = f.problem;
    const typename Steps::Offsets o = Steps::offsets(p, index);
    for (int64_t first = 0; first < p.draws; first += Steps::kDraws) {
      const int draws = p.draws - first < Steps::kDraws ? (int)(p.draws - first) : Steps::kDraws;
      const int64_t count = p.count + first;
      const S* x = static_cast<const S*>(p.samples.data) + o.samples + first * p.draw_stride;
      typename Steps::Normaliser n[Steps::kDraws];
      unrolled<Steps::kDraws>(draws, [&](int draw) { n[draw] = Steps::normaliser(p, x + draw * p.draw_stride); });
      if (p.entropy.data != nullptr)
        Steps::merge_entropies(n, draws, count, static_cast<T*>(p.entropy.data)[o.entropy]);
      for (int64_t c = 0; c < p.classes; ++c) {
        S logits[Steps::kDraws] = {};
        Steps::read(p, x + c * p.samples.class_stride, draws, logits);
        Steps::merge(logits, n, draws, count, static_cast<T*>(p.mean.data) + o.mean + c * p.mean.class_stride,
                     static_cast<T*>(p.deviations.data) + o.deviations + c * p.deviations.class_stride);
      }
    }
  }
};

// The same with kMost classes or fewer, to the bit: a draw's logits, and the sums of all classes, are in registers, and
// memory is read once.
template <class S, int kMost>
struct FlatMomentsInRegisters {
  using Steps = PredictiveMomentsSteps<S>;
  using Math = typename Steps::Math;
  using T = typename Steps::T;

  PredictiveMomentsProblem problem;

  BAYESOPS_HD_MEMBER int64_t total(const FlatMomentsInRegisters& f) { return f.problem.places; }
  BAYESOPS_HD_MEMBER void run(const FlatMomentsInRegisters& f, int64_t index) {
    const PredictiveMomentsProblem& p = f.problem;
    const typename Steps::Offsets o = Steps::offsets(p, index);
    const S* x = static_cast<const S*>(p.samples.data) + o.samples;
    T *mean = static_cast<T*>(p.mean.data) + o.mean, *deviations = static_cast<T*>(p.deviations.data) + o.deviations;
    for (int64_t first = 0; first < p.draws; first += Steps::kDraws) {
      const int64_t draws = p.draws - first < Steps::kDraws ? p.draws - first : Steps::kDraws;
      const int64_t count = p.count + first;
      typename Steps::Few few[kMost] = {};
      unrolled<kMost>(p.classes, [&](int c) { few[c] = Steps::begin(count, mean + c * p.mean.class_stride); });
      T* entropy = p.entropy.data == nullptr ? nullptr : static_cast<T*>(p.entropy.data) + o.entropy;
      const T before = entropy == nullptr || count == 0 ? T(0) : *entropy;
      T further = 0;
      for (int64_t draw = 0; draw < draws; ++draw, x += p.draw_stride) {
        T values[kMost];
        further += values_of(p, x, values) - before;
        const T part = Steps::part_of(draw);
        unrolled_in_fours<kMost>(p.classes, [&](int c) { Steps::add(few[c], part, values[c]); });
      }
      if (entropy != nullptr) *entropy = before + further / (T)(count + draws);
      const typename Steps::Share share = Steps::share(draws, count);
      unrolled<kMost>(p.classes, [&](int c) {
        Steps::merge(few[c], share, count, mean + c * p.mean.class_stride, deviations + c * p.deviations.class_stride);
      });
    }
  }

 private:
  // The probabilities of a draw. Returns its entropy.
  BAYESOPS_HD_MEMBER T values_of(const PredictiveMomentsProblem& p, const S* x, T (&values)[kMost]) {
    const int classes = (int)p.classes;
    S logits[kMost];
    const S impossible = (S)(T)-__builtin_inf();  // of classes that there are not
    unrolled_in_fours<kMost>(classes, [&](int c) {
      logits[c] = c < classes ? *x : impossible;
      x += p.samples.class_stride;
    });
    T highest = (T)logits[0], sum = 0, product = 0;
    unrolled_in_fours<kMost>(classes, [&](int c) { highest = Math::at_least((T)logits[c], highest); });
    unrolled_in_fours<kMost>(classes, [&](int c) { values[c] = Steps::add_logit(logits[c], highest, sum, product); });
    const typename Steps::Normaliser n = Steps::normaliser(highest, sum, product);
    unrolled_in_fours<kMost>(classes, [&](int c) { values[c] *= n.inverse; });
    return n.entropy;
  }
};

// An index is a place of numbers as they are.
template <class S>
struct FlatMomentsOfNumbers {
  using Steps = PredictiveMomentsSteps<S>;
  using T = typename Steps::T;
  static constexpr int kTogether = 16;  // draws that are read before any of them is waited for

  PredictiveMomentsProblem problem;

  BAYESOPS_HD_MEMBER int64_t total(const FlatMomentsOfNumbers& f) { return f.problem.places; }
  BAYESOPS_HD_MEMBER void run(const FlatMomentsOfNumbers& f, int64_t index) {
    const PredictiveMomentsProblem& p = f.problem;
    const typename Steps::Offsets o = Steps::offsets(p, index);
    const S* x = static_cast<const S*>(p.samples.data) + o.samples;
    T *mean = static_cast<T*>(p.mean.data) + o.mean, *deviations = static_cast<T*>(p.deviations.data) + o.deviations;
    typename Steps::Few few = Steps::begin(p.count, mean);
    for (int64_t first = 0; first < p.draws; first += kTogether, x += kTogether * p.draw_stride) {
      T values[kTogether];
      const int64_t draws = p.draws - first;
      unrolled<kTogether>(draws, [&](int draw) { values[draw] = (T)x[draw * p.draw_stride]; });
      if (p.count == 0 && first == 0) few.origin = values[0];
      unrolled<kTogether>(draws, [&](int draw) { Steps::add(few, Steps::part_of(first + draw), values[draw]); });
    }
    Steps::merge(few, Steps::share(p.draws, p.count), p.count, mean, deviations);
  }
};

}  // namespace bayesops
