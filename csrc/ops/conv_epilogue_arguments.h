// The checks and shapes of conv_epilogue, on every device.
#pragma once
#include "kernels/flat/epilogue.h"
#include "ops/epilogue.h"

namespace bayesops::ops {

struct ConvEpilogueArguments {
  struct Operand {
    std::optional<Tensor> tensor;  // owns what place.data points to
    FlatOperand place;
  };
  // What comes after the convolution, beside the parts of an epilogue.
  struct Parts {
    const std::optional<Tensor>&bias, &base, &signs;
  };

  // A convolution's results come as [S, N, g, O / g, *], in any layout: views of folded ones are like that.
  ConvEpilogueArguments(const Tensor& result, const Parts& parts, const EpilogueTensors& epilogue, int64_t spatial,
                        bool channels_last);
  // Or one by one, of so many samples: this is like any of them, [N, O, *]. See SampleEpilogueArguments.
  ConvEpilogueArguments(const Tensor& result, int64_t samples, int64_t groups, const Parts& parts,
                        const EpilogueTensors& epilogue, bool channels_last);

  template <class S>
  FlatEpilogue<S> functor() const {
    return FlatEpilogue<S>::of({samples, examples, groups, channels, pixels, channels_last, result.place, signs.place,
                                bias.place, base.place, FlatFinish<S>::of(epilogue->describe()),
                                static_cast<S*>(out.data_ptr()), 0, 0, 0});
  }
  template <class S, class Run>
  void visit(const Run& run) const {
    run(functor<S>());
  }

  DType dtype;
  int64_t samples, examples, groups, channels, pixels;  // channels of one group
  bool channels_last;                                   // or there are single pixels, which is the same
  Operand result, bias, base, signs;
  Tensor out;  // [S, N, O, *]
  std::optional<DenseEpilogue> epilogue;

 private:
  // `sizes`: [S, N, g, O / g, *].
  ConvEpilogueArguments(const Tensor& like, Sizes sizes, const Operand& result, const Parts& parts,
                        const EpilogueTensors& epilogue, bool channels_last);
};

// The result of one of the samples.
struct SampleEpilogueArguments {
  SampleEpilogueArguments(const ConvEpilogueArguments& all, int64_t sample, const Tensor& result);

  template <class S, class Run>
  void visit(const Run& run) const {
    run(FlatEpilogue<S>::one_sample(all.functor<S>(), sample, result.place));
  }

  const ConvEpilogueArguments& all;
  int64_t sample;
  ConvEpilogueArguments::Operand result;
  DType dtype;
  Tensor out;  // of all samples
};

}  // namespace bayesops::ops
