// Cross entropy of noisy logits as several kernels, where one thread per place would be too few threads (as in a
// classification) or would need more registers than there are (with many classes). Each step is a functor over a flat
// index, whose threads are draws and some classes of a place; what they find goes through memory. Noise is drawn twice:
// for the probabilities of the target, and for the gradients, once the draws' weights are known.
#pragma once
#include "kernels/flat/extent.h"
#include "kernels/flat/logit_noise_place.h"
#include "kernels/flat/pieces.h"
#include "kernels/flat/streams.h"

namespace bayesops {

// What the steps leave for each other, of some of the places.
template <class T>
struct LogitNoiseRoom {
  static constexpr int kPart = 16, kGroup = 4;  // classes of a thread: for probabilities, and for gradients
  static constexpr int kStretch = 32;           // numbers that a thread sums

  int64_t first_place, draws;
  FlatExtent places, parts, groups;
  int64_t rows;       // of the noise's gradient: groups, if all classes have one log variance, or classes
  FlatPieces pieces;  // of the draws, for the gradients; none where nobody asks for these
  int64_t stretches;  // of the rows of all pieces, if all classes have one log variance

  // [draws][parts][places]: largest logit, and sum of exponentials by that.
  T *highest = nullptr, *total = nullptr;
  // [draws][places]: the same of all classes, and then the weight of a draw by its total.
  T *draw_highest = nullptr, *draw_total = nullptr;
  // [draws][places]: of the target; first its logit.
  T *log_probability = nullptr, *noise = nullptr;
  T* mean_noise = nullptr;  // [places]: of the target
  // [pieces][classes][places], [pieces][rows][places]: sums over draws.
  T *of_logit = nullptr, *of_noise = nullptr;
  T* of_shared = nullptr;  // [stretches][places]: sums of the latter

  // Numbers that a place needs if its draws are one piece. With several it needs some more.
  static int64_t per_place(const LogitNoiseProblem& p) { return p.draws * (2 * parts_of(p) + 4) + 1 + 2 * p.classes; }
  static LogitNoiseRoom of(const LogitNoiseProblem& p, int64_t first_place, int64_t places, bool gradients) {
    const int64_t groups = (p.classes + kGroup - 1) / kGroup;
    const bool is_shared = p.grad_log_var.class_stride == 0;
    const int64_t rows = is_shared ? groups : p.classes;
    FlatPieces pieces{p.draws, p.draws, 0};
    if (gradients) pieces = FlatPieces::of(p.draws, groups * places);
    const int64_t stretches = is_shared ? (pieces.count * rows + kStretch - 1) / kStretch : 0;
    return {first_place, p.draws, places, parts_of(p), groups, rows, pieces, stretches};
  }
  // Gives each its part of the memory from `at` on, if there is some yet; returns how many numbers that are.
  int64_t lay_out(const LogitNoiseProblem& p, T* at) {
    int64_t numbers = 0;
    const auto take = [&](T*& part, int64_t count) {
      part = at == nullptr ? nullptr : at + numbers;
      numbers += count;
    };
    const int64_t each = draws * places;
    take(highest, each * parts);
    take(total, each * parts);
    take(draw_highest, each);
    take(draw_total, each);
    take(log_probability, each);
    take(noise, each);
    take(mean_noise, places);
    take(of_logit, pieces.count * p.classes * places);
    take(of_noise, pieces.count * rows * places);
    take(of_shared, stretches * places);
    return numbers;
  }

 private:
  static int64_t parts_of(const LogitNoiseProblem& p) { return (p.classes + kPart - 1) / kPart; }
};

template <class S>
struct LogitNoiseStep {
  using T = typename ComputeOf<S>::T;
  using Math = typename ElementaryOf<T>::Math;
  using Place = LogitNoisePlace<S>;
  using Room = LogitNoiseRoom<T>;
  // Finite: where all logits are minus infinity, their distance from the highest is that, and not NaN.
  BAYESOPS_HD_MEMBER T lowest() { return (T)-3.402823466e38; }

  LogitNoiseProblem problem;
  Room room;

