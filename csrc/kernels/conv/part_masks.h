// Masks of a part of the weight, some input channels by a tile of output channels, as words in the order of its sums.
#pragma once
#include "kernels/conv/weight_set.h"
#include "kernels/counters.h"

BAYESOPS_ISA_BEGIN

// Input channels [first, first + count) of every group by tiles [first_tile, last_tile) of output channels. Of an
// output channel's row of the weight that is one strip of `length` elements; element k of it has row rows[k] in the
// part's sums, which lie [tile][tap][input channel][column].
struct WeightPart {
  int64_t first, count, length;
  int64_t first_tile, last_tile;
  const int32_t* rows;

  int64_t tiles() const { return last_tile - first_tile; }
};

class PartMasks {
 public:
  PartMasks(const ConvProblem& problem, const Roles& roles) : p_(problem), r_(roles) {}

  // Draws the mask at once, for all threads, where there is but one and it is large; otherwise form() draws what it
  // needs.
  void one_set(const Parallel& pool, bool is) {
    const bool of_weights = of_elements();
    shared_ = is && p_.mask.masked && (of_weights || p_.mask.granularity == kGranularityKernel);
    if (!shared_) return;
    PhaseClock clock;
    bits_ = mask_bits_together(p_.mask, 0, 0, scratch<uint64_t>(kScratchSharedBits, bit_words(p_.mask.elements)), pool);
    // form() expands nothing when it finds bits here.
    if (!of_weights)
      bits_ = weight_bits(p_, bits_, scratch<uint64_t>(kScratchExpand, bit_words(p_.out_channels * p_.weight_row())));
    clock.mark(kPhaseDraw);
  }

  // kTileVectors words for each row of the part's sums.
  template <class T>
  void form(int64_t sample, int64_t example, const WeightPart& part, const ColumnTile& tile, uint16_t* words,
            PhaseClock& clock) const {
    const int64_t out = tile.group * r_.columns + tile.first;
    int64_t first[kTileChannels<T>];  // of each column's strip, in `bits`
    BitRange bits = bits_;
    if (shared_) {
      for (int64_t i = 0; i < tile.count; ++i) first[i] = (out + i) * p_.weight_row() + part.first * p_.taps();
    } else {
      bits = draw(sample, example, part, tile, out, first);
      clock.mark(kPhaseDraw);
    }
    word_strip<T, kTileVectors>(
        bits, (int)tile.count, part.length, [&](int i) { return first[i]; }, StripRows{part.rows, 0}, words);
    clock.mark(kPhasePack);
  }

 private:
  // Whether every weight has a bit of its own.
  bool of_elements() const {
    const Granularity granularity = p_.mask.granularity;
    return granularity == kGranularityWeight || (granularity == kGranularityKernel && p_.taps() == 1);
  }

  BitRange draw(int64_t sample, int64_t example, const WeightPart& part, const ColumnTile& tile, int64_t out,
                int64_t* first) const {
    const MaskSource& mask = p_.mask;
    const int64_t taps = p_.taps(), words = bit_words(part.length);
    if (of_elements() && part.length == p_.weight_row()) {
      for (int64_t i = 0; i < tile.count; ++i) first[i] = i * part.length;
      const int64_t elements = tile.count * part.length;
      return mask_bits(mask, sample, example, out * part.length, elements,
                       scratch<uint64_t>(kScratchBits, bit_words(elements)));
    }
    uint64_t* room = scratch<uint64_t>(kScratchBits, (tile.count + 1) * words);
    if (of_elements() || mask.granularity == kGranularityKernel) {
      const bool whole_kernels = !of_elements();
      const int64_t count = whole_kernels ? part.count : part.length,
                    row = whole_kernels ? p_.group_in() : p_.weight_row();
      uint64_t* drawn = scratch<uint64_t>(kScratchExpand, words);
      for (int64_t i = 0; i < tile.count; ++i) {
        uint64_t* strip = room + i * words;
        const int64_t from = (out + i) * row + part.first * count / part.count;
        BitRange range = mask_bits(mask, sample, example, from, count, whole_kernels ? drawn : strip);
        if (whole_kernels) range = repeat_bits(range, count, taps, strip);
        first[i] = i * words * 64 + range.offset;
      }
      return BitRange{room, 0};
    }
    draw_channels(sample, example, part, tile, out, room, words * 64, first);
    return BitRange{room, 0};
  }

  // Columns that are left on share a strip, and so do those that are switched off; a depthwise column is by itself.
  void draw_channels(int64_t sample, int64_t example, const WeightPart& part, const ColumnTile& tile, int64_t out,
                     uint64_t* room, int64_t step, int64_t* first) const {
    const MaskSource& mask = p_.mask;
    const int64_t taps = p_.taps(), ins = r_.depthwise ? tile.count : part.count;
    const int64_t first_in = r_.depthwise ? out : tile.group * r_.reduced + part.first;
    uint64_t* drawn = scratch<uint64_t>(kScratchExpand, bit_words(ins) + bit_words(tile.count));
    BitRange in{nullptr, 0}, outs{nullptr, 0};
    if (mask.granularity != kGranularityOutChannel) in = mask_bits(mask, sample, example, first_in, ins, drawn);
    if (mask.granularity != kGranularityInChannel)
      outs = mask_bits(mask, sample, example, out + (mask.granularity == kGranularityChannel ? p_.in_channels : 0),
                       tile.count, drawn + bit_words(ins));
    memset(room, 0, (size_t)(2 * step / 8));
    for (int64_t c = 0; c < part.count; ++c)
      if (r_.depthwise || in.words == nullptr || in[c]) set_bits(room, c * taps, taps);
    for (int64_t i = 0; i < tile.count; ++i) {
      const bool on = (outs.words == nullptr || outs[i]) && (!r_.depthwise || in.words == nullptr || in[i]);
      first[i] = on ? 0 : step;
    }
  }

  const ConvProblem& p_;
  const Roles& r_;
  bool shared_ = false;
  BitRange bits_{nullptr, 0};
};

BAYESOPS_ISA_END
