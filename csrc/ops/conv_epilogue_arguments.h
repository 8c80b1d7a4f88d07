// The checks and shapes of conv_epilogue, on every device.
#pragma once
#include "kernels/flat/epilogue.h"
#include "ops/epilogue.h"

namespace bayesops::ops {

// A convolution's results come as [S, N, g, O / g, *], in any layout: views of folded ones are like that.
struct ConvEpilogueArguments {
  ConvEpilogueArguments(const Tensor& result, const std::optional<Tensor>& bias, const std::optional<Tensor>& base,
                        const std::optional<Tensor>& signs, const EpilogueTensors& epilogue, int64_t spatial,
                        bool channels_last, const std::optional<Tensor>& out = std::nullopt);

  template <class S, class Run>
  void visit(const Run& run) const {
    run(FlatEpilogue<S>{samples, examples, groups, channels, pixels, channels_last,
                        FlatEpilogue<S>::runs_of(channels_last ? channels : pixels), result.place, signs.place,
                        bias.place, base.place, FlatFinish<S>::of(epilogue->describe()),
                        static_cast<S*>(out.data_ptr())});
  }

  struct Operand {
    std::optional<Tensor> tensor;  // owns what place.data points to
    FlatOperand place;
  };

  DType dtype;
  int64_t samples, examples, groups, channels, pixels;  // channels of one group
  bool channels_last;                                   // or there are single pixels, which is the same
  Operand result, bias, base, signs;
  Tensor out;  // [S, N, O, *]
  std::optional<DenseEpilogue> epilogue;
};

}  // namespace bayesops::ops
