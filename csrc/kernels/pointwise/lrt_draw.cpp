// Draws of local reparameterisation: a block's mean and standard deviation are loaded once and drawn for every sample.
#include "kernels/pointwise/lrt_draw.h"

#include "kernels/conv/draw_finish.h"
#include "kernels/conv/stage.h"
#include "kernels/counters.h"
#include "kernels/pointwise/entry.h"

BAYESOPS_ISA_BEGIN

namespace {

// How many jobs are worth a thread, `elements` being drawn in one.
int64_t grain_of(int64_t elements) {
  constexpr int64_t kGrainElements = 1 << 13;
  return elements < kGrainElements ? kGrainElements / (elements + 1) : 1;
}

// A residual of its own stands where the result does; one that is shared, where that of the first sample does.
bool has_own_residual(const Epilogue& epilogue) {
  return epilogue.residual != nullptr && epilogue.residual_sample_stride != 0;
}

// Scale and shift of the channels over and over, so that a vector of them can be read from any channel on.
template <class T>
struct ChannelTables {
  const T* scale;
  const T* shift;
  int64_t channels;

  template <class S>
  static ChannelTables of(const Epilogue& epilogue, int64_t channels, const S*) {
    if (!epilogue.given()) return {nullptr, nullptr, channels};
    const int64_t length = channels + kLanes<T>;
    T* room = scratch<T>(kScratchSharedTables, 2 * length);
    const S* scale = static_cast<const S*>(epilogue.scale);
    const S* shift = static_cast<const S*>(epilogue.shift);
    for (int64_t i = 0, c = 0; i < length; ++i, c = c + 1 < channels ? c + 1 : 0) {
      room[i] = scale != nullptr ? convert<T>(scale[c]) : T(1);
      room[length + i] = shift != nullptr ? convert<T>(shift[c]) : T(0);
    }
    return {room, room + length, channels};
  }
};

constexpr int64_t kBlock = 1024;  // a multiple of kFillAlign

// One block of results that are neighbours in the order of the noise.
template <class S, class T>
struct Block {
  int64_t first, count;  // elements of a sample
  alignas(64) T mean[kBlock];
  alignas(64) T deviation[kBlock];
  alignas(64) T residual[kBlock];
  alignas(64) T result[kBlock];
  alignas(64) float eps[kBlock];

  // Draws at `to` what finish(element of the block, vector of draws) makes of it.
  template <class Finish>
  void draw(Stream stream, S* to, const Finish& finish) {
    kFillKernels.normals(eps, first, count, stream);
    T* at = result;
    if constexpr (sizeof(S) == sizeof(T)) at = count % kLanes<T> == 0 ? to : result;
    for (int64_t i = 0; i < count; i += kLanes<T>)
      store(at + i, finish(i, fused_multiply_add(load(deviation + i), load_floats<T>(eps + i), load(mean + i))));
    if (static_cast<void*>(at) != to) copy_run(result, to, count);
  }

