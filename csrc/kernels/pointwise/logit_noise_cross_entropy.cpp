// Cross entropy of noisy logits: nothing of the draws is stored. Their gradients are formed in the same pass, while a
// draw's noise and probabilities are in registers and the first cache.
//
// Work is done on panels of places. Lanes are places and rows are classes, so that nothing is added across lanes; the
// noise, whose order has the classes first, is turned around on its way in. Each panel is worked on by itself: threads
// do not show. Double precision takes one place at a time, with FlatLogitNoise.
#include "kernels/pointwise/logit_noise_cross_entropy.h"

#include "kernels/flat/logit_noise_cross_entropy.h"
#include "kernels/pointwise/entry.h"
#include "kernels/rng/fill.h"
#include "kernels/simd/elementary.h"
#include "kernels/simd/transpose.h"

BAYESOPS_ISA_BEGIN

extern const FillKernels kFillKernels;

namespace {

using Math = VectorElementaryOf<1>;
constexpr int kWidth = kLanes<float>;
constexpr int kMostPlaces = 64;                 // of a panel
constexpr int64_t kParallelElements = 1 << 14;  // what a thread is worth waking for
constexpr float kLowest = -3.402823466e38f;

template <class S, bool kGradients>
class LogitNoise {
 public:
  LogitNoise(const LogitNoiseProblem& problem, double* partial)
      : p_(problem), partial_(partial), size_(logit_noise_panel(problem.classes)) {}

  void run(const Parallel& pool) const {
    const int64_t work = p_.draws * p_.classes * size_ + 1;
    parallel_for(pool, logit_noise_panels(p_), (kParallelElements + work - 1) / work, [&](int64_t begin, int64_t end) {
      Panel panel;
      panel.lay_out(p_.classes, size_);
      for (int64_t i = begin; i < end; ++i) work_on(i, panel);
    });
  }

 private:
  // Rows of `stride` places. What is kept of a place besides: its target and that class's logit and deviation, and the
  // sums over draws, which are measured from the largest probability of the target so far.
  struct Panel {
    int64_t stride, first;
    int count;                 // of places
    float *mean, *sigma;       // of the logits
    float *grad, *grad_noise;  // sums over draws
    float *probability, *eps;  // of one draw
    float* noise;
    alignas(kVectorBytes) int32_t target[kMostPlaces];
    alignas(kVectorBytes) float scale[kMostPlaces];
    alignas(kVectorBytes) float mean_at_target[kMostPlaces];
    alignas(kVectorBytes) float sigma_at_target[kMostPlaces];
    alignas(kVectorBytes) float largest[kMostPlaces];
    alignas(kVectorBytes) float sum[kMostPlaces];
    alignas(kVectorBytes) float sum_of_noise[kMostPlaces];
    alignas(kVectorBytes) float loss[kMostPlaces];
    // of one draw
    alignas(kVectorBytes) float highest[kMostPlaces];
    alignas(kVectorBytes) float noise_at_target[kMostPlaces];
    alignas(kVectorBytes) float total[kMostPlaces];
    alignas(kVectorBytes) float rescale[kMostPlaces];
    alignas(kVectorBytes) float factor[kMostPlaces];

    void lay_out(int64_t classes, int64_t places) {
      stride = places;
      const int64_t rows = classes * places;
      mean = scratch<float>(kScratchTile, 6 * rows);
      sigma = mean + rows;
      grad = sigma + rows;
      grad_noise = grad + rows;
      probability = grad_noise + rows;
      eps = probability + rows;
      // A vector of places is read beyond the last of them.
      noise = scratch<float>(kScratchNoise, rows + 2 * kFillAlign + kWidth);
    }
  };

