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
    aligned_ = (channels & 3) == 0 && (first & 3) == 0;
    vectors_ = !aligned_ && count + 3 > kNormalRow ? 2 : 1;
    const int64_t apart = most_pixels * (int64_t)(vectors_ * kNormalRow), together = most_pixels * channels;
    const bool whole = first == 0 && count == channels;
    room_ = scratch<float>(kScratchNoise, (whole && together > apart ? together : apart) + 2 * kFillAlign);
  }

  // Draws the rows of the pixels `index`, counted over all images.
  void draw(Stream stream, const int64_t* index, int pixels) {
    if (first_ == 0 && count_ == channels_ && index[pixels - 1] - index[0] == pixels - 1) {
      const int64_t element = index[0] * channels_, start = fill_start(element);
      kFillKernels.normals(room_, start, element - start + pixels * channels_, stream);
      rows_ = room_ + (element - start);
      row_step_ = channels_;
      return;
    }
    uint64_t block[2 * kMostPixels];
    const int64_t row = vectors_ * kNormalRow;
    for (int p = 0; p < pixels; ++p) {
      const uint64_t element = (uint64_t)(index[p] * channels_ + first_);
      for (int v = 0; v < vectors_; ++v) block[p * vectors_ + v] = (element >> 2) + (uint64_t)(v * kNormalRow / 4);
    }
    kFillKernels.normal_rows(room_, block, (int64_t)pixels * vectors_, stream);
    rows_ = room_;
    row_step_ = row;
    if (aligned_) return;
    for (int p = 0; p < pixels; ++p) {
      const int64_t shift = (index[p] * channels_ + first_) & 3;
      if (shift != 0) memmove(room_ + p * row, room_ + p * row + shift, (size_t)count_ * sizeof(float));
    }
  }

  // Noise of the channels of pixel p stands at rows() + p * row_step(); whole vectors may be read.
  const float* rows() const { return rows_; }
  int64_t row_step() const { return row_step_; }

  static constexpr int kMostPixels = 64;

 private:
  int64_t channels_, first_;
  int count_, vectors_;
  bool aligned_;
  float* room_;
  const float* rows_ = nullptr;
  int64_t row_step_ = 0;
};

BAYESOPS_ISA_END