  // With scale, shift, relu, and other(element of the block) added.
  template <class Other>
  void draw(Stream stream, S* to, const ChannelTables<T>& tables, T least, const Other& other) {
    const Vec<T> floor = broadcast(least);
    const int64_t step = kLanes<T> % tables.channels;
    int64_t channel = first % tables.channels;
    draw(stream, to, [&](int64_t i, Vec<T> draw) {
      const Vec<T> value =
          fused_multiply_add(draw, load(tables.scale + channel), load(tables.shift + channel)) + other(i);
      channel += step;
      if (channel >= tables.channels) channel -= tables.channels;
      return value < floor ? floor : value;  // a NaN stays one
    });
  }
};

// Channels last: a sample is one row of numbers in the order of its noise.
template <class S, class T>
void draw_rows(const LrtDrawProblem& p, const S* mean, const S* std, S* out, const Parallel& pool) {
  const int64_t sample = p.examples * p.pixels * p.channels, pieces = (sample + kFillAlign - 1) / kFillAlign;
  const Epilogue& epilogue = p.epilogue;
  const S* residual = static_cast<const S*>(epilogue.residual);
  const bool own = has_own_residual(epilogue);
  const T least = epilogue.relu ? T(0) : (T)-__builtin_inf();
  const ChannelTables<T> tables = ChannelTables<T>::of(epilogue, p.channels, out);
  parallel_for(pool, pieces, grain_of(p.samples * kFillAlign), [&](int64_t begin, int64_t end) {
    PhaseClock clock;
    Block<S, T> block;
    const int64_t last = end * kFillAlign < sample ? end * kFillAlign : sample;
    for (block.first = begin * kFillAlign; block.first < last; block.first += kBlock) {
      block.count = last - block.first < kBlock ? last - block.first : kBlock;
      copy_run(mean + block.first, block.mean, block.count);
      copy_run(std + block.first, block.deviation, block.count);
      if (residual != nullptr && !own) copy_run(residual + block.first, block.residual, block.count);
      for (int64_t s = 0; s < p.samples; ++s) {
        const Stream stream{(uint64_t)p.seeds[s], p.stream};
        S* to = out + s * sample + block.first;
        if (own) copy_run(residual + s * sample + block.first, block.residual, block.count);
        if (!epilogue.given()) {
          block.draw(stream, to, [](int64_t, Vec<T> draw) { return draw; });
        } else if (residual == nullptr) {
          block.draw(stream, to, tables, least, [](int64_t) { return Vec<T>{}; });
        } else {
          block.draw(stream, to, tables, least, [&](int64_t i) { return load(block.residual + i); });
        }
      }
    }
    clock.mark(kPhaseEpilogue);
  });
}

// Channels first: strips of pixels by tiles of channels are brought into the order of the noise, and back.
template <class S, class T>
void draw_planes(const LrtDrawProblem& p, const S* mean, const S* std, S* out, const Parallel& pool) {
  constexpr int width = kTileChannels<T>;
  const int64_t image = p.channels * p.pixels, sample = p.examples * image;
  const int64_t strips = (p.pixels + kStripPixels - 1) / kStripPixels, tiles = (p.channels + width - 1) / width;
  const S* residual = static_cast<const S*>(p.epilogue.residual);
  const int64_t residual_step = has_own_residual(p.epilogue) ? 0 : -sample;
  const int64_t jobs = p.examples * strips * tiles;
  parallel_for(pool, jobs, grain_of(p.samples * sample / jobs), [&](int64_t begin, int64_t end) {
    PhaseClock clock;
    alignas(64) T tile_mean[kStripPixels * kTileChannels<T>], deviation[kStripPixels * kTileChannels<T>];
    int64_t index[kStripPixels];
    for (int64_t job = begin; job < end; ++job) {
      const int64_t first_channel = job % tiles * width, first = job / tiles % strips * kStripPixels;
      const int64_t example = job / tiles / strips, at = example * image + first;
      const int count = (int)(p.channels - first_channel < width ? p.channels - first_channel : width);
      const int pixels = (int)(p.pixels - first < kStripPixels ? p.pixels - first : kStripPixels);
      for (int i = 0; i < pixels; ++i) index[i] = example * p.pixels + first + i;
      const ChannelOffsets channel{nullptr, first_channel, p.pixels};
      load_tile<S, T>(mean + at, pixels, count, 1, channel, tile_mean);
      load_tile<S, T>(std + at, pixels, count, 1, channel, deviation);
      DrawFinish<S, T> draw{p.stream,
                            count,
                            1,
                            channel,
                            TileNoise(p.channels, first_channel, count, kStripPixels),
                            TileEpilogue<S, T>(p.epilogue, count, 1, channel, out, residual)};
      for (int64_t s = 0; s < p.samples; ++s) {
        S* to = out + s * sample + at;
        expect_strip(to, count, 1, channel);
        draw(p.seeds[s], tile_mean, deviation, pixels, index, to, s * residual_step);
      }
    }
    clock.mark(kPhaseEpilogue);
  });
}

}  // namespace

void lrt_draw(const LrtDrawProblem& p, const void* mean, const void* std, void* out, const Parallel& pool) {
  const auto as = [&](auto storage, auto computed) {
    using S = decltype(storage);
    using T = decltype(computed);
    // Of single pixels, and of single channels, the order is the same in any layout.
    const auto draw = p.channels_last || p.pixels == 1 || p.channels == 1 ? draw_rows<S, T> : draw_planes<S, T>;
    draw(p, static_cast<const S*>(mean), static_cast<const S*>(std), static_cast<S*>(out), pool);
  };
  if (p.dtype == kFloat32) return as(float{}, float{});
  if (p.dtype == kFloat64) return as(double{}, double{});
  as(BFloat16{}, float{});
}

BAYESOPS_ISA_END
