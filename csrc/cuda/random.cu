// The random streams on the device: the same functions as on the CPU, bit for bit.
#include "cuda/launch.cuh"
#include "kernels/flat/streams.h"
#include "ops/random_arguments.h"

namespace bayesops::cuda {

namespace {

using namespace ops;

FlatBlocks blocks_of(const RandomArguments& a, int64_t size) { return {a.seeds.count, a.elements, size}; }

Tensor random_bernoulli(const Tensor seed, const Sizes shape, double p, int64_t stream) {
  check_probability("random_bernoulli", p);
  const RandomArguments a("random_bernoulli", seed, shape, stream, ScalarType::Bool);
  const FlatBernoulli f{a.seeds.data, a.stream, bernoulli_law(p), blocks_of(a, 16),
                        static_cast<bool*>(a.out.data_ptr())};
  launch(f, FlatBlocks::total(f.blocks), a.out);
  return a.out;
}

Tensor random_normal(const Tensor seed, const Sizes shape, int64_t stream) {
  const RandomArguments a("random_normal", seed, shape, stream, ScalarType::Float);
  const FlatNormal f{a.seeds.data, a.stream, blocks_of(a, 4), static_cast<float*>(a.out.data_ptr())};
  launch(f, FlatBlocks::total(f.blocks), a.out);
  return a.out;
}

Tensor random_signs(const Tensor seed, const Sizes shape, int64_t stream) {
  const RandomArguments a("random_signs", seed, shape, stream, ScalarType::Float);
  const FlatSigns f{a.seeds.data, a.stream, blocks_of(a, 4), static_cast<float*>(a.out.data_ptr())};
  launch(f, FlatBlocks::total(f.blocks), a.out);
  return a.out;
}

Tensor random_words(const Tensor seed, const Sizes shape, int64_t stream) {
  const RandomArguments a("random_words", seed, shape, stream, ScalarType::Int);
  const FlatWords f{a.seeds.data, a.stream, blocks_of(a, 4), static_cast<uint32_t*>(a.out.data_ptr())};
  launch(f, FlatBlocks::total(f.blocks), a.out);
  return a.out;
}

Tensor sample_seeds(const Tensor seed, int64_t num_samples) {
  const SampleSeedsArguments a(seed, num_samples);
  launch(FlatSeeds{a.seeds.data, static_cast<int64_t*>(a.out.data_ptr())}, num_samples, a.out);
  return a.out;
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