  void work_on(int64_t index, Panel& panel) const {
    panel.first = index * size_;
    const int64_t left = LogitNoiseProblem::places(p_) - panel.first;
    panel.count = (int)(left < size_ ? left : size_);
    if (read_targets(panel)) {
      bring_in(panel);
      for (int64_t draw = 0; draw < p_.draws; ++draw) add_draw(Stream{(uint64_t)p_.seeds[draw], p_.stream}, panel);
      for (int at = 0; at < panel.count; at += kWidth) finish(at, panel);
    } else {
      for (int i = 0; i < kMostPlaces; ++i) panel.loss[i] = 0;
      if (kGradients) memset(panel.grad, 0, 2 * (size_t)(p_.classes * panel.stride) * sizeof(float));
    }
    bring_out(index, panel);
  }

  // False where all are ignored.
  bool read_targets(Panel& panel) const {
    const float* weight = static_cast<const float*>(p_.weight);
    const float share = p_.total == nullptr ? 1.0f : (float)(1.0 / *p_.total);
    bool any = false;
    for (int i = 0; i < kMostPlaces; ++i) {
      const int64_t target = i < panel.count ? p_.target[panel.first + i] : p_.ignore_index;
      const bool counts = target != p_.ignore_index;
      panel.target[i] = counts ? (int32_t)target : 0;
      panel.scale[i] = !counts ? 0.0f : weight == nullptr ? share : weight[target] * share;
      any |= counts;
    }
    return any;
  }

  // Calls run(place of the panel, number, element of its first class) for places that are neighbours in an example.
  template <class Run>
  void runs(const ClassImages& images, const Panel& panel, const Run& run) const {
    for (int i = 0; i < panel.count;) {
      const int64_t place = panel.first + i, example = place / p_.pixels, pixel = place % p_.pixels;
      int length = panel.count - i;
      if (p_.pixels - pixel < length) length = (int)(p_.pixels - pixel);
      run(i, length, example * images.example_stride + pixel * images.pixel_stride);
      i += length;
    }
  }

  template <class Use>
  void rows_in(const ClassImages& images, const Panel& panel, float* to, const Use& use) const {
    const S* data = static_cast<const S*>(images.data);
    runs(images, panel, [&](int place, int length, int64_t offset) {
      for (int64_t c = 0; c < p_.classes; ++c) {
        const S* from = data + offset + c * images.class_stride;
        for (int i = 0; i < length; ++i)
          to[c * panel.stride + place + i] = use(convert<float>(from[i * images.pixel_stride]));
      }
    });
  }

  void bring_in(Panel& panel) const {
    rows_in(p_.logits, panel, panel.mean, [](float x) { return x; });
    rows_in(p_.log_var, panel, panel.sigma, [](float x) { return 0.5f * x; });
    for (int64_t c = 0; c < p_.classes; ++c) {
      float* row = panel.sigma + c * panel.stride;
      for (int i = 0; i < panel.count; i += kWidth) store(row + i, Math::exp(load(row + i)));
    }
    for (int i = 0; i < kMostPlaces; ++i) {
      const int64_t at = panel.target[i] * panel.stride + i;
      panel.mean_at_target[i] = i < panel.count ? panel.mean[at] : 0.0f;
      panel.sigma_at_target[i] = i < panel.count ? panel.sigma[at] : 0.0f;
      panel.largest[i] = p_.mean_of_losses ? 0.0f : kLowest;
      panel.sum[i] = panel.sum_of_noise[i] = 0;
    }
    if (kGradients) memset(panel.grad, 0, 2 * (size_t)(p_.classes * panel.stride) * sizeof(float));
  }

  // Step by step for all vectors of places: each step is a chain of operations that wait for each other, and the
  // processor follows several at a time.
  void add_draw(Stream stream, Panel& panel) const {
    const int64_t first = panel.first * p_.classes, start = fill_start(first);
    kFillKernels.normals(panel.noise, start, first - start + panel.count * p_.classes, stream);
    const float* noise = panel.noise + (first - start);
    for (int at = 0; at < panel.count; at += kWidth) form_logits(noise + at * p_.classes, at, panel);
    for (int at = 0; at < panel.count; at += kWidth) form_exponentials(at, panel);
    for (int at = 0; at < panel.count; at += kWidth) weigh(at, panel);
    if (!kGradients) return;
    for (int at = 0; at < panel.count; at += kWidth) add_gradients(at, panel);
  }

