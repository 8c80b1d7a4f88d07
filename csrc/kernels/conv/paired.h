// Two correlations over the same results at once: of one source with two weights (the second reads the source's
// squares), or of two sources. Local reparameterisation needs its mean and variance, and both parts of its input's
// gradient, together, while they are in registers and cache.
#pragma once
#include "kernels/conv/panel_source.h"
#include "kernels/conv/source.h"
#include "kernels/conv/tile_loop.h"

BAYESOPS_ISA_BEGIN

BAYESOPS_INLINE VInt is_negative(VFloat v) { return v < VFloat{}; }
BAYESOPS_INLINE VLong is_negative(VDouble v) { return v < VDouble{}; }

// Collects the sums of both until there are enough results to work on.
template <class S, class T, class Finish>
class PairedStrip {
 public:
  explicit PairedStrip(Finish& finish) : finish_(finish) {}

  // Where the sums of the next tiles go, the second set after `second` numbers.
  T* room(int pixels, S* to, int64_t index, int64_t index_step) {
    if (filled_ + pixels > kStripPixels || to != to_ + filled_ * finish_.pixel_step) {
      flush();
      to_ = to;
      expect_strip(to, (int)finish_.at.count, finish_.pixel_step, finish_.at.channel);
    }
    T* here = sums_ + filled_ * kTileChannels<T>;
    for (int p = 0; p < pixels; ++p) index_[filled_ + p] = index + p * index_step;
    filled_ += pixels;
    return here;
  }
  void flush() {
    if (filled_ > 0) finish_(sums_, sums_ + kSecond, filled_, index_, to_);
    filled_ = 0;
  }
  static constexpr int64_t kSecond = kStripPixels * kTileChannels<T>;

 private:
  alignas(64) T sums_[2 * kSecond];
  int64_t index_[kStripPixels];
  Finish& finish_;
  S* to_ = nullptr;
  int filled_ = 0;
};

// Where a slab's results are: what a finish is made from.
template <class S>
struct SlabResult {
  int64_t first_pixel;   // of the slab's first result, counted over all images
  int64_t pixel_step;    // from one result of a strip to the next, in memory
  int64_t first, count;  // channels of the tile
  ChannelOffsets channel;
  S* out;  // the slab's first result
};

template <class S, class T, class M = T>
class PairedCorrelation {
 public:
  // `second_source` null: the squares of the first one's pixels. Problems differ in weight and bias alone; samples are
  // more examples. `noise`: how many normals will be drawn on the results.
  PairedCorrelation(const ConvProblem& first, const ConvProblem& second, bool backward, const Images& source,
                    const Images* second_source, const Images& result, int64_t noise, const Parallel& pool)
      : p_(first),
        second_(second),
        r_(roles_of(first, backward)),
        source_(source),
        second_source_(second_source),
        result_(result),
        pool_(enough_threads(first, backward ? image_pixels(source) : image_pixels(result), pool, noise)),
        width_(r_.depthwise ? kLanes<T> : kTileChannels<T>),
        panels_{{p_, r_, width_}, {second_, r_, width_}} {
    make_tables();
  }

  // One pass: all results (forward), or those of one phase of the stride (input gradient). `finish(SlabResult)` makes
  // what takes the sums. False if check_second is set and a weight of the second problem is negative.
  template <class MakeFinish>
  bool run(const int64_t* phase, bool check_second, const MakeFinish& make_finish) {
    if (p_.examples == 0 || r_.columns_total == 0) return true;
    for (int a = 0; a < 3; ++a) {
      if (r_.backward) {
        input_grad_axis(axis_[a], p_, a, result_.size[a], phase[a]);
      } else {
        forward_axis(axis_[a], p_, a, result_.size[a]);
      }
      if (axis_[a].count == 0) return true;
    }
    for (int i = 0; i < 2; ++i) panels_[i].set_order(axis_, panel_tables_ + i * panels_[0].table_elements());
    negative_ = 0;
    check_second_ = check_second;
    step_ = panels_[0].elements(WeightSet{});
    tile_count_ = max_tiles(r_, width_);
    tiles_ = scratch<ColumnTile>(kScratchSum, tile_count_);
    list_tiles(r_, WeightSet{}, width_, tiles_);
    const int64_t pixel_bytes = 2 * (int64_t)sizeof(M) * r_.reduced_total / kNumbers<M>;
    slabs_ = plan_slabs(axis_, p_.examples, pixel_bytes, 1);
    if (slabs_.count() == 1 && tile_count_ % pool_.threads == 0) {
      // One small slab: every thread packs the panels of its own tiles and uses them while they are in its cache.
      parallel_for(pool_, pool_.threads, 1, [&](int64_t begin, int64_t end) {
        PhaseClock clock;
        M* room = scratch<M>(kScratchPanel, panels_[0].together(WeightSet{}) * 2 * step_);
        for (int64_t share = begin; share < end; ++share)
          run_slab(0, tile_count_ * share / pool_.threads, tile_count_ * (share + 1) / pool_.threads, room, true,
                   make_finish, clock);
      });
      return negative_ == 0;
    }
    slabs_ = plan_slabs(axis_, p_.examples, pixel_bytes, pool_.threads);
    M* panels = scratch<M>(kScratchSourcePanel, tile_count_ * 2 * step_);
    parallel_for(pool_, tile_count_, 1, [&](int64_t begin, int64_t end) {
      PhaseClock clock;
      form(begin, end, panels + begin * 2 * step_);
      clock.mark(kPhasePack);
    });
    const int64_t slabs = slabs_.count();
    const int64_t shares = slabs >= pool_.threads ? 1 : (pool_.threads + slabs - 1) / slabs;
    const int64_t splits = shares < tile_count_ ? shares : tile_count_;
    parallel_for(pool_, slabs * splits, 1, [&](int64_t begin, int64_t end) {
      PhaseClock clock;
      for (int64_t job = begin; job < end; ++job) {
        const int64_t split = job % splits;
        run_slab(job / splits, tile_count_ * split / splits, tile_count_ * (split + 1) / splits, panels, false,
                 make_finish, clock);
      }
    });
    return negative_ == 0;
  }

