// Cross entropy of noisy logits as a functor over the places: what a CUDA thread does, callable on the host as well.
#pragma once
#include "kernels/flat/logit_noise_place.h"
#include "kernels/flat/streams.h"

namespace bayesops {

// With kMost classes or fewer, all that belongs to a place is in registers. 0, for the CPU in double precision (a
// device takes steps instead): any number of classes; each pass over them draws the noise anew, and the sums of the
// gradients are formed where these will be.
template <class S, bool kGradients, int kMost = 0>
struct FlatLogitNoise {
  using T = typename ComputeOf<S>::T;
  using Math = typename ElementaryOf<T>::Math;
  static constexpr bool kKept = kMost > 0;
  static constexpr int kRoom = kKept ? kMost : 1;

  LogitNoiseProblem problem;

  struct Place : LogitNoisePlace<S> {
    T mean[kRoom], sigma[kRoom], eps[kRoom], of_logit[kRoom], of_noise[kRoom];  // if kept
    T of_shared_noise;  // otherwise, if all classes have one log variance
  };
  // Over draws, measured from the largest probability of the target so far: `sum` counts the draws by that.
  struct Sums {
    T largest, sum, noise;
  };

  BAYESOPS_HD_MEMBER int64_t total(const FlatLogitNoise& f) { return LogitNoiseProblem::places(f.problem); }

  // Returns the loss of the place.
  BAYESOPS_HD_MEMBER T run(const FlatLogitNoise& f, int64_t index) {
    const LogitNoiseProblem& p = f.problem;
    Place place{LogitNoisePlace<S>::of(p, index)};
    T loss;
    if (place.scale != T(0)) {
      bring_in(p, place);
      Sums sums{p.mean_of_losses ? T(0) : (T)-3.402823466e38, 0, 0};
      for (int64_t draw = 0; draw < p.draws; ++draw)
        add_draw(p, Stream{(uint64_t)p.seeds[draw], p.stream}, place, sums);
      loss = Place::loss(p, place, sums.largest, sums.sum);
      if (kGradients) bring_out(p, place, sums);
    } else {
      loss = Place::loss_if_ignored(p);
      if (kGradients) {
        for (int64_t c = 0; c < p.classes; ++c) Place::write(p, place, c, 0, 0);
        if (p.grad_log_var.class_stride == 0) *place.grad_log_var = 0;
      }
    }
    if (p.losses != nullptr) static_cast<T*>(p.losses)[index] = loss;
    return loss;
  }

 private:
  // Calls use(c) for the classes; where they are kept, c is known when it is compiled, and there may be a few more of
  // them, whose probability is 0.
  template <class Use>
  BAYESOPS_HD_MEMBER void each(const LogitNoiseProblem& p, const Use& use) {
    if constexpr (kKept) {
      unrolled_in_fours<kMost>((int)p.classes, use);
    } else {
      for (int64_t c = 0; c < p.classes; ++c) use(c);
    }
  }

  BAYESOPS_HD_MEMBER void bring_in(const LogitNoiseProblem& p, Place& place) {
    each(p, [&](auto c) {
      if constexpr (kKept) {
        const bool is_one = c < (int)p.classes;
        place.mean[c] = is_one ? Place::read_mean(p, place, c) : (T)-__builtin_inf();
        place.sigma[c] = is_one ? Place::read_sigma(p, place, c) : T(0);
        place.of_logit[c] = place.of_noise[c] = 0;
      } else if constexpr (kGradients) {
        Place::write(p, place, c, 0, 0);
      }
    });
  }

  BAYESOPS_HD_MEMBER void add_draw(const LogitNoiseProblem& p, Stream stream, Place& place, Sums& sums) {
    NormalRun noise = NormalRun::of(stream, (uint64_t)place.noise, p.classes);
    const auto eps = [&](auto c) {
      if constexpr (kKept) return place.eps[c];
      return (T)NormalRun::draw(noise, c);
    };
    const auto logit = [&](auto c, T z) {
      if constexpr (kKept) return Math::fma(place.sigma[c], z, place.mean[c]);
      return Math::fma(Place::read_sigma(p, place, c), z, Place::read_mean(p, place, c));
    };
    if constexpr (kKept) each(p, [&](auto c) { place.eps[c] = (T)NormalRun::draw(noise, c); });

    T highest = (T)-__builtin_inf(), noise_at_target = 0, logit_at_target = 0, total = 0;
    each(p, [&](auto c) {
      const T z = eps(c), x = logit(c, z);
      highest = Math::at_least(x, highest);
      if (c == (decltype(c))place.target) {
        noise_at_target = z;
        logit_at_target = x;
      }
    });
    each(p, [&](auto c) { total += quick_exp(logit(c, eps(c)) - highest); });
    const T log_probability = (logit_at_target - highest) - Math::log(total);
    T weight = 1, rescale = 1;
    if (p.mean_of_losses) {
      sums.largest += log_probability;
    } else {
      // Of this draw's weight and the factor of what is summed already, one is 1.
      const T rise = log_probability - sums.largest, less_sure = Math::exp_minus(Math::absolute(rise));
      if (rise > T(0)) {
        rescale = less_sure;
        sums.largest = log_probability;
      } else {
        weight = less_sure;
      }
    }
    sums.sum = sums.sum * rescale + weight;
    if constexpr (kGradients) {
      sums.noise = sums.noise * rescale + weight * noise_at_target;
      const T factor = weight / total;
      T shared = place.of_shared_noise * rescale;
      each(p, [&](auto c) {
        const T z = eps(c), part = quick_exp(logit(c, z) - highest) * factor;
        if constexpr (kKept) {
          place.of_logit[c] = Math::fma(place.of_logit[c], rescale, part);
          place.of_noise[c] = Math::fma(part, z, place.of_noise[c] * rescale);
        } else {
          T* of_logit = place.grad_logits + c * p.grad_logits.class_stride;
          *of_logit = Math::fma(*of_logit, rescale, part);
          if (p.grad_log_var.class_stride != 0) {
            T* of_noise = place.grad_log_var + c * p.grad_log_var.class_stride;
            *of_noise = Math::fma(part, z, *of_noise * rescale);
          } else {
            shared = Math::fma(part, z, shared);
          }
        }
      });
      place.of_shared_noise = shared;
    }
  }

  BAYESOPS_HD_MEMBER void bring_out(const LogitNoiseProblem& p, const Place& place, const Sums& sums) {
    const T inverse = T(1) / sums.sum, half = T(0.5) * place.scale;
    T shared = place.of_shared_noise * inverse - sums.noise * inverse, sigma = 0;
    if (kKept) shared = -sums.noise * inverse;
    each(p, [&](auto c) {
      if (kKept && c >= (decltype(c))p.classes) return;
      const bool is_target = c == place.target;
      T of_logit, of_noise;
      if constexpr (kKept) {
        of_logit = place.of_logit[c];
        of_noise = place.of_noise[c];
        sigma = place.sigma[c];
        shared = Math::fma(of_noise, inverse, shared);
      } else {
        of_logit = place.grad_logits[c * p.grad_logits.class_stride];
        of_noise = place.grad_log_var[c * p.grad_log_var.class_stride];
        sigma = Place::read_sigma(p, place, c);
      }
      of_logit = of_logit * inverse - (is_target ? T(1) : T(0));
      of_noise = (of_noise - (is_target ? sums.noise : T(0))) * inverse;
      Place::write(p, place, c, of_logit * place.scale, of_noise * sigma * half);
    });
    if (p.grad_log_var.class_stride == 0) *place.grad_log_var = shared * sigma * half;
  }
};

}  // namespace bayesops
