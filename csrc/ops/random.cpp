// The streams as tensors: sample_seeds, random_bernoulli, random_normal, random_signs, random_words.
#include "kernels/isa_table.h"
#include "ops/pool.h"
#include "ops/tensors.h"

namespace bayesops::ops {

namespace {

constexpr int64_t kPiece = 1 << 16;  // elements a job; a multiple of every alignment

Sizes with_samples(const Seeds& seeds, const Sizes& shape) {
  Sizes sizes;
  if (seeds.batched) sizes.push_back(seeds.count);
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  return sizes;
}

// Calls fill(to, first, count, stream) for pieces of every sample's tensor.
template <class T, class Fill>
void fill_pieces(const Seeds& seeds, const Sizes& shape, int64_t stream, T* out, const Fill& fill) {
  int64_t elements = 1;
  for (const int64_t size : shape) elements *= size;
  const int64_t pieces = (elements + kPiece - 1) / kPiece;
  parallel_for(pool(), seeds.count * pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t sample = i / pieces, first = i % pieces * kPiece;
      const int64_t count = elements - first < kPiece ? elements - first : kPiece;
      fill(out + sample * elements + first, first, count,
           Stream{static_cast<uint64_t>(seeds.data[sample]), static_cast<uint32_t>(stream)});
    }
  });
}

// For the kernels that write whole blocks of 64 elements.
template <class T, class Fill>
auto whole_blocks(const Fill& fill) {
  return [fill](T* to, int64_t first, int64_t count, Stream stream) {
    fill_exactly(to, first, count, [&](T* t, int64_t at, int64_t n) { fill(t, at, n, stream); });
  };
}

Tensor random_bernoulli(const Tensor& seed, const Sizes shape, double p, int64_t stream) {
  check_probability("random_bernoulli", p);
  check_stream("random_bernoulli", stream);
  const Seeds seeds = read_seeds("random_bernoulli", seed);
  Tensor out = empty(with_samples(seeds, shape), ScalarType::Bool, seed);
  const BernoulliLaw law = bernoulli_law(p);
  fill_pieces(seeds, shape, stream, static_cast<uint8_t*>(out.data_ptr()),
              [&](uint8_t* to, int64_t first, int64_t count, Stream s) {
                kernels().fill.bernoulli_bytes(to, first, count, s, law);
              });
  return out;
}

Tensor random_normal(const Tensor& seed, const Sizes shape, int64_t stream) {
  check_stream("random_normal", stream);
  const Seeds seeds = read_seeds("random_normal", seed);
  Tensor out = empty(with_samples(seeds, shape), ScalarType::Float, seed);
  fill_pieces(seeds, shape, stream, static_cast<float*>(out.data_ptr()), whole_blocks<float>(kernels().fill.normals));
  return out;
}

Tensor random_signs(const Tensor& seed, const Sizes shape, int64_t stream) {
  check_stream("random_signs", stream);
  const Seeds seeds = read_seeds("random_signs", seed);
  Tensor out = empty(with_samples(seeds, shape), ScalarType::Float, seed);
  fill_pieces(seeds, shape, stream, static_cast<float*>(out.data_ptr()), kernels().fill.signs);
  return out;
}

Tensor random_words(const Tensor& seed, const Sizes shape, int64_t stream) {
  check_stream("random_words", stream);
  const Seeds seeds = read_seeds("random_words", seed);
  Tensor out = empty(with_samples(seeds, shape), ScalarType::Int, seed);
  fill_pieces(seeds, shape, stream, static_cast<uint32_t*>(out.data_ptr()),
              whole_blocks<uint32_t>([](uint32_t* to, int64_t first, int64_t count, Stream s) {
                kernels().fill.words(to, first, count, s, kDomainWord);
              }));
  return out;
}

Tensor sample_seeds(const Tensor& seed, int64_t num_samples) {
  const Seeds seeds = read_seeds("sample_seeds", seed);
  STD_TORCH_CHECK(!seeds.batched, "sample_seeds: seed must have shape [], not ", describe(sizes_of(seed)));
  STD_TORCH_CHECK(num_samples >= 0, "sample_seeds: num_samples must not be negative, not ", num_samples);
  Tensor out = empty({num_samples}, ScalarType::Long, seed);
  auto* to = static_cast<int64_t*>(out.data_ptr());
  for (int64_t i = 0; i < num_samples; ++i) to[i] = sample_seed(static_cast<uint64_t>(*seeds.data), i);
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(bayesops, m) {
  m.def("sample_seeds(Tensor seed, SymInt num_samples) -> Tensor");
  m.def("random_bernoulli(Tensor seed, SymInt[] shape, float p, int stream) -> Tensor");
  m.def("random_normal(Tensor seed, SymInt[] shape, int stream) -> Tensor");
  m.def("random_signs(Tensor seed, SymInt[] shape, int stream) -> Tensor");
  m.def("random_words(Tensor seed, SymInt[] shape, int stream) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(bayesops, CPU, m) {
  m.impl("sample_seeds", TORCH_BOX(&sample_seeds));
  m.impl("random_bernoulli", TORCH_BOX(&random_bernoulli));
  m.impl("random_normal", TORCH_BOX(&random_normal));
  m.impl("random_signs", TORCH_BOX(&random_signs));
  m.impl("random_words", TORCH_BOX(&random_words));
}

}  // namespace bayesops::ops
