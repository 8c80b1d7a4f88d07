// Forward convolution and input gradient: one correlation core, fed by packed weight sets, closed by an epilogue.
//
// A weight set belongs to one sample (and one example, where every example has its own mask). Work is cut two ways:
//   many sets: each thread takes whole sets; it draws, packs and uses a panel while that is in its cache. The weights
//   are
//              packed once for all of them, so that the panel of a set is a masked copy.
//   few sets:  all threads draw and pack one set together, then share the slabs of its images.
#include "kernels/conv/entry.h"
#include "kernels/conv/source.h"
#include "kernels/conv/store.h"
#include "kernels/conv/weight_set.h"

BAYESOPS_ISA_BEGIN

namespace {

template <class S, class T>
class Correlation {
 public:
  Correlation(const ConvProblem& problem, bool backward, const Images& source, const Images& result, const S* bias,
              const Parallel& pool)
      : p_(problem), r_(roles_of(problem, backward)), source_(source), result_(result), pool_(pool) {
    weight_ = static_cast<const S*>(problem.weight);
    tile_width_ = r_.depthwise ? kLanes<T> : kTileChannels<T>;
    sets_ = p_.per_example ? p_.samples * p_.examples : p_.samples;
    images_per_set_ = p_.per_example ? 1 : p_.examples;
    make_tables(bias);
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
    order_taps();
    // A depthwise tile reads whole vectors, which may reach past the end of an image in place.
    direct_ = !r_.depthwise && readable_in_place<S, T>(source_, axis_, r_.reduced_total);
    const int64_t pixel_bytes = r_.reduced_total * (int64_t)sizeof(T);
    const int64_t together = sets_ / pool_.threads * pool_.threads;
    pack_source();
    slabs_ = plan_slabs(axis_, images_per_set_, pixel_bytes, 1);
    // Threads take sets one by one when there are at least as many; what is left over is shared.
    parallel_for(pool_, together, 1, [&](int64_t begin, int64_t end) { run_sets(begin, end); });
    const bool one_slab = slabs_.count() == 1;
    if (!one_slab) slabs_ = plan_slabs(axis_, images_per_set_, pixel_bytes, pool_.threads);
    for (int64_t set = together; set < sets_; ++set) {
      if (one_slab && max_tiles(r_, tile_width_) % pool_.threads == 0) {
        share_tiles(set);
      } else {
        share_slabs(set);
      }
    }
  }

 private:
  struct Panels {
    T* data;
    int64_t step;           // between panels; 0: one panel, formed when it is needed
    int64_t first;          // number of the first tile among those of the set
    const uint16_t* words;  // the masks, where the tiles apply them to the unmasked panels; null otherwise
  };

  void make_tables(const S* bias) {
    // The calling thread's tables, read by all.
    const int64_t kernel_sum = p_.kernel[0] + p_.kernel[1] + p_.kernel[2];
    const int64_t padded_columns = r_.columns_total + kTileChannels<T>;
    const int64_t bytes = kernel_sum * 12 + (p_.taps() + 2 * rows_elements()) * 4 + 8 + padded_columns * (int64_t)sizeof(T);
    char* at = scratch<char>(kScratchSharedTables, bytes);
    for (int a = 0; a < 3; ++a) {  // the widest type first: nothing is misaligned
      axis_[a].offset = reinterpret_cast<int64_t*>(at);
      at += p_.kernel[a] * 8;
    }
    bias_ = reinterpret_cast<T*>(at);
    at += padded_columns * (int64_t)sizeof(T);
    for (int64_t c = 0; c < padded_columns; ++c)
      bias_[c] = bias != nullptr && c < r_.columns_total ? convert<T>(bias[c]) : T(0);
    for (int a = 0; a < 3; ++a) {
      axis_[a].tap = reinterpret_cast<int32_t*>(at);
      at += p_.kernel[a] * 4;
    }
    tap_position_ = reinterpret_cast<int32_t*>(at);
    rows_ = tap_position_ + p_.taps();
    memory_rows_ = rows_ + rows_elements();
  }

