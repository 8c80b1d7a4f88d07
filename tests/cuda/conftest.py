"""What the device runs, compiled for the host (needs neither nvcc nor a GPU); every public operator, called once."""

import ctypes
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bayesops import _native, ops, priors, random
from bayesops.ops import fused
from bayesops.ops.fused import Epilogue
from bayesops.reference.masked_conv import expand_mask

HERE = Path(__file__).parent
CSRC = HERE.parents[1] / "csrc"
# The flags of cmake/Flags.cmake that decide about bits.
FLAGS = [
    "-std=c++17", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-fno-math-errno", "-ffp-contract=off",
    "-DBAYESOPS_CHECK_ALIGNMENT",
]  # fmt: skip
SANITIZERS = os.environ.get("BAYESOPS_SANITIZE")  # as for the build: `make asan`
if SANITIZERS:
    FLAGS += [f"-fsanitize={SANITIZERS}", "-fno-omit-frame-pointer", "-g1"]


def compiler():
    """The C++ compiler that builds would use, as a command, or None."""
    commands = [shlex.split(os.environ["CXX"])] if os.environ.get("CXX") else [["c++"], ["g++"]]
    return next((command for command in commands if shutil.which(command[0])), None)


@pytest.fixture(scope="session")
def compile_library(tmp_path_factory):
    """Compile a source of this folder; its functions have the arguments that are given by name, and no result."""

    def compile_library(source, signatures):
        if not (CSRC / "kernels" / "flat").is_dir():
            pytest.skip("the native sources (csrc) are not beside the tests")
        if compiler() is None:
            pytest.skip("no C++ compiler: neither CXX, c++ nor g++ is a program here")
        path = (tmp_path_factory.mktemp("compiled") / source).with_suffix(".so")
        command = [*compiler(), *FLAGS, f"-I{CSRC}", str(HERE / source), "-o", str(path)]
        compiled = subprocess.run(command, capture_output=True, text=True, check=False)
        if compiled.returncode != 0:
            pytest.fail(compiled.stderr)
        library = ctypes.CDLL(str(path))
        for name, arguments in signatures.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, None
        return library

    return compile_library


@pytest.fixture(scope="session")
def mask_shape():
    """Return a function that tells the shape of one mask, by the number of its granularity."""

    def mask_shape(granularity, weight_size, groups):
        out, group_in, *_ = weight_size
        inputs = group_in * groups
        return [tuple(weight_size), (out, group_in), (inputs,), (out,), (inputs + out,)][granularity]

    return mask_shape


GRANULARITIES = ["weight", "kernel", "in_channel", "out_channel", "channel"]


@pytest.fixture(scope="session")
def masked_weight(mask_shape):
    """Return a function that tells, on the CPU, what the operator of this name must give, and shares no code with it.

    `random_bernoulli` there is a kernel of its own, and masks are spread by the reference.
    """

    def masked_weight(weight, seed, mask, p, granularity, rescale, examples, groups, stream):
        base = mask_shape(granularity, weight.shape, groups)
        of_examples = [examples] if examples else []
        if mask is None:
            mask = torch.ops.bayesops.random_bernoulli(seed, [*of_examples, *base], p, stream)
        lead = [*seed.shape, *of_examples]
        masks = mask.expand(*lead, *base).reshape(-1, *base)
        kept = torch.stack([expand_mask(one, weight, GRANULARITIES[granularity], groups) for one in masks]).bool()
        computing = torch.promote_types(weight.dtype, torch.float32)
        scale = 1 / (1 - p) ** (2 if granularity == 4 else 1) if rescale else 1.0
        scaled = weight.to(computing) * torch.tensor(scale, dtype=computing)
        return torch.where(kept, scaled, 0).to(weight.dtype).view(*lead, *weight.shape)

    return masked_weight


@pytest.fixture(scope="session")
def multiply_adds_are_fused():
    """Whether the CPU's kernels round once what they multiply and add, as the device does: all but the baseline do."""
    return _native.cpu_capability() != "baseline"


ON_GPU = [pytest.param("cuda", marks=pytest.mark.cuda)] if torch.cuda.is_available() else []


@pytest.fixture(params=["cpu", *ON_GPU])
def run_there(request):
    """Call an operator on each device that is here, with tensors of the CPU and results that are brought back.

    It is for operators that on the CPU run the device's functors, one index after another.
    """

    def run_there(operator, *args):
        results = operator(*[arg.to(request.param) if isinstance(arg, torch.Tensor) else arg for arg in args])
        alone = isinstance(results, torch.Tensor)
        assert all(result.device.type == request.param for result in ([results] if alone else results))
        return results.cpu() if alone else [result.cpu() for result in results]

    return run_there


# --- every public operator --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operation:
    """A call of an operator: a function of tensors by name, and those of which a gradient is taken."""

    function: Callable[..., Tensor | tuple[Tensor, ...]]
    tensors: dict[str, Tensor]
    leaves: tuple[str, ...] = ()

    def on(self, device, dtype=torch.float32):
        """Return copies of the tensors on `device`; those that are floating, of `dtype`."""
        copies = {name: tensor.to(device, copy=True) for name, tensor in self.tensors.items()}
        copies |= {name: copy.to(dtype) for name, copy in copies.items() if copy.is_floating_point()}
        return {name: copy.requires_grad_(name in self.leaves) for name, copy in copies.items()}

    def run(self, tensors):
        """Results and gradients."""
        results = self.function(**tensors)
        results = (results,) if isinstance(results, Tensor) else tuple(results)
        if not self.leaves:
            return results
        cotangents = [torch.linspace(-1, 1, r.numel(), dtype=r.dtype, device=r.device).view(r.shape) for r in results]
        gradients = torch.autograd.grad(results, [tensors[name] for name in self.leaves], cotangents)
        return *(result.detach() for result in results), *gradients


