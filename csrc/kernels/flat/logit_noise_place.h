// Cross entropy of noisy logits: what belongs to a place, for functors over a flat index.
#pragma once
#include "kernels/flat/compute_type.h"
#include "kernels/flat/run.h"
#include "kernels/pointwise/logit_noise_cross_entropy.h"

namespace bayesops {

// What a mean over the places counts each of them for: the weight of its target, 0 where that is ignored.
template <class S>
struct FlatTargetWeight {
  LogitNoiseProblem problem;
  double* out;

  BAYESOPS_HD_MEMBER int64_t total(const FlatTargetWeight& f) { return LogitNoiseProblem::places(f.problem); }
  BAYESOPS_HD_MEMBER void run(const FlatTargetWeight& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    const LogitNoiseProblem& p = f.problem;
    const int64_t target = p.target[index];
    double weight = 0;
    if (target != p.ignore_index)
      weight = target < 0 || target >= p.classes ? __builtin_nan("")
               : p.weight == nullptr             ? 1.0
                                                 : (double)static_cast<const T*>(p.weight)[target];
    f.out[index] = weight;
  }
};

template <class S>
struct LogitNoisePlace {
  using T = typename ComputeOf<S>::T;
  using Math = typename ElementaryOf<T>::Math;

  int64_t target, noise;  // class; element of the streams
  T scale;                // of the loss: 0 where it is ignored
  const S *logits, *log_var;
  T *grad_logits, *grad_log_var;

  BAYESOPS_HD_MEMBER LogitNoisePlace of(const LogitNoiseProblem& p, int64_t index) {
    const int64_t example = index / p.pixels, pixel = index % p.pixels;
    LogitNoisePlace place;
    place.target = p.target[index];
    place.noise = index * p.classes;
    place.logits = static_cast<const S*>(p.logits.data) + offset(p.logits, example, pixel);
    place.log_var = static_cast<const S*>(p.log_var.data) + offset(p.log_var, example, pixel);
    place.grad_logits = static_cast<T*>(p.grad_logits.data) + offset(p.grad_logits, example, pixel);
    place.grad_log_var = static_cast<T*>(p.grad_log_var.data) + offset(p.grad_log_var, example, pixel);
    if (place.target == p.ignore_index) {
      place.scale = 0;
    } else if (place.target < 0 || place.target >= p.classes) {
      // The CPU looks before it begins. Here nobody can be told without waiting for the device.
      place.target = 0;
      place.scale = (T)__builtin_nan("");
    } else {
      const T share = p.total == nullptr ? T(1) : (T)(1.0 / *p.total);
      place.scale = p.weight == nullptr ? share : static_cast<const T*>(p.weight)[place.target] * share;
    }
    return place;
  }
  BAYESOPS_HD_MEMBER T read_mean(const LogitNoiseProblem& p, const LogitNoisePlace& place, int64_t c) {
    return (T)place.logits[c * p.logits.class_stride];
  }
  BAYESOPS_HD_MEMBER T sigma_of(T log_var) { return Math::exp(T(0.5) * log_var); }
  BAYESOPS_HD_MEMBER T read_sigma(const LogitNoiseProblem& p, const LogitNoisePlace& place, int64_t c) {
    return sigma_of((T)place.log_var[c * p.log_var.class_stride]);
  }
  // Gradients of a class; of a log variance that all classes have, not here.
  BAYESOPS_HD_MEMBER void write(const LogitNoiseProblem& p, const LogitNoisePlace& place, int64_t c, T of_logit,
                                T of_noise) {
    place.grad_logits[c * p.grad_logits.class_stride] = of_logit;
    if (p.grad_log_var.class_stride != 0) place.grad_log_var[c * p.grad_log_var.class_stride] = of_noise;
  }

  // Of draws, measured from the largest log probability of the target: `sum` counts them by their probability. With a
  // mean of losses, `largest` is the sum of log probabilities.
  BAYESOPS_HD_MEMBER T loss(const LogitNoiseProblem& p, const LogitNoisePlace& place, T largest, T sum) {
    const T draws = (T)p.draws;
    // Where no draw gives the target any probability, the loss is infinite.
    const T loss = p.mean_of_losses ? -largest / draws
                   : sum == T(0)    ? (T)__builtin_inf()
                                    : -(Math::log(sum / draws) + largest);
    return loss * place.scale;
  }
  BAYESOPS_HD_MEMBER T loss_if_ignored(const LogitNoiseProblem& p) {
    return p.total != nullptr && *p.total == 0.0 ? (T)__builtin_nan("") : T(0);  // the mean of nothing, as in torch
  }

 private:
  BAYESOPS_HD_MEMBER int64_t offset(const ClassImages& images, int64_t example, int64_t pixel) {
    return example * images.example_stride + pixel * images.pixel_stride;
  }
};

}  // namespace bayesops
