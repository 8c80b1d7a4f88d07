// Where a set's panels come from: packed from the weights for one set alone, or masked copies of panels that are packed
// once for many sets, or those panels themselves, masked by the tiles as they load them; or Gaussian weights, drawn.
#pragma once
#include "kernels/conv/drawn_panel.h"
#include "kernels/counters.h"

BAYESOPS_ISA_BEGIN

template <class S, class T, class M = T>
class PanelSource {
 public:
  PanelSource(const ConvProblem& problem, const Roles& roles, int64_t tile_width)
      : p_(problem), r_(roles), weight_(static_cast<const S*>(problem.weight)), width_(tile_width) {}

  // Elements of one row of positions; `set_order` needs room for table_elements().
  int64_t row_elements() const { return (p_.weight_row() > p_.taps() ? p_.weight_row() : p_.taps()) + 1; }
  int64_t table_elements() const { return p_.taps() + 2 * row_elements(); }

  // The order in which a pass reads the taps: those of `axis`, ascending.
  void set_order(const Axis* axis, int32_t* room) {
    int32_t* position = room;
    rows_ = room + p_.taps();
    memory_rows_ = rows_ + row_elements();
    for (int64_t t = 0; t < p_.taps(); ++t) position[t] = -1;
    int32_t next = 0;
    for (int64_t d = 0; d < axis[0].taps; ++d)
      for (int64_t h = 0; h < axis[1].taps; ++h)
        for (int64_t w = 0; w < axis[2].taps; ++w)
          position[(axis[0].tap[d] * p_.kernel[1] + axis[1].tap[h]) * p_.kernel[2] + axis[2].tap[w]] = next++;
    taps_ = TapOrder{position, next};
    strip_rows(p_, r_, WeightSet{}, 0, taps_, false, rows_);  // the same for every group
    strip_rows(p_, r_, WeightSet{}, 0, taps_, true, memory_rows_);
  }

  // Packs the weights without a mask where several sets will need them, and no set leaves channels out.
  void pack_for(int64_t sets, const Parallel& pool) {
    shared_ = nullptr;
    const bool skips = p_.mask.masked && !r_.depthwise && p_.mask.granularity >= kGranularityInChannel;
    if (sets < 2 || skips || p_.noise.drawn) return;
    const WeightSet all;
    shared_step_ = elements(all);
    const int64_t tile_count = max_tiles(r_, width_);
    M* panels = scratch<M>(kScratchSourcePanel, tile_count * shared_step_);
    ColumnTile* tiles = scratch<ColumnTile>(kScratchSum, tile_count);
    list_tiles(r_, all, width_, tiles);
    parallel_for(pool, tile_count, 1, [&](int64_t begin, int64_t end) {
      PhaseClock clock;
      form_tiles(all, 0, tiles + begin, end - begin, begin, panels + begin * shared_step_, shared_step_, nullptr);
      clock.mark(kPhasePack);
    });
    shared_ = panels;
  }

  // Operands of the largest panel of a set.
  int64_t elements(const WeightSet& set) const {
    int64_t reduced = r_.depthwise ? 1 : 0;
    for (int64_t g = 0; g < r_.groups && !r_.depthwise; ++g) {
      const int64_t here = WeightSet::count(set.reduced, g, r_.reduced);
      if (here > reduced) reduced = here;
    }
    return taps_.count * width_ * reduced / kNumbers<M>;
  }

  // The panel that all sets share, for tile number `index`; null where each set has panels of its own. A set without
  // bits uses it as it is, one whose tiles mask as they load uses it with words.
  const M* shared(const WeightSet& set, int64_t index) const {
    return shared_ != nullptr && (!set.has_bits || masks_in_tiles(set)) ? shared_ + index * shared_step_ : nullptr;
  }
  bool masks_in_tiles(const WeightSet& set) const {
    return kMaskInTile && shared_ != nullptr && set.has_bits && !r_.depthwise;
  }
  int64_t words_step() const { return shared_step_ / width_ * kNumbers<M> * kTileVectors; }
  void form_words(const WeightSet& set, const ColumnTile* tiles, int64_t tile_count, uint16_t* words) const {
    for (int64_t t = 0; t < tile_count; ++t) mask_words<T>(p_, r_, set, tiles[t], rows_, words + t * words_step());
  }

