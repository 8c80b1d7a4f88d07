// What CUDA threads run, run by the host: each functor over its whole flat index range, one index after another.
// test_flat_functors.py compiles this file and compares with the CPU operators.
#include "kernels/flat/dropout.h"
#include "kernels/flat/gaussian.h"
#include "kernels/flat/masked_weight.h"
#include "kernels/flat/streams.h"

namespace {

using namespace bayesops;

template <class F>
void run(const F& f, int64_t total) {
  for (int64_t index = 0; index < total; ++index) F::run(f, index);
}

template <class F, class Out>
void run_stream(const int64_t* seeds, int64_t samples, int64_t count, int64_t block, int64_t stream, Out* out) {
  const F f{seeds, (uint32_t)stream, FlatBlocks{samples, count, block}, out};
  run(f, FlatBlocks::total(f.blocks));
}

// The mask as the arguments of every masked functor begin with it.
struct Mask {
  const int64_t* seeds;
  int64_t stream;
  double p;
  const uint8_t* given;
  int64_t given_sample_stride;

  // `elements` of one mask.
  MaskSource source(Granularity granularity, int64_t elements) const {
    MaskSource m;
    m.granularity = granularity;
    m.elements = elements;
    m.seeds = seeds;
    m.stream = (uint32_t)stream;
    m.law = bernoulli_law(p);
    m.given = given;
    m.given_sample_stride = given_sample_stride;
    return m;
  }
};

// weight [out_channels, group_in, taps]; `elements` of one mask.
struct Weight {
  int64_t granularity, samples, examples, per_example, out_channels, group_in, taps, groups, elements, channels_last;
};

template <class S>
void run_masked_weight(const Mask* mask, const Weight* w, const S* weight, double scale, S* out) {
  ConvProblem p{};
  p.samples = w->samples;
  p.examples = w->examples;
  p.per_example = w->per_example != 0;
  p.groups = w->groups;
  p.in_channels = w->group_in * w->groups;
  p.out_channels = w->out_channels;
  p.kernel[0] = p.kernel[1] = 1;
  p.kernel[2] = w->taps;
  p.weight = weight;
  p.mask = mask->source((Granularity)w->granularity, w->elements);
  p.scale = scale;
  const auto layout = FlatWeightLayout::of(w->out_channels, w->group_in, w->taps, w->channels_last != 0);
  if (layout.channels_last) {
    const auto f = FlatMaskedWeightTiles<S>::of(p, layout, out);
    return run(f, f.total(f));
  }
  const auto f = FlatMaskedWeight<S>::of(p, out);
  run(f, f.total(f));
}

struct Activations {
  int64_t samples, examples, channels, pixels, shared_input, channels_last, whole_channels;
};

template <class S>
void run_dropout(const Mask* mask, const Activations* a, const S* input, double scale, S* out) {
  DropoutProblem p{};
  p.samples = a->samples;
  p.examples = a->examples;
  p.channels = a->channels;
  p.pixels = a->pixels;
  p.shared_input = a->shared_input != 0;
  p.channels_last = a->channels_last != 0;
  p.whole_channels = a->whole_channels != 0;
  p.scale = scale;
  p.mask = mask->source(kGranularityWeight, 0);
  const auto f = FlatDropout<S>::of(p, input, out);
  run(f, f.total(f));
}

struct Layout {
  int64_t out_channels, in_channels, taps, channels_last;
};

template <class S>
void run_gaussian_weight(const int64_t* seeds, int64_t samples, int64_t stream, const Layout* l, const S* mu,
                         const S* sigma, S* out) {
  const auto layout = FlatWeightLayout::of(l->out_channels, l->in_channels, l->taps, l->channels_last != 0);
  if (layout.channels_last) {
    const auto f = FlatGaussianWeightTiles<S>::of(seeds, (uint32_t)stream, samples, layout, mu, sigma, out);
    return run(f, f.total(f));
  }
  const FlatBlocks blocks{samples, FlatWeightLayout::elements(layout), 4};
  const FlatGaussianWeight<S> f{seeds, (uint32_t)stream, blocks, mu, sigma, out};
  run(f, f.total(f));
}

// An output [N, O, *] of each sample, and a mean or standard deviation that the samples may share. The layout of the
// gradient is looked at where there is one.
struct Noise {
  const int64_t* seeds;
  int64_t stream, samples, examples, channels, pixels, shared, channels_last, grad_channels_last;

  FlatActivation<4> activation() const { return FlatActivation<4>{examples, channels, pixels}; }
};

// What a draw is made from, and what follows it.
struct Draws {
  int64_t spread_is_std;
  const void *bias_mean, *bias_variance, *scale, *shift, *residual;
  int64_t residual_sample_stride, relu;

