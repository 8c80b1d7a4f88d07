// One weight set: the weights under the mask of one (sample, example), and its panels.
#pragma once
#include "kernels/conv/geometry.h"
#include "kernels/conv/microkernel.h"
#include "kernels/conv/pack.h"

BAYESOPS_ISA_BEGIN

// Which side of the weight is summed over: input channels going forward, output channels for the input gradient.
struct Roles {
  bool backward;
  int64_t groups;            // that the panels see; a depthwise convolution is one group of columns
  int64_t reduced, columns;  // channels of a group
  int64_t reduced_total, columns_total;
  bool depthwise;
};

static inline Roles roles_of(const ConvProblem& p, bool backward) {
  Roles r;
  r.backward = backward;
  r.depthwise = p.depthwise();
  r.groups = r.depthwise ? 1 : p.groups;
  r.reduced_total = backward ? p.out_channels : p.in_channels;
  r.columns_total = backward ? p.in_channels : p.out_channels;
  r.reduced = r.depthwise ? 1 : r.reduced_total / r.groups;
  r.columns = r.columns_total / r.groups;
  return r;
}

// Channel masks switch whole channels off: nothing is computed for them. (A depthwise channel is one window, so there
// they are bits like the others.)
struct ChannelSkip {
  const int32_t* list = nullptr;  // channels left on, all groups; null: all of them
  const int64_t* start = nullptr;
};

struct WeightSet {
  BitRange bits{nullptr, 0};
  bool has_bits = false;
  ChannelSkip reduced, columns;

  static int64_t first(const ChannelSkip& skip, int64_t group, int64_t per_group) {
    return skip.list != nullptr ? skip.start[group] : group * per_group;
  }
  static int64_t count(const ChannelSkip& skip, int64_t group, int64_t per_group) {
    return skip.list != nullptr ? skip.start[group + 1] - skip.start[group] : per_group;
  }
};

// Memory of a set: bits, and lists of channels.
struct SetRoom {
  uint64_t* bits;
  uint64_t* expanded;
  int64_t* reduced_start;
  int64_t* columns_start;
  int32_t* reduced_list;
  int32_t* columns_list;

  static int64_t table_bytes(const Roles& r) {
    return (2 * (r.groups + 1)) * (int64_t)sizeof(int64_t) +
           (r.reduced_total + r.columns_total) * (int64_t)sizeof(int32_t);
  }
  static SetRoom make(const ConvProblem& p, const Roles& r, ScratchSlot bits, ScratchSlot expanded,
                      ScratchSlot tables) {
    SetRoom room;
    room.bits = scratch<uint64_t>(bits, bit_words(p.mask.elements));
    const bool expands = p.mask.granularity != kGranularityWeight;
    room.expanded = scratch<uint64_t>(expanded, expands ? bit_words(p.out_channels * p.weight_row()) : 1);
    char* at = scratch<char>(tables, table_bytes(r));
    room.reduced_start = reinterpret_cast<int64_t*>(at);
    room.columns_start = room.reduced_start + r.groups + 1;
    room.reduced_list = reinterpret_cast<int32_t*>(room.columns_start + r.groups + 1);
    room.columns_list = room.reduced_list + r.reduced_total;
    return room;
  }
};

// A mask of any granularity as one bit for each weight.
static inline BitRange weight_bits(const ConvProblem& p, BitRange bits, uint64_t* room) {
  const int64_t kernels = p.out_channels * p.group_in();
  switch (p.mask.granularity) {
    case kGranularityWeight:
      return bits;
    case kGranularityKernel:
      return repeat_bits(bits, kernels, p.taps(), room);
    case kGranularityOutChannel:
      return repeat_bits(bits, p.out_channels, p.weight_row(), room);
    case kGranularityInChannel:
    case kGranularityChannel:
      break;
  }
  const bool both = p.mask.granularity == kGranularityChannel;
  memset(room, 0, (size_t)bit_words(kernels * p.taps()) * sizeof(uint64_t));
  for (int64_t kernel = 0; kernel < kernels; ++kernel) {
    const int64_t out = kernel / p.group_in(), in = out / p.group_out() * p.group_in() + kernel % p.group_in();
    if (bits[in] && (!both || bits[p.in_channels + out])) set_bits(room, kernel * p.taps(), p.taps());
  }
  return BitRange{room, 0};
}