  void form_logits(const float* noise, int at, Panel& panel) const {
    const VInt target = load_targets(panel.target + at);
    VFloat highest = broadcast(-__builtin_inff()), noise_at_target{};
    for (int64_t c = 0; c < p_.classes; c += kWidth) {
      const int columns = (int)(p_.classes - c < kWidth ? p_.classes - c : kWidth);
      transpose_block<float>(
          kWidth, columns, [&](int place) { return load(noise + place * p_.classes + c); },
          [&](int column, VFloat z) {
            const int64_t row = (c + column) * panel.stride + at;
            const VFloat x = fused_multiply_add(load(panel.sigma + row), z, load(panel.mean + row));
            store(panel.probability + row, x);
            if (kGradients) store(panel.eps + row, z);
            highest = greater(highest, x);
            noise_at_target = choose(target == (int32_t)(c + column), z, noise_at_target);
          });
    }
    store(panel.highest + at, highest);
    store(panel.noise_at_target + at, noise_at_target);
  }

  void form_exponentials(int at, Panel& panel) const {
    const VFloat highest = load(panel.highest + at);
    VFloat total{};
    for (int64_t c = 0; c < p_.classes; ++c) {
      float* x = panel.probability + c * panel.stride + at;
      const VFloat e = exponential<Math, true>(load(x) - highest);
      store(x, e);
      total += e;
    }
    store(panel.total + at, total);
  }

  void weigh(int at, Panel& panel) const {
    const VFloat noise = load(panel.noise_at_target + at), total = load(panel.total + at);
    const VFloat logit = fused_multiply_add(load(panel.sigma_at_target + at), noise, load(panel.mean_at_target + at));
    const VFloat log_probability = (logit - load(panel.highest + at)) - Math::log(total);
    const VFloat largest = load(panel.largest + at);
    VFloat weight = broadcast(1.0f), rescale = broadcast(1.0f);
    if (p_.mean_of_losses) {
      store(panel.largest + at, largest + log_probability);
    } else {
      // Of this draw's weight and the factor of what is summed already, one is 1.
      const VFloat rise = log_probability - largest, less_sure = Math::exp_minus(Math::absolute(rise));
      const VInt rises = rise > VFloat{};
      weight = choose(rises, weight, less_sure);
      rescale = choose(rises, less_sure, rescale);
      store(panel.largest + at, choose(rises, log_probability, largest));
    }
    store(panel.sum + at, fused_multiply_add(load(panel.sum + at), rescale, weight));
    if (!kGradients) return;
    float* of_noise = panel.sum_of_noise + at;
    store(of_noise, fused_multiply_add(load(of_noise), rescale, weight * noise));
    store(panel.rescale + at, rescale);
    store(panel.factor + at, weight / total);
  }

  void add_gradients(int at, Panel& panel) const {
    const VFloat rescale = load(panel.rescale + at), factor = load(panel.factor + at);
    for (int64_t row = at; row < p_.classes * panel.stride; row += panel.stride) {
      const VFloat part = load(panel.probability + row) * factor;
      store(panel.grad + row, fused_multiply_add(load(panel.grad + row), rescale, part));
      store(panel.grad_noise + row,
            fused_multiply_add(part, load(panel.eps + row), load(panel.grad_noise + row) * rescale));
    }
  }