  Epilogue epilogue() const { return {scale, shift, residual, residual_sample_stride, relu != 0}; }
};

template <class S>
void run_lrt_epilogue(const Noise* n, const Draws* d, const S* mean, const S* spread, S* out, S* std) {
  const FlatLrtEpilogue<S> f{n->seeds,
                             (uint32_t)n->stream,
                             n->samples,
                             n->activation(),
                             n->shared != 0,
                             n->channels_last != 0,
                             mean,
                             spread,
                             d->spread_is_std != 0,
                             static_cast<const S*>(d->bias_mean),
                             static_cast<const S*>(d->bias_variance),
                             FlatFinish<S>::of(d->epilogue()),
                             out,
                             std};
  run(f, FlatLrtEpilogue<S>::total(f));
}

template <class S>
void run_variance_grad(const Noise* n, const S* grad, const S* std, S* out) {
  const FlatVarianceGrad<S> f{n->seeds,
                              (uint32_t)n->stream,
                              n->samples,
                              n->activation(),
                              n->shared != 0,
                              n->grad_channels_last != 0,
                              n->channels_last != 0,
                              grad,
                              std,
                              out};
  run(f, FlatVarianceGrad<S>::total(f));
}

}  // namespace

extern "C" {

// Quotients and remainders of indices.
void flat_divide(const int64_t* indices, int64_t count, int64_t size, int64_t* quotients, int64_t* remainders) {
  const FlatExtent extent = size;
  for (int64_t i = 0; i < count; ++i) {
    quotients[i] = indices[i] / extent;
    remainders[i] = indices[i] % extent;
  }
}

void flat_bernoulli(const int64_t* seeds, int64_t samples, int64_t count, double p, int64_t stream, bool* out) {
  const FlatBernoulli f{seeds, (uint32_t)stream, bernoulli_law(p), FlatBlocks{samples, count, 16}, out};
  run(f, FlatBlocks::total(f.blocks));
}

void flat_normal(const int64_t* seeds, int64_t samples, int64_t count, int64_t stream, float* out) {
  run_stream<FlatNormal>(seeds, samples, count, 4, stream, out);
}

void flat_signs(const int64_t* seeds, int64_t samples, int64_t count, int64_t stream, float* out) {
  run_stream<FlatSigns>(seeds, samples, count, 4, stream, out);
}

void flat_words(const int64_t* seeds, int64_t samples, int64_t count, int64_t stream, uint32_t* out) {
  run_stream<FlatWords>(seeds, samples, count, 4, stream, out);
}

void flat_seeds(const int64_t* seed, int64_t samples, int64_t* out) { run(FlatSeeds{seed, out}, samples); }

void flat_masked_weight_float32(const Mask* mask, const Weight* w, const float* weight, double scale, float* out) {
  run_masked_weight(mask, w, weight, scale, out);
}

void flat_masked_weight_float64(const Mask* mask, const Weight* w, const double* weight, double scale, double* out) {
  run_masked_weight(mask, w, weight, scale, out);
}

void flat_dropout_float32(const Mask* mask, const Activations* a, const float* input, double scale, float* out) {
  run_dropout(mask, a, input, scale, out);
}

void flat_dropout_float64(const Mask* mask, const Activations* a, const double* input, double scale, double* out) {
  run_dropout(mask, a, input, scale, out);
}

void flat_gaussian_weight_float32(const int64_t* seeds, int64_t samples, int64_t stream, const Layout* layout,
                                  const float* mu, const float* sigma, float* out) {
  run_gaussian_weight(seeds, samples, stream, layout, mu, sigma, out);
}

void flat_gaussian_weight_float64(const int64_t* seeds, int64_t samples, int64_t stream, const Layout* layout,
                                  const double* mu, const double* sigma, double* out) {
  run_gaussian_weight(seeds, samples, stream, layout, mu, sigma, out);
}

void flat_lrt_epilogue_float32(const Noise* n, const Draws* d, const float* mean, const float* spread, float* out,
                               float* std) {
  run_lrt_epilogue(n, d, mean, spread, out, std);
}

void flat_lrt_epilogue_float64(const Noise* n, const Draws* d, const double* mean, const double* spread, double* out,
                               double* std) {
  run_lrt_epilogue(n, d, mean, spread, out, std);
}

void flat_variance_grad_float32(const Noise* n, const float* grad, const float* std, float* out) {
  run_variance_grad(n, grad, std, out);
}

void flat_variance_grad_float64(const Noise* n, const double* grad, const double* std, double* out) {
  run_variance_grad(n, grad, std, out);
}

}  // extern "C"