  void order_taps() {
    for (int64_t t = 0; t < p_.taps(); ++t) tap_position_[t] = -1;
    int32_t position = 0;
    for (int64_t d = 0; d < axis_[0].taps; ++d)
      for (int64_t h = 0; h < axis_[1].taps; ++h)
        for (int64_t w = 0; w < axis_[2].taps; ++w)
          tap_position_[(axis_[0].tap[d] * p_.kernel[1] + axis_[1].tap[h]) * p_.kernel[2] + axis_[2].tap[w]] =
              position++;
    taps_ = TapOrder{tap_position_, position};
    strip_rows(p_, r_, WeightSet{}, 0, taps_, false, rows_);  // the same for every group
    strip_rows(p_, r_, WeightSet{}, 0, taps_, true, memory_rows_);
  }

  // Packs the weights without a mask where several sets will need them, and no set leaves channels out.
  void pack_source() {
    source_panels_ = nullptr;
    const bool skips = p_.mask.masked && !r_.depthwise && p_.mask.granularity >= kGranularityInChannel;
    if (sets_ < 2 || skips) return;
    const WeightSet all;
    source_step_ = panel_elements(all);
    const int64_t tile_count = max_tiles(r_, tile_width_);
    T* panels = scratch<T>(kScratchSourcePanel, tile_count * source_step_);
    ColumnTile* tiles = scratch<ColumnTile>(kScratchSum, tile_count);
    list_tiles(r_, all, tile_width_, tiles);
    parallel_for(pool_, tile_count, 1, [&](int64_t begin, int64_t end) {
      PhaseClock clock;
      for (int64_t t = begin; t < end; ++t)
        pack_panel<S, T>(p_, r_, all, weight_, tiles[t], memory_rows_, panels + t * source_step_, tile_width_);
      clock.mark(kPhasePack);
    });
    source_panels_ = panels;
  }

  // The panel of tile number `index` under a set; `room` is where it may be formed.
  void form_panel(const WeightSet& set, const ColumnTile& tile, int64_t index, T* room, int32_t* work) const {
    if (source_panels_ != nullptr) {
      const T* source = source_panels_ + index * source_step_;
      if (set.has_bits) mask_panel<T>(p_, r_, set, source, tile, rows_, room, tile_width_);
      return;  // where nothing is masked, the source itself is used
    }
    const int32_t* rows = memory_rows_;
    if (set.reduced.list != nullptr) {
      strip_rows(p_, r_, set, tile.group, taps_, true, work);
      rows = work;
    }
    pack_panel<S, T>(p_, r_, set, weight_, tile, rows, room, tile_width_);
    if (set.has_bits) mask_panel<T>(p_, r_, set, room, tile, rows_, room, tile_width_);
  }

  // Tiles mask the unmasked panels as they load them: no panel of the set's own is needed.
  bool masks_in_tiles(const WeightSet& set) const {
    return kMaskInTile && source_panels_ != nullptr && set.has_bits && !r_.depthwise;
  }
  int64_t words_step() const { return source_step_ / tile_width_ * kTileVectors; }
  const uint16_t* form_words(const WeightSet& set, const ColumnTile* tiles, int64_t tile_count) const {
    uint16_t* words = scratch<uint16_t>(kScratchPanel, tile_count * words_step());
    for (int64_t t = 0; t < tile_count; ++t) mask_words<T>(p_, r_, set, tiles[t], rows_, words + t * words_step());
    return words;
  }

  int64_t sample_of(int64_t set) const { return p_.per_example ? set / p_.examples : set; }
  int64_t example_of(int64_t set) const { return p_.per_example ? set % p_.examples : 0; }

