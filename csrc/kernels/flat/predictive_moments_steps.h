// Moments of predictive draws in steps, where places are too few to keep a device busy, as those of a classification
// are. Each step is a functor over a flat index; results are those of a thread a place, to the bit.
#pragma once
#include "kernels/flat/predictive_moments.h"

namespace bayesops {

// With many classes, first their parts: an index is a part of a draw of a place.
template <class S>
struct FlatPartsHighest {
  using Steps = PredictiveMomentsSteps<S>;

  PredictiveMomentsProblem problem;
  typename Steps::T* out;  // [draws][places][parts]

  BAYESOPS_HD_MEMBER int64_t total(const FlatPartsHighest& f) {
    return f.problem.draws * f.problem.places * Steps::parts(f.problem);
  }
  BAYESOPS_HD_MEMBER void run(const FlatPartsHighest& f, int64_t index) {
    const int64_t parts = Steps::parts(f.problem);
    f.out[index] = Steps::highest_of(f.problem, Steps::draw(f.problem, index / parts), index % parts);
  }
};

// Then of all parts: an index is a draw of a place.
template <class S>
struct FlatDrawHighest {
  using Steps = PredictiveMomentsSteps<S>;
  using T = typename Steps::T;

  PredictiveMomentsProblem problem;
  const T* parts_highest;  // [draws][places][parts]
  T* out;                  // [draws][places]

  BAYESOPS_HD_MEMBER int64_t total(const FlatDrawHighest& f) { return f.problem.draws * f.problem.places; }
  BAYESOPS_HD_MEMBER void run(const FlatDrawHighest& f, int64_t index) {
    const int64_t parts = Steps::parts(f.problem);
    f.out[index] = Steps::highest_of_parts(f.problem, f.parts_highest + index * parts);
  }
};

// Then their sums.
template <class S>
struct FlatPartsSums {
  using Steps = PredictiveMomentsSteps<S>;
  using T = typename Steps::T;

  PredictiveMomentsProblem problem;
  const T* highest;           // [draws][places]
  typename Steps::Sums* out;  // [draws][places][parts]

  BAYESOPS_HD_MEMBER int64_t total(const FlatPartsSums& f) {
    return f.problem.draws * f.problem.places * Steps::parts(f.problem);
  }
  BAYESOPS_HD_MEMBER void run(const FlatPartsSums& f, int64_t index) {
    const int64_t parts = Steps::parts(f.problem), draw = index / parts;
    f.out[index] = Steps::sums_of(f.problem, Steps::draw(f.problem, draw), index % parts, f.highest[draw]);
  }
};

// Then all of them: an index is a draw of a place.
template <class S>
struct FlatNormalisers {
  using Steps = PredictiveMomentsSteps<S>;
  using T = typename Steps::T;

  PredictiveMomentsProblem problem;
  const T* highest;                  // [draws][places]; null: there is one part, which has not been looked at
  const typename Steps::Sums* sums;  // [draws][places][parts]
  typename Steps::Normaliser* out;   // [draws][places]

  BAYESOPS_HD_MEMBER int64_t total(const FlatNormalisers& f) { return f.problem.draws * f.problem.places; }
  BAYESOPS_HD_MEMBER void run(const FlatNormalisers& f, int64_t index) {
    if (f.highest == nullptr) {
      f.out[index] = Steps::normaliser(f.problem, Steps::draw(f.problem, index));
      return;
    }
    const int64_t parts = Steps::parts(f.problem);
    typename Steps::Sums all{0, 0};
    for (int64_t part = 0; part < parts; ++part) Steps::add(all, f.sums[index * parts + part]);
    f.out[index] = Steps::normaliser(f.highest[index], all.sum, all.product);
  }
};

// Last, the moments: an index is a class of a place. Classes go first where they are neighbours in memory.
template <class S>
struct FlatMomentsOfClasses {
  using Steps = PredictiveMomentsSteps<S>;
  using T = typename Steps::T;
  using Normaliser = typename Steps::Normaliser;