 private:
  // The calling thread's tables, read by all.
  void make_tables() {
    const int64_t kernel_sum = p_.kernel[0] + p_.kernel[1] + p_.kernel[2];
    padded_columns_ = r_.columns_total + kTileChannels<T>;
    char* at = scratch<char>(kScratchSharedTables, kernel_sum * 12 + 2 * panels_[0].table_elements() * 4 +
                                                       2 * padded_columns_ * (int64_t)sizeof(T));
    for (int a = 0; a < 3; ++a) {  // the widest type first: nothing is misaligned
      axis_[a].offset = reinterpret_cast<int64_t*>(at);
      at += p_.kernel[a] * 8;
    }
    for (int i = 0; i < 2; ++i) {
      const void* of_problem = r_.backward ? nullptr : (i == 0 ? p_ : second_).bias;
      const S* bias = static_cast<const S*>(of_problem);
      bias_[i] = reinterpret_cast<T*>(at);
      at += padded_columns_ * (int64_t)sizeof(T);
      for (int64_t c = 0; c < padded_columns_; ++c)
        bias_[i][c] = bias != nullptr && c < r_.columns_total ? convert<T>(bias[c]) : T(0);
    }
    for (int a = 0; a < 3; ++a) {
      axis_[a].tap = reinterpret_cast<int32_t*>(at);
      at += p_.kernel[a] * 4;
    }
    panel_tables_ = reinterpret_cast<int32_t*>(at);
  }

  // Both panels of tiles [first, last), of each tile one after the other.
  void form(int64_t first, int64_t last, M* panel) {
    for (int i = 0; i < 2; ++i)
      panels_[i].form_tiles(WeightSet{}, 0, tiles_ + first, last - first, first, panel + i * step_, 2 * step_, nullptr);
    if (!check_second_) return;
    constexpr int n = kLanes<T>;
    typename VectorOf<T>::I below{};
    for (int64_t t = first; t < last; ++t, panel += 2 * step_)
      for (const M* row = panel + step_; row < panel + 2 * step_; row += width_)
        for (int v = 0; v < tile_vectors<T>(tiles_[t]); ++v) below |= is_negative(load(row + v * n));
    for (int i = 0; i < n; ++i)
      if (below[i] != 0) __atomic_store_n(&negative_, 1, __ATOMIC_RELAXED);
  }