  void finish(int at, Panel& panel) const {
    const VFloat scale = load(panel.scale + at), sum = load(panel.sum + at), largest = load(panel.largest + at);
    const VFloat draws = broadcast((float)p_.draws), none = broadcast(-__builtin_inff());
    // Where no draw gives the target any probability, the loss is infinite.
    const VFloat loss =
        p_.mean_of_losses ? -largest / draws : -(choose(sum == VFloat{}, none, Math::log(sum / draws)) + largest);
    store(panel.loss + at, choose(scale == VFloat{}, VFloat{}, loss * scale));
    if (!kGradients) return;
    const VInt target = load_targets(panel.target + at);
    const VFloat inverse = 1.0f / sum, noise_at_target = load(panel.sum_of_noise + at) * inverse;
    for (int64_t c = 0; c < p_.classes; ++c) {
      const VInt is_target = target == (int32_t)c;
      float *grad = panel.grad + c * panel.stride + at, *grad_noise = panel.grad_noise + c * panel.stride + at;
      const VFloat g = load(grad) * inverse - choose(is_target, broadcast(1.0f), VFloat{});
      const VFloat h = load(grad_noise) * inverse - choose(is_target, noise_at_target, VFloat{});
      const VFloat half_sigma = 0.5f * load(panel.sigma + c * panel.stride + at);
      store(grad, choose(scale == VFloat{}, VFloat{}, g * scale));
      store(grad_noise, choose(scale == VFloat{}, VFloat{}, h * half_sigma * scale));
    }
  }

  void bring_out(int64_t index, const Panel& panel) const {
    if (p_.losses != nullptr) {
      memcpy(static_cast<float*>(p_.losses) + panel.first, panel.loss, (size_t)panel.count * sizeof(float));
    } else {
      double sum = 0;
      for (int i = 0; i < panel.count; ++i) sum += (double)panel.loss[i];
      partial_[index] = sum;
    }
    if (!kGradients) return;
    rows_out(panel.grad, p_.grad_logits, panel);
    if (p_.grad_log_var.class_stride == 0)
      for (int64_t c = 1; c < p_.classes; ++c)
        for (int i = 0; i < panel.count; ++i) panel.grad_noise[i] += panel.grad_noise[c * panel.stride + i];
    rows_out(panel.grad_noise, p_.grad_log_var, panel);
  }

  void rows_out(const float* from, const ClassImages& images, const Panel& panel) const {
    const int64_t classes = images.class_stride == 0 ? 1 : p_.classes;
    float* data = static_cast<float*>(images.data);
    runs(images, panel, [&](int place, int length, int64_t offset) {
      for (int64_t c = 0; c < classes; ++c)
        for (int i = 0; i < length; ++i)
          data[offset + c * images.class_stride + i * images.pixel_stride] = from[c * panel.stride + place + i];
    });
  }

  BAYESOPS_INLINE VInt load_targets(const int32_t* p) {
    VInt v;
    memcpy(&v, p, sizeof v);
    return v;
  }

  const LogitNoiseProblem& p_;
  double* partial_;
  const int64_t size_;
};

template <class S>
void run_as(const LogitNoiseProblem& p, double* partial, const Parallel& pool) {
  if (p.grad_logits.data != nullptr) {
    LogitNoise<S, true>(p, partial).run(pool);
  } else {
    LogitNoise<S, false>(p, partial).run(pool);
  }
}

template <>
void run_as<double>(const LogitNoiseProblem& p, double* partial, const Parallel& pool) {
  const auto flat = [&](auto f) {
    using F = decltype(f);
    const int64_t panel = logit_noise_panel(p.classes), work = p.draws * p.classes * panel + 1;
    parallel_for(pool, logit_noise_panels(p), (kParallelElements + work - 1) / work, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i * panel, left = F::total(f) - first;
        double sum = 0;
        for (int64_t place = first; place < first + (left < panel ? left : panel); ++place) sum += F::run(f, place);
        if (partial != nullptr) partial[i] = sum;
      }
    });
  };
  if (p.grad_logits.data != nullptr) {
    flat(FlatLogitNoise<double, true>{p});
  } else {
    flat(FlatLogitNoise<double, false>{p});
  }
}

}  // namespace

void logit_noise_cross_entropy(const LogitNoiseProblem& p, double* partial, const Parallel& pool) {
  const auto run = p.dtype == kFloat32 ? run_as<float> : p.dtype == kFloat64 ? run_as<double> : run_as<BFloat16>;
  run(p, partial, pool);
}

BAYESOPS_ISA_END
