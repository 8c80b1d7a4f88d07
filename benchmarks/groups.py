"""The tables of the report, in their order: what each one measures, and what it is to reach."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """A table. `rival` is the one that the summary names; what is otherwise on a device is said there."""

    title: str
    about: str
    bar: str
    rival: str
    device_about: str = ""
    device_bar: str = ""


PLAIN = Group(
    "Plain convolution (bar 1)",
    "Nothing is dropped (p = 0): our core against oneDNN. The limit is the time of the multiply-adds at the measured "
    "peak.",
    "at least 90 % of the peak for K = C·kh·kw ≥ 576 and 80 % for K ≥ 144; never more than 5 % slower than oneDNN",
    "F.conv2d",
)
SAMPLES = Group(
    "T masked convolutions, an input for each sample (bar 2)",
    "Every layer of a sampled network after the first stochastic one: T masks, T inputs of one image. *T plain* is T "
    "calls of `F.conv2d` without any mask, and *one plain batch* a single call on the batch of T with the same weight "
    "for all: neither of these two computes samples. The other rivals draw their masks with `torch.rand(...) >= p`, "
    "which is faster than `bernoulli_` where that is serial. Of the loop only the body is compiled: as a whole it took "
    "half a minute to compile and came out slower.",
    "at most 0.5, 0.8, 0.9, 0.95 of the time of T plain convolutions at 49, 196, 784, 3136 pixels; at least 70 % of "
    "the peak at 49 pixels and 88 % from 784 on",
    "T plain",
    device_about=(
        "T masks, T inputs of a batch of N images each. *T plain* is T calls of `F.conv2d` without any mask, and *one "
        "plain batch* a single call on all T · N images with the same weight: neither of these two computes samples. "
        "The limit is the time of the operations at the rate of a large matrix product."
    ),
    device_bar="no slower than T plain convolutions",
)
PER_EXAMPLE = Group(
    "A mask for each example of a training batch, forward and backward (bar 3)",
    "N masks for N examples; the output and the gradients of input and weight. The limit is three convolutions of the "
    "batch at the measured peak. *Plain training convolution* has no mask.",
    "at least 5 times as fast as grouped convolution and as vmap; at most 1.5 times the time of a plain training "
    "convolution",
    "grouped",
    device_about=(
        "N masks for N examples; the output and the gradients of input and weight. The limit is three convolutions of "
        "the batch at the rate of a large matrix product. *Plain training convolution* has no mask."
    ),
)
CHANNELS = Group(
    "Channel masks, half of the channels dropped (bar 7)",
    "What is switched off is not computed. *Without skipping* is the same operator with the same mask given window by "
    "window. Half of the channels dropped on one side leave half of the work, on both sides (granularity `channel`) a "
    "quarter.",
    "both sides at least 2.5 times as fast as without skipping",
    "without skipping",
)
BERNOULLI = Group(
    "Bernoulli masks (bar 8)",
    "On one thread. An element costs a quarter of a Philox word; the limit is the rate of raw words into a block that "
    "stays in cache, measured beside each case.",
    "at least 30 times as fast as a serial `torch.bernoulli`, 8 times where it is MKL's",
    "torch.bernoulli",
    device_about=(
        "The limit is the time of writing the mask once, or of the raw words at four elements a word, whichever is "
        "longer."
    ),
    device_bar="at least 70 % of the limit for 2²⁸ elements",
)
NORMALS = Group(
    "Normals (bar 8)",
    "On one thread. A normal costs a Philox word; the limit is the rate of raw words.",
    "at least 5 times as fast as `torch.randn`",
    "torch.randn",
    device_about="The limit is the time of writing the numbers once, or of the raw words, whichever is longer.",
    device_bar="at least 70 % of the limit for 2²⁸ elements",
)
DROPOUT = Group(
    "Dropout of activations",
    "Against `F.dropout`, and `F.dropout2d` for whole channels. The limit is a copy of the same size, read and written "
    "once each way, into memory that is already in use.",
    "none set",
    "F.dropout",
    device_bar="at least 70 % of the copy bandwidth",
)

LOCAL_REPARAM = Group(
    "Local reparameterisation, one draw (bar 4)",
    "Mean and variance of a convolution, and noise for each output. *Eager* is two calls of `F.conv2d`, a square root "
    "and `torch.randn`. The limit is two convolutions at the measured peak and the time of a raw Philox word for each "
    "normal.",
    "at least 1.5 times as fast as eager, 3 times on first layers; at most 2.1 times one `F.conv2d` for K = C·kh·kw ≥ "
    "576",
    "eager",
    device_about=(
        "Mean and variance of a convolution, and noise for each output. *Eager* is two calls of `F.conv2d`, a square "
        "root and `torch.randn`. The limit is two convolutions at the rate of a large matrix product and a raw Philox "
        "word for each normal."
    ),
)
EPILOGUE = Group(
    "The epilogue of local reparameterisation, on a device",
    "Mean and variance are read, output and standard deviation written; all are channels-last. The limit is two copies "
    "of the same size, or a Philox word a normal, whichever takes longer.",
    "at least 70 % of the limit",
    "eager",
)
LOCAL_REPARAM_DRAWS = Group(
    "Local reparameterisation, T draws of a first layer (bar 5)",
    "The input is shared: mean and variance are computed once, then drawn from T times. *Looped* computes them T "
    "times.",
    "at least 8 times as fast as looped",
    "looped",
)
LOCAL_REPARAM_TRAINING = Group(
    "Training a local-reparameterisation layer",
    "Forward and backward of `nn.GaussianConv2d`, softplus of rho included; the noise is drawn twice, and of "
    "activations only the input and the standard deviation are kept.",
    "at most 0.6 of eager's time",
    "eager",
)
SAMPLED = Group(
    "Weight sampling, T draws, an input for each (no bar)",
    "`sampled_conv2d` against a loop of plain PyTorch, T plain convolutions, and the layers of peers that are "
    "installed.",
    "none set",
    "looped",
)
FLIPOUT = Group(
    "Flipout, T draws, an input for each (no bar)",
    "`flipout_conv2d` against the same. bayesian-torch draws its signs anew for each pixel.",
    "none set",
    "looped",
)

SAMPLE_GAUSSIAN = Group(
    "Drawn weights with log q − log prior, forward and backward (bar 9)",
    "`sample_gaussian` under a scale mixture prior; the gradient of weights and log densities reaches mu and rho. "
    "*Eager* is `softplus`, `randn_like`, `Normal.log_prob` and `logsumexp`; *by hand* log q comes from eps and the "
    "mixture from the squares by `logaddexp`. The noise is drawn twice. The limit is 12 bytes a parameter there and 20 "
    "back, by copies of the same size, or the raw Philox words, whichever takes longer.",
    "at least 10 times as fast as eager",
    "eager",
    device_bar="at least 10 times as fast as eager; at least 70 % of the limit for 2²⁴ and 2²⁷ parameters",
)

LOGIT_NOISE = Group(
    "Cross entropy of noisy logits, forward and backward (bar 10)",
    "`logit_noise_cross_entropy`: T draws of the logits, the logarithm of the mean softmax, gradients of logits and "
    "log variances; dense outputs N × C × H × W and classification N × C. *Eager* draws all T at once; *chunked* five "
    "at a time under `torch.utils.checkpoint`, which draws them twice; *looped* one by one, by `logaddexp`. The limit "
    "is the time of the normals alone, by our generator into a block that stays in cache. No peer library has this "
    "loss. Memory is the growth of the process's at the peak of a call.",
    "at least 8 times as fast as eager, with a twentieth of its memory",
    "eager",
    device_about=(
        "`logit_noise_cross_entropy`: T draws of the logits, the logarithm of the mean softmax, gradients of logits "
        "and log variances. *Eager* draws all T at once; *chunked* five at a time under `torch.utils.checkpoint`, "
        "which draws them twice; *looped* one by one, by `logaddexp`. The limit is the time of the normals alone, by "
        "our generator, which stores them. Memory is the growth of torch's allocator to the peak of a call."
    ),
    device_bar=(
        "at least 8 times as fast as eager, with a twentieth of its memory; at least 70 % of the limit for 8 × 11 × "
        "360 × 480"
    ),
)

PREDICT = Group(
    "T draws of whole models by `bo.predict` (bar 6)",
    "T = 50, moments included on all sides. *T plain* is T passes of the deterministic network, which draw nothing, in "
    "the memory format that images come in, and channels-last. *Loop, drawn by torch* is what one would write; *our "
    "vmap path* the same operators without the traced plan.",
    "one image: at most 0.12 of T plain (LeNet-5), 0.5 (3conv3fc); 32 images: masks 0.5, weight sampling 0.6, local "
    "reparameterisation 0.8",
    "T plain",
    device_about=(
        "T = 50, moments included on all sides. *T plain* is T passes of the deterministic network, which draw "
        "nothing; *one plain batch* a single pass over T · N images, which computes no samples either. *Loop, drawn "
        "by torch* is what one would write; *our vmap path* the same operators without the traced plan."
    ),
    device_bar=(
        "ResNet-18 with 64 images in bfloat16: no more than T plain passes, channels-last; the others as on the CPU"
    ),
)
ACCELERATED = Group(
    "Accelerated peers (no bar)",
    "LeNet-5 built with a peer's layers, T draws in a Python loop as its users write it, against the same model after "
    "`bo.accelerate`, in the same loop and under `bo.predict`. No side computes a divergence, except that BLiTZ's own "
    "layers always compute theirs. *T plain* is T passes of the deterministic network.",
    "none set",
    "the peer's layers",
)

MOMENTS = Group(
    "Moments of a chunk of draws (no bar)",
    "`add_predictive_moments` with softmax: mean, squared deviations and entropies of S × N × C × … logits, added to "
    "those of earlier draws. The limit is reading them once.",
    "none set",
    "eager",
    device_bar="at least 70 % of the copy bandwidth for 16 × 8 × 11 × 360 × 480",
)
MAX_POOL = Group(
    "Max pooling and an activation (no bar)",
    "`max_pool2d`, 2 × 2, with relu or softplus, against `F.max_pool2d` of the activated images. The limit is reading "
    "the images and writing a quarter of them.",
    "none set",
    "eager",
)

BFLOAT16 = Group(
    "bfloat16 (no bar)",
    "Convolutions and whole models in bfloat16. *Ours in float32* is the same call in float32; *plain* is what draws "
    "nothing, by PyTorch in bfloat16: a convolution, T of them, or T passes of the model in channels-last. The limit "
    "is the time of the multiply-adds at the measured peak of bfloat16: that of float32 where the processor has no "
    "instruction for pairs of them.",
    "none set",
    "ours in float32",
)

GROUPS = [
    PLAIN,
    SAMPLES,
    PER_EXAMPLE,
    CHANNELS,
    LOCAL_REPARAM,
    EPILOGUE,
    LOCAL_REPARAM_DRAWS,
    LOCAL_REPARAM_TRAINING,
    SAMPLED,
    FLIPOUT,
    SAMPLE_GAUSSIAN,
    LOGIT_NOISE,
    PREDICT,
    ACCELERATED,
    MOMENTS,
    MAX_POOL,
    BFLOAT16,
    BERNOULLI,
    NORMALS,
    DROPOUT,
]
