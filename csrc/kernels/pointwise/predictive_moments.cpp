// Moments of predictive draws in one pass over a chunk of them: softmax, mean, squared deviations and entropy.
//
// Work is done on panels, rows of a vector's lanes. Lanes are neighbouring places and rows are classes, so that nothing
// is added across lanes; where classes are many, or places few, a panel is a single place, and lanes are its classes.
// Each panel is worked on by itself: threads do not show. Double precision runs what a CUDA thread does.
#include "kernels/pointwise/predictive_moments.h"

#include "kernels/flat/predictive_moments.h"
#include "kernels/pointwise/entry.h"
#include "kernels/simd/elementary.h"
#include "kernels/simd/float16.h"
#include "kernels/simd/transpose.h"

BAYESOPS_ISA_BEGIN

namespace {

using Math = VectorElementaryOf<1>;
constexpr int kWidth = kLanes<float>;
constexpr int kMostDraws = 16;                  // worked on together
constexpr int64_t kTileFloats = 6 * 1024;       // of their exponentials: half of a level 1 cache
constexpr int64_t kParallelElements = 1 << 15;  // what a thread is worth waking for
// What is fetched ahead of its turn, in lanes: each class of each draw is a run of memory by itself, and those are more
// than the processor follows. Measured with 11 classes of 4 x 8 x 180 x 240: 3.6 ms instead of 10.
constexpr int64_t kAhead = 64;

// The elements (row, lane) of a panel in a tensor, from `first` on.
struct Window {
  int64_t first, row_step, lane_step;
};

struct Panel {
  int64_t rows;
  int lanes, last_lanes;  // that count: of all rows but the last, and of the last
  Window samples, mean, deviations, entropy;

