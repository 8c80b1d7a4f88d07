// Forward convolution and input gradient: one correlation core, fed by packed weight sets, closed by an epilogue.
//
// A weight set belongs to one sample (and one example, where every example has its own mask). Work is cut by what there
// is most of:
//   many sets: each thread takes whole sets; it draws a set's mask and uses its panels while they are in its cache.
//   few sets, one small slab of images: all threads draw together, then each takes tiles of columns and packs them.
//   few sets, many slabs: all threads draw and pack together, then share the slabs.
// Weights that are drawn for a single row of input are not packed (single_row.h); sets of few columns that read the
// same images go side by side into one panel and count as one (joint_sets.h).
#include "kernels/conv/bfloat16_pairs.h"
#include "kernels/conv/entry.h"
#include "kernels/conv/finish.h"
#include "kernels/conv/joint_sets.h"
#include "kernels/conv/panel_source.h"
#include "kernels/conv/patches.h"
#include "kernels/conv/single_row.h"
#include "kernels/conv/source.h"
#include "kernels/conv/tile_loop.h"

BAYESOPS_ISA_BEGIN

namespace {

// Tensors are of type S, sums of type T, what is multiplied of type M.
template <class S, class T, class M = T>
class Correlation {
 public:
  Correlation(const ConvProblem& problem, bool backward, const Images& source, const Images& result,
              const Parallel& pool)
      : p_(problem),
        r_(roles_of(problem, backward)),
        source_(source),
        result_(result),
        pool_(enough_threads(problem, backward ? image_pixels(source) : image_pixels(result), pool)),
        tile_width_(r_.depthwise ? kLanes<T> : kTileChannels<T>),
        panels_(p_, r_, tile_width_) {
    images_per_set_ = p_.per_example ? 1 : p_.examples;
    single_row_ = meets_single_rows(p_, r_, images_per_set_, image_pixels(result));
    joint_ = single_row_ ? 1 : samples_together<T>(p_, r_, source);
    sets_ = p_.per_example ? p_.samples * p_.examples : (p_.samples + joint_ - 1) / joint_;
    make_tables();
  }

  // One pass: all results (forward), or those of one phase of the stride (input gradient).
  void run(const int64_t* phase) {
    if (sets_ == 0 || images_per_set_ == 0 || r_.columns_total == 0) return;
    for (int a = 0; a < 3; ++a) {
      if (r_.backward) {
        input_grad_axis(axis_[a], p_, a, result_.size[a], phase[a]);
      } else {
        forward_axis(axis_[a], p_, a, result_.size[a]);
      }
      if (axis_[a].count == 0) return;
    }
    panels_.set_order(axis_, panel_tables_);
    // A depthwise tile reads whole vectors, which may reach past the end of an image in place.
    direct_ = !r_.depthwise && readable_in_place<S, M>(source_, axis_, r_.reduced_total);
    const int64_t pixel_bytes = (int64_t)sizeof(M) * r_.reduced_total / kNumbers<M>;
    const int64_t together = sets_ / pool_.threads * pool_.threads;
    if (!single_row_) panels_.pack_for(sets_, pool_);
    slabs_ = plan_slabs(axis_, images_per_set_, pixel_bytes, 1);
    // Threads take sets one by one when there are at least as many; what is left over is shared.
    parallel_for(pool_, together, 1, [&](int64_t begin, int64_t end) { run_sets(begin, end); });
    const bool by_tiles = slabs_.count() == 1 && max_tiles(r_, tile_width_) % pool_.threads == 0;
    if (!by_tiles) slabs_ = plan_slabs(axis_, images_per_set_, pixel_bytes, pool_.threads);
    for (int64_t set = together; set < sets_; ++set) {
      if (by_tiles) {
        share_tiles(set);
      } else {
        share_slabs(set);
      }
    }
  }

 private:
  // What a set has of its own: panels, or where the tiles mask as they load, words for all its tiles; or nothing, where
  // sets share panels or need none.
  struct Panels {
    M* data;
    int64_t step;         // between panels
    uint16_t* words;      // `words_step` a tile
    int64_t first;        // number of the first tile among those of the set
    int64_t present = 1;  // at a time: all of them, or so many that are formed together when the first is needed

    M* operator[](int64_t tile) const { return data + tile % present * step; }
  };