  BAYESOPS_HD_MEMBER Place place(const LogitNoiseStep& f, int64_t index) {
    return Place::of(f.problem, f.room.first_place + index);
  }
  // Calls use(first, count) for a few of `all` numbers at a time, whose memory is read together: a thread that has few
  // neighbours waits for every access.
  static constexpr int kFew = 8;
  template <class Use>
  BAYESOPS_HD_MEMBER void by_few(int64_t all, const Use& use) {
    for (int64_t first = 0; first < all; first += kFew) use(first, all - first < kFew ? (int)(all - first) : kFew);
  }
  BAYESOPS_HD_MEMBER void read_few(const T* from, int64_t step, int count, T (&to)[kFew]) {
    unrolled<kFew>(count, [&](int i) { to[i] = from[i * step]; });
  }
  BAYESOPS_HD_MEMBER T sum(const T* from, int64_t step, int64_t all) {
    T total = 0, numbers[kFew];
    by_few(all, [&](int64_t first, int count) {
      read_few(from + first * step, step, count, numbers);
      unrolled<kFew>(count, [&](int i) { total += numbers[i]; });
    });
    return total;
  }
  // Calls use(i, noise, logit) for the first `count` of kCount classes from `first` on.
  template <int kCount, class Use>
  BAYESOPS_HD_MEMBER void each(const LogitNoiseStep& f, const Place& place, int64_t draw, const T (&mean)[kCount],
                               const T (&sigma)[kCount], int64_t first, int64_t count, const Use& use) {
    const Stream stream{(uint64_t)f.problem.seeds[draw], f.problem.stream};
    NormalRun noise = NormalRun::of(stream, (uint64_t)(place.noise + first), count);
    unrolled<kCount>(count, [&](int i) {
      const T z = (T)NormalRun::draw(noise, i);
      use(i, z, Math::fma(sigma[i], z, mean[i]));
    });
  }
  template <int kCount>
  BAYESOPS_HD_MEMBER void read(const LogitNoiseStep& f, const Place& place, int64_t first, int64_t count,
                               T (&mean)[kCount], T (&sigma)[kCount]) {
    const LogitNoiseProblem& p = f.problem;
    read_run(place.logits + first * p.logits.class_stride, p.logits.class_stride, count, mean);
    read_run(place.log_var + first * p.log_var.class_stride, p.log_var.class_stride, count, sigma);
    unrolled<kCount>(count, [&](int i) { sigma[i] = Place::sigma_of(sigma[i]); });
  }
};

// First, for some classes of a place in one draw: the largest logit, the exponentials, and what the target has.
template <class S>
struct FlatLogitNoiseParts : LogitNoiseStep<S> {
  using Step = LogitNoiseStep<S>;
  using T = typename Step::T;
  static constexpr int kPart = Step::Room::kPart;

  BAYESOPS_HD_MEMBER int64_t total(const FlatLogitNoiseParts& f) { return f.room.draws * f.room.parts * f.room.places; }
  BAYESOPS_HD_MEMBER void run(const FlatLogitNoiseParts& f, int64_t index) {
    const FlatDivision of_places = divide(index, f.room.places), of_parts = divide(of_places.quotient, f.room.parts);
    const int64_t number = of_places.remainder, draw = of_parts.quotient, first = of_parts.remainder * kPart;
    const int64_t left = f.problem.classes - first, count = left < kPart ? left : kPart;
    const typename Step::Place place = Step::place(f, number);
    if (place.scale == T(0)) return;
    T mean[kPart] = {}, sigma[kPart] = {}, logits[kPart] = {}, highest = Step::lowest(), sum = 0;
    Step::read(f, place, first, count, mean, sigma);
    Step::each(f, place, draw, mean, sigma, first, count, [&](int i, T noise, T logit) {
      logits[i] = logit;
      highest = Step::Math::at_least(logit, highest);
      if (first + i == place.target) {
        f.room.noise[draw * f.room.places + number] = noise;
        f.room.log_probability[draw * f.room.places + number] = logit;
      }
    });
    unrolled<kPart>(count, [&](int i) { sum += quick_exp(logits[i] - highest); });
    f.room.highest[index] = highest;
    f.room.total[index] = sum;
  }
};

// Second, for a place in one draw: the log probability of the target.
template <class S>
struct FlatLogitNoiseDraws : LogitNoiseStep<S> {
  using Step = LogitNoiseStep<S>;
  using T = typename Step::T;

  BAYESOPS_HD_MEMBER int64_t total(const FlatLogitNoiseDraws& f) { return f.room.draws * f.room.places; }
  BAYESOPS_HD_MEMBER void run(const FlatLogitNoiseDraws& f, int64_t index) {
    const typename Step::Room& room = f.room;
    const auto [draw, number] = divide(index, room.places);
    const int64_t first = draw * room.parts * room.places + number;
    if (Step::place(f, number).scale == T(0)) return;
    T highest = Step::lowest(), sum = 0, highests[Step::kFew], totals[Step::kFew];
    Step::by_few(room.parts, [&](int64_t part, int count) {
      Step::read_few(room.highest + first + part * room.places, room.places, count, highests);
      unrolled<Step::kFew>(count, [&](int i) { highest = Step::Math::at_least(highests[i], highest); });
    });
    Step::by_few(room.parts, [&](int64_t part, int count) {
      Step::read_few(room.highest + first + part * room.places, room.places, count, highests);
      Step::read_few(room.total + first + part * room.places, room.places, count, totals);
      unrolled<Step::kFew>(count, [&](int i) { sum += totals[i] * Step::Math::exp(highests[i] - highest); });
    });
    room.draw_highest[index] = highest;
    room.draw_total[index] = sum;
    room.log_probability[index] = (room.log_probability[index] - highest) - Step::Math::log(sum);
  }
};

// Third, for a place: the loss, and what weight each draw has in its gradients.
template <class S>
struct FlatLogitNoiseLosses : LogitNoiseStep<S> {
  using Step = LogitNoiseStep<S>;
  using T = typename Step::T;
  using Math = typename Step::Math;