// From the raw bits of a mask to what packing needs: bits, or channels to leave out.
static inline WeightSet weight_set(const ConvProblem& p, const Roles& r, BitRange bits, const SetRoom& room) {
  WeightSet set;
  const Granularity granularity = p.mask.granularity;
  if (granularity == kGranularityWeight || granularity == kGranularityKernel || r.depthwise) {
    set.bits = weight_bits(p, bits, room.expanded);
    set.has_bits = true;
    return set;
  }
  const bool inputs = granularity != kGranularityOutChannel, outputs = granularity != kGranularityInChannel;
  const BitRange out_bits{bits.words, bits.offset + (granularity == kGranularityChannel ? p.in_channels : 0)};
  if (r.backward ? outputs : inputs) {
    kept_channels(r.backward ? out_bits : bits, r.reduced_total, r.groups, room.reduced_list, room.reduced_start);
    set.reduced = ChannelSkip{room.reduced_list, room.reduced_start};
  }
  if (r.backward ? inputs : outputs) {
    kept_channels(r.backward ? bits : out_bits, r.columns_total, r.groups, room.columns_list, room.columns_start);
    set.columns = ChannelSkip{room.columns_list, room.columns_start};
  }
  return set;
}

// The columns of one panel: `count` channels of one group, from position `first` of its list of columns.
struct ColumnTile {
  int64_t group, first, count;
};

static inline int64_t list_tiles(const Roles& r, const WeightSet& set, int64_t width, ColumnTile* tiles) {
  int64_t total = 0;
  for (int64_t g = 0; g < r.groups; ++g) {
    const int64_t columns = WeightSet::count(set.columns, g, r.columns);
    for (int64_t first = 0; first < columns; first += width)
      tiles[total++] = ColumnTile{g, first, columns - first < width ? columns - first : width};
  }
  return total;
}

BAYESOPS_INLINE int64_t max_tiles(const Roles& r, int64_t width) {
  return r.groups * ((r.columns + width - 1) / width);
}

// Where the taps of a pass stand in a panel: tap t is the `position[t]`-th (negative: takes no part).
struct TapOrder {
  const int32_t* position;
  int64_t count;
};

// A panel has row (position of the tap) * (reduced channels) + (reduced channel). It is filled by strips: going forward
// one strip holds a column's whole row of the weight, input channels outside, taps inside; going backward there is a
// strip for every output channel, with a column's taps.
BAYESOPS_INLINE int64_t strip_length(const ConvProblem& p, const Roles& r) {
  return r.depthwise || r.backward ? p.taps() : p.weight_row();
}

// The panel rows of a strip's elements: in logical order, which is that of masks, or in the order of memory.
static inline void strip_rows(const ConvProblem& p, const Roles& r, const WeightSet& set, int64_t group,
                              const TapOrder& taps, bool in_memory, int32_t* rows) {
  const int64_t reduced = r.depthwise ? 1 : WeightSet::count(set.reduced, group, r.reduced), kernel_taps = p.taps();
  if (r.depthwise || r.backward) {
    for (int64_t t = 0; t < kernel_taps; ++t)
      rows[t] = taps.position[t] < 0 ? -1 : (int32_t)(taps.position[t] * reduced);
    return;
  }
  for (int64_t k = 0; k < p.weight_row(); ++k) rows[k] = -1;
  const bool channels_last = in_memory && p.weight_channels_last;
  const int64_t c_step = channels_last ? 1 : kernel_taps, t_step = channels_last ? p.group_in() : 1;
  const int64_t first = WeightSet::first(set.reduced, group, r.reduced);
  for (int64_t i = 0; i < reduced; ++i) {
    const int64_t c = set.reduced.list != nullptr ? set.reduced.list[first + i] - group * r.reduced : i;
    for (int64_t t = 0; t < kernel_taps; ++t)
      if (taps.position[t] >= 0) rows[c * c_step + t * t_step] = (int32_t)(taps.position[t] * reduced + i);
  }
}

