// Cross entropy of logits that carry Gaussian noise, over T draws of it, with its gradients.
#pragma once
#include "kernels/conv/problem.h"

namespace bayesops {

// [examples, classes, pixels] in any order of memory.
struct ClassImages {
  void* data = nullptr;
  int64_t example_stride = 0, class_stride = 0, pixel_stride = 0;
};

// A place is a pixel of an example; its noise are the elements place * classes and following of each draw's stream.
struct LogitNoiseProblem {
  DType dtype = kFloat32;
  int64_t draws = 0, examples = 0, classes = 0, pixels = 0;
  ClassImages logits, log_var;  // a log variance for all classes of a place has a class_stride of 0
  const int64_t* seeds = nullptr;
  uint32_t stream = 0;
  const int64_t* target = nullptr;  // [places]
  int64_t ignore_index = 0;
  const void* weight = nullptr;   // [classes] in the computing type; null: ones
  const double* total = nullptr;  // what losses are divided by; null: 1
  bool mean_of_losses = false;    // rather than the loss of the mean of the probabilities

  // Where results go, each null where it is not wanted, all in the computing type. Losses [places] and gradients have
  // the weight of their place's target in them. The gradients lie as `logits` and `log_var` do in grad_logits and
  // grad_log_var.
  void* losses = nullptr;
  ClassImages grad_logits, grad_log_var;

  BAYESOPS_HD_MEMBER int64_t places(const LogitNoiseProblem& p) { return p.examples * p.pixels; }
};

// Places that the CPU works on together, so many that no vector is cut and few enough to stay in cache.
static inline int64_t logit_noise_panel(int64_t classes) { return classes <= 32 ? 64 : 16; }
static inline int64_t logit_noise_panels(const LogitNoiseProblem& p) {
  const int64_t panel = logit_noise_panel(p.classes);
  return (LogitNoiseProblem::places(p) + panel - 1) / panel;
}

}  // namespace bayesops