  BAYESOPS_HD_MEMBER int64_t total(const FlatLogitNoiseLosses& f) { return f.room.places; }
  BAYESOPS_HD_MEMBER void run(const FlatLogitNoiseLosses& f, int64_t index) {
    const LogitNoiseProblem& p = f.problem;
    const typename Step::Place place = Step::place(f, index);
    T* const loss = static_cast<T*>(p.losses) + f.room.first_place + index;
    if (place.scale == T(0)) {
      *loss = place.loss_if_ignored(p);
      return;
    }
    const typename Step::Room& room = f.room;
    T largest = p.mean_of_losses ? T(0) : Step::lowest(), sum = 0, noise = 0;
    T log_probabilities[Step::kFew], others[Step::kFew];
    const auto read = [&](const T* from, int64_t draw, int count, T(&to)[Step::kFew]) {
      Step::read_few(from + draw * room.places + index, room.places, count, to);
    };
    const auto weight = [&](T log_probability) {
      return p.mean_of_losses ? T(1) : Math::exp(log_probability - largest);
    };
    Step::by_few(p.draws, [&](int64_t draw, int count) {
      read(room.log_probability, draw, count, log_probabilities);
      unrolled<Step::kFew>(count, [&](int i) {
        largest = p.mean_of_losses ? largest + log_probabilities[i] : Math::at_least(log_probabilities[i], largest);
      });
    });
    Step::by_few(p.draws, [&](int64_t draw, int count) {
      read(room.log_probability, draw, count, log_probabilities);
      read(room.noise, draw, count, others);
      unrolled<Step::kFew>(count, [&](int i) {
        const T of_draw = weight(log_probabilities[i]);
        sum += of_draw;
        noise = Math::fma(of_draw, others[i], noise);
      });
    });
    *loss = place.loss(p, place, largest, sum);
    if (room.pieces.count == 0) return;  // nobody asks for gradients
    const T inverse = T(1) / sum;
    room.mean_noise[index] = noise * inverse;
    Step::by_few(p.draws, [&](int64_t draw, int count) {
      read(room.log_probability, draw, count, log_probabilities);
      read(room.draw_total, draw, count, others);
      unrolled<Step::kFew>(count, [&](int i) {
        room.draw_total[(draw + i) * room.places + index] = weight(log_probabilities[i]) * inverse / others[i];
      });
    });
  }
};

// Fourth, for a few classes of a place: gradients of what is not the target, summed over a piece of the draws.
template <class S>
struct FlatLogitNoiseSums : LogitNoiseStep<S> {
  using Step = LogitNoiseStep<S>;
  using T = typename Step::T;
  static constexpr int kGroup = Step::Room::kGroup;

  BAYESOPS_HD_MEMBER int64_t total(const FlatLogitNoiseSums& f) {
    return f.room.pieces.count * f.room.groups * f.room.places;
  }
  BAYESOPS_HD_MEMBER void run(const FlatLogitNoiseSums& f, int64_t index) {
    const typename Step::Room& room = f.room;
    const auto [row, number] = divide(index, room.places);
    const auto [piece, group] = divide(row, room.groups);
    const int64_t first = group * kGroup;
    const int64_t left = f.problem.classes - first, count = left < kGroup ? left : kGroup;
    const typename Step::Place place = Step::place(f, number);
    if (place.scale == T(0)) return;
    T mean[kGroup] = {}, sigma[kGroup] = {}, of_logit[kGroup] = {}, of_noise[kGroup] = {};
    Step::read(f, place, first, count, mean, sigma);
    for (int64_t draw = FlatPieces::begin(room.pieces, piece); draw < FlatPieces::end(room.pieces, piece); ++draw) {
      const T highest = room.draw_highest[draw * room.places + number];
      const T weight = room.draw_total[draw * room.places + number];
      Step::each(f, place, draw, mean, sigma, first, count, [&](int i, T noise, T logit) {
        const T part = quick_exp(logit - highest) * weight;
        of_logit[i] += part;
        of_noise[i] = Step::Math::fma(part, noise, of_noise[i]);
      });
    }
    T* const logit_sums = room.of_logit + (piece * f.problem.classes + first) * room.places + number;
    write_run(of_logit, room.places, count, logit_sums);
    if (room.rows == room.groups) {
      T shared = 0;
      unrolled<kGroup>(count, [&](int i) { shared += of_noise[i]; });
      room.of_noise[(piece * room.rows + group) * room.places + number] = shared;
    } else {
      write_run(of_noise, room.places, count, room.of_noise + (piece * room.rows + first) * room.places + number);
    }
  }
};

// If all classes have one log variance: sums over stretches of what a place has from all pieces and groups. There may
// be thousands, too many for one thread.
template <class S>
struct FlatLogitNoiseStretches : LogitNoiseStep<S> {
  using Step = LogitNoiseStep<S>;
  using T = typename Step::T;