  WeightSet prepare(int64_t set, const SetRoom& room) const {
    if (!p_.mask.masked) return WeightSet{};
    const BitRange bits = mask_bits(p_.mask, sample_of(set), example_of(set), 0, p_.mask.elements, room.bits);
    return weight_set(p_, r_, bits, room);
  }

  int64_t panel_elements(const WeightSet& set) const {
    int64_t reduced = r_.depthwise ? 1 : 0;
    for (int64_t g = 0; g < r_.groups && !r_.depthwise; ++g) {
      const int64_t here = WeightSet::count(set.reduced, g, r_.reduced);
      if (here > reduced) reduced = here;
    }
    return taps_.count * reduced * tile_width_;
  }

  void run_sets(int64_t begin, int64_t end) const {
    PhaseClock clock;
    const SetRoom room = SetRoom::make(p_, r_, kScratchBits, kScratchExpand, kScratchTables);
    char* work = scratch<char>(kScratchColumns, work_bytes());
    Staged<T> staged;
    for (int64_t set = begin; set < end; ++set) {
      const WeightSet weights = prepare(set, room);
      clock.mark(kPhaseDraw);
      ColumnTile* tiles = reinterpret_cast<ColumnTile*>(work);
      const int64_t tile_count = list_tiles(r_, weights, tile_width_, tiles);
      const int64_t slab_count = slabs_.count();
      Panels panels{};
      if (masks_in_tiles(weights)) {
        panels.words = form_words(weights, tiles, tile_count);
        clock.mark(kPhasePack);
        for (int64_t slab = 0; slab < slab_count; ++slab)
          run_slab(set, weights, slab, tiles, tile_count, panels, false, staged, work, clock);
        continue;
      }
      panels.step = slab_count > 1 ? panel_elements(weights) : 0;
      panels.data = scratch<T>(kScratchPanel, panels.step == 0 ? panel_elements(weights) : tile_count * panels.step);
      for (int64_t slab = 0; slab < slab_count; ++slab)
        run_slab(set, weights, slab, tiles, tile_count, panels, slab == 0, staged, work, clock);
    }
  }

  // A set whose images are one small slab: every thread packs the panels of its own tiles and uses them while they are in
  // its cache.
  void share_tiles(int64_t set) const {
    const SetRoom room = SetRoom::make(p_, r_, kScratchSharedBits, kScratchExpand, kScratchTables);
    const WeightSet weights = draw_together(set, room);
    ColumnTile* tiles = scratch<ColumnTile>(kScratchSum, max_tiles(r_, tile_width_));
    const int64_t tile_count = list_tiles(r_, weights, tile_width_, tiles);
    parallel_for(pool_, pool_.threads, 1, [&](int64_t begin, int64_t end) {
      PhaseClock clock;
      char* work = scratch<char>(kScratchColumns, work_bytes());
      Staged<T> staged;
      for (int64_t share = begin; share < end; ++share) {
        const int64_t first = tile_count * share / pool_.threads, last = tile_count * (share + 1) / pool_.threads;
        const Panels panels{scratch<T>(kScratchPanel, panel_elements(weights)), 0, first, nullptr};
        run_slab(set, weights, 0, tiles + first, last - first, panels, true, staged, work, clock, share == 0);
      }
    });
  }

