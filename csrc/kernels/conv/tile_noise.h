// The noise of a strip of results: normals of the logical tensor [images, pixels, channels], a row for each pixel.
#pragma once
#include "kernels/conv/masks.h"
#include "kernels/conv/microkernel.h"

BAYESOPS_ISA_BEGIN

// Rows of noise for `count` channels from `first` on, of all `channels` that a pixel has.
class TileNoise {
 public:
  TileNoise(int64_t channels, int64_t first, int count, int most_pixels)
      : channels_(channels), first_(first), count_(count) {
    // Rows that begin inside of a block of four may reach into a second vector of blocks.
    const bool aligned = (channels & 3) == 0 && (first & 3) == 0;
    vectors_ = !aligned && count + 3 > kNormalRow ? 2 : 1;
    const int64_t apart = most_pixels * (int64_t)(vectors_ * kNormalRow), together = most_pixels * channels;
    const bool whole = first == 0 && count == channels;
    room_ = scratch<float>(kScratchNoise, (whole && together > apart ? together : apart) + 2 * kFillAlign);
  }

  // Draws the rows of the pixels `index`, counted over all images.
  void draw(Stream stream, const int64_t* index, int pixels) {
    adjoin_ = first_ == 0 && count_ == channels_ && index[pixels - 1] - index[0] == pixels - 1;
    if (adjoin_) {
      const int64_t element = index[0] * channels_, start = fill_start(element);
      kFillKernels.normals(room_, start, element - start + pixels * channels_, stream);
      start_ = room_ + (element - start);
      return;
    }
    uint64_t block[2 * kMostPixels];
    for (int p = 0; p < pixels; ++p) {
      const uint64_t element = (uint64_t)(index[p] * channels_ + first_);
      shift_[p] = (int)(element & 3);
      for (int v = 0; v < vectors_; ++v) block[p * vectors_ + v] = (element >> 2) + (uint64_t)(v * kNormalRow / 4);
    }
    kFillKernels.normal_rows(room_, block, (int64_t)pixels * vectors_, stream);
  }

  // Noise of the channels of pixel p; whole vectors may be read.
  const float* row(int p) const {
    return adjoin_ ? start_ + p * channels_ : room_ + p * vectors_ * kNormalRow + shift_[p];
  }

  static constexpr int kMostPixels = 64;

 private:
  int64_t channels_, first_;
  int count_, vectors_;
  bool adjoin_ = false;
  float* room_;
  const float* start_ = nullptr;
  int shift_[kMostPixels];
};

BAYESOPS_ISA_END