  template <class MakeFinish>
  void run_slab(int64_t slab_index, int64_t first_tile, int64_t last_tile, M* panels, bool pack,
                const MakeFinish& make_finish, PhaseClock& clock) {
    if (first_tile == last_tile) return;
    const Slab slab = slabs_[slab_index];
    const int64_t images = slab.last_image - slab.first_image;
    Axis axis[3];
    slab_axes(axis_, slabs_, slab, axis);
    const int64_t size = slab_elements<M>(axis_, slabs_, r_.reduced_total);
    M* room = scratch<M>(kScratchStage, 2 * size);
    const ChannelList channels{nullptr, r_.reduced_total};
    Staged<M> nothing;
    const SlabView<M> view = open_slab<S, M>(source_, axis, slabs_, slab, 0, slab.first_image, channels, false,
                                             StageChange{nullptr, 0, false}, 0, room, nothing, clock);
    if (second_source_ != nullptr) {
      nothing = Staged<M>{};
      open_slab<S, M>(*second_source_, axis, slabs_, slab, 0, slab.first_image, channels, false,
                      StageChange{nullptr, 0, false}, 0, room + size, nothing, clock);
    } else {
      clock.start();
      square(room, images * view.image, room + size);
      clock.mark(kPhaseStage);
    }

    Loop loops[4];
    slab_loops(axis, images, view.pixel, view.image, result_, loops);
    S* out = static_cast<S*>(result_.data) + slab.first_image * result_.example_stride +
             slab_offset(axis, slabs_, slab, result_);
    const LoopNest nest = nest_loops(loops, kTilePixels);
    const bool merged =
        axis[2].adjacent && r_.groups == 1 && !r_.depthwise && view.pixel[2] == r_.reduced_total / kNumbers<M>;
    int64_t* run = scratch<int64_t>(kScratchColumns, p_.taps());
    const int64_t run_count = tap_runs(axis, view.pixel, merged, run);
    const RowTaps<T, M> row_taps = row_taps_of<T, M>(nest, axis, r_.depthwise, slabs_, slab, source_, run_count);
    // A slab that is cut along an axis holds one image.
    int64_t first_pixel = slab.first_image * axis_[0].count * axis_[1].count * axis_[2].count, row_pixels = 1;
    for (int a = slabs_.axis + 1; a < 3; ++a) row_pixels *= axis_[a].count;
    first_pixel += slab.first * row_pixels;

    TileArguments<T, M> all{};
    all.step = 1;
    all.runs = run;
    all.run_count = run_count;
    all.run_length = (merged ? axis[2].taps * r_.reduced : r_.reduced) / kNumbers<M>;
    all.panel_step = width_;
    all.pixel_step = nest.loop[3].in_step;
    all.scale = 1;
    all.out_step = kTileChannels<T>;
    Upcoming upcoming;
    for (int64_t t = first_tile; t < last_tile; ++t) {
      const ColumnTile& tile = tiles_[t];
      M* panel = panels;
      if (pack) {
        const int64_t together = panels_[0].together(WeightSet{}), place = (t - first_tile) % together;
        panel += place * 2 * step_;
        if (place == 0) {
          clock.start();
          form(t, last_tile - t < together ? last_tile : t + together, panel);
          clock.mark(kPhasePack);
        }
      } else {
        panel += t * 2 * step_;
        upcoming.data = reinterpret_cast<const char*>(panel + 2 * step_);
        upcoming.bytes = t + 1 < last_tile ? 2 * step_ * (int64_t)sizeof(M) : 0;
      }
      const int64_t first = tile.group * r_.columns + tile.first;
      all.x = view.x + (r_.depthwise ? tile.first : tile.group * r_.reduced) / kNumbers<M>;
      auto finish = make_finish(SlabResult<S>{first_pixel, nest.loop[3].out_step, first, tile.count,
                                              channel_offsets(result_, nullptr, first), out});
      run_tiles(all, panel, size, tile, first, nest, row_taps, out, finish, upcoming, clock);
    }
  }

  template <class Finish>
  void run_tiles(const TileArguments<T, M>& all, const M* panel, int64_t second_stage, const ColumnTile& tile,
                 int64_t first, const LoopNest& nest, const RowTaps<T, M>& row_taps, S* out, Finish& finish,
                 Upcoming& upcoming, PhaseClock& clock) const {
    PairedStrip<S, T, Finish> strip(finish);
    const int vectors = tile_vectors<T>(tile);
    TileArguments<T, M> whole[2] = {all, all}, a[2];
    for (int i = 0; i < 2; ++i) {
      whole[i].x += i * second_stage;
      whole[i].panel = panel + i * step_;
      whole[i].bias = bias_[i] + first;
      a[i] = whole[i];
    }
    int64_t left = piece_count(nest);
    for_pieces(
        nest,
        [&](int64_t row) {
          if (row_taps.use)
            for (int i = 0; i < 2; ++i) row_taps.narrow(row, whole[i], a[i]);
        },
        [&](int pixels, int64_t in, int64_t to, int64_t index) {
          if (upcoming.bytes > 0) upcoming.fetch(left);
          --left;
          clock.start();
          T* sums = strip.room(pixels, out + to, index, nest.loop[3].index_step);
          clock.mark(kPhaseEpilogue);
          for (int i = 0; i < 2; ++i) {
            a[i].x = whole[i].x + in;
            a[i].out = sums + i * PairedStrip<S, T, Finish>::kSecond;
            multiply_tile(a[i], r_.depthwise, pixels, vectors);
          }
          clock.mark(kPhaseMultiply);
        });
    clock.start();
    strip.flush();
    clock.mark(kPhaseEpilogue);
  }

  const ConvProblem& p_;
  const ConvProblem& second_;
  const Roles r_;
  const Images& source_;
  const Images* second_source_;
  const Images& result_;
  const Parallel pool_;
  const int64_t width_;
  PanelSource<S, T, M> panels_[2];
  int32_t* panel_tables_;
  T* bias_[2];
  int64_t padded_columns_;
  Axis axis_[3];
  SlabPlan slabs_;
  ColumnTile* tiles_;
  int64_t tile_count_, step_;
  bool check_second_;
  int negative_;
};

BAYESOPS_ISA_END