// Calls strip(element of a column, row offset) for every strip of a panel.
template <class Strip>
BAYESOPS_INLINE void for_strips(const ConvProblem& p, const Roles& r, const WeightSet& set, const ColumnTile& tile,
                                const Strip& strip) {
  const int64_t row_elements = p.weight_row(), kernel_taps = p.taps();
  const int64_t column_base = WeightSet::first(set.columns, tile.group, r.columns) + tile.first;
  const int32_t* list = set.columns.list;
  const auto channel = [=](int i) { return list != nullptr ? (int64_t)list[column_base + i] : column_base + i; };
  if (r.depthwise) {
    strip([=](int i) { return channel(i) * kernel_taps; }, (int64_t)0);
  } else if (!r.backward) {
    strip([=](int i) { return channel(i) * row_elements; }, (int64_t)0);
  } else {
    const int64_t reduced = WeightSet::count(set.reduced, tile.group, r.reduced);
    const int64_t first = WeightSet::first(set.reduced, tile.group, r.reduced);
    for (int64_t i = 0; i < reduced; ++i) {
      const int64_t o = set.reduced.list != nullptr ? set.reduced.list[first + i] : first + i;
      const int64_t base = o * row_elements - tile.group * r.columns * kernel_taps;
      strip([=](int c) { return base + channel(c) * kernel_taps; }, i);
    }
  }
}

BAYESOPS_INLINE bool columns_adjoin(const ConvProblem& p, const Roles& r, const WeightSet& set) {
  return r.backward && !r.depthwise && p.taps() == 1 && set.columns.list == nullptr;
}

// Calls vector(column, place in a panel row) for the vectors of `columns` columns; where those are of several panels,
// the panels lie `between` numbers apart.
template <class T, class Vector>
BAYESOPS_INLINE void for_vectors(int64_t columns, int64_t panel_step, int64_t between, const Vector& vector) {
  for (int64_t first = 0, at = 0; first < columns; first += panel_step, at += between)
    for (int64_t c = 0; c < panel_step && first + c < columns; c += kLanes<T>) vector((int)(first + c), at + c);
}

template <class T>
BAYESOPS_INLINE int tile_vectors(const ColumnTile& tile) {
  return (int)((tile.count + kLanes<T> - 1) / kLanes<T>);
}

// Going backward from a channels-last weight: for every output channel and tap, neighbouring columns are neighbours.
template <class S, class T>
void pack_columns(const ConvProblem& p, const Roles& r, const WeightSet& set, const S* weight, const ColumnTile& tile,
                  const int32_t* rows, T* panel, int64_t panel_step) {
  constexpr int n = kLanes<T>;
  const int64_t columns = WeightSet::first(set.columns, tile.group, r.columns) + tile.first;
  const int64_t reduced = WeightSet::first(set.reduced, tile.group, r.reduced);
  const int64_t count = WeightSet::count(set.reduced, tile.group, r.reduced);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t o = set.reduced.list != nullptr ? set.reduced.list[reduced + i] : reduced + i;
    for (int64_t t = 0; t < p.taps(); ++t) {
      if (rows[t] < 0) continue;
      const S* line = weight + o * p.weight_row() + t * p.group_in() - tile.group * r.columns;
      T* to = panel + (rows[t] + i) * panel_step;
      for (int64_t v = 0; v < tile.count; v += n) {
        const int64_t here = tile.count - v < n ? tile.count - v : n;
        if (set.columns.list == nullptr) {
          store(to + v, load_as<T>(line + columns + v, low_bits(here)));
        } else {
          Vec<T> gathered{};
          for (int64_t c = 0; c < here; ++c) gathered[c] = convert<T>(line[set.columns.list[columns + v + c]]);
          store(to + v, gathered);
        }
      }
    }
  }
}