  // All threads draw and pack, then share the slabs.
  void share_slabs(int64_t set) const {
    const SetRoom room = SetRoom::make(p_, r_, kScratchSharedBits, kScratchExpand, kScratchTables);
    const WeightSet weights = draw_together(set, room);
    // The calling thread is one of the workers below: what all read must not lie in a slot that a worker writes.
    ColumnTile* tiles = scratch<ColumnTile>(kScratchSum, max_tiles(r_, tile_width_));
    const int64_t tile_count = list_tiles(r_, weights, tile_width_, tiles);
    Panels panels{};
    panels.step = panel_elements(weights);
    panels.data = scratch<T>(kScratchSharedPanel, tile_count * panels.step);
    parallel_for(pool_, tile_count, 1, [&](int64_t begin, int64_t end) {
      PhaseClock clock;
      char* work = scratch<char>(kScratchColumns, work_bytes());
      for (int64_t t = begin; t < end; ++t) form_panel(weights, tiles[t], t, panels.data + t * panels.step, rows(work));
      clock.mark(kPhasePack);
    });
    const int64_t slab_count = slabs_.count();
    const int64_t shares = slab_count >= pool_.threads ? 1 : (pool_.threads + slab_count - 1) / slab_count;
    const int64_t splits = shares < tile_count ? shares : tile_count > 0 ? tile_count : 1;
    parallel_for(pool_, slab_count * splits, 1, [&](int64_t begin, int64_t end) {
      PhaseClock clock;
      char* work = scratch<char>(kScratchColumns, work_bytes());
      Staged<T> staged;
      for (int64_t job = begin; job < end; ++job) {
        const int64_t slab = job / splits, split = job % splits;
        const int64_t first = tile_count * split / splits, last = tile_count * (split + 1) / splits;
        const Panels mine{panels.data + first * panels.step, panels.step, first, nullptr};
        run_slab(set, weights, slab, tiles + first, last - first, mine, false, staged, work, clock, split == 0);
      }
    });
  }

  WeightSet draw_together(int64_t set, const SetRoom& room) const {
    PhaseClock clock;
    const WeightSet weights = prepare_together(set, room);
    clock.mark(kPhaseDraw);
    return weights;
  }

  // Draws the bits of one mask on all threads: pieces that start on a multiple of 64 elements of the stream.
  WeightSet prepare_together(int64_t set, const SetRoom& room) const {
    if (!p_.mask.masked) return WeightSet{};
    constexpr int64_t kPiece = 1 << 16;
    if (p_.mask.given != nullptr || p_.mask.elements < 2 * kPiece) return prepare(set, room);
    const int64_t index = example_of(set) * p_.mask.elements, start = fill_start(index);
    const int64_t total = index - start + p_.mask.elements;
    const Stream stream{(uint64_t)p_.mask.seeds[sample_of(set)], p_.mask.stream};
    parallel_for(pool_, (total + kPiece - 1) / kPiece, 1, [&](int64_t begin, int64_t end) {
      const int64_t first = begin * kPiece, last = end * kPiece < total ? end * kPiece : total;
      kFillKernels.bernoulli_bits(room.bits + first / 64, start + first, last - first, stream, p_.mask.law);
    });
    return weight_set(p_, r_, BitRange{room.bits, index - start}, room);
  }

  // Work space of a thread: the list of tiles, one row of panel positions, the run offsets.
  int64_t rows_elements() const { return (p_.weight_row() > p_.taps() ? p_.weight_row() : p_.taps()) + 1; }
  int64_t tiles_bytes() const { return max_tiles(r_, tile_width_) * (int64_t)sizeof(ColumnTile); }
  int64_t work_bytes() const {
    return tiles_bytes() + p_.taps() * (int64_t)sizeof(int64_t) + rows_elements() * (int64_t)sizeof(int32_t);
  }
  int64_t* runs(char* work) const { return reinterpret_cast<int64_t*>(work + tiles_bytes()); }
  int32_t* rows(char* work) const { return reinterpret_cast<int32_t*>(runs(work) + p_.taps()); }