  int lanes_of(int64_t row) const { return row + 1 < rows ? lanes : last_lanes; }
};

// --- between tensors and panels --------------------------------------------------------------------------------------

template <class S>
BAYESOPS_INLINE void bring_in(const S* from, const Window& w, const Panel& panel, float padding, float* to) {
  from += w.first;
  if (w.lane_step == 1) {
    for (int64_t r = 0; r < panel.rows; ++r) {
      const uint32_t bits = low_bits(panel.lanes_of(r));
      __builtin_prefetch(from + r * w.row_step + kAhead);
      store(to + r * kWidth,
            choose(lane_mask<float>(bits), load_as<float>(from + r * w.row_step, bits), broadcast(padding)));
    }
  } else if (w.row_step == 1) {
    for (int64_t r = 0; r < panel.rows; r += kWidth) {
      const int rows = (int)(panel.rows - r < kWidth ? panel.rows - r : kWidth);
      transpose_block<float>(
          panel.lanes, rows,
          [&](int i) {
            const S* lane = from + i * w.lane_step + r;
            __builtin_prefetch(lane + kAhead * w.lane_step);
            return load_as<float>(lane, low_bits(rows));
          },
          [&](int i, VFloat v) { store(to + (r + i) * kWidth, v); });
    }
  } else {
    for (int64_t r = 0; r < panel.rows; ++r)
      for (int i = 0; i < kWidth; ++i)
        to[r * kWidth + i] = i < panel.lanes_of(r) ? convert<float>(from[r * w.row_step + i * w.lane_step]) : padding;
  }
}

BAYESOPS_INLINE void bring_out(const float* from, const Window& w, const Panel& panel, float* to) {
  to += w.first;
  if (w.lane_step == 1) {
    for (int64_t r = 0; r < panel.rows; ++r) {
      float* row = to + r * w.row_step;
      __builtin_prefetch(row + kAhead, 1);
      store_partial<float>(row, load(from + r * kWidth), panel.lanes_of(r));
    }
  } else if (w.row_step == 1) {
    for (int64_t r = 0; r < panel.rows; r += kWidth) {
      const int rows = (int)(panel.rows - r < kWidth ? panel.rows - r : kWidth);
      transpose_block<float>(
          rows, panel.lanes, [&](int i) { return load(from + (r + i) * kWidth); },
          [&](int i, VFloat v) {
            float* lane = to + i * w.lane_step + r;
            __builtin_prefetch(lane + kAhead * w.lane_step, 1);
            store_partial<float>(lane, v, rows);
          });
    }
  } else {
    for (int64_t r = 0; r < panel.rows; ++r)
      for (int i = 0; i < panel.lanes_of(r); ++i) to[r * w.row_step + i * w.lane_step] = from[r * kWidth + i];
  }
}

// --- across lanes ----------------------------------------------------------------------------------------------------

// Lane i of the result is lane i + by, around the end.
template <int by>
BAYESOPS_INLINE VFloat rotated(VFloat v) {
#if defined(__clang__)
  VFloat r;
  for (int i = 0; i < kWidth; ++i) r[i] = v[(i + by) % kWidth];
  return r;
#else
  VInt from;
  for (int i = 0; i < kWidth; ++i) from[i] = (i + by) % kWidth;
  return __builtin_shuffle(v, from);
#endif
}

// In every lane what `fold` makes of all of them.
template <int by = kWidth / 2, class Fold>
BAYESOPS_INLINE VFloat across(VFloat v, const Fold& fold) {
  v = fold(v, rotated<by>(v));
  if constexpr (by > 1) v = across<by / 2>(v, fold);
  return v;
}

// --- the work on a panel ---------------------------------------------------------------------------------------------

// The exponentials of a draw's logits, from the largest on down, and 1 over their sum. Returns the draw's entropy:
// log(sum) - (sum of e^u u) / sum with the logits u beneath the largest. What exp makes 0 of counts as -150, so that
// 0 log 0 is 0. `to` may be where the logits are.
template <bool kAcross, bool kEntropy>
__attribute__((noinline)) VFloat exponentials(const float* x, int64_t step, int64_t rows, float* to, float* inverse) {
  const auto larger = [](VFloat a, VFloat b) { return greater(a, b); };
  const auto sum_of = [](VFloat a, VFloat b) { return a + b; };
  VFloat highest = load(x);
  for (int64_t r = 1; r < rows; ++r) highest = larger(highest, load(x + r * step));
  if (kAcross) highest = across(highest, larger);
  VFloat sum{}, product{};
  for (int64_t r = 0; r < rows; ++r) {
    const VFloat under = greater(broadcast(-150.0f), load(x + r * step) - highest);
    const VFloat e = exponential<Math, true>(under);
    store(to + r * kWidth, e);
    sum += e;
    if (kEntropy) product = fused_multiply_add(e, under, product);
  }
  if (kAcross) sum = across(sum, sum_of);
  const VFloat over = 1.0f / sum;
  store(inverse, over);
  if (!kEntropy) return VFloat{};
  if (kAcross) product = across(product, sum_of);
  return Math::log(sum) - product * over;
}

// Draws that are worked on together: rows of each, `step` apart, and the factor that makes them probabilities.
struct Draws {
  const float* rows[kMostDraws];
  int64_t step;
  float inverse[kMostDraws * kWidth];
  int count;
};

// Welford's update (1962) of the mean and squared deviations of `before` draws. All is measured from `origin`, a number
// next to the draws, so that a mean far from 0 costs no digits. Of the first probabilities it is 0: their mean may well
// be far less than any one of them.
template <bool kSoftmax>
__attribute__((noinline)) void update(const Draws& draws, int64_t rows, int64_t before, bool set_origin, float* origin,
                                      float* mean, float* deviations) {
  float part[kMostDraws];
  for (int draw = 0; draw < draws.count; ++draw) part[draw] = 1.0f / (float)(before + draw + 1);
  for (int64_t r = 0; r < rows; ++r) {
    const auto value = [&](int draw) {
      const VFloat v = load(draws.rows[draw] + r * draws.step);
      return kSoftmax ? v * load(draws.inverse + draw * kWidth) : v;
    };
    float *at = origin + r * kWidth, *to_mean = mean + r * kWidth, *to_deviations = deviations + r * kWidth;
    const VFloat from = !set_origin ? load(at) : kSoftmax ? VFloat{} : value(0);
    VFloat m = before == 0 ? VFloat{} : load(to_mean), d = before == 0 ? VFloat{} : load(to_deviations);
    for (int draw = 0; draw < draws.count; ++draw) {
      const VFloat away = value(draw) - from, gap = away - m;
      m = fused_multiply_add(gap, broadcast(part[draw]), m);
      d = fused_multiply_add(gap, away - m, d);
    }
    store(at, from);
    store(to_mean, m);
    store(to_deviations, d);
  }
}

template <class S>
class PredictiveMoments {
 public:
  explicit PredictiveMoments(const PredictiveMomentsProblem& problem) : p_(problem) {
    choose_panels();
    size_ = rows() * kWidth;
    together_ = kTileFloats / size_;
    if (together_ > kMostDraws) together_ = kMostDraws;
    if (together_ > p_.draws) together_ = p_.draws;
    if (together_ < 1) together_ = 1;
  }

