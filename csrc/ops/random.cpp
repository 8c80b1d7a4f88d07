// The streams as tensors: sample_seeds, random_bernoulli, random_normal, random_signs, random_words.
#include "kernels/isa_table.h"
#include "ops/pool.h"
#include "ops/random_arguments.h"

namespace bayesops::ops {

namespace {

constexpr int64_t kPiece = 1 << 16;  // elements a job; a multiple of every alignment

// Calls fill(to, first, count, stream) for pieces of every sample's tensor.
template <class T, class Fill>
void fill_pieces(const RandomArguments& a, const Fill& fill) {
  const int64_t elements = a.elements, pieces = (elements + kPiece - 1) / kPiece;
  T* out = static_cast<T*>(a.out.data_ptr());
  parallel_for(pool(), a.seeds.count * pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t sample = i / pieces, first = i % pieces * kPiece;
      const int64_t count = elements - first < kPiece ? elements - first : kPiece;
      fill(out + sample * elements + first, first, count,
           Stream{static_cast<uint64_t>(a.seeds.data[sample]), a.stream});
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
  const RandomArguments a("random_bernoulli", seed, shape, stream, ScalarType::Bool);
  const BernoulliLaw law = bernoulli_law(p);
  fill_pieces<uint8_t>(a, [&](uint8_t* to, int64_t first, int64_t count, Stream s) {
    kernels().fill.bernoulli_bytes(to, first, count, s, law);
  });
  return a.out;
}

Tensor random_normal(const Tensor& seed, const Sizes shape, int64_t stream) {
  const RandomArguments a("random_normal", seed, shape, stream, ScalarType::Float);
  fill_pieces<float>(a, whole_blocks<float>(kernels().fill.normals));
  return a.out;
}

Tensor random_signs(const Tensor& seed, const Sizes shape, int64_t stream) {
  const RandomArguments a("random_signs", seed, shape, stream, ScalarType::Float);
  fill_pieces<float>(a, kernels().fill.signs);
  return a.out;
}

Tensor random_words(const Tensor& seed, const Sizes shape, int64_t stream) {
  const RandomArguments a("random_words", seed, shape, stream, ScalarType::Int);
  fill_pieces<uint32_t>(a, whole_blocks<uint32_t>([](uint32_t* to, int64_t first, int64_t count, Stream s) {
                          kernels().fill.words(to, first, count, s, kDomainWord);
                        }));
  return a.out;
}

Tensor sample_seeds(const Tensor& seed, int64_t num_samples) {
  const SampleSeedsArguments a(seed, num_samples);
  auto* to = static_cast<int64_t*>(a.out.data_ptr());
  for (int64_t i = 0; i < num_samples; ++i) to[i] = sample_seed(static_cast<uint64_t>(*a.seeds.data), i);
  return a.out;
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
