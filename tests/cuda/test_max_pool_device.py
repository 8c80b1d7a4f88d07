"""max_pool2d on a GPU, where it is a composite, against the CPU."""

import pytest
import torch

from bayesops import ops

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU and a CUDA torch"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("activation", ["none", "relu", "softplus"])
def test_is_that_of_the_cpu(activation, layout, dtype):
    input = torch.randn(2, 20, 13, 16).to(dtype).contiguous(memory_format=layout)
    window = {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "activation": activation}
    ours = ops.max_pool2d(input.cuda(), **window)
    expected = ops.max_pool2d(input.float() if dtype == torch.float16 else input, **window)
    assert ours.dtype == dtype
    assert ours.stride() == expected.stride()
    rounding = 8 * torch.finfo(dtype).eps if activation == "softplus" else 0
    torch.testing.assert_close(ours.cpu().to(expected.dtype), expected, rtol=rounding, atol=0)


def test_there_is_no_gradient():
    with pytest.raises(RuntimeError, match="there is none"):
        ops.max_pool2d(torch.randn(1, 1, 4, 4, device="cuda", requires_grad=True), 2)