  void run(const Parallel& pool) const {
    const int64_t work = p_.draws * size_;
    parallel_for(pool, panels_, (kParallelElements + work - 1) / work, [&](int64_t begin, int64_t end) {
      float* room = scratch<float>(kScratchTile, (3 + together_) * size_);
      for (int64_t i = begin; i < end; ++i) across_ ? work_on<true>(panel(i), room) : work_on<false>(panel(i), room);
    });
  }

 private:
  int64_t rows() const { return across_ ? (p_.classes + kWidth - 1) / kWidth : p_.classes; }

  // Lanes along the axis that makes the fewest panels, one of neighbours in memory if it makes few enough; or else
  // along the classes.
  void choose_panels() {
    double least = 0;
    panels_ = 1;
    for (int axis = 0; axis < p_.axes; ++axis) {
      const int64_t panels = p_.places / p_.size[axis] * ((p_.size[axis] + kWidth - 1) / kWidth);
      const double cost = (double)panels * (p_.samples.axis_stride[axis] == 1 ? 0.25 : 1);
      if (lane_axis_ >= 0 && cost >= least) continue;
      least = cost;
      lane_axis_ = axis;
      panels_ = panels;
    }
    // By classes, taking the maximum and two sums across lanes costs as much as four vectors of exponentials; by places
    // turning the classes into rows, a quarter of theirs.
    const int64_t by_classes = p_.places * ((p_.classes + kWidth - 1) / kWidth + 4), by_places = panels_ * p_.classes;
    across_ = p_.softmax && p_.samples.class_stride == 1 && 4 * by_classes <= 5 * by_places;
    if (!across_) return;
    lane_axis_ = -1;
    panels_ = p_.places;
  }

  Panel panel(int64_t index) const {
    int64_t offset[4] = {0, 0, 0, 0};
    const PlacedTensor* tensors[4] = {&p_.samples, &p_.mean, &p_.deviations, &p_.entropy};
    Panel panel;
    panel.rows = rows();
    panel.lanes = kWidth;
    panel.last_lanes = (int)(p_.classes - (panel.rows - 1) * kWidth);
    if (lane_axis_ >= 0) {
      const int64_t size = p_.size[lane_axis_], blocks = (size + kWidth - 1) / kWidth, first = index % blocks * kWidth;
      index /= blocks;
      for (int t = 0; t < 4; ++t) offset[t] = first * tensors[t]->axis_stride[lane_axis_];
      panel.lanes = panel.last_lanes = (int)(size - first < kWidth ? size - first : kWidth);
    } else if (!across_) {
      panel.lanes = panel.last_lanes = 1;
    }
    for (int axis = p_.axes - 1; axis >= 0; --axis) {
      if (axis == lane_axis_) continue;
      const int64_t at = index % p_.size[axis];
      index /= p_.size[axis];
      for (int t = 0; t < 4; ++t) offset[t] += at * tensors[t]->axis_stride[axis];
    }
    Window* windows[4] = {&panel.samples, &panel.mean, &panel.deviations, &panel.entropy};
    for (int t = 0; t < 4; ++t) {
      const int64_t step = tensors[t]->class_stride;
      *windows[t] = across_ ? Window{offset[t], kWidth * step, step}
                            : Window{offset[t], step, lane_axis_ < 0 ? 1 : tensors[t]->axis_stride[lane_axis_]};
    }
    return panel;
  }

