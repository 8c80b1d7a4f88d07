// The pybind11 module: the random streams as NumPy arrays, and facts about the build. Needs no torch.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <vector>

#include "build_facts.h"
#include "kernels/isa_table.h"

namespace py = pybind11;

namespace bayesops {

namespace {

// A seed as Python has it: any integer of 64 bits, signed or not, or an int64 array of shape [] or [S].
struct Seeds {
  std::vector<uint64_t> values;
  bool batched;
};

// Both -1 and 2^64 - 1 name the seed whose 64 bits are all set.
uint64_t seed_of_int(const py::object& value) {
  if (value.attr("bit_length")().cast<int>() > 64) throw py::value_error("seed must fit 64 bits");
  return value.attr("__and__")(py::int_(~uint64_t{0})).cast<uint64_t>();
}

Seeds read_seeds(const py::object& seed) {
  if (py::isinstance<py::int_>(seed)) return Seeds{{seed_of_int(seed)}, false};
  if (!py::isinstance<py::array_t<int64_t>>(seed))
    throw py::type_error("seed must be an int or an int64 array of shape [] or [S]");
  const auto array = py::array_t<int64_t, py::array::c_style | py::array::forcecast>(seed);
  if (array.ndim() > 1) throw py::value_error("seed must have shape [] or [S]");
  const int64_t* data = array.data();
  return Seeds{std::vector<uint64_t>(data, data + array.size()), array.ndim() == 1};
}

uint32_t read_stream(int64_t stream) {
  if (stream < 0 || stream > 0xFFFFFFFFll) throw py::value_error("stream must be in [0, 2**32)");
  return static_cast<uint32_t>(stream);
}

double read_probability(double p) {
  if (!(p >= 0.0 && p < 1.0)) throw py::value_error("p must be in [0, 1)");
  return p;
}

// An array [*shape] or [S, *shape], filled one sample at a time by fill(to, count, stream).
template <class T, class Fill>
py::array_t<T> streams(const py::object& seed, const std::vector<int64_t>& shape, int64_t stream, const Fill& fill) {
  const Seeds seeds = read_seeds(seed);
  const uint32_t layer = read_stream(stream);
  std::vector<int64_t> sizes = shape;
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (size < 0) throw py::value_error("shape must not have negative sizes");
    count *= size;
  }
  if (seeds.batched) sizes.insert(sizes.begin(), static_cast<int64_t>(seeds.values.size()));
  py::array_t<T> out(sizes);
  T* to = out.mutable_data();
  const py::gil_scoped_release released;
  for (const uint64_t value : seeds.values) {
    fill(to, count, Stream{value, layer});
    to += count;
  }
  return out;
}

py::array_t<bool> bernoulli_mask(const py::object& seed, const std::vector<int64_t>& shape, double p, int64_t stream) {
  const BernoulliLaw law = bernoulli_law(read_probability(p));
  return streams<bool>(seed, shape, stream, [&](bool* to, int64_t count, Stream s) {
    kernels().fill.bernoulli_bytes(reinterpret_cast<uint8_t*>(to), 0, count, s, law);
  });
}

py::array_t<float> normal(const py::object& seed, const std::vector<int64_t>& shape, int64_t stream) {
  return streams<float>(seed, shape, stream, [&](float* to, int64_t count, Stream s) {
    fill_exactly(to, 0, count, [&](float* t, int64_t first, int64_t n) { kernels().fill.normals(t, first, n, s); });
  });
}

py::array_t<float> signs(const py::object& seed, const std::vector<int64_t>& shape, int64_t stream) {
  return streams<float>(seed, shape, stream,
                        [&](float* to, int64_t count, Stream s) { kernels().fill.signs(to, 0, count, s); });
}

py::array_t<uint32_t> words(const py::object& seed, const std::vector<int64_t>& shape, int64_t stream) {
  return streams<uint32_t>(seed, shape, stream, [&](uint32_t* to, int64_t count, Stream s) {
    fill_exactly(to, 0, count,
                 [&](uint32_t* t, int64_t first, int64_t n) { kernels().fill.words(t, first, n, s, kDomainWord); });
  });
}

py::array_t<int64_t> sample_seeds(const py::object& seed, int64_t num_samples) {
  const Seeds seeds = read_seeds(seed);
  if (seeds.batched) throw py::value_error("seed must have shape []");
  if (num_samples < 0) throw py::value_error("num_samples must not be negative");
  py::array_t<int64_t> out(num_samples);
  for (int64_t i = 0; i < num_samples; ++i) out.mutable_at(i) = sample_seed(seeds.values[0], static_cast<uint64_t>(i));
  return out;
}

std::array<uint32_t, 4> philox(const std::array<uint32_t, 4>& counter, const std::array<uint32_t, 2>& key) {
  const PhiloxBlock b = philox4x32(counter[0], counter[1], counter[2], counter[3], key[0], key[1]);
  return {b.word[0], b.word[1], b.word[2], b.word[3]};
}

py::dict build_info() {
  py::dict info;
  info["version"] = BAYESOPS_BUILD_VERSION;
  info["compiler"] = BAYESOPS_BUILD_COMPILER;
  info["build_type"] = BAYESOPS_BUILD_TYPE;
  info["instruction_sets"] = py::str(BAYESOPS_BUILD_ISAS).attr("split")(";");
  info["torch"] = BAYESOPS_BUILD_TORCH;
  info["cuda"] = BAYESOPS_BUILD_CUDA[0] ? py::object(py::str(BAYESOPS_BUILD_CUDA)) : py::none();
  return info;
}

}  // namespace

PYBIND11_MODULE(_native, m) {
  m.doc() = "Native parts of bayesops that need no torch.";
  m.def("build_info", &build_info, "Facts about this build: version, compiler, instruction sets, torch, CUDA.");
  m.def(
      "cpu_capability", [] { return kernels().name; },
      "The instruction set in use: baseline, avx2, avx512 or avx512_bf16.");
  m.def("philox4x32", &philox, py::arg("counter"), py::arg("key"), "One block of Philox4x32-10: four words.");
  m.def("sample_seeds", &sample_seeds, py::arg("seed"), py::arg("num_samples"),
        "Seeds of samples, int64 [num_samples].");
  m.def("bernoulli_mask", &bernoulli_mask, py::arg("seed"), py::arg("shape"), py::arg("p"), py::arg("stream") = 0,
        "Bernoulli draws, bool [*shape] or [S, *shape]; True is kept, with probability 1 - p.");
  m.def("normal", &normal, py::arg("seed"), py::arg("shape"), py::arg("stream") = 0,
        "Standard normals, float32 [*shape] or [S, *shape].");
  m.def("signs", &signs, py::arg("seed"), py::arg("shape"), py::arg("stream") = 0,
        "+1 or -1, float32 [*shape] or [S, *shape].");
  m.def("words", &words, py::arg("seed"), py::arg("shape"), py::arg("stream") = 0,
        "Raw Philox words, uint32 [*shape] or [S, *shape].");
}

}  // namespace bayesops
