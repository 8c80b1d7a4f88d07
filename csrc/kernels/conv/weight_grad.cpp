// Gradient of the weight: for every tap, a product of input pixels and output gradients summed over pixels and images,
// then masked, sample by sample (example by example where every example has its own mask). Where the weight is
// Gaussian, mu's gradient is that sum, and sigma's the sum of every sample's times its noise.
//
// The inner loop is that of conv/tiles.cpp with other roles: the reduction runs over pixels, the staged output gradient
// is the panel, and the "pixels" of a tile are neighbouring input channels. The weight is cut into parts, some input
// channels by some tiles of output channels, whose sums stay in the cache while all sets and slabs of images are added.
// Where there are few, items (a set and a slab of its images) are dealt to several partial sums, which are added in
// order. Both cuts depend on the shapes only: the result is the same for every number of threads.
#include "kernels/conv/drawn_panel.h"
#include "kernels/conv/entry.h"
#include "kernels/conv/microkernel.h"
#include "kernels/conv/part_masks.h"
#include "kernels/conv/source.h"

BAYESOPS_ISA_BEGIN

namespace {

template <class S, class T>
class WeightGrad {
 public:
  // `grad_sigma` where noise is drawn; then `grad_weight` may be null.
  WeightGrad(const ConvProblem& problem, const Images& grad_output, const Images& input, T* grad_weight, T* grad_sigma,
             const Parallel& pool)
      : p_(problem),
        r_(roles_of(problem, false)),
        grad_(grad_output),
        input_(input),
        result_(grad_weight),
        sigma_(grad_sigma),
        pool_(enough_threads(problem, image_pixels(grad_output), pool)),
        masks_(p_, r_) {
    tile_width_ = r_.depthwise ? kLanes<T> : kTileChannels<T>;
    tile_count_ = max_tiles(r_, tile_width_);
    cut_channels();
  }

  void run() {
    int64_t* offsets = scratch<int64_t>(kScratchSharedTables, 2 * (p_.kernel[0] + p_.kernel[1] + p_.kernel[2]));
    int32_t* taps = reinterpret_cast<int32_t*>(offsets + p_.kernel[0] + p_.kernel[1] + p_.kernel[2]);
    for (int a = 0; a < 3; ++a) {
      axis_[a].offset = offsets;
      axis_[a].tap = taps;
      offsets += p_.kernel[a];
      taps += p_.kernel[a];
      forward_axis(axis_[a], p_, a, grad_.size[a]);
    }

    const int64_t sets = p_.per_example ? p_.samples * p_.examples : p_.samples;
    const int64_t images = p_.per_example ? 1 : p_.examples;
    int64_t items = 0;
    const bool empty = axis_[0].count == 0 || axis_[1].count == 0 || axis_[2].count == 0;
    if (!empty && images > 0) {
      // Not by what is read in place or by the width of a tile: the cut must not depend on memory formats and machines.
      slabs_ = plan_slabs(axis_, images, (staged_channels(block_channels_) + kPlannedColumns) * (int64_t)sizeof(T), 1);
      items = sets * slabs_.count();
      in_place_ = !r_.depthwise && !p_.squared_input && !p_.noise.flipped &&
                  readable_in_place<S, T>(input_, axis_, r_.reduced_total);
    }
    // Every sample has its own noise: its sum is formed by itself, where there are several.
    by_sample_ = sigma_ != nullptr && sets != 1;
    if (by_sample_) items = items > 0 ? sets : 0;
    masks_.one_set(pool_, sets == 1 && items > 0);
    const int64_t partials = partial_sums(items);
    if (partials > 1) {
      add_partials(items, partials);
    } else {
      add_at_once(items);
    }
    if (sigma_ != nullptr && !by_sample_) multiply_noise(main_result());
  }

 private:
  // Columns of a tile, for plans that are the same on every machine.
  static constexpr int64_t kPlannedColumns = 32;