  BAYESOPS_HD_MEMBER int64_t total(const FlatLogitNoiseStretches& f) { return f.room.stretches * f.room.places; }
  BAYESOPS_HD_MEMBER void run(const FlatLogitNoiseStretches& f, int64_t index) {
    constexpr int kStretch = Step::Room::kStretch;
    const typename Step::Room& room = f.room;
    const auto [stretch, number] = divide(index, room.places);
    const int64_t first = stretch * kStretch;
    const int64_t left = room.pieces.count * room.rows - first;
    room.of_shared[index] =
        Step::sum(room.of_noise + first * room.places + number, room.places, left < kStretch ? left : kStretch);
  }
};

// Last, for a class of a place: its gradients.
template <class S>
struct FlatLogitNoiseGradients : LogitNoiseStep<S> {
  using Step = LogitNoiseStep<S>;
  using T = typename Step::T;

  BAYESOPS_HD_MEMBER int64_t total(const FlatLogitNoiseGradients& f) { return f.problem.classes * f.room.places; }
  BAYESOPS_HD_MEMBER void run(const FlatLogitNoiseGradients& f, int64_t index) {
    const LogitNoiseProblem& p = f.problem;
    const typename Step::Room& room = f.room;
    const auto [c, number] = divide(index, room.places);
    const typename Step::Place place = Step::place(f, number);
    const bool is_shared = p.grad_log_var.class_stride == 0, is_target = c == place.target;
    T of_logit = 0, of_noise = 0;
    if (place.scale != T(0)) {
      const int64_t step = p.classes * room.places;  // from a piece to the next
      of_logit = Step::sum(room.of_logit + index, step, room.pieces.count) - (is_target ? T(1) : T(0));
      of_noise = -(is_target ? room.mean_noise[number] : T(0));
      if (!is_shared) of_noise += Step::sum(room.of_noise + index, step, room.pieces.count);
      if (is_shared && is_target) of_noise += Step::sum(room.of_shared + number, room.places, room.stretches);
      of_logit *= place.scale;
      of_noise *= Step::Place::read_sigma(p, place, c) * T(0.5) * place.scale;
    }
    place.write(p, place, c, of_logit, of_noise);
    // One thread of the place has it: that of the target, or of the first class, where no target counts.
    if (is_shared && (place.scale == T(0) ? c == 0 : is_target)) *place.grad_log_var = of_noise;
  }
};

// Takes all steps, of as many places at a time as need `most_numbers` between them. `allocate(count)` is memory until
// it is called again, or the steps are done; `launch(f)` takes a functor through its indices.
template <class S, bool kGradients, class Allocate, class Launch>
void logit_noise_in_steps(const LogitNoiseProblem& p, int64_t most_numbers, const Allocate& allocate,
                          const Launch& launch) {
  using Step = LogitNoiseStep<S>;
  using Room = typename Step::Room;
  const int64_t all = LogitNoiseProblem::places(p), fit = most_numbers / Room::per_place(p),
                together = fit < 1 ? 1 : fit;
  for (int64_t first = 0; first < all; first += together) {
    Room room = Room::of(p, first, all - first < together ? all - first : together, kGradients);
    room.lay_out(p, allocate(room.lay_out(p, nullptr)));
    const Step step{p, room};
    launch(FlatLogitNoiseParts<S>{step});
    launch(FlatLogitNoiseDraws<S>{step});
    launch(FlatLogitNoiseLosses<S>{step});
    if constexpr (kGradients) {
      launch(FlatLogitNoiseSums<S>{step});
      if (room.stretches > 0) launch(FlatLogitNoiseStretches<S>{step});
      launch(FlatLogitNoiseGradients<S>{step});
    }
  }
}

}  // namespace bayesops