  PredictiveMomentsProblem problem;
  const Normaliser* normalisers;  // [draws][places]

  BAYESOPS_HD_MEMBER int64_t total(const FlatMomentsOfClasses& f) { return f.problem.places * f.problem.classes; }
  BAYESOPS_HD_MEMBER void run(const FlatMomentsOfClasses& f, int64_t index) {
    const PredictiveMomentsProblem& p = f.problem;
    const bool classes_first = p.samples.class_stride == 1;
    const int64_t place = classes_first ? index / p.classes : index % p.places;
    const int64_t c = classes_first ? index % p.classes : index / p.places;
    const typename Steps::Offsets o = Steps::offsets(p, place);
    const S* x = static_cast<const S*>(p.samples.data) + o.samples + c * p.samples.class_stride;
    T* const to_mean = static_cast<T*>(p.mean.data) + o.mean + c * p.mean.class_stride;
    T* const to_deviations = static_cast<T*>(p.deviations.data) + o.deviations + c * p.deviations.class_stride;
    T* const to_entropy = p.entropy.data == nullptr ? nullptr : static_cast<T*>(p.entropy.data) + o.entropy;
    const bool has_entropy = c == 0 && to_entropy != nullptr;
    T mean = p.count == 0 ? T(0) : *to_mean, deviations = p.count == 0 ? T(0) : *to_deviations;
    T entropy = p.count == 0 || !has_entropy ? T(0) : *to_entropy;
    for (int64_t first = 0; first < p.draws; first += Steps::kDraws) {
      const int draws = p.draws - first < Steps::kDraws ? (int)(p.draws - first) : Steps::kDraws;
      const int64_t count = p.count + first;
      S logits[Steps::kDraws] = {};
      Normaliser n[Steps::kDraws] = {};
      Steps::read(p, x + first * p.draw_stride, draws, logits);
      unrolled<Steps::kDraws>(draws, [&](int i) { n[i] = f.normalisers[(first + i) * p.places + place]; });
      if (has_entropy) Steps::merge_entropies(n, draws, count, entropy);
      Steps::merge(logits, n, draws, count, &mean, &deviations);
    }
    *to_mean = mean;
    *to_deviations = deviations;
    if (has_entropy) *to_entropy = entropy;
  }
};

// Whether to take these steps.
static inline bool moments_in_steps_pay(const PredictiveMomentsProblem& p) {
  constexpr int64_t kFewPlaces = 1 << 16;
  return p.softmax && p.places < kFewPlaces;
}

// `allocate(bytes)` is memory until the steps are done; `launch(f)` takes a functor through its indices.
template <class S, class Allocate, class Launch>
void moments_in_steps(const PredictiveMomentsProblem& p, const Allocate& allocate, const Launch& launch) {
  using Steps = PredictiveMomentsSteps<S>;
  using T = typename Steps::T;
  using Sums = typename Steps::Sums;
  using Normaliser = typename Steps::Normaliser;
  const int64_t draws = p.draws * p.places, parts = Steps::parts(p) > 1 ? draws * Steps::parts(p) : 0;
  auto* const normalisers = static_cast<Normaliser*>(
      allocate(draws * (int64_t)(sizeof(Normaliser) + sizeof(T)) + parts * (int64_t)(sizeof(Sums) + sizeof(T))));
  auto* const sums = reinterpret_cast<Sums*>(normalisers + draws);
  T *const parts_highest = reinterpret_cast<T*>(sums + parts), *highest = nullptr;
  if (parts > 0) {
    highest = parts_highest + parts;
    launch(FlatPartsHighest<S>{p, parts_highest});
    launch(FlatDrawHighest<S>{p, parts_highest, highest});
    launch(FlatPartsSums<S>{p, highest, sums});
  }
  launch(FlatNormalisers<S>{p, highest, sums, normalisers});
  launch(FlatMomentsOfClasses<S>{p, normalisers});
}

}  // namespace bayesops