  // Input channels are cut into blocks whose sums, for one tile, take some 64 KiB, and whose pixels in a slab do not
  // crowd into few sets of the cache: an odd number of lines each.
  void cut_channels() {
    constexpr int64_t kRows = 512, kLine = 16;
    block_channels_ = r_.reduced;
    if (r_.groups == 1 && !r_.depthwise) {
      const int64_t lines = (kRows / p_.taps() + kLine - 1) / kLine;
      const int64_t channels = (lines < 1 ? 1 : lines | 1) * kLine;
      if (channels < block_channels_) block_channels_ = channels;
    }
    blocks_ = block_channels_ > 0 ? (r_.reduced + block_channels_ - 1) / block_channels_ : 0;
  }
  int64_t staged_channels(int64_t of_block) const {
    return r_.groups == 1 && !r_.depthwise ? of_block : r_.reduced_total;
  }

  // How many sums are formed side by side, of all parts: enough for many threads. Fixed by the shapes.
  int64_t partial_sums(int64_t items) const {
    constexpr int64_t kPartials = 8, kJobs = 64, kPartialBytes = 64 << 20;
    const int64_t planned_tiles = r_.groups * ((r_.columns + kPlannedColumns - 1) / kPlannedColumns);
    const int64_t size = planned_tiles * kPlannedColumns * r_.reduced * p_.taps() * (int64_t)sizeof(T);
    if (size == 0) return 1;
    int64_t partials = kJobs / (planned_tiles * blocks_);
    if (partials > kPartialBytes / size) partials = kPartialBytes / size;
    if (partials > kPartials) partials = kPartials;
    return partials > items ? items : partials;
  }

  // The channels of a block by tiles [first_tile, last_tile).
  WeightPart part(int64_t block, int64_t first_tile, int64_t last_tile) const {
    WeightPart part;
    part.first = block * block_channels_;
    part.count = r_.reduced - part.first < block_channels_ ? r_.reduced - part.first : block_channels_;
    part.length = part.count * p_.taps();
    part.first_tile = first_tile;
    part.last_tile = last_tile;
    int32_t* rows = scratch<int32_t>(kScratchTables, part.length + 1);
    for (int64_t c = 0; c < part.count; ++c)
      for (int64_t t = 0; t < p_.taps(); ++t) rows[c * p_.taps() + t] = (int32_t)(t * part.count + c);
    part.rows = rows;
    return part;
  }

  // Tiles are cut by what fits the cache, and so that all threads have work; the cut shows in no result.
  int64_t tile_chunks(int64_t others) const {
    constexpr int64_t kSumBytes = 768 << 10;
    const int64_t sums = tile_count_ * block_channels_ * p_.taps() * tile_width_ * (int64_t)sizeof(T);
    int64_t chunks = ((by_sample_ ? 3 : 1) * sums + kSumBytes - 1) / kSumBytes;
    const int64_t wanted = others > 0 ? (2 * pool_.threads + others - 1) / others : 1;
    if (chunks < wanted) chunks = wanted;
    return chunks < tile_count_ ? chunks : tile_count_;
  }

  T* main_result() const { return result_ != nullptr || by_sample_ ? result_ : sigma_; }

  // Adds items [first, last) to the sums of a part, which start as zeros: `sums`, and `noisy` behind them where every
  // sample has its noise.
  void add(int64_t first, int64_t last, const WeightPart& part, T* sums, T* noisy) const {
    if (by_sample_) {
      add_samples(first, last, part, sums, noisy);
    } else {
      add_items(first, last, part, sums);
    }
  }
  void write(const WeightPart& part, const T* sums, const T* noisy) const {
    if (main_result() != nullptr) write_part(part, sums, main_result());
    if (by_sample_) write_part(part, noisy, sigma_);
  }