_generator = torch.Generator().manual_seed(8)
_SEEDS = torch.tensor([3, -8, 2**62 + 5])


def _normals(*shape):
    return torch.randn(shape, generator=_generator)


def _positive(*shape):
    return torch.rand(shape, generator=_generator) + 0.1


def _convolution(operator, family, spatial, epilogue=False):
    """Two groups, all three seeds of one input."""
    options = {"padding": 1, "groups": 2} if spatial else {}
    image, weight = [9, 7, 5][:spatial], [6, 2 if spatial else 4, *[3] * spatial]
    tensors = {"seed": _SEEDS, "input": _normals(2, 4, *image), "weight": _normals(*weight), "bias": _normals(6)}
    if family == "masked":
        options["p"] = 0.3
    else:
        spread = _positive if family == "lrt" else _normals
        tensors |= {"weight_spread": spread(*weight), "bias_spread": spread(6)}
    order = ("input", "weight", "weight_spread", "bias", "bias_spread")
    leaves = tuple(name for name in order if name in tensors)
    if not epilogue:
        return Operation(
            lambda seed, **t: operator(*(t[name] for name in leaves), seed=seed, **options), tensors, leaves
        )
    tensors |= {"scale": _positive(6), "shift": _normals(6), "residual": _normals(3, 2, 6, *image)}

    def finished(seed, scale, shift, residual, **t):
        last = Epilogue(scale, shift, residual, True)
        return operator(*(t[name] for name in leaves), epilogue=last, seed=seed, **options)

    return Operation(finished, tensors)


def _moments(draws):
    dtype = torch.promote_types(draws.dtype, torch.float32)
    mean, deviations, entropy = (torch.empty_like(like, dtype=dtype) for like in (draws[0], draws[0], draws[0, :, 0]))
    state = {"mean": mean, "deviations": deviations, "expected_entropy": entropy}
    for first, part in ((0, draws[:2]), (2, draws[2:])):
        ops.add_predictive_moments(part, softmax=True, count=first, **state)
    return mean, deviations, entropy


FAMILIES = ("masked", "sampled", "flipout", "lrt")
OPERATIONS = {
    **{
        name: _convolution(getattr(ops, name), family, spatial)
        for family in FAMILIES
        for spatial, name in enumerate((f"{family}_linear", *(f"{family}_conv{n}d" for n in (1, 2, 3))))
    },
    **{
        f"{family}_conv_fused": _convolution(getattr(fused, f"{family}_conv_fused"), family, 2, True)
        for family in FAMILIES
    },
    "lrt_draw": Operation(
        lambda mean, std, seed, scale: fused.lrt_draw(mean, std, epilogue=Epilogue(scale, relu=True), seed=seed),
        {"mean": _normals(2, 6, 5, 4), "std": _positive(2, 6, 5, 4), "seed": _SEEDS, "scale": _positive(6)},
    ),
    "dropout": Operation(
        lambda input, seed: ops.dropout(input, p=0.3, seed=seed),
        {"input": _normals(3, 2, 6, 5), "seed": _SEEDS},
        ("input",),
    ),
    "sample_gaussian": Operation(
        lambda mu, rho, seed: ops.sample_gaussian(mu, rho, seed=seed, prior=priors.ScaleMixture(0.25, 1.0, 0.05)),
        {"mu": _normals(40, 31), "rho": _normals(40, 31), "seed": _SEEDS},
        ("mu", "rho"),
    ),
    "gaussian_kl": Operation(
        lambda mu, rho: ops.gaussian_kl(mu, rho, 0.1, 0.5),
        {"mu": _normals(40, 31), "rho": _normals(40, 31)},
        ("mu", "rho"),
    ),
    "logit_noise_cross_entropy": Operation(
        lambda logits, log_var, target, weight, seed: ops.logit_noise_cross_entropy(
            logits, log_var, target, num_samples=3, seed=seed, weight=weight
        ),
        {
            "logits": _normals(2, 5, 8, 7), "log_var": _normals(2, 5, 8, 7), "weight": _positive(5), "seed": _SEEDS,
            "target": torch.randint(5, (2, 8, 7), generator=_generator),
        },
        ("logits", "log_var"),
    ),
    "add_predictive_moments": Operation(_moments, {"draws": _normals(5, 3, 10, 4)}),
    "max_pool2d": Operation(
        lambda input: ops.max_pool2d(input, 3, 2, 1, activation="softplus"), {"input": _normals(2, 6, 9, 7)}
    ),
    "bernoulli_mask": Operation(lambda seed: random.bernoulli_mask(seed, (50, 31), 0.3, 2), {"seed": _SEEDS}),
    "normal": Operation(lambda seed: random.normal(seed, (50, 31), 2), {"seed": _SEEDS}),
    "signs": Operation(lambda seed: random.signs(seed, (50, 31), 2), {"seed": _SEEDS}),
    "sample_seeds": Operation(lambda seed: random.sample_seeds(seed[0], 100), {"seed": _SEEDS}),
}  # fmt: skip


@pytest.fixture(params=OPERATIONS)
def operation(request):
    return OPERATIONS[request.param]


@pytest.fixture(params=[name for name, o in OPERATIONS.items() if "seed" in o.tensors])
def seeded_operation(request):
    return OPERATIONS[request.param]


@pytest.fixture
def operation_names():
    return OPERATIONS.keys()