  // Room for them: a few panels if they are used once, all of them if they serve several slabs.
  Panels own_panels(const WeightSet& weights, int64_t tile_count, int64_t uses, ScratchSlot slot) const {
    if (panels_.masks_in_tiles(weights))
      return Panels{nullptr, 0, scratch<uint16_t>(slot, tile_count * panels_.words_step()), 0};
    if (single_row_ || panels_.shared(weights, 0) != nullptr) return Panels{nullptr, 0, nullptr, 0};
    const int64_t size = panels_.elements(weights), together = panels_.together(weights);
    const int64_t present = uses > 1 || tile_count < together ? tile_count : together;
    return Panels{scratch<M>(slot, present * size), size, nullptr, 0, present};
  }

  const M* shared_panel(const WeightSet& weights, const Panels& own, int64_t tile) const {
    return own.data == nullptr ? panels_.shared(weights, own.first + tile) : nullptr;
  }

  // The calling thread's tables, read by all.
  void make_tables() {
    const int64_t kernel_sum = p_.kernel[0] + p_.kernel[1] + p_.kernel[2];
    const int64_t biases = p_.bias_sample_stride != 0 ? p_.samples : 1;
    padded_columns_ = r_.columns_total + kTileChannels<T>;
    char* at = scratch<char>(kScratchSharedTables, kernel_sum * 12 + panels_.table_elements() * 4 +
                                                       (biases + 1) * padded_columns_ * (int64_t)sizeof(T));
    for (int a = 0; a < 3; ++a) {  // the widest type first: nothing is misaligned
      axis_[a].offset = reinterpret_cast<int64_t*>(at);
      at += p_.kernel[a] * 8;
    }
    bias_ = reinterpret_cast<T*>(at);
    at += (biases + 1) * padded_columns_ * (int64_t)sizeof(T);
    no_bias_ = bias_ + biases * padded_columns_;
    memset(bias_ + biases * padded_columns_, 0, (size_t)padded_columns_ * sizeof(T));
    for (int64_t s = 0; s < biases; ++s) {
      const S* bias = r_.backward ? nullptr : static_cast<const S*>(p_.bias) + s * p_.bias_sample_stride;
      if (p_.bias == nullptr) bias = nullptr;
      for (int64_t c = 0; c < padded_columns_; ++c)
        bias_[s * padded_columns_ + c] = bias != nullptr && c < r_.columns_total ? convert<T>(bias[c]) : T(0);
    }
    for (int a = 0; a < 3; ++a) {
      axis_[a].tap = reinterpret_cast<int32_t*>(at);
      at += p_.kernel[a] * 4;
    }
    panel_tables_ = reinterpret_cast<int32_t*>(at);
  }
  const T* bias_of(int64_t sample) const { return bias_ + (p_.bias_sample_stride != 0 ? sample * padded_columns_ : 0); }

  int64_t sample_of(int64_t set) const { return p_.per_example ? set / p_.examples : set * joint_; }
  int64_t example_of(int64_t set) const { return p_.per_example ? set % p_.examples : 0; }

  WeightSet prepare(int64_t sample, int64_t example, const SetRoom& room) const {
    if (!p_.mask.masked) return WeightSet{};
    const BitRange bits = mask_bits(p_.mask, sample, example, 0, p_.mask.elements, room.bits);
    return weight_set(p_, r_, bits, room);
  }

  // The one panel of samples side by side.
  Panels joint_panel(int64_t set, ColumnTile& tile, ScratchSlot slot, char* work, PhaseClock& clock) const {
    const SetRoom room = SetRoom::make(p_, r_, kScratchBits, kScratchExpand, kScratchTables);
    const int64_t first = sample_of(set), columns = r_.columns_total, size = panels_.elements(WeightSet{});
    const int64_t samples = p_.samples - first < joint_ ? p_.samples - first : joint_;
    tile = ColumnTile{0, 0, samples * columns};
    M *panel = scratch<M>(slot, 2 * size), *own = panel + size;
    memset(panel, 0, (size_t)size * sizeof(M));
    for (int64_t i = 0; i < samples; ++i) {
      const WeightSet weights = prepare(first + i, 0, room);
      clock.mark(kPhaseDraw);
      panels_.form(weights, first + i, ColumnTile{0, 0, columns}, 0, own, rows(work));
      for (int64_t at = 0; at < size; at += tile_width_)
        memcpy(panel + at + i * columns, own + at, (size_t)columns * sizeof(M));
      clock.mark(kPhasePack);
    }
    return Panels{panel, 0, nullptr, 0};
  }

