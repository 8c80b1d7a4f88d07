"""What is known of torch's functions and layers: how a plan may run them, and what tracing must look out for.

To teach the engine another function, add it to the table that says how all draws go through it, and, if its result is a
new tensor, to `NEW_TENSORS`. What is in no table is right, too, and slower: mapped by `torch.vmap`.
"""

import operator

import torch
from torch import nn
from torch.nn import functional

# What `a += b` calls, and what it does where nobody sees that `a` is overwritten.
IN_PLACE_OPERATORS = {
    getattr(operator, f"i{name}"): getattr(operator, name if name not in ("and", "or") else f"{name}_")
    for name in (
        "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift",
    )
}  # fmt: skip

# These draw from torch's generator, where no seed of ours reaches.
RANDOM = {
    "alpha_dropout", "bernoulli", "bernoulli_", "cauchy_", "dropout", "dropout1d", "dropout2d", "dropout3d",
    "exponential_", "feature_alpha_dropout", "feature_dropout", "fractional_max_pool2d", "geometric_", "gumbel_softmax",
    "log_normal_", "multinomial", "native_dropout", "normal", "normal_", "poisson", "rand", "rand_like", "randint",
    "randint_like", "randn", "randn_like", "random_", "randperm", "rrelu", "rrelu_", "scaled_dot_product_attention",
    "uniform_",
}  # fmt: skip

# --- how all draws go through them: see `nodes` ------------------------------------------------------------------

# Exact types: a subclass may do something else.
STACKWISE_MODULES = {
    nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.LogSigmoid,
    nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh,
    nn.Tanhshrink, nn.Threshold, nn.Identity, nn.LayerNorm, nn.Linear,
}  # fmt: skip
# Off, see `trace`; those that drop channels would count the dimensions of the stacked tensor.
DROPOUT_MODULES = {
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout,
}  # fmt: skip
DROPOUT_FUNCTIONS = {
    functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d, functional.alpha_dropout,
    functional.feature_alpha_dropout,
}  # fmt: skip
BATCHWISE_MODULES: dict[type, tuple[int, ...]] = {
    nn.Conv1d: (3,), nn.Conv2d: (4,), nn.Conv3d: (5,),
    nn.ConvTranspose1d: (3,), nn.ConvTranspose2d: (4,), nn.ConvTranspose3d: (5,),
    nn.MaxPool1d: (3,), nn.MaxPool2d: (4,), nn.MaxPool3d: (5,), nn.AvgPool1d: (3,), nn.AvgPool2d: (4,),
    nn.AvgPool3d: (5,), nn.AdaptiveAvgPool1d: (3,), nn.AdaptiveAvgPool2d: (4,), nn.AdaptiveAvgPool3d: (5,),
    nn.AdaptiveMaxPool1d: (3,), nn.AdaptiveMaxPool2d: (4,), nn.AdaptiveMaxPool3d: (5,),
    nn.BatchNorm1d: (2, 3), nn.BatchNorm2d: (4,), nn.BatchNorm3d: (5,), nn.GroupNorm: (2, 3, 4, 5),
    nn.PReLU: (2, 3, 4, 5), nn.PixelShuffle: (4,), nn.PixelUnshuffle: (4,), nn.ChannelShuffle: (4,),
    nn.Upsample: (3, 4, 5), nn.UpsamplingBilinear2d: (4,), nn.UpsamplingNearest2d: (4,), nn.ZeroPad2d: (4,),
    nn.ReflectionPad2d: (4,), nn.ReplicationPad2d: (4,), nn.ConstantPad2d: (4,),
}  # fmt: skip
STACKWISE_FUNCTIONS = {
    operator.add, operator.sub, operator.mul, operator.truediv, operator.neg, *IN_PLACE_OPERATORS,
    torch.add, torch.sub, torch.mul, torch.div, torch.exp, torch.log, torch.relu, torch.sigmoid, torch.tanh, torch.sqrt,
    torch.square, torch.abs, functional.relu, functional.relu6, functional.elu, functional.gelu, functional.leaky_relu,
    functional.silu, functional.softplus, functional.sigmoid, functional.tanh,
}  # fmt: skip
STACKWISE_METHODS = {
    "abs", "add", "add_", "contiguous", "div", "div_", "exp", "float", "log", "mul", "mul_", "neg", "relu", "relu_",
    "sigmoid", "sqrt", "square", "sub", "sub_", "tanh",
}  # fmt: skip
# The first arguments of these are an input, and a dimension or a size that does not count the batch.
BATCHWISE_FUNCTIONS: dict[object, tuple[int, ...]] = {
    functional.max_pool2d: (4,), functional.avg_pool2d: (4,), functional.adaptive_avg_pool2d: (4,),
    functional.adaptive_max_pool2d: (4,), functional.interpolate: (3, 4, 5), functional.max_pool1d: (3,),
    functional.avg_pool1d: (3,),
}  # fmt: skip

