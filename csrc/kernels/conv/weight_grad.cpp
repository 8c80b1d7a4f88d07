// Gradient of the weight: for every tap, a product of input pixels and output gradients summed over pixels and images,
// then masked, sample by sample (example by example where every example has its own mask). Where the weight is
// Gaussian, mu's gradient is that sum, and sigma's the sum of every sample's times its noise.
//
// The inner loop is that of conv/tiles.cpp with other roles: the reduction runs over pixels, the staged output gradient
// is the panel, and the "pixels" of a tile are neighbouring input channels. Items (a set and a slab of its images) are
// dealt to a number of partial sums that depends on the shapes only, and those are added in order: the result is the
// same for every number of threads.
#include "kernels/conv/drawn_panel.h"
#include "kernels/conv/entry.h"
#include "kernels/conv/microkernel.h"
#include "kernels/conv/source.h"
#include "kernels/conv/weight_set.h"

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
        pool_(enough_threads(problem, image_pixels(grad_output), pool)) {
    tile_width_ = r_.depthwise ? kLanes<T> : kTileChannels<T>;
    tile_count_ = max_tiles(r_, tile_width_);
    rows_ = r_.reduced * p_.taps();
    block_ = rows_ * tile_width_;
  }

  void run() {
    int64_t* offsets =
        scratch<int64_t>(kScratchSharedTables, 2 * (p_.kernel[0] + p_.kernel[1] + p_.kernel[2]) + p_.taps());
    int32_t* taps = reinterpret_cast<int32_t*>(offsets + p_.kernel[0] + p_.kernel[1] + p_.kernel[2]);
    for (int a = 0; a < 3; ++a) {
      axis_[a].offset = offsets;
      axis_[a].tap = taps;
      offsets += p_.kernel[a];
      taps += p_.kernel[a];
      forward_axis(axis_[a], p_, a, grad_.size[a]);
    }
    for (int64_t t = 0; t < p_.taps(); ++t) taps[t] = (int32_t)t;
    taps_ = TapOrder{taps, p_.taps()};

    const int64_t sets = p_.per_example ? p_.samples * p_.examples : p_.samples;
    const int64_t images = p_.per_example ? 1 : p_.examples;
    int64_t items = 0;
    const bool empty = axis_[0].count == 0 || axis_[1].count == 0 || axis_[2].count == 0;
    if (!empty && images > 0) {
      slabs_ = plan_slabs(axis_, images, (r_.reduced_total + tile_width_) * (int64_t)sizeof(T), 1);
      items = sets * slabs_.count();
      in_place_ = !r_.depthwise && !p_.squared_input && !p_.noise.flipped &&
                  readable_in_place<S, T>(input_, axis_, r_.reduced_total);
    }
    // Every sample has its own noise: its sum is formed by itself, where there are several.
    const bool by_sample = sigma_ != nullptr && sets != 1;
    const int64_t slabs = slabs_.count();
    if (by_sample) items = items > 0 ? sets : 0;
    // The number of partial sums is fixed by the shapes; how many threads share the tiles of one changes no result.
    constexpr int64_t kPartials = 8, kPartialBytes = 64 << 20;
    const int64_t size = tile_count_ * block_, sums_size = by_sample ? 2 * size : size;
    int64_t partials = size > 0 ? kPartialBytes / (sums_size * (int64_t)sizeof(T)) : 1;
    partials = partials > kPartials ? kPartials : partials < 1 ? 1 : partials;
    if (partials > items) partials = items;
    const int64_t wanted = partials > 0 ? (2 * pool_.threads + partials - 1) / partials : 1;
    const int64_t splits = wanted < tile_count_ ? wanted : tile_count_;
    T* sums = scratch<T>(kScratchSharedPanel, partials * sums_size + 1);
    parallel_for(pool_, partials * splits, 1, [&](int64_t begin, int64_t end) {
      for (int64_t job = begin; job < end; ++job) {
        const int64_t partial = job / splits, split = job % splits;
        const int64_t first = items * partial / partials, last = items * (partial + 1) / partials;
        const int64_t first_tile = tile_count_ * split / splits, last_tile = tile_count_ * (split + 1) / splits;
        T* mine = sums + partial * sums_size;
        if (by_sample) {
          add_samples(first, last, slabs, first_tile, last_tile, mine, mine + size);
        } else {
          add_items(first, last, first_tile, last_tile, mine);
        }
      }
    });
    T* const to = result_ != nullptr || by_sample ? result_ : sigma_;
    parallel_for(pool_, tile_count_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        if (to != nullptr) write_tile(t, sums, partials, sums_size, to);
        if (by_sample) write_tile(t, sums + size, partials, sums_size, sigma_);
      }
    });
    if (sigma_ != nullptr && !by_sample) multiply_noise(to);
  }

 private:
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
  };
  static constexpr int64_t kItems = 8;

  // The sums of samples [first, last), without and with their noise.
  void add_samples(int64_t first, int64_t last, int64_t slabs, int64_t first_tile, int64_t last_tile, T* sums,
                   T* noisy) const {
    const int64_t from = first_tile * block_, size = (last_tile - first_tile) * block_;
    memset(sums + from, 0, (size_t)size * sizeof(T));
    memset(noisy + from, 0, (size_t)size * sizeof(T));
    T* sample_sums = scratch<T>(kScratchSampleSum, size) - from;
    T* noise = scratch<T>(kScratchNoisePanel, block_);
    int32_t* rows = scratch<int32_t>(kScratchTables, p_.weight_row() + 1);
    strip_rows(p_, r_, WeightSet{}, 0, taps_, false, rows);
    for (int64_t sample = first; sample < last; ++sample) {
      add_items(sample * slabs, (sample + 1) * slabs, first_tile, last_tile, sample_sums);
      PhaseClock clock;
      for (int64_t t = first_tile; t < last_tile; ++t) {
        draw_panel<S, T>(p_, r_, DrawnWeights<S, T>{nullptr, nullptr}, sample, tile(t), rows, noise, tile_width_);
        const int64_t at = t * block_, columns = tile(t).count;
        for (int64_t row = 0; row < block_; row += tile_width_)
          for (int64_t c = 0; c < columns; c += kLanes<T>) {
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

  void add_items(int64_t first, int64_t last, int64_t first_tile, int64_t last_tile, T* sums) const {
    PhaseClock clock;
    memset(sums + first_tile * block_, 0, (size_t)((last_tile - first_tile) * block_) * sizeof(T));
    const int64_t slab_size = in_place_ ? 0 : slab_elements<T>(axis_, slabs_, r_.reduced_total);
    int64_t together = slab_size > 0 ? kSlabBytes / (slab_size * (int64_t)sizeof(T)) : kItems;
    together = together < 1 ? 1 : together > kItems ? kItems : together;
    T* stage = scratch<T>(kScratchStage, together * slab_size);
    const int64_t tiles = last_tile - first_tile, mask_size = tiles * rows_ * kTileVectors;
    uint16_t* masks = scratch<uint16_t>(kScratchPanel, p_.mask.masked ? together * mask_size : 1);
    int64_t* run = scratch<int64_t>(kScratchSum, p_.taps());
    float* signs = nullptr;
    if (p_.noise.flipped) signs = scratch<float>(kScratchSigns, together * slabs_.most_images() * flip_step(p_));
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
        if (p_.noise.flipped)
          item.signs = draw_signs(p_, item.sample, item.slab.first_image, item.slab.last_image - item.slab.first_image,
                                  signs + i * slabs_.most_images() * flip_step(p_));
        item.view = open_slab<S, T>(input_, item.axis, slabs_, item.slab, item.sample, item.example,
                                    ChannelList{nullptr, r_.reduced_total}, in_place_,
                                    StageChange{item.signs.inputs, item.signs.step, p_.squared_input}, tag,
                                    stage + i * slab_size, staged, clock);
        item.masks = nullptr;
        if (p_.mask.masked) {
          if (set == masked_set) {
            item.masks = items[i - 1].masks;
          } else {
            item.masks = masks + i * mask_size;
            form_masks(item, first_tile, last_tile, masks + i * mask_size, clock);
            masked_set = set;
          }
        }
      }
      for (int64_t t = first_tile; t < last_tile; ++t)
        for (int64_t i = 0; i < count; ++i) {
          const uint16_t* mask = items[i].masks;
          if (mask != nullptr) mask += (t - first_tile) * rows_ * kTileVectors;
          add_tile(tile(t), items[i], mask, run, sums + t * block_, clock);
        }
    }
  }

  void form_masks(const Item& item, int64_t first_tile, int64_t last_tile, uint16_t* masks, PhaseClock& clock) const {
    clock.start();
    const SetRoom room = SetRoom::make(p_, r_, kScratchBits, kScratchExpand, kScratchTables);
    const int64_t example = p_.per_example ? item.example : 0;
    WeightSet weights;
    weights.has_bits = true;
    weights.bits =
        weight_bits(p_, mask_bits(p_.mask, item.sample, example, 0, p_.mask.elements, room.bits), room.expanded);
    clock.mark(kPhaseDraw);
    int32_t* rows = scratch<int32_t>(kScratchColumns, p_.weight_row() + 1);
    strip_rows(p_, r_, weights, 0, taps_, false, rows);
    for (int64_t t = first_tile; t < last_tile; ++t)
      mask_words<T>(p_, r_, weights, tile(t), rows, masks + (t - first_tile) * rows_ * kTileVectors);
    clock.mark(kPhasePack);
  }

  void add_tile(const ColumnTile& tile, const Item& item, const uint16_t* mask, int64_t* tap, T* sums,
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
    int64_t* line = scratch<int64_t>(kScratchColumns, lines);
    const S* grad = static_cast<const S*>(grad_.data) + item.sample * grad_.sample_stride +
                    item.example * grad_.example_stride + (tile.group * r_.columns + tile.first) * grad_.channel_stride;
    clock.start();
    const float* signs = item.signs.outputs;
    if (signs != nullptr) signs += tile.group * r_.columns + tile.first;
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

    const bool merged = axis[2].adjacent && r_.groups == 1 && !r_.depthwise && view.pixel[2] == r_.reduced_total;
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
      const int64_t length = (merged ? axis[2].taps : 1) * r_.reduced;
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

  // Adds the partial sums of a tile in order and writes them in the layout of the weight.
  void write_tile(int64_t t, T* sums, int64_t partials, int64_t size, T* result) const {
    constexpr int n = kLanes<T>;
    const ColumnTile columns = tile(t);
    const int64_t taps = p_.taps();
    const Vec<T> scale = broadcast((T)p_.scale);
    T* block = sums + t * block_;
    T* total = scratch<T>(kScratchTile, n * rows_);
    for (int64_t first = 0; first < columns.count; first += n) {
      const int here = (int)(columns.count - first < n ? columns.count - first : n);
      for (int64_t row = 0; row < rows_; ++row) {
        Vec<T> sum{};
        for (int64_t s = 0; s < partials; ++s) sum += load(block + s * size + row * tile_width_ + first);
        store(total + row * n, sum * scale);
      }
      T* to = result + (columns.group * r_.columns + columns.first + first) * rows_;
      for (int64_t c = 0; c < r_.reduced; ++c)
        for (int64_t tap = 0; tap < taps; tap += n) {
          const int count = (int)(taps - tap < n ? taps - tap : n);
          transpose_block<T>(
              count, here, [&](int i) { return load(total + ((tap + i) * r_.reduced + c) * n); },
              [&](int i, Vec<T> v) { store_partial<T>(to + i * rows_ + c * taps + tap, v, count); });
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
  Axis axis_[3];
  TapOrder taps_;
  SlabPlan slabs_{};
  bool in_place_ = false;
  int64_t tile_width_, tile_count_, rows_, block_;
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