  void run_sets(int64_t begin, int64_t end) const {
    PhaseClock clock;
    const SetRoom room = SetRoom::make(p_, r_, kScratchBits, kScratchExpand, kScratchTables);
    char* work = scratch<char>(kScratchColumns, work_bytes());
    Staged<M> staged;
    for (int64_t set = begin; set < end; ++set) {
      ColumnTile* tiles = reinterpret_cast<ColumnTile*>(work);
      if (joint_ > 1) {
        const Panels panel = joint_panel(set, *tiles, kScratchPanel, work, clock);
        for (int64_t slab = 0; slab < slabs_.count(); ++slab)
          run_slab(set, WeightSet{}, slab, tiles, 1, panel, false, staged, work, clock);
        continue;
      }
      const WeightSet weights = prepare(sample_of(set), example_of(set), room);
      clock.mark(kPhaseDraw);
      const int64_t tile_count = list_tiles(r_, weights, tile_width_, tiles);
      const int64_t slab_count = slabs_.count();
      const Panels panels = own_panels(weights, tile_count, slab_count, kScratchPanel);
      if (panels.words != nullptr) panels_.form_words(weights, tiles, tile_count, panels.words);
      clock.mark(kPhasePack);
      for (int64_t slab = 0; slab < slab_count; ++slab)
        run_slab(set, weights, slab, tiles, tile_count, panels, slab == 0, staged, work, clock);
    }
  }

  // A set whose images are one small slab: every thread packs the panels of its own tiles and uses them while they are
  // in its cache.
  void share_tiles(int64_t set) const {
    const SetRoom room = SetRoom::make(p_, r_, kScratchSharedBits, kScratchExpand, kScratchTables);
    const WeightSet weights = draw_together(set, room);
    ColumnTile* tiles = scratch<ColumnTile>(kScratchSum, max_tiles(r_, tile_width_));
    const int64_t tile_count = list_tiles(r_, weights, tile_width_, tiles);
    parallel_for(pool_, pool_.threads, 1, [&](int64_t begin, int64_t end) {
      PhaseClock clock;
      char* work = scratch<char>(kScratchColumns, work_bytes());
      Staged<M> staged;
      for (int64_t share = begin; share < end; ++share) {
        const int64_t first = tile_count * share / pool_.threads, last = tile_count * (share + 1) / pool_.threads;
        Panels panels = own_panels(weights, last - first, 1, kScratchPanel);
        panels.first = first;
        if (panels.words != nullptr) panels_.form_words(weights, tiles + first, last - first, panels.words);
        run_slab(set, weights, 0, tiles + first, last - first, panels, true, staged, work, clock, share == 0);
      }
    });
  }

  void share_slabs(int64_t set) const {
    if (joint_ == 1) return share_drawn_slabs(set);
    PhaseClock clock;
    ColumnTile tile;
    const Panels panel =
        joint_panel(set, tile, kScratchSharedPanel, scratch<char>(kScratchColumns, work_bytes()), clock);
    work_on_slabs(set, WeightSet{}, &tile, 1, panel);
  }

  // All threads draw and pack, then share the slabs.
  void share_drawn_slabs(int64_t set) const {
    const SetRoom room = SetRoom::make(p_, r_, kScratchSharedBits, kScratchExpand, kScratchTables);
    const WeightSet weights = draw_together(set, room);
    // The calling thread is one of the workers below: what all read must not lie in a slot that a worker writes.
    ColumnTile* tiles = scratch<ColumnTile>(kScratchSum, max_tiles(r_, tile_width_));
    const int64_t tile_count = list_tiles(r_, weights, tile_width_, tiles);
    const Panels panels = own_panels(weights, tile_count, slabs_.count() + 1, kScratchSharedPanel);
    parallel_for(pool_, tile_count, 1, [&](int64_t begin, int64_t end) {
      PhaseClock clock;
      char* work = scratch<char>(kScratchColumns, work_bytes());
      if (panels.words != nullptr) {
        panels_.form_words(weights, tiles + begin, end - begin, panels.words + begin * panels_.words_step());
      } else if (panels.data != nullptr) {
        panels_.form_tiles(weights, sample_of(set), tiles + begin, end - begin, begin, panels[begin], panels.step,
                           rows(work));
      }
      clock.mark(kPhasePack);
    });
    work_on_slabs(set, weights, tiles, tile_count, panels);
  }