# Along dimensions that are named: within the examples of a batch, unless dimension 0 is among them.
ALONG_DIMENSIONS = {"mean", "sum", "amax", "amin", "softmax", "log_softmax"}
FUNCTIONS_ALONG_DIMENSIONS = {
    *(getattr(torch, name) for name in ALONG_DIMENSIONS), functional.softmax, functional.log_softmax
}  # fmt: skip

SIZE_METHODS = {"size", "dim", "ndimension", "numel", "nelement"}
# Asked of a draw, not of the samples stacked together; every draw answers the same.
METADATA_METHODS = {*SIZE_METHODS, "element_size", "is_floating_point", "get_device"}
METADATA_ATTRIBUTES = {"shape", "ndim", "dtype", "device", "is_cuda"}

# --- what a graph would not repeat: see `trace` -------------------------------------------------------------------

# Position and default of the argument that switches a function of these on.
TRAINING = {
    functional.alpha_dropout: (2, False), functional.dropout: (2, True), functional.dropout1d: (2, True),
    functional.dropout2d: (2, True), functional.dropout3d: (2, True), functional.feature_alpha_dropout: (2, False),
    functional.rrelu: (3, False),
}  # fmt: skip
RANDOM_MODULES = (nn.modules.dropout._DropoutNd, nn.RReLU)
# They read how a tensor lies in memory, which the engine chooses.
LAYOUT = {"as_strided", "as_strided_", "data_ptr", "is_contiguous", "numpy", "stride", "storage_offset", "tolist"}

# They may return their argument itself, or a view of it.
VIEW_MODULES = (nn.Identity, nn.Flatten, nn.Unflatten, nn.modules.dropout._DropoutNd)
# They return a new tensor, never a view of an argument (where they are not told to overwrite it).
NEW_TENSORS = {
    operator.add, operator.sub, operator.mul, operator.truediv, operator.neg, operator.matmul, operator.pow, torch.add,
    torch.sub, torch.mul, torch.div, torch.cat, torch.stack, torch.matmul, torch.bmm, torch.relu, torch.sigmoid,
    torch.tanh, torch.exp, torch.log, torch.sqrt, torch.square, torch.abs, torch.softmax, torch.log_softmax,
    functional.relu, functional.relu6, functional.elu, functional.gelu, functional.leaky_relu, functional.silu,
    functional.softplus, functional.sigmoid, functional.tanh, functional.softmax, functional.log_softmax,
    functional.max_pool2d, functional.avg_pool2d, functional.adaptive_avg_pool2d, functional.linear, functional.conv1d,
    functional.conv2d, functional.conv3d, functional.layer_norm, functional.interpolate, functional.pad,
    functional.scaled_dot_product_attention, functional.batch_norm, functional.group_norm, torch.einsum, torch.mean,
    torch.sum, torch.clamp, torch.where, torch.pow, *IN_PLACE_OPERATORS,
}  # fmt: skip
NEW_TENSOR_METHODS = {
    "add", "sub", "mul", "div", "matmul", "relu", "sigmoid", "tanh", "exp", "log", "sqrt", "square", "softmax",
    "log_softmax", "mean", "sum", "clone", "clamp", "neg", "abs", "pow", "amax", "amin", "bmm", "masked_fill", "var",
    "std",
}  # fmt: skip
VIEW_METHODS = {
    "view", "reshape", "flatten", "transpose", "permute", "squeeze", "unsqueeze", "contiguous", "t", "movedim", "to",
    "float",
}  # fmt: skip
VIEWS = {
    torch.flatten, torch.reshape, torch.transpose, torch.permute, torch.squeeze, torch.unsqueeze, torch.movedim,
    *DROPOUT_FUNCTIONS,  # off: see `trace`
}  # fmt: skip
ARITHMETIC = {
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
}  # fmt: skip