// The panel of a tile from the weights, without mask bits. `rows` are those in memory order. Where columns adjoin, the
// tile may be several that are neighbours, and their panels are `between` numbers apart.
template <class S, class T>
void pack_panel(const ConvProblem& p, const Roles& r, const WeightSet& set, const S* weight, const ColumnTile& tile,
                const int32_t* rows, T* panel, int64_t panel_step, int64_t between = 0) {
  if (p.weight_channels_last && r.backward) return pack_columns<S, T>(p, r, set, weight, tile, rows, panel, panel_step);
  const int columns = (int)tile.count, vectors = tile_vectors<T>(tile);
  const int64_t length = strip_length(p, r);
  const bool adjoin = columns_adjoin(p, r, set);
  for_strips(p, r, set, tile, [&](const auto& element, int64_t offset) {
    if (adjoin) {  // one tap: neighbouring columns are neighbouring weights
      if (rows[0] < 0) return;
      T* row = panel + (rows[0] + offset) * panel_step;
      for_vectors<T>(columns, panel_step, between, [&](int c, int64_t at) {
        store(row + at, load_as<T>(weight + element(c), low_bits(columns - c)));
      });
    } else {
      pack_strip<S, T>(weight, columns, vectors, length, element, StripRows{rows, offset}, panel, panel_step);
    }
  });
}

// The same under the bits of the set: a masked copy of the unmasked panel, in place where `from` is `panel`. `rows` are
// those in logical order.
template <class T>
void mask_panel(const ConvProblem& p, const Roles& r, const WeightSet& set, const T* from, const ColumnTile& tile,
                const int32_t* rows, T* panel, int64_t panel_step, int64_t between = 0) {
  const int columns = (int)tile.count, vectors = tile_vectors<T>(tile);
  const int64_t length = strip_length(p, r);
  const bool adjoin = columns_adjoin(p, r, set);
  for_strips(p, r, set, tile, [&](const auto& element, int64_t offset) {
    if (adjoin) {
      if (rows[0] < 0) return;
      const int64_t row = (rows[0] + offset) * panel_step;
      for_vectors<T>(columns, panel_step, between, [&](int c, int64_t at) {
        const auto keep = lane_mask<T>(BitRange::read(set.bits, element(c)));
        store(panel + row + at, (Vec<T>)((typename VectorOf<T>::I)load(from + row + at) & keep));
      });
    } else {
      mask_strip<T>(set.bits, columns, vectors, length, element, StripRows{rows, offset}, from, panel, panel_step);
    }
  });
}

// The mask of a panel as words, kTileVectors a row.
template <class T>
void mask_words(const ConvProblem& p, const Roles& r, const WeightSet& set, const ColumnTile& tile, const int32_t* rows,
                uint16_t* words) {
  const int columns = (int)tile.count;
  const int64_t length = strip_length(p, r);
  const bool adjoin = columns_adjoin(p, r, set);
  for_strips(p, r, set, tile, [&](const auto& element, int64_t offset) {
    if (adjoin) {
      for (int v = 0; v < kTileVectors && rows[0] >= 0; ++v)
        words[(rows[0] + offset) * kTileVectors + v] = (uint16_t)BitRange::read(set.bits, element(v * kLanes<T>));
    } else {
      word_strip<T, kTileVectors>(set.bits, columns, length, element, StripRows{rows, offset}, words);
    }
  });
}

BAYESOPS_ISA_END