  // How many panels of a set are best formed at once. Where the columns of a panel are a few neighbours in every row of
  // the weight, several panels together read and draw longer pieces.
  int64_t together(const WeightSet& set) const {
    if (shared_ != nullptr || p_.weight_channels_last || !columns_adjoin(p_, r_, set)) return 1;
    constexpr int64_t kBytes = 512 << 10, kFewest = 4, kMost = 16;
    static_assert(kMost * kTileChannels<T> <= kDrawnTogether, "a row of all is one range");
    const int64_t bytes = elements(set) * (int64_t)sizeof(M), fitting = bytes > 0 ? kBytes / bytes : kMost;
    return fitting < kFewest ? kFewest : fitting > kMost ? kMost : fitting;
  }

  // The set's own panels for `count` tiles, those from number `index` on, `step` operands apart; `work` has room for
  // row_elements().
  void form_tiles(const WeightSet& set, int64_t sample, const ColumnTile* tiles, int64_t count, int64_t index,
                  M* panels, int64_t step, int32_t* work) const {
    const int64_t most = together(set);
    for (int64_t t = 0, here; t < count; t += here) {
      ColumnTile tile = tiles[t];
      for (here = 1; here < most && t + here < count && tiles[t + here].group == tile.group; ++here)
        tile.count += tiles[t + here].count;
      form(set, sample, tile, index + t, panels + t * step, work, step);
    }
  }

  // The set's own panel for tile number `index`; the tile may be several, as in pack_panel, if together() says so.
  void form(const WeightSet& set, int64_t sample, const ColumnTile& tile, int64_t index, M* panel, int32_t* work,
            int64_t between = 0) const {
    if constexpr (kNumbers<M> == 1) {
      form_numbers(set, sample, tile, index, panel, work, between);
    } else {
      const int64_t size = elements(set), tiles = (tile.count + width_ - 1) / width_;
      T* numbers = scratch<T>(kScratchNumbers, tiles * size * kNumbers<M>);
      form_numbers(set, sample, tile, index, numbers, work, size * kNumbers<M>);
      for (int64_t t = 0; t < tiles; ++t, numbers += size * kNumbers<M>)
        pair_rows(numbers, size / width_, tile.count - t * width_, panel + t * between);
    }
  }

 private:
  void form_numbers(const WeightSet& set, int64_t sample, const ColumnTile& tile, int64_t index, T* panel,
                    int32_t* work, int64_t between) const {
    if (p_.noise.drawn)
      return draw_panel<S, T>(p_, r_, DrawnWeights<S, T>{weight_, static_cast<const S*>(p_.noise.sigma)}, sample, tile,
                              rows_, panel, width_, between);
    if constexpr (kNumbers<M> == 1) {
      if (shared_ != nullptr)
        return mask_panel<T>(p_, r_, set, shared_ + index * shared_step_, tile, rows_, panel, width_);
    }
    const int32_t* rows = memory_rows_;
    if (set.reduced.list != nullptr) {
      strip_rows(p_, r_, set, tile.group, taps_, true, work);
      rows = work;
    }
    pack_panel<S, T>(p_, r_, set, weight_, tile, rows, panel, width_, between);
    if (set.has_bits) mask_panel<T>(p_, r_, set, panel, tile, rows_, panel, width_, between);
  }

  // Rows of numbers, two by two, to `rows` rows of pairs: of the first `columns` columns, or of whole panels.
  void pair_rows(const T* numbers, int64_t rows, int64_t columns, M* pairs) const {
    for (int64_t row = 0; row < rows; ++row, numbers += 2 * width_, pairs += width_)
      for (int64_t c = 0; c < width_ && c < columns; c += kLanes<T>)
        store(pairs + c, pairs_of(load(numbers + c), load(numbers + width_ + c)));
  }

  const ConvProblem& p_;
  const Roles& r_;
  const S* weight_;
  int64_t width_;
  TapOrder taps_{nullptr, 0};
  int32_t* rows_ = nullptr;         // of the strips of a panel, where no channel is left out
  int32_t* memory_rows_ = nullptr;  // the same in the order of the weight in memory
  const M* shared_ = nullptr;
  int64_t shared_step_ = 0;
};

BAYESOPS_ISA_END