  void work_on_slabs(int64_t set, const WeightSet& weights, const ColumnTile* tiles, int64_t tile_count,
                     const Panels& panels) const {
    const int64_t slab_count = slabs_.count();
    const int64_t shares = slab_count >= pool_.threads ? 1 : (pool_.threads + slab_count - 1) / slab_count;
    const int64_t splits = shares < tile_count ? shares : tile_count > 0 ? tile_count : 1;
    parallel_for(pool_, slab_count * splits, 1, [&](int64_t begin, int64_t end) {
      PhaseClock clock;
      char* work = scratch<char>(kScratchColumns, work_bytes());
      Staged<M> staged;
      for (int64_t job = begin; job < end; ++job) {
        const int64_t slab = job / splits, split = job % splits;
        const int64_t first = tile_count * split / splits, last = tile_count * (split + 1) / splits;
        Panels mine = panels;
        mine.first = first;
        if (mine.data != nullptr) mine.data += first * panels.step;
        if (mine.words != nullptr) mine.words += first * panels_.words_step();
        run_slab(set, weights, slab, tiles + first, last - first, mine, false, staged, work, clock, split == 0);
      }
    });
  }

  WeightSet draw_together(int64_t set, const SetRoom& room) const {
    if (!p_.mask.masked) return WeightSet{};
    PhaseClock clock;
    const BitRange bits = mask_bits_together(p_.mask, sample_of(set), example_of(set), room.bits, pool_);
    const WeightSet weights = weight_set(p_, r_, bits, room);
    clock.mark(kPhaseDraw);
    return weights;
  }

  // Work space of a thread: the list of tiles, one row of panel positions, the run offsets.
  int64_t tiles_bytes() const { return max_tiles(r_, tile_width_) * (int64_t)sizeof(ColumnTile); }
  int64_t work_bytes() const {
    return tiles_bytes() + p_.taps() * (int64_t)sizeof(int64_t) + panels_.row_elements() * (int64_t)sizeof(int32_t);
  }
  int64_t* runs(char* work) const { return reinterpret_cast<int64_t*>(work + tiles_bytes()); }
  int32_t* rows(char* work) const { return reinterpret_cast<int32_t*>(runs(work) + p_.taps()); }

