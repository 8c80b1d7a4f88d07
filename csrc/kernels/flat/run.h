// Runs of neighbours that one index reads and writes: at once where they are all there, next to each other and aligned,
// which is what a GPU's memory is fast at; one after another otherwise.
#pragma once
#include <stdlib.h>
#include <string.h>

#include "kernels/rng/philox.h"

// So that arrays stay in registers, where an index is known when it is compiled.
#if defined(__CUDA_ARCH__)
#define BAYESOPS_UNROLL _Pragma("unroll")
#elif defined(__CUDACC__)
#define BAYESOPS_UNROLL  // nvcc's pass for the host, which runs none of it
#else
#define BAYESOPS_UNROLL _Pragma("GCC unroll 32")
#endif

namespace bayesops {

// Calls use(i) for i below `count`, which is kMost or less.
template <int kMost, class Use>
BAYESOPS_HD void unrolled(int64_t count, const Use& use) {
  BAYESOPS_UNROLL for (int i = 0; i < kMost; ++i) if (i < count) use(i);
}

// The same for i on to the end of a group of four, where that is done in vain: on a GPU it costs less than to ask for
// each.
template <int kMost, class Use>
BAYESOPS_HD void unrolled_in_fours(int64_t count, const Use& use) {
  BAYESOPS_UNROLL for (int i = 0; i < kMost; i += 4) if (i < count) {
    BAYESOPS_UNROLL for (int j = i; j < i + 4 && j < kMost; ++j) use(j);
  }
}

// Puts a value behind the last, and forgets the first: an array that a loop fills so has indices that are known when it
// is compiled, and stays in registers.
template <class T, int kCount>
BAYESOPS_HD void push_back(T (&values)[kCount], T value) {
  unrolled<kCount - 1>(kCount - 1, [&](int i) { values[i] = values[i + 1]; });
  values[kCount - 1] = value;
}

// How many of S are 16 bytes, the widest access that there is.
template <class S>
constexpr int kWidest = 16 / (int)sizeof(S);

template <class S, int kCount>
struct alignas(sizeof(S) * (kCount < kWidest<S> ? kCount : kWidest<S>)) FlatPack {
  static_assert(kCount % (kCount < kWidest<S> ? kCount : kWidest<S>) == 0, "nothing may follow the values");
  S value[kCount];
};

#if defined(__CUDA_ARCH__)
// The compiler takes stores of a pack apart where other stores may go to the same place; these stay whole.
template <class Word, class Pack>
__device__ __forceinline__ void store_words(const Pack& pack, void* to) {
  Word words[sizeof(Pack) / sizeof(Word)];
  memcpy(words, &pack, sizeof pack);
  BAYESOPS_UNROLL for (int i = 0; i < (int)(sizeof(Pack) / sizeof(Word)); ++i)
      __stcg(static_cast<Word*>(to) + i, words[i]);
}
#endif

template <class Pack>
BAYESOPS_HD bool is_aligned(const void* p) {
  return (uintptr_t)p % alignof(Pack) == 0;
}

// In tests the host minds what only a device does.
template <class Pack>
BAYESOPS_HD void check_aligned([[maybe_unused]] const void* p) {
#if defined(BAYESOPS_CHECK_ALIGNMENT)
  if (!is_aligned<Pack>(p)) abort();
#endif
}

template <class Pack>
BAYESOPS_HD void store_pack(const Pack& pack, void* to) {
  check_aligned<Pack>(to);
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(Pack) % 16 == 0) {
    store_words<uint4>(pack, to);
  } else if constexpr (sizeof(Pack) == 8) {
    store_words<uint2>(pack, to);
  } else {
    *static_cast<Pack*>(to) = pack;
  }
#else
  memcpy(to, &pack, sizeof pack);
#endif
}

template <class Pack>
BAYESOPS_HD Pack load_pack(const void* from) {
  check_aligned<Pack>(from);
#if defined(__CUDA_ARCH__)
  return *static_cast<const Pack*>(from);
#else
  Pack pack;
  memcpy(&pack, from, sizeof pack);
  return pack;
#endif
}

// The first `count` of kCount values, `step` elements apart; 0: all are the same one.
template <class S, class T, int kCount>
BAYESOPS_HD void read_run(const S* from, int64_t step, int64_t count, T (&to)[kCount]) {
  using Pack = FlatPack<S, kCount>;
  if (step == 1 && count >= kCount && is_aligned<Pack>(from)) {
    const Pack pack = load_pack<Pack>(from);
    unrolled<kCount>(kCount, [&](int i) { to[i] = (T)pack.value[i]; });
  } else {
    unrolled<kCount>(count, [&](int i) { to[i] = (T)from[i * step]; });
  }
}

// kRuns runs, `apart` elements from one to the next, of each of which the first count(run) values are there: no less
// than of those that follow. Where they are read at once, all are on their way before any of them is waited for.
template <class S, class T, int kRuns, int kCount, class Count>
BAYESOPS_HD void read_runs(const S* from, int64_t apart, int64_t step, const Count& count, T (&to)[kRuns][kCount]) {
  using Pack = FlatPack<S, kCount>;
  if (step == 1 && count(kRuns - 1) >= kCount && is_aligned<Pack>(from) && is_aligned<Pack>(from + apart)) {
    Pack packs[kRuns];
    unrolled<kRuns>(kRuns, [&](int run) { packs[run] = load_pack<Pack>(from + run * apart); });
    unrolled<kRuns>(kRuns,
                    [&](int run) { unrolled<kCount>(kCount, [&](int i) { to[run][i] = (T)packs[run].value[i]; }); });
  } else {
    unrolled<kRuns>(kRuns, [&](int run) { read_run(from + run * apart, step, count(run), to[run]); });
  }
}

// The first `count` of kCount values, `step` elements apart.
template <class S, class T, int kCount>
BAYESOPS_HD void write_run(const T (&values)[kCount], int64_t step, int64_t count, S* to) {
  using Pack = FlatPack<S, kCount>;
  if (step == 1 && count >= kCount && is_aligned<Pack>(to)) {
    Pack pack;
    unrolled<kCount>(kCount, [&](int i) { pack.value[i] = (S)values[i]; });
    store_pack(pack, to);
  } else {
    unrolled<kCount>(count, [&](int i) { to[i * step] = (S)values[i]; });
  }
}

}  // namespace bayesops
