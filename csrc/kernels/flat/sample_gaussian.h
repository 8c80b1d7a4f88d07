// Gaussian weights with their log q and log prior as functors: what a CUDA thread does, callable on the host as well.
#pragma once
#include "kernels/flat/compute_type.h"
#include "kernels/flat/streams.h"
#include "kernels/pointwise/sample_gaussian.h"

namespace bayesops {

// Calls Functor::run_as<Spread, Prior>(functor, index) with the types that a problem asks for.
template <class Math, class Functor>
BAYESOPS_HD void run_by_kind(const Functor& f, bool alpha, PriorKind prior, int64_t index) {
  switch (prior) {
    case kPriorNone:
      return alpha ? Functor::template run_as<AlphaSpread<Math>, NoPrior<Math>>(f, index)
                   : Functor::template run_as<SoftplusSpread<Math>, NoPrior<Math>>(f, index);
    case kPriorGaussian:
      return alpha ? Functor::template run_as<AlphaSpread<Math>, GaussianPrior<Math>>(f, index)
                   : Functor::template run_as<SoftplusSpread<Math>, GaussianPrior<Math>>(f, index);
    case kPriorLaplace:
      return alpha ? Functor::template run_as<AlphaSpread<Math>, LaplacePrior<Math>>(f, index)
                   : Functor::template run_as<SoftplusSpread<Math>, LaplacePrior<Math>>(f, index);
    case kPriorMixture:
      return alpha ? Functor::template run_as<AlphaSpread<Math>, MixturePrior<Math>>(f, index)
                   : Functor::template run_as<SoftplusSpread<Math>, MixturePrior<Math>>(f, index);
  }
}

// An index of a sample writes its own share of the two sums, of the blocks that FlatRows gives it.
template <class S>
struct FlatSampleGaussian {
  SampleGaussianProblem problem;
  S* weights;
  double* partial;  // [log q, log prior][samples][indices of a sample]

  BAYESOPS_HD_MEMBER int64_t per_sample(const SampleGaussianProblem& p) { return FlatRows::indices(p.elements); }
  BAYESOPS_HD_MEMBER int64_t total(const SampleGaussianProblem& p) { return p.samples * per_sample(p); }

  template <class Spread, class Prior>
  BAYESOPS_HD_MEMBER void run_as(const FlatSampleGaussian& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    const SampleGaussianProblem& p = f.problem;
    const Prior prior = Prior::of(p.prior);
    const S *mu = static_cast<const S*>(p.mu), *spread = static_cast<const S*>(p.spread);
    const int64_t indices = per_sample(p), sample = index / indices, place = index % indices;
    const Stream stream{(uint64_t)p.seeds[sample], p.stream};
    double log_q = 0, log_prior = 0;
    FlatRows::each_block(place, p.elements, [&](int64_t first) {
      const NormalBlock normals = normal_block(stream, (uint64_t)first / 4);
      const int64_t left = p.elements - first;
      T m[4], r[4], w[4];
      read_run(mu + first, 1, left, m);
      read_run(spread + first, 1, left, r);
      unrolled<4>(left, [&](int i) {
        const T z = (T)normals.z[i];
        const Spread s = Spread::of(m[i], r[i]);
        w[i] = m[i] + s.sigma * z;
        log_q += -0.5 * (double)(z * z) - (double)Spread::log_sigma(s, r[i]) - kLogSqrt2Pi;
        log_prior += (double)Prior::log_density(prior, w[i]) + p.prior.constant;
      });
      write_run(w, 1, left, f.weights + sample * p.elements + first);
    });
    f.partial[index] = log_q;
    f.partial[total(p) + index] = log_prior;
  }

  BAYESOPS_HD_MEMBER void run(const FlatSampleGaussian& f, int64_t index) {
    run_by_kind<typename ElementaryOf<typename ComputeOf<S>::T>::Math>(f, f.problem.alpha, f.problem.prior.kind, index);
  }
};

// The gradient of one block of four elements, over all samples.
template <class S>
struct FlatSampleGaussianGradient {
  SampleGaussianProblem problem;
  const S* grad_weights;  // null: zeros, as the two below
  const double *grad_log_q, *grad_log_prior;
  S *grad_mu, *grad_spread;

  BAYESOPS_HD_MEMBER int64_t total(const SampleGaussianProblem& p) { return (p.elements + 3) / 4; }

  template <class Spread, class Prior>
  BAYESOPS_HD_MEMBER void run_as(const FlatSampleGaussianGradient& f, int64_t index) {
    using T = typename ComputeOf<S>::T;
    const SampleGaussianProblem& p = f.problem;
    const Prior prior = Prior::of(p.prior);
    const S *mu = static_cast<const S*>(p.mu), *spread = static_cast<const S*>(p.spread);
    const int64_t first = index * 4, left = p.elements - first;
    T m[4], r[4], sigma[4], kept[4], of_mu[4] = {}, of_sigma[4] = {}, g[4] = {};
    read_run(mu + first, 1, left, m);
    read_run(spread + first, 1, left, r);
    unrolled<4>(left, [&](int i) {
      const Spread s = Spread::of(m[i], r[i]);
      sigma[i] = s.sigma;
      kept[i] = Spread::kept(s);
    });
    double sum_log_q = 0;
    for (int64_t sample = 0; sample < p.samples; ++sample) {
      const NormalBlock normals = normal_block(Stream{(uint64_t)p.seeds[sample], p.stream}, (uint64_t)index);
      const T prior_factor = f.grad_log_prior == nullptr ? T(0) : (T)f.grad_log_prior[sample];
      if (f.grad_log_q != nullptr) sum_log_q += f.grad_log_q[sample];
      if (f.grad_weights != nullptr) read_run(f.grad_weights + sample * p.elements + first, 1, left, g);
      unrolled<4>(left, [&](int i) {
        const T z = (T)normals.z[i];
        T of_weight = g[i];
        if constexpr (Prior::kAny) of_weight += prior_factor * Prior::slope(prior, m[i] + sigma[i] * z);
        of_mu[i] += of_weight;
        of_sigma[i] += of_weight * z;
      });
    }
    const T grad_log_q = (T)sum_log_q;
    unrolled<4>(left, [&](int i) {
      if constexpr (Spread::kOfMean) of_mu[i] += Spread::of_mean(kept[i], m[i], of_sigma[i], -grad_log_q);
      of_sigma[i] = (of_sigma[i] * sigma[i] - grad_log_q) * Spread::log_slope(kept[i]);
    });
    write_run(of_mu, 1, left, f.grad_mu + first);
    write_run(of_sigma, 1, left, f.grad_spread + first);
  }

  BAYESOPS_HD_MEMBER void run(const FlatSampleGaussianGradient& f, int64_t index) {
    const PriorKind prior = f.grad_log_prior == nullptr ? kPriorNone : f.problem.prior.kind;
    run_by_kind<typename ElementaryOf<typename ComputeOf<S>::T>::Math>(f, f.problem.alpha, prior, index);
  }
};

}  // namespace bayesops