  void run_slab(int64_t set, const WeightSet& weights, int64_t slab_index, const ColumnTile* tiles, int64_t tile_count,
                const Panels& panels, bool pack, Staged<M>& staged, char* work, PhaseClock& clock,
                bool fill_skipped = true) const {
    const Slab slab = slabs_[slab_index];
    const int64_t sample = sample_of(set), example = p_.per_example ? example_of(set) : slab.first_image;
    const int64_t images = slab.last_image - slab.first_image;
    Axis axis[3];
    slab_axes(axis_, slabs_, slab, axis);
    const bool skips = weights.reduced.list != nullptr;
    const ChannelList channels{weights.reduced.list, skips ? weights.reduced.start[r_.groups] : r_.reduced_total};
    const int64_t tag = p_.per_example ? example * slabs_.count() + slab_index : slab_index;
    FlipSigns flips{nullptr, nullptr, 0};
    if (p_.noise.flipped) {
      clock.start();
      flips = draw_signs(p_, sample, slab.first_image, images, scratch<float>(kScratchSigns, images * flip_step(p_)));
      clock.mark(kPhaseDraw);
    }
    const float* source_signs = r_.backward ? flips.outputs : flips.inputs;
    const float* result_signs = r_.backward ? flips.inputs : flips.outputs;
    const SlabView<M> view =
        open_slab<S, M>(source_, axis, slabs_, slab, sample, example, channels, direct_ && !skips,
                        StageChange{source_signs, flips.step, false}, tag,
                        scratch<M>(kScratchStage, slab_elements<M>(axis_, slabs_, r_.reduced_total)), staged, clock);

    S* out = static_cast<S*>(result_.data) + sample * result_.sample_stride + example * result_.example_stride;
    Loop loops[4];
    slab_loops(axis, images, view.pixel, view.image, result_, loops);
    out += slab_offset(axis, slabs_, slab, result_);
    const LoopNest nest = nest_loops(loops, kTilePixels);

    const bool merged =
        axis[2].adjacent && r_.groups == 1 && !r_.depthwise && view.pixel[2] == channels.count / kNumbers<M>;
    int64_t* run = runs(work);
    const int64_t run_count = tap_runs(axis, view.pixel, merged, run);

    const RowTaps<T, M> row_taps = row_taps_of<T, M>(nest, axis, r_.depthwise, slabs_, slab, source_, run_count);
    const T* bias = bias_of(sample);
    alignas(64) T joint_bias[kTileChannels<T>];
    if (joint_ > 1) {
      for (int64_t c = 0; c < tiles->count; ++c)
        joint_bias[c] = bias_of(sample + c / r_.columns_total)[c % r_.columns_total];
      bias = joint_bias;
    }
    const S* residual = static_cast<const S*>(p_.epilogue.residual);
    if (residual != nullptr) residual = beside(residual, p_.epilogue.residual_sample_stride, out, sample);
    const int64_t image_pixels = axis[0].count * axis[1].count * axis[2].count;

    TileArguments<T, M> a{};
    a.step = 1;
    a.runs = run;
    a.run_count = run_count;
    a.panel_step = tile_width_;
    a.pixel_step = nest.loop[3].in_step;
    a.scale = (T)p_.scale;
    Upcoming upcoming;
    for (int64_t t = 0; t < tile_count; ++t) {
      const ColumnTile& tile = tiles[t];
      const int64_t index = panels.first + t;
      const M* shared = shared_panel(weights, panels, t);
      const int64_t together = pack ? panels_.together(weights) : 1;
      if (panels.data != nullptr && pack && t % together == 0) {
        clock.start();
        const int64_t here = tile_count - t < together ? tile_count - t : together;
        panels_.form_tiles(weights, sample, tiles + t, here, index, panels[t], panels.step, rows(work));
        clock.mark(kPhasePack);
      }
      const int64_t reduced = r_.depthwise ? 1 : WeightSet::count(weights.reduced, tile.group, r_.reduced);
      const int64_t first_reduced =
          r_.depthwise ? tile.first : WeightSet::first(weights.reduced, tile.group, r_.reduced);
      a.x = view.x + first_reduced / kNumbers<M>;
      a.run_length = (merged ? axis[2].taps * reduced : reduced) / kNumbers<M>;
      a.panel = shared != nullptr ? shared : panels[t];
      a.mask = panels.words != nullptr ? panels.words + t * panels_.words_step() : nullptr;
      expect(weights, panels, t + 1 < tile_count ? t + 1 : 0, pack, upcoming);
      const int64_t first = WeightSet::first(weights.columns, tile.group, r_.columns) + tile.first;
      const int32_t* listed = weights.columns.list != nullptr ? weights.columns.list + first : nullptr;
      const ChannelOffsets channel = channel_offsets(result_, listed, first);
      const int64_t pixel_step = nest.loop[3].out_step;
      const int columns = (int)(joint_ > 1 ? r_.columns_total : tile.count);  // of one sample
      const TileEpilogue<S, T> epilogue(p_.epilogue, columns, pixel_step, channel, out, residual);
      const auto run = [&](const T* tile_bias, const auto& finish) {
        if (!single_row_)
          return run_tile<S, T>(a, r_.depthwise, tile_bias, nest, row_taps, out, finish, upcoming, clock);
        if constexpr (kNumbers<M> == 1) {
          alignas(64) T sums[kTileChannels<T>];
          clock.start();
          multiply_single_row<S, T>(p_, weights, sample, tile, a.x, tile_bias, sums, clock);
          const int64_t index = 0;
          finish(sums, 1, &index, out);
          clock.mark(kPhaseEpilogue);
        }
      };
      if (joint_ > 1) {
        const JointFinish<S, T> finish{
            (int)tile.count, pixel_step, channel, columns, result_.sample_stride, p_.epilogue.residual_sample_stride,
            epilogue};
        run(bias, finish);
      } else if (p_.noise.flipped) {
        const S* base = beside(static_cast<const S*>(p_.base), p_.base_sample_stride, out, sample);
        const FlipFinish<S, T> finish{columns,    pixel_step,   channel,      result_signs + first,
                                      flips.step, image_pixels, bias + first, out,
                                      base,       epilogue};
        run(no_bias_, finish);
      } else if (epilogue.given()) {
        const FusedFinish<S, T> finish{columns, pixel_step, channel, epilogue};
        run(bias, finish);
      } else {
        const PlainFinish<S, T> finish{columns, pixel_step, channel};
        run(bias, finish);
      }
    }
    if (fill_skipped && weights.columns.list != nullptr)
      fill_columns<S, T>(weights.columns, weights.columns.start[r_.groups], r_.columns_total, bias,
                         result_.channel_stride, loops, out, p_.epilogue, residual);
  }