  void run_slab(int64_t set, const WeightSet& weights, int64_t slab_index, const ColumnTile* tiles, int64_t tile_count,
                const Panels& panels, bool pack, Staged<T>& staged, char* work, PhaseClock& clock,
                bool fill_skipped = true) const {
    const Slab slab = slabs_[slab_index];
    const int64_t sample = sample_of(set), example = p_.per_example ? example_of(set) : slab.first_image;
    Axis axis[3];
    slab_axes(axis_, slabs_, slab, axis);
    const bool skips = weights.reduced.list != nullptr;
    const ChannelList channels{weights.reduced.list, skips ? weights.reduced.start[r_.groups] : r_.reduced_total};
    const int64_t tag = p_.per_example ? example * slabs_.count() + slab_index : slab_index;
    const SlabView<T> view =
        open_slab<S, T>(source_, axis, slabs_, slab, sample, example, channels, direct_ && !skips, tag,
                        scratch<T>(kScratchStage, slab_elements<T>(axis_, slabs_, r_.reduced_total)), staged, clock);

    S* out = static_cast<S*>(result_.data) + sample * result_.sample_stride + example * result_.example_stride;
    Loop loops[4];
    loops[0] = Loop{slab.last_image - slab.first_image, view.image, result_.example_stride};
    for (int a = 0; a < 3; ++a) {
      loops[a + 1] = Loop{axis[a].count, axis[a].step * view.pixel[a], axis[a].out_step * result_.axis_stride[a]};
      out += (axis[a].out_first + (a == slabs_.axis ? slab.first * axis[a].out_step : 0)) * result_.axis_stride[a];
    }
    const LoopNest nest = nest_loops(loops, kTilePixels);

    const bool merged = axis[2].adjacent && r_.groups == 1 && !r_.depthwise && view.pixel[2] == channels.count;
    int64_t* run = runs(work);
    const int64_t run_count = tap_runs(axis, view.pixel, merged, run);

    // With one tap along the depth, the runs of a row of taps stand together.
    RowTaps row_taps;
    row_taps.use = nest.by_rows && axis[0].taps == 1 && !r_.depthwise;
    row_taps.axis = axis[1];
    row_taps.first = slabs_.axis == 1 ? slab.first : 0;
    row_taps.size = source_.size[1];
    row_taps.runs = axis[1].taps > 0 ? run_count / axis[1].taps : 0;

    Upcoming upcoming;
    for (int64_t t = 0; t < tile_count; ++t) {
      const ColumnTile& tile = tiles[t];
      const T* panel = panels.data + t * panels.step;
      const uint16_t* mask = panels.words != nullptr ? panels.words + t * words_step() : nullptr;
      if (source_panels_ != nullptr && (mask != nullptr || !weights.has_bits)) {
        panel = source_panels_ + (panels.first + t) * source_step_;
      } else if (pack) {
        clock.start();
        form_panel(weights, tile, panels.first + t, panels.data + t * panels.step, rows(work));
        clock.mark(kPhasePack);
      }
      const int64_t reduced = r_.depthwise ? 1 : WeightSet::count(weights.reduced, tile.group, r_.reduced);
      const int64_t channel = r_.depthwise ? tile.first : WeightSet::first(weights.reduced, tile.group, r_.reduced);
      TileArguments<T> a;
      a.x = view.x + channel;
      a.step = 1;
      a.runs = run;
      a.run_count = run_count;
      a.run_length = merged ? axis[2].taps * reduced : reduced;
      a.panel = panel;
      a.panel_step = tile_width_;
      a.mask = mask;
      next_panel(weights, panels, t + 1 < tile_count ? t + 1 : 0, pack, upcoming);
      run_tile(a, tile, weights, nest, row_taps, out, upcoming, clock);
    }
    if (fill_skipped && weights.columns.list != nullptr) fill_columns(weights, loops, out);
  }

  // The panel after the one in use, fetched into the cache a little with every piece of work: read for the first time it
  // would come from afar.
  struct Upcoming {
    const char* data = nullptr;
    int64_t bytes = 0;

    void fetch(int64_t pieces) {
      constexpr int64_t kLine = 64;
      int64_t here = (bytes / pieces + kLine - 1) / kLine * kLine;
      if (here > bytes) here = bytes;
      for (int64_t i = 0; i < here; i += kLine) __builtin_prefetch(data + i, 0, 2);
      data += here;
      bytes -= here;
    }
  };