  template <bool kAcross>
  void work_on(const Panel& panel, float* room) const {
    float *origin = room, *mean = origin + size_, *deviations = mean + size_, *tiles = deviations + size_;
    const float* old_mean = static_cast<const float*>(p_.mean.data);
    const bool fresh = p_.count == 0;
    if (!fresh) bring_in(old_mean, panel.mean, panel, 0.0f, origin);
    const Panel one{1, kAcross ? 1 : panel.lanes, kAcross ? 1 : panel.lanes, {}, {}, {}, {}};
    float* entropy = static_cast<float*>(p_.entropy.data);
    alignas(kVectorBytes) float entropies[kWidth] = {};
    if (entropy != nullptr && !fresh) bring_in(static_cast<const float*>(entropy), panel.entropy, one, 0.0f, entropies);
    const VFloat entropy_before = load(entropies);
    VFloat further{};

    Draws draws;
    for (int64_t first = 0; first < p_.draws; first += together_) {
      draws.count = (int)(p_.draws - first < together_ ? p_.draws - first : together_);
      for (int draw = 0; draw < draws.count; ++draw) {
        float *tile = tiles + draw * size_, *inverse = draws.inverse + draw * kWidth;
        const S* from = static_cast<const S*>(p_.samples.data) + (first + draw) * p_.draw_stride;
        const float* x = tile;
        int64_t step = kWidth;
        if (sizeof(S) == sizeof(float) && panel.samples.lane_step == 1 && panel.last_lanes == kWidth) {
          x = reinterpret_cast<const float*>(from + panel.samples.first);
          step = panel.samples.row_step;
          for (int64_t r = 0; r < panel.rows; ++r) __builtin_prefetch(x + r * step + kAhead);
        } else {
          bring_in(from, panel.samples, panel, kAcross ? -__builtin_inff() : 0.0f, tile);
        }
        draws.rows[draw] = p_.softmax ? tile : x;
        draws.step = kWidth;
        if (!p_.softmax) continue;
        if (entropy == nullptr)
          exponentials<kAcross, false>(x, step, panel.rows, tile, inverse);
        else
          further += exponentials<kAcross, true>(x, step, panel.rows, tile, inverse) - entropy_before;
      }
      const auto add = p_.softmax ? update<true> : update<false>;
      add(draws, panel.rows, first, fresh && first == 0, origin, mean, deviations);
    }

    merge(panel, origin, mean, deviations, tiles);
    if (entropy != nullptr) {
      store(entropies, entropy_before + further * broadcast(1.0f / (float)(p_.count + p_.draws)));
      bring_out(entropies, panel.entropy, one, entropy);
    }
  }

  // Chan, Golub and LeVeque (1979): the moments of all draws from those of the earlier ones and those of the chunk.
  void merge(const Panel& panel, float* origin, const float* mean, float* deviations, float* room) const {
    const bool fresh = p_.count == 0;
    const double part = (double)p_.draws / (double)(p_.count + p_.draws);
    const VFloat share = broadcast((float)part), cross = broadcast((float)((double)p_.count * part));
    float* to = static_cast<float*>(p_.deviations.data);
    if (!fresh) bring_in(static_cast<const float*>(to), panel.deviations, panel, 0.0f, room);
    for (int64_t at = 0; at < size_; at += kWidth) {
      const VFloat m = load(mean + at);
      store(origin + at, fused_multiply_add(m, share, load(origin + at)));
      if (!fresh) store(deviations + at, fused_multiply_add(m * m, cross, load(deviations + at) + load(room + at)));
    }
    bring_out(origin, panel.mean, panel, static_cast<float*>(p_.mean.data));
    bring_out(deviations, panel.deviations, panel, to);
  }

  const PredictiveMomentsProblem& p_;
  bool across_ = false;  // lanes are classes
  int lane_axis_ = -1;   // lanes are places along this axis
  int64_t panels_, size_, together_;
};

template <class S>
void add_as(const PredictiveMomentsProblem& p, const Parallel& pool) {
  PredictiveMoments<S>(p).run(pool);
}

template <class Flat>
void add_places(const Flat& flat, const Parallel& pool) {
  const PredictiveMomentsProblem& p = flat.problem;
  const int64_t work = p.draws * p.classes;
  parallel_for(pool, Flat::total(flat), (kParallelElements + work - 1) / work, [&](int64_t begin, int64_t end) {
    for (int64_t place = begin; place < end; ++place) Flat::run(flat, place);
  });
}

template <>
void add_as<double>(const PredictiveMomentsProblem& p, const Parallel& pool) {
  if (p.softmax) return add_places(FlatPredictiveMoments<double>{p}, pool);
  add_places(FlatMomentsOfNumbers<double>{p}, pool);
}

}  // namespace

void add_predictive_moments(const PredictiveMomentsProblem& p, const Parallel& pool) {
  const auto add = p.dtype == kFloat32    ? add_as<float>
                   : p.dtype == kFloat64  ? add_as<double>
                   : p.dtype == kBFloat16 ? add_as<BFloat16>
                                          : add_as<Float16>;
  add(p, pool);
}

BAYESOPS_ISA_END