  // What stands where `out`, in the results of a sample, does: in `other`, which is laid out as they are.
  const S* beside(const S* other, int64_t sample_stride, const S* out, int64_t sample) const {
    const S* results = static_cast<const S*>(result_.data) + sample * result_.sample_stride;
    return other + sample * sample_stride + (out - results);
  }

  // Names the panel of tile t as the next one to come, unless it is yet to be formed.
  void expect(const WeightSet& weights, const Panels& panels, int64_t t, bool packs, Upcoming& upcoming) const {
    const M* shared = shared_panel(weights, panels, t);
    const bool there = shared != nullptr || (!packs && panels.present > 1);
    upcoming.data = reinterpret_cast<const char*>(shared != nullptr ? shared : panels[t]);
    upcoming.bytes = there ? panels_.elements(weights) * (int64_t)sizeof(M) : 0;
  }

  const ConvProblem& p_;
  const Roles r_;
  const Images& source_;
  const Images& result_;
  const Parallel pool_;
  const int64_t tile_width_;
  PanelSource<S, T, M> panels_;
  int32_t* panel_tables_;
  T* bias_;
  const T* no_bias_;
  int64_t padded_columns_;
  Axis axis_[3];
  SlabPlan slabs_;
  bool direct_;
  int64_t sets_, images_per_set_;
  bool single_row_;
  int64_t joint_;  // samples side by side in a set
};

template <class S, class T, class M = T>
void forward_as(const ConvProblem& p, const Images& input, const Images& output, const Parallel& pool) {
  const int64_t phase[3] = {0, 0, 0};
  Correlation<S, T, M>(p, false, input, output, pool).run(phase);
}

template <class S, class T, class M = T>
void input_grad_as(const ConvProblem& p, const Images& grad_output, const Images& grad_input, const Parallel& pool) {
  int64_t phase[3] = {0, 0, 0};
  if (is_of_patches<T>(p, grad_output, grad_input)) {
    const ConvProblem one = problem_of_patches(p);
    const Images patches = images_of_patches(p, grad_input);
    return Correlation<S, T, M>(one, true, grad_output, patches, pool).run(phase);
  }
  Correlation<S, T, M> correlation(p, true, grad_output, grad_input, pool);
  for (phase[0] = 0; phase[0] < p.stride[0]; ++phase[0])
    for (phase[1] = 0; phase[1] < p.stride[1]; ++phase[1])
      for (phase[2] = 0; phase[2] < p.stride[2]; ++phase[2]) correlation.run(phase);
}

}  // namespace

void correlate_forward(const ConvProblem& p, const Images& input, const Images& output, const Parallel& pool) {
  if (p.dtype == kFloat32) return forward_as<float, float>(p, input, output, pool);
  if (p.dtype == kFloat64) return forward_as<double, double>(p, input, output, pool);
  return forward_as<BFloat16, float>(p, input, output, pool);
}

void correlate_input_grad(const ConvProblem& p, const Images& grad_output, const Images& grad_input,
                          const Parallel& pool) {
  if (p.dtype == kFloat32) return input_grad_as<float, float>(p, grad_output, grad_input, pool);
  if (p.dtype == kFloat64) return input_grad_as<double, double>(p, grad_output, grad_input, pool);
  return input_grad_as<BFloat16, float>(p, grad_output, grad_input, pool);
}

#if defined(BAYESOPS_AVX512_BF16)
void correlate_forward_in_pairs(const ConvProblem& p, const Images& input, const Images& output, const Parallel& pool) {
  if (!multiplies_pairs(p, roles_of(p, false), image_pixels(output))) return correlate_forward(p, input, output, pool);
  forward_as<BFloat16, float, BFloat16Pair>(p, input, output, pool);
}

void correlate_input_grad_in_pairs(const ConvProblem& p, const Images& grad_output, const Images& grad_input,
                                   const Parallel& pool) {
  if (!multiplies_pairs(p, roles_of(p, true), image_pixels(grad_input)))
    return correlate_input_grad(p, grad_output, grad_input, pool);
  input_grad_as<BFloat16, float, BFloat16Pair>(p, grad_output, grad_input, pool);
}
#endif

BAYESOPS_ISA_END