  // Every part's sum is formed in the cache and written from there.
  void add_at_once(int64_t items) {
    const int64_t chunks = tile_chunks(blocks_);
    parallel_for(pool_, blocks_ * chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t job = begin; job < end; ++job) {
        const int64_t chunk = job % chunks;
        const WeightPart mine = part(job / chunks, tile_count_ * chunk / chunks, tile_count_ * (chunk + 1) / chunks);
        const int64_t size = mine.tiles() * mine.length * tile_width_;
        T* sums = scratch<T>(kScratchSum, by_sample_ ? 2 * size : size);
        add(0, items, mine, sums, sums + size);
        PhaseClock clock;
        write(mine, sums, sums + size);
        clock.mark(kPhaseEpilogue);
      }
    });
  }

  void add_partials(int64_t items, int64_t partials) {
    const int64_t size = tile_count_ * r_.reduced * p_.taps() * tile_width_, step = by_sample_ ? 2 * size : size;
    const int64_t chunks = tile_chunks(partials * blocks_);
    T* sums = scratch<T>(kScratchSharedPanel, partials * step);
    const auto at = [&](const WeightPart& part) {
      return (part.first * p_.taps() * tile_count_ + part.first_tile * part.length) * tile_width_;
    };
    parallel_for(pool_, partials * blocks_ * chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t job = begin; job < end; ++job) {
        const int64_t partial = job / chunks / blocks_, block = job / chunks % blocks_, chunk = job % chunks;
        const WeightPart mine = part(block, tile_count_ * chunk / chunks, tile_count_ * (chunk + 1) / chunks);
        T* to = sums + partial * step + at(mine);
        add(items * partial / partials, items * (partial + 1) / partials, mine, to, to + size);
      }
    });
    parallel_for(pool_, blocks_ * tile_count_, 1, [&](int64_t begin, int64_t end) {
      PhaseClock clock;
      for (int64_t job = begin; job < end; ++job) {
        const int64_t tile = job % tile_count_;
        const WeightPart mine = part(job / tile_count_, tile, tile + 1);
        for (int64_t offset = 0; offset < step; offset += size) {
          T* to = sums + offset + at(mine);
          for (int64_t i = 0; i < mine.length * tile_width_; i += kLanes<T>) {
            Vec<T> sum = load(to + i);
            for (int64_t s = 1; s < partials; ++s) sum += load(to + s * step + i);
            store(to + i, sum);
          }
        }
        write(mine, sums + at(mine), sums + size + at(mine));
      }
      clock.mark(kPhaseEpilogue);
    });
  }

  // The columns of tile t, when no channel is skipped.
  ColumnTile tile(int64_t t) const {
    const int64_t per_group = tile_count_ / r_.groups, group = t / per_group, first = t % per_group * tile_width_;
    const int64_t left = r_.columns - first;
    return ColumnTile{group, first, left < tile_width_ ? left : tile_width_};
  }

  // Items that are worked on together: their slabs stay in the cache while each tile's sums are read and written once
  // for all of them.
  struct Item {
    Slab slab;
    int64_t sample, example;
    Axis axis[3];
    SlabView<T> view;
    const uint16_t* masks;  // kTileVectors words a row of every tile; null: nothing is masked
    FlipSigns signs;
    int64_t signs_of;  // the output channel that has the first of them
  };
  static constexpr int64_t kItems = 8;

  // The sums of samples [first, last), without and with their noise.
  void add_samples(int64_t first, int64_t last, const WeightPart& part, T* sums, T* noisy) const {
    const int64_t block = part.length * tile_width_, size = part.tiles() * block, slabs = slabs_.count();
    memset(sums, 0, (size_t)size * sizeof(T));
    memset(noisy, 0, (size_t)size * sizeof(T));
    T* sample_sums = scratch<T>(kScratchSampleSum, size);
    T* noise = scratch<T>(kScratchNoisePanel, block);
    const StripRange range{part.first * p_.taps(), part.length};
    for (int64_t sample = first; sample < last; ++sample) {
      add_items(sample * slabs, (sample + 1) * slabs, part, sample_sums);
      PhaseClock clock;
      for (int64_t t = 0; t < part.tiles(); ++t) {
        const ColumnTile columns = tile(part.first_tile + t);
        draw_panel<S, T>(p_, r_, DrawnWeights<S, T>{nullptr, nullptr}, sample, columns, part.rows, noise, tile_width_,
                         range);
        const int64_t at = t * block;
        for (int64_t row = 0; row < block; row += tile_width_)
          for (int64_t c = 0; c < columns.count; c += kLanes<T>) {
            const Vec<T> sum = load(sample_sums + at + row + c);
            store(sums + at + row + c, load(sums + at + row + c) + sum);
            store(noisy + at + row + c, fused_multiply_add(sum, load(noise + row + c), load(noisy + at + row + c)));
          }
      }
      clock.mark(kPhaseDraw);
    }
  }

  // One sample: sigma's gradient is that of the weight times the noise, element by element.
  void multiply_noise(const T* grad) const {
    constexpr int64_t kPiece = 1 << 14;
    const int64_t count = p_.out_channels * p_.weight_row();
    parallel_for(pool_, (count + kPiece - 1) / kPiece, 1, [&](int64_t begin, int64_t end) {
      PhaseClock clock;
      float* room = scratch<float>(kScratchNoise, noise_room(kPiece));
      for (int64_t piece = begin; piece < end; ++piece) {
        const int64_t first = piece * kPiece, here = count - first < kPiece ? count - first : kPiece;
        const float* noise = draw_noise(p_.noise, 0, first, here, room);
        for (int64_t i = 0; i < here; ++i) sigma_[first + i] = grad[first + i] * (T)noise[i];
      }
      clock.mark(kPhaseDraw);
    });
  }

  void add_items(int64_t first, int64_t last, const WeightPart& part, T* sums) const {
    PhaseClock clock;
    const int64_t block = part.length * tile_width_, tiles = part.tiles(), channels = staged_channels(part.count);
    memset(sums, 0, (size_t)(tiles * block) * sizeof(T));
    if (first == last) return;
    const int64_t slab_size = in_place_ ? 0 : slab_elements<T>(axis_, slabs_, channels);
    int64_t together = slab_size > 0 ? kSlabBytes / (slab_size * (int64_t)sizeof(T)) : kItems;
    together = together < 1 ? 1 : together > kItems ? kItems : together;
    T* stage = scratch<T>(kScratchStage, together * slab_size);
    const int64_t mask_step = part.length * kTileVectors, mask_size = tiles * mask_step;
    uint16_t* masks = scratch<uint16_t>(kScratchPanel, p_.mask.masked ? together * mask_size : 1);
    Images input = input_;
    input.data = const_cast<S*>(static_cast<const S*>(input_.data) + part.first * input_.channel_stride);
    SignRange signed_part{part.first, channels, 0, r_.columns_total};
    if (r_.groups == 1) {
      signed_part.first_out = part.first_tile * tile_width_;
      signed_part.outs = tile(part.last_tile - 1).first + tile(part.last_tile - 1).count - signed_part.first_out;
    }
    float* signs = nullptr;
    if (p_.noise.flipped) signs = scratch<float>(kScratchSigns, together * slabs_.most_images() * signed_part.step());
    Item items[kItems];
    for (int64_t begin = first; begin < last; begin += together) {
      const int64_t count = last - begin < together ? last - begin : together;
      Staged<T> staged;
      int64_t masked_set = -1;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t set = (begin + i) / slabs_.count(), slab = (begin + i) % slabs_.count();
        Item& item = items[i];
        item.slab = slabs_[slab];
        item.sample = p_.per_example ? set / p_.examples : set;
        item.example = p_.per_example ? set % p_.examples : item.slab.first_image;
        slab_axes(axis_, slabs_, item.slab, item.axis);
        const int64_t tag = p_.per_example ? item.example * slabs_.count() + slab : slab;
        item.signs = FlipSigns{nullptr, nullptr, 0};
        if (p_.noise.flipped) {
          clock.start();
          item.signs = draw_signs(p_, item.sample, item.slab.first_image, item.slab.last_image - item.slab.first_image,
                                  signed_part, signs + i * slabs_.most_images() * signed_part.step());
          item.signs_of = signed_part.first_out;
          clock.mark(kPhaseDraw);
        }
        item.view = open_slab<S, T>(input, item.axis, slabs_, item.slab, item.sample, item.example,
                                    ChannelList{nullptr, channels}, in_place_,
                                    StageChange{item.signs.inputs, item.signs.step, p_.squared_input}, tag,
                                    stage + i * slab_size, staged, clock);
        item.masks = nullptr;
        if (p_.mask.masked) {
          if (set == masked_set) {
            item.masks = items[i - 1].masks;
          } else {
            uint16_t* words = masks + i * mask_size;
            clock.start();
            for (int64_t t = 0; t < tiles; ++t)
              masks_.template form<T>(item.sample, p_.per_example ? item.example : 0, part, tile(part.first_tile + t),
                                      words + t * mask_step, clock);
            item.masks = words;
            masked_set = set;
          }
        }
      }
      for (int64_t t = 0; t < tiles; ++t)
        for (int64_t i = 0; i < count; ++i) {
          const uint16_t* mask = items[i].masks;
          if (mask != nullptr) mask += t * mask_step;
          add_tile(tile(part.first_tile + t), items[i], part.count, mask, sums + t * block, clock);
        }
    }
  }

  // `reduced`: input channels of a group that the item's view shows.
  void add_tile(const ColumnTile& tile, const Item& item, int64_t reduced, const uint16_t* mask, T* sums,
                PhaseClock& clock) const {
    const Slab& slab = item.slab;
    const Axis* axis = item.axis;
    const SlabView<T>& view = item.view;
    // The panel: output gradients of the slab, [image, depth, height, width, columns].
    const int64_t images = slab.last_image - slab.first_image, columns = tile.count;
    Window window;
    for (int a = 0; a < 3; ++a) {
      window.low[a] = a == slabs_.axis ? slab.first : 0;
      window.extent[a] = axis[a].count;
    }
    const int64_t lines = images * axis[0].count * axis[1].count, pixels = window.pixels();
    T* panel = scratch<T>(kScratchTile, images * pixels * columns + kTileChannels<T> + 1);
    int64_t* line = scratch<int64_t>(kScratchColumns, lines + p_.taps());
    int64_t* tap = line + lines;
    const S* grad = static_cast<const S*>(grad_.data) + item.sample * grad_.sample_stride +
                    item.example * grad_.example_stride + (tile.group * r_.columns + tile.first) * grad_.channel_stride;
    clock.start();
    const float* signs = item.signs.outputs;
    if (signs != nullptr) signs += tile.group * r_.columns + tile.first - item.signs_of;
    for (int64_t n = 0; n < images; ++n) {
      stage_image<S, T>(grad + n * grad_.example_stride, grad_, ChannelList{nullptr, columns}, window,
                        panel + n * pixels * columns);
      if (signs != nullptr)
        change_pixels(StageChange{signs, item.signs.step, false}, n, pixels, columns, panel + n * pixels * columns);
    }
    clock.mark(kPhaseStage);
    int64_t next = 0;
    for (int64_t n = 0; n < images; ++n)
      for (int64_t d = 0; d < axis[0].count; ++d)
        for (int64_t h = 0; h < axis[1].count; ++h)
          line[next++] = n * view.image + d * axis[0].step * view.pixel[0] + h * axis[1].step * view.pixel[1];

    const bool merged = axis[2].adjacent && r_.groups == 1 && !r_.depthwise && view.pixel[2] == reduced;
    const int64_t run_count = tap_runs(axis, view.pixel, merged, tap);
    TileArguments<T> a;
    a.step = axis[2].step * view.pixel[2];
    a.runs = line;
    a.run_count = lines;
    a.run_length = axis[2].count;
    a.panel = panel;
    a.panel_step = columns;
    if (r_.depthwise) {
      for (int64_t r = 0; r < run_count; ++r) add_depthwise(a, view.x + tap[r] + tile.first, mask, r, sums);
    } else {
      const int64_t length = (merged ? axis[2].taps : 1) * reduced;
      for (int64_t r = 0; r < run_count; ++r)
        add_run(a, view.x + tap[r] + tile.group * r_.reduced, length, (int)columns, mask, r * length, sums);
    }
    clock.mark(kPhaseMultiply);
  }

  // Rows [row, row + length) of the gradient: one for each of `length` neighbouring inputs.
  void add_run(TileArguments<T>& a, const T* x, int64_t length, int columns, const uint16_t* mask, int64_t row,
               T* sums) const {
    constexpr int n = kLanes<T>, width = kTileChannels<T>;
    static const T zeros[kTileChannels<T>] = {};
    alignas(64) T products[kTilePixels * width], total[kTilePixels * width];
    const int vectors = (columns + n - 1) / n;
    const int64_t pieces = (length + kTilePixels - 1) / kTilePixels, shorter = length / pieces,
                  longer = length % pieces;
    a.pixel_step = 1;
    a.mask = nullptr;
    a.scale = 1;
    a.bias = zeros;
    a.out_step = width;
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const int inputs = (int)(shorter + (piece < longer ? 1 : 0));
      const TileFunction<T> multiply = tile_function<T>(inputs, vectors, false);
      a.x = x;
      for_chains(a, [&](TileArguments<T>& chain, bool first) {
        chain.out = first ? total : products;
        multiply(chain);
        if (first) return;
        for (int i = 0; i < inputs * width; i += n) store(total + i, load(total + i) + load(products + i));
      });
      for (int i = 0; i < inputs; ++i, ++row)
        for (int v = 0; v < vectors; ++v)
          accumulate(total + i * width + v * n, mask != nullptr ? mask + row * kTileVectors + v : nullptr,
                     sums + row * width + v * n);
      x += inputs;
    }
  }

  // A sum of all pixels in one chain of additions loses digits with their number: chains are a few hundred long, and
  // their sums are added. Calls chain(arguments of some lines, whether they are the first).
  template <class Chain>
  static inline __attribute__((always_inline)) void for_chains(const TileArguments<T>& all, const Chain& chain) {
    constexpr int64_t kChain = 256;
    const int64_t lines = all.run_length < kChain ? kChain / (all.run_length > 0 ? all.run_length : 1) : 1;
    TileArguments<T> a = all;
    for (int64_t first = 0; first < all.run_count; first += lines) {
      a.runs = all.runs + first;
      a.run_count = all.run_count - first < lines ? all.run_count - first : lines;
      a.panel = all.panel + first * all.run_length * all.panel_step;
      chain(a, first == 0);
    }
  }

  BAYESOPS_HD_MEMBER void accumulate(const T* product, const uint16_t* mask, T* sums) {
    const Vec<T> add = mask != nullptr ? load_masked<T, false>(product, *mask) : load(product);
    store(sums, load(sums) + add);
  }

  void add_depthwise(const TileArguments<T>& all, const T* x, const uint16_t* mask, int64_t row, T* sums) const {
    alignas(64) T product[kLanes<T>];
    for_chains(all, [&](const TileArguments<T>& a, bool first) {
      Vec<T> total[4] = {};
      const T* grad = a.panel;
      for (int64_t r = 0; r < a.run_count; ++r) {
        const T* from = x + a.runs[r];
        for (int64_t i = 0; i < a.run_length; ++i, grad += a.panel_step)
          total[i & 3] = fused_multiply_add(load(from + i * a.step), load(grad), total[i & 3]);
      }
      const Vec<T> sum = (total[0] + total[1]) + (total[2] + total[3]);
      store(product, first ? sum : load(product) + sum);
    });
    accumulate(product, mask != nullptr ? mask + row * kTileVectors : nullptr, sums + row * tile_width_);
  }

  // Writes the sums of a part in the layout of the weight.
  void write_part(const WeightPart& part, const T* sums, T* result) const {
    constexpr int n = kLanes<T>;
    const Vec<T> scale = broadcast((T)p_.scale);
    const int64_t row_elements = p_.weight_row();
    for (int64_t t = part.first_tile; t < part.last_tile; ++t, sums += part.length * tile_width_) {
      const ColumnTile columns = tile(t);
      for (int64_t first = 0; first < columns.count; first += n) {
        const int here = (int)(columns.count - first < n ? columns.count - first : n);
        T* to = result + (columns.group * r_.columns + columns.first + first) * row_elements + part.first * p_.taps();
        for (int64_t k = 0; k < part.length; k += n) {
          const int count = (int)(part.length - k < n ? part.length - k : n);
          transpose_block<T>(
              count, here, [&](int i) { return load(sums + part.rows[k + i] * tile_width_ + first) * scale; },
              [&](int i, Vec<T> v) { store_partial<T>(to + i * row_elements + k, v, count); });
        }
      }
    }
  }

  const ConvProblem& p_;
  const Roles r_;
  const Images& grad_;
  const Images& input_;
  T* result_;
  T* sigma_;
  const Parallel pool_;
  PartMasks masks_;
  Axis axis_[3];
  SlabPlan slabs_{};
  bool in_place_ = false, by_sample_ = false;
  int64_t tile_width_, tile_count_, block_channels_, blocks_;
};

}  // namespace

void correlate_weight_grad(const ConvProblem& p, const Images& grad_output, const Images& input, void* grad_weight,
                           void* grad_sigma, const Parallel& pool) {
  const auto as = [&](auto storage, auto computed) {
    using S = decltype(storage);
    using T = decltype(computed);
    WeightGrad<S, T>(p, grad_output, input, static_cast<T*>(grad_weight), static_cast<T*>(grad_sigma), pool).run();
  };
  if (p.dtype == kFloat32) return as(float{}, float{});
  if (p.dtype == kFloat64) return as(double{}, double{});
  as(BFloat16{}, float{});
}

BAYESOPS_ISA_END
