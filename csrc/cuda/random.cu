// The random streams on the device: the same functions as on the CPU, bit for bit.
#include "cuda/launch.cuh"
#include "kernels/flat/streams.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

int64_t elements_of(const Sizes& shape) {
  int64_t elements = 1;
  for (const int64_t size : shape) elements *= size;
  return elements;
}

Tensor allocate(const char* op, const Seeds& seeds, const Sizes& shape, int64_t stream, ScalarType dtype) {
  check_stream(op, stream);
  Sizes sizes = shape;
  if (seeds.batched) sizes.insert(sizes.begin(), seeds.count);
  return empty(sizes, dtype, seeds.tensor);
}

Tensor random_bernoulli(const Tensor seed, const Sizes shape, double p, int64_t stream) {
  check_probability("random_bernoulli", p);
  const Seeds seeds = read_seeds("random_bernoulli", seed);
  Tensor out = allocate("random_bernoulli", seeds, shape, stream, ScalarType::Bool);
  const FlatBernoulli f{seeds.data, static_cast<uint32_t>(stream), bernoulli_law(p),
                        FlatBlocks{seeds.count, elements_of(shape), 16}, static_cast<bool*>(out.data_ptr())};
  launch(f, FlatBlocks::total(f.blocks), seeds.tensor);
  return out;
}

Tensor random_normal(const Tensor seed, const Sizes shape, int64_t stream) {
  const Seeds seeds = read_seeds("random_normal", seed);
  Tensor out = allocate("random_normal", seeds, shape, stream, ScalarType::Float);
  const FlatNormal f{seeds.data, static_cast<uint32_t>(stream), FlatBlocks{seeds.count, elements_of(shape), 4},
                     static_cast<float*>(out.data_ptr())};
  launch(f, FlatBlocks::total(f.blocks), seeds.tensor);
  return out;
}

Tensor random_signs(const Tensor seed, const Sizes shape, int64_t stream) {
  const Seeds seeds = read_seeds("random_signs", seed);
  Tensor out = allocate("random_signs", seeds, shape, stream, ScalarType::Float);
  const FlatSigns f{seeds.data, static_cast<uint32_t>(stream), FlatBlocks{seeds.count, elements_of(shape), 4},
                    static_cast<float*>(out.data_ptr())};
  launch(f, FlatBlocks::total(f.blocks), seeds.tensor);
  return out;
}

Tensor random_words(const Tensor seed, const Sizes shape, int64_t stream) {
  const Seeds seeds = read_seeds("random_words", seed);
  Tensor out = allocate("random_words", seeds, shape, stream, ScalarType::Int);
  const FlatWords f{seeds.data, static_cast<uint32_t>(stream), FlatBlocks{seeds.count, elements_of(shape), 4},
                    static_cast<uint32_t*>(out.data_ptr())};
  launch(f, FlatBlocks::total(f.blocks), seeds.tensor);
  return out;
}

Tensor sample_seeds(const Tensor seed, int64_t num_samples) {
  const Seeds seeds = read_seeds("sample_seeds", seed);
  STD_TORCH_CHECK(!seeds.batched, "sample_seeds: seed must have shape [], not ", describe(sizes_of(seed)));
  STD_TORCH_CHECK(num_samples >= 0, "sample_seeds: num_samples must not be negative, not ", num_samples);
  Tensor out = empty({num_samples}, ScalarType::Long, seed);
  launch(FlatSeeds{seeds.data, static_cast<int64_t*>(out.data_ptr())}, num_samples, seeds.tensor);
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(bayesops, CUDA, m) {
  m.impl("sample_seeds", TORCH_BOX(&sample_seeds));
  m.impl("random_bernoulli", TORCH_BOX(&random_bernoulli));
  m.impl("random_normal", TORCH_BOX(&random_normal));
  m.impl("random_signs", TORCH_BOX(&random_signs));
  m.impl("random_words", TORCH_BOX(&random_words));
}

}  // namespace bayesops::cuda
