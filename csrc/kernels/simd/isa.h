// Which instruction set this translation unit is compiled for.
//
// Files under kernels/ that include this header are compiled once per instruction set, each time with the flags of that
// set and with everything inside namespace bayesops::BAYESOPS_ISA (baseline, avx2 or avx512). They must not instantiate
// anything from the C++ standard library: an inline function compiled here for AVX-512 could be the copy that the
// linker keeps for machines without it. tools/check_isa_symbols.py enforces this.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// GCC 12 takes the deliberately undefined operands inside its own AVX-512 intrinsics for mistakes (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#ifndef BAYESOPS_ISA
#error "BAYESOPS_ISA is set by the build: baseline, avx2 or avx512"
#endif

#define BAYESOPS_ISA_BEGIN \
  namespace bayesops {     \
  namespace BAYESOPS_ISA {
#define BAYESOPS_ISA_END \
  }                      \
  }
#define BAYESOPS_INLINE static inline __attribute__((always_inline, unused))

#if defined(__AVX512F__) && defined(__AVX512BW__)
#define BAYESOPS_AVX512 1
#if BAYESOPS_HAVE_AVX512_BF16
#define BAYESOPS_AVX512_BF16 1  // its one instruction may be used where the machine was asked (isa_choice.cpp)
#endif
#elif defined(__AVX2__)
#define BAYESOPS_AVX2 1
#endif