  void next_panel(const WeightSet& weights, const Panels& panels, int64_t t, bool packs, Upcoming& upcoming) const {
    const bool source = source_panels_ != nullptr && (panels.words != nullptr || !weights.has_bits);
    upcoming.bytes = 0;
    if (!source && (packs || panels.step == 0)) return;  // it is not there yet
    upcoming.data = reinterpret_cast<const char*>(source ? source_panels_ + (panels.first + t) * source_step_
                                                         : panels.data + t * panels.step);
    upcoming.bytes = (source ? source_step_ : panels.step) * (int64_t)sizeof(T);
  }

  // Rows of taps that meet only padding are left out: the first and last rows of an image have less to add.
  struct RowTaps {
    bool use;
    Axis axis;
    int64_t first, size;  // number of the slab's first row; rows of the source
    int64_t runs;         // of a row of taps

    void narrow(int64_t row, const TileArguments<T>& all, TileArguments<T>& a) const {
      const int64_t at = (first + row) * axis.step;
      int64_t begin = 0, end = axis.taps;
      while (begin < end && at + axis.offset[begin] < 0) ++begin;
      while (begin < end && at + axis.offset[end - 1] >= size) --end;
      const int64_t skipped = begin * runs * all.run_length;
      a.runs = all.runs + begin * runs;
      a.run_count = (end - begin) * runs;
      a.panel = all.panel + skipped * all.panel_step;
      if (all.mask != nullptr) a.mask = all.mask + skipped * kTileVectors;
    }
  };

  void run_tile(TileArguments<T>& a, const ColumnTile& tile, const WeightSet& weights, const LoopNest& nest,
                const RowTaps& row_taps, S* out, Upcoming& upcoming, PhaseClock& clock) const {
    const int vectors = (int)((tile.count + kLanes<T> - 1) / kLanes<T>);
    const int64_t first = WeightSet::first(weights.columns, tile.group, r_.columns) + tile.first;
    const bool listed = weights.columns.list != nullptr;
    const ChannelOffsets channel{listed ? weights.columns.list + first : nullptr, first, result_.channel_stride};
    const bool in_place = stores_directly<S, T>((int)tile.count, vectors, channel);
    Strip<S, T> strip((int)tile.count, nest.loop[3].out_step, channel);
    alignas(64) T listed_bias[kTileChannels<T>];
    a.scale = (T)p_.scale;
    a.bias = bias_ + first;
    if (listed) {
      for (int64_t i = 0; i < kTileChannels<T>; ++i) listed_bias[i] = i < tile.count ? bias_[channel.list[i]] : T(0);
      a.bias = listed_bias;
    }
    const Loop& along = nest.loop[3];
    a.out_step = in_place ? along.out_step : kTileChannels<T>;
    const int64_t pieces = (along.count + kTilePixels - 1) / kTilePixels;
    const int64_t shorter = along.count / pieces, longer = along.count % pieces;
    int64_t left = nest.loop[0].count * nest.loop[1].count * nest.loop[2].count * pieces;
    const TileArguments<T> all = a;
    for (int64_t i = 0; i < nest.loop[0].count; ++i)
      for (int64_t j = 0; j < nest.loop[1].count; ++j)
        for (int64_t k = 0; k < nest.loop[2].count; ++k) {
          const int64_t in = i * nest.loop[0].in_step + j * nest.loop[1].in_step + k * nest.loop[2].in_step;
          S* to = out + i * nest.loop[0].out_step + j * nest.loop[1].out_step + k * nest.loop[2].out_step;
          a.x = all.x + in;
          if (row_taps.use) row_taps.narrow(k, all, a);
          a.pixel_step = along.in_step;
          for (int64_t piece = 0; piece < pieces; ++piece) {
            if (upcoming.bytes > 0) upcoming.fetch(left);
            --left;
            const int pixels = (int)(shorter + (piece < longer ? 1 : 0));
            if constexpr (sizeof(S) == sizeof(T)) {
              if (in_place) a.out = to + first;
            }
            clock.start();
            if (!in_place) {
              a.out = strip.room(pixels, to);
              clock.mark(kPhaseEpilogue);
            }
            if (r_.depthwise) {
              depthwise_tile_function<T>(pixels)(a);
            } else {
              tile_function<T>(pixels, vectors, a.mask != nullptr)(a);
            }
            clock.mark(kPhaseMultiply);
            a.x += pixels * along.in_step;
            to += pixels * along.out_step;
          }
        }
    clock.start();
    strip.flush();
    clock.mark(kPhaseEpilogue);
  }

  // A column that is switched off is its bias.
  void fill_columns(const WeightSet& weights, const Loop* loops, S* out) const {
    int64_t next = 0;
    for (int64_t c = 0; c < r_.columns_total; ++c) {
      if (next < weights.columns.start[r_.groups] && weights.columns.list[next] == c) {
        ++next;
        continue;
      }
      const S value = convert<S>(bias_[c]);
      for (int64_t i = 0; i < loops[0].count; ++i)
        for (int64_t d = 0; d < loops[1].count; ++d)
          for (int64_t h = 0; h < loops[2].count; ++h) {
            S* to = out + c * result_.channel_stride + i * loops[0].out_step + d * loops[1].out_step +
                    h * loops[2].out_step;
            for (int64_t w = 0; w < loops[3].count; ++w) to[w * loops[3].out_step] = value;
          }
    }
  }

  const ConvProblem& p_;
  const Roles r_;
  const Images& source_;
  const Images& result_;
  const Parallel& pool_;
  const S* weight_;
  T* bias_;
  Axis axis_[3];
  int32_t* tap_position_;
  int32_t* rows_;         // of the strips of a panel, where no channel is left out
  int32_t* memory_rows_;  // the same in the order of the weight in memory
  TapOrder taps_;
  const T* source_panels_;
  int64_t source_step_;
  SlabPlan slabs_;
  bool direct_;
  int64_t tile_width_, sets_, images_per_set_;
};

template <class S, class T>
void forward_as(const ConvProblem& p, const Images& input, const Images& output, const void* bias,
                const Parallel& pool) {
  const int64_t phase[3] = {0, 0, 0};
  Correlation<S, T>(p, false, input, output, static_cast<const S*>(bias), pool).run(phase);
}

template <class S, class T>
void input_grad_as(const ConvProblem& p, const Images& grad_output, const Images& grad_input, const Parallel& pool) {
  Correlation<S, T> correlation(p, true, grad_output, grad_input, nullptr, pool);
  int64_t phase[3];
  for (phase[0] = 0; phase[0] < p.stride[0]; ++phase[0])
    for (phase[1] = 0; phase[1] < p.stride[1]; ++phase[1])
      for (phase[2] = 0; phase[2] < p.stride[2]; ++phase[2]) correlation.run(phase);
}

}  // namespace

void correlate_forward(const ConvProblem& p, const Images& input, const Images& output, const void* bias,
                       const Parallel& pool) {
  if (p.dtype == kFloat32) return forward_as<float, float>(p, input, output, bias, pool);
  if (p.dtype == kFloat64) return forward_as<double, double>(p, input, output, bias, pool);
  return forward_as<BFloat16, float>(p, input, output, bias, pool);
}

void correlate_input_grad(const ConvProblem& p, const Images& grad_output, const Images& grad_input,
                          const Parallel& pool) {
  if (p.dtype == kFloat32) return input_grad_as<float, float>(p, grad_output, grad_input, pool);
  if (p.dtype == kFloat64) return input_grad_as<double, double>(p, grad_output, grad_input, pool);
  return input_grad_as<BFloat16, float>(p, grad_output, grad_input, pool);
}

BAYESOPS_ISA_END
