"""Results do not depend on the machine: threads, instruction set, memory format, device.

Masks, drawn weights with their log densities, standard deviations of many weights, variances, the closed divergence,
and the gradients of these are bit-identical everywhere. Outputs of convolutions are bit-identical for every number of
threads, and within rounding between instruction sets and memory formats. What CUDA promises against the CPU:
`tests/cuda/test_every_operator.py`.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

import bayesops as bo
from bayesops import _native, ops
from bayesops.ops._softplus_variance_rules import variance_of

pytestmark = pytest.mark.usefixtures("device")
SEEDS = torch.tensor([3, -8, 2**62 + 5])
CAPABILITIES = ("baseline", "avx2", "avx512", "avx512_bf16")

# Draws, outputs and gradients that touch every kernel; run in this process and in others.
PROGRAM = """
import sys, torch
import bayesops as bo
from bayesops import _native

def results():
    generator = torch.Generator().manual_seed(5)
    seeds = torch.tensor([3, -8, 2**62 + 5])
    exact, rounded = {}, {}
    priors = {
        "gaussian": bo.priors.Gaussian(0.1, 0.5), "laplace": bo.priors.Laplace(0.1, 0.5),
        "mixture": bo.priors.ScaleMixture(0.25, 1.0, 0.05),
    }
    for p in (1e-3, 0.3, 0.5):
        exact[f"mask {p}"] = bo.random.bernoulli_mask(seeds, (1003,), p, stream=2)
    exact["signs"] = bo.random.signs(seeds, (1003,))
    exact["words"] = torch.ops.bayesops.random_words(seeds, [1003], 1)
    exact["seeds"] = bo.random.sample_seeds(4, 100)
    exact["normal"] = bo.random.normal(seeds, (1003,))
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        x = torch.randn(2, 36, 13, 11, generator=generator).to(dtype)
        w = torch.randn(44, 18, 3, 3, generator=generator).div(13).to(dtype)
        y = torch.randn(3, 2, 36, 13, 11, generator=generator).to(dtype)
        exact[f"dropped {dtype}"] = bo.ops.dropout(y, p=0.4, seed=seeds) != 0
        rounded[f"dropout {dtype}"] = bo.ops.dropout(y, p=0.4, seed=seeds)
        for granularity in ("weight", "kernel", "in_channel", "out_channel", "channel"):
            for per_example in (False, True):
                for name, input in (("shared", x), ("own", y)):
                    a, b = input.clone().requires_grad_(), w.clone().requires_grad_()
                    out = bo.ops.masked_conv2d(
                        a, b, p=0.3, seed=seeds, granularity=granularity, per_example=per_example, padding=1, groups=2)
                    out.sum().backward()
                    key = f"{name} {granularity} {per_example} {dtype}"
                    rounded |= {"output " + key: out.detach(), "input " + key: a.grad, "weight " + key: b.grad}
        spread = torch.rand(44, 18, 3, 3, generator=generator).to(dtype)
        for family in ("lrt", "sampled", "flipout"):
            for name, input, some in (("shared", x, seeds), ("own", y, seeds), ("one", x, seeds[0])):
                for last in (False, True):
                    a, b, c = input.clone(), w.clone(), spread.clone()
                    if last:
                        a = a.movedim(-3, -1).contiguous().movedim(-1, -3)
                    leaves = [t.requires_grad_() for t in (a, b, c)]
                    out = getattr(bo.ops, family + "_conv2d")(*leaves, seed=some, stream=1, padding=1, groups=2)
                    out.square().mean().backward()
                    parts = {"output": out.detach(), "input": a.grad, "mu": b.grad, "spread": c.grad}
                    rounded |= {f"{family} {name} {last} {dtype} {part}": value for part, value in parts.items()}
        for last in (False, True):
            for images in (x, x[:, :5]):
                if last:
                    images = images.contiguous(memory_format=torch.channels_last)
                pooled = bo.ops.max_pool2d(images, 3, 2, 1, activation="softplus")
                exact[f"pooled {last} {len(images[0])} {dtype}"] = pooled
        linear = bo.ops.masked_linear(x.flatten(1)[:, :162], w.flatten(1), p=0.3, seed=seeds)
        rounded[f"linear {dtype}"] = linear
        # Weights of several blocks, and of patches; below 2**15 elements: beyond, torch's softplus differs by threads.
        wide = torch.randn(25, 1300, generator=generator).div(36).to(dtype)
        patches = torch.randn(20, 36, 4, 4, generator=generator).div(24).to(dtype)
        cut = {
            "wide": (x.flatten(1)[:, :1300], wide, {}),
            "patches": (x[..., :12, :8], patches, {"stride": 4}),
        }
        for name, (input, weight, options) in cut.items():
            kind = "linear" if weight.dim() == 2 else "conv2d"
            for some in (seeds, seeds[0]):
                for family in ("masked", "lrt", "sampled", "flipout"):
                    leaves = [input.clone().requires_grad_(), weight.clone().requires_grad_()]
                    if family == "masked":
                        options["p"] = 0.3
                    else:
                        options.pop("p", None)
                        leaves.append(torch.ones_like(weight).div(9).requires_grad_())
                    getattr(bo.ops, f"{family}_{kind}")(*leaves, seed=some, **options).square().mean().backward()
                    key = f"{name} {family} {some.dim()} {dtype}"
                    rounded |= {f"{key} {i}": leaf.grad for i, leaf in enumerate(leaves)}
        for name, prior in priors.items():
            for spread in ("rho", "log_alpha"):
                mu, by = (torch.randn(5003, generator=generator).to(dtype).requires_grad_() for _ in range(2))
                sample = bo.ops.sample_gaussian(mu, **{spread: by}, seed=seeds, prior=prior)
                (sample.weights.sum() + (sample.log_q - sample.log_prior).sum().to(dtype)).backward()
                key = f"gaussian {name} {spread} {dtype}"
                exact |= {f"{key} {part}": value.detach() for part, value in sample._asdict().items()}
                exact |= {key + " mu": mu.grad, key + " spread": by.grad}
        mu, rho = (torch.randn(40003, generator=generator).to(dtype).requires_grad_() for _ in range(2))
        kl = bo.ops.gaussian_kl(mu, rho, 0.1, 0.3)
        kl.backward()
        variance = torch.ops.bayesops.softplus_variance(rho)
        (slope,) = torch.autograd.grad(variance, rho, mu.detach())
        exact |= {f"variance {dtype}": variance.detach(), f"variance {dtype} rho": slope}
        sigma = torch.ops.bayesops.softplus(rho)
        (slope,) = torch.autograd.grad(sigma, rho, mu.detach())
        exact |= {f"sigma {dtype}": sigma.detach(), f"sigma {dtype} rho": slope}
        exact |= {f"kl {dtype}": kl.detach(), f"kl {dtype} mu": mu.grad, f"kl {dtype} rho": rho.grad}
    return exact, rounded

if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]))
    torch.save((_native.cpu_capability(), *results()), sys.argv[1])
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Results of the program in a process of its own, by instruction set and number of threads."""
    folder = tmp_path_factory.mktemp("invariance")
    script = folder / "program.py"
    script.write_text(PROGRAM)
    cache = {}

    def run(capability, threads):
        if (capability, threads) not in cache:
            target = folder / f"{capability}-{threads}.pt"
            environment = os.environ | {"BAYESOPS_CPU_CAPABILITY": capability}
            command = [sys.executable, str(script), str(target), str(threads)]
            subprocess.run(command, env=environment, check=True, cwd=folder, timeout=300)
            cache[capability, threads] = torch.load(target)
        return cache[capability, threads]

    return run


def supported(capability):
    return CAPABILITIES.index(capability) <= CAPABILITIES.index(_native.cpu_capability())


@pytest.mark.cpu_only
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_instruction_sets_agree(run, capability):
    if not supported(capability):
        pytest.skip(f"this CPU has no {capability}")
    name, exact, rounded = run(capability, 2)
    assert name == capability
    _, expected_exact, expected_rounded = run("baseline", 2)
    for key, value in exact.items():
        assert torch.equal(value, expected_exact[key]), key
    for key, value in rounded.items():
        size = expected_rounded[key].double().square().mean().sqrt().item()
        eps = torch.finfo(value.dtype).eps
        torch.testing.assert_close(  # of values far above the usual a few roundings of their own
            value, expected_rounded[key], rtol=8 * eps, atol=40 * eps * size, msg=lambda m, k=key: f"{k}: {m}"
        )


@pytest.mark.cpu_only
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_threads_agree_to_the_bit(run, capability):
    if not supported(capability):
        pytest.skip(f"this CPU has no {capability}")
    _, exact_one, one = run(capability, 1)
    _, exact_two, two = run(capability, 2)
    for results, expected in ((exact_two, exact_one), (two, one)):
        for key, value in results.items():
            assert torch.equal(value, expected[key]), key


# --- many parameters, which PyTorch's own operations share out among threads, in parts that end anywhere --------------


@pytest.fixture
def with_threads():
    """Return a function that calls another one under each of several numbers of threads, and compares the results."""
    before = torch.get_num_threads()

    def with_threads(function):
        torch.set_num_threads(1)
        expected = function()
        for threads in (2, 3, 7):
            torch.set_num_threads(threads)
            for name, result in function().items():
                assert torch.equal(result, expected[name]), f"{name} with {threads} threads"

    yield with_threads
    torch.set_num_threads(before)


# Of weights [O, I / groups, *]: more than PyTorch leaves to one thread, in numbers that nothing divides; one output.
MANY = {
    "linear": ((333, 333), (4, 333), {}),
    "linear, one output": ((1, 70_001), (4, 70_001), {}),
    "conv1d": ((167, 331, 1), (2, 331, 19), {}),
    "conv2d": ((61, 67, 5, 5), (2, 67, 11, 9), {"padding": 2}),
    "conv2d, one output": ((1, 5, 3, 3), (3, 5, 131, 97), {"padding": 1}),
    "conv2d, groups": ((66, 111, 3, 3), (2, 333, 7, 9), {"groups": 3}),
    "conv3d": ((37, 41, 3, 3, 3), (2, 41, 5, 6, 7), {}),
}


@pytest.mark.cpu_only
@pytest.mark.parametrize("case", MANY)
@pytest.mark.parametrize("family", ["masked", "sampled", "flipout", "lrt"])
@pytest.mark.parametrize("seed", [SEEDS[0], SEEDS], ids=["one", "several"])
def test_threads_do_not_show_in_many_weights(with_threads, family, case, seed):
    shape, image, options = MANY[case]
    input, mu, bias_mu = torch.randn(image), torch.randn(shape) / 20, torch.randn(shape[0])
    rho, bias_rho = torch.randn(shape) - 3, torch.randn(shape[0]) - 3
    tensors = {"input": input, "mu": mu, "rho": rho, "bias": bias_mu, "bias rho": bias_rho}
    if family == "masked":
        options = options | {"p": 0.3}
        del tensors["rho"], tensors["bias rho"]
    operator = getattr(bo.ops, f"{family}_{case.split(',')[0]}")

    def run():
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in tensors.items()}
        given = dict(leaves)
        if family == "lrt":
            given |= {name: variance_of(leaves[name]) for name in ("rho", "bias rho")}
        output = operator(*given.values(), seed=seed, **options)
        cotangent = torch.linspace(-1, 1, output.numel()).view(output.shape)
        gradients = torch.autograd.grad(output, leaves.values(), cotangent, create_graph=True)
        results = {"output": output, **{f"gradient of {name}": g for name, g in zip(leaves, gradients, strict=True)}}
        losses = [g.square().mean() for g in gradients if g.requires_grad]
        again = torch.autograd.grad(losses, leaves.values(), allow_unused=True)
        results |= {f"second derivative of {name}": g for name, g in zip(leaves, again, strict=True) if g is not None}
        return results

    with_threads(run)


@pytest.mark.cpu_only
@pytest.mark.parametrize("family", ["sampled", "flipout"])
@pytest.mark.parametrize("log_alpha", [(), (333, 1), (333, 333)], ids=str)
def test_threads_do_not_show_in_alpha(with_threads, family, log_alpha):
    input, mu, log_alpha = torch.randn(4, 333), torch.randn(333, 333), torch.randn(log_alpha).requires_grad_()
    operator = getattr(bo.ops, f"{family}_linear")

    def run():
        output = operator(input, mu, weight_log_alpha=log_alpha, seed=SEEDS)
        drawn = bo.ops.sample_gaussian(mu, log_alpha=log_alpha, seed=SEEDS)
        return {
            "output": output,
            "gradient": torch.autograd.grad(output, log_alpha, torch.ones_like(output))[0],
            "gradient of a draw": torch.autograd.grad(drawn.weights, log_alpha, torch.ones_like(drawn.weights))[0],
        }

    with_threads(run)


@pytest.mark.cpu_only
@pytest.mark.parametrize("family", ["sampled", "flipout"])
@pytest.mark.parametrize("shape", [(31, 33), (333, 333)], ids=str)
def test_how_rho_lies_in_memory_does_not_show(family, shape):
    input, mu, rho = torch.randn(4, shape[1]), torch.randn(shape), torch.randn(shape)
    operator = getattr(bo.ops, f"{family}_linear")

    def run(rho):
        leaf = rho.requires_grad_()
        output = operator(input, mu, leaf, seed=SEEDS)
        return output, torch.autograd.grad(output.square().sum(), leaf)[0]

    for ours, expected in zip(run(rho.mT.contiguous().mT), run(rho.clone()), strict=True):
        assert torch.equal(ours, expected)


PRIORS = {
    "Gaussian": bo.priors.Gaussian(0.1, 0.5),
    "Laplace": bo.priors.Laplace(0.1, 0.5),
    "ScaleMixture": bo.priors.ScaleMixture(0.25, 1.0, 0.05),
    "LogUniform": bo.priors.LogUniform(),
    "one for each": bo.priors.Gaussian(torch.linspace(-1, 1, 337), torch.linspace(0.1, 1, 337)),
    "learned Gaussian": bo.priors.Gaussian(nn.Parameter(torch.tensor(0.1)), nn.Parameter(torch.tensor([0.5]))),
    "learned mean": bo.priors.Gaussian(nn.Parameter(torch.tensor(0.1)), 0.5),
    "learned Laplace": bo.priors.Laplace(nn.Parameter(torch.tensor(0.1)), nn.Parameter(torch.tensor(0.5))),
    "of torch": bo.priors.Distribution(torch.distributions.StudentT(3.0)),
}


@pytest.mark.cpu_only
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("variance", ["rho", "alpha"])
def test_threads_do_not_show_in_divergences(with_threads, prior, variance):
    layer = bo.nn.GaussianLinear(337, 331, bias=False, prior=PRIORS[prior], variance=variance)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("weight"):
                parameter.add_(torch.randn(parameter.shape))

    def run():
        with bo.sampling(seed=3):
            loss = layer.kl_loss()
        density = PRIORS[prior].log_prob(layer.weight_mu)
        leaves = dict(layer.named_parameters())
        cotangents = torch.ones_like(loss), torch.linspace(-1, 1, density.numel()).view(density.shape)
        gradients = torch.autograd.grad((loss, density), leaves.values(), cotangents, materialize_grads=True)
        return {"loss": loss, "density": density, **dict(zip(leaves, gradients, strict=True))}

    with_threads(run)


@pytest.mark.cpu_only
def test_threads_do_not_show_in_second_derivatives_of_divergences(with_threads):
    mu, rho = (torch.randn(331, 337).requires_grad_() for _ in range(2))

    def run():
        loss = bo.ops.gaussian_kl(mu, rho, 0.1, 0.3)
        gradients = torch.autograd.grad(loss.square(), (mu, rho), create_graph=True)
        again = torch.autograd.grad([g.sin().mean() for g in gradients], (mu, rho))
        return dict(zip(("mu", "rho", "mu again", "rho again"), (*gradients, *again), strict=True))

    with_threads(run)


@pytest.mark.cpu_only
@pytest.mark.parametrize("estimator", ["local_reparam", "weight_sample", "flipout"])
def test_threads_do_not_show_in_predictions(with_threads, estimator):
    options = {"estimator": estimator, "rho_init": -2.0}
    model = nn.Sequential(
        bo.nn.GaussianConv2d(3, 41, 5, padding=2, **options), nn.ReLU(), nn.MaxPool2d(3), nn.Flatten(),
        bo.nn.GaussianLinear(41 * 9, 337, **options), nn.ReLU(), bo.nn.GaussianLinear(337, 7, **options),
    )  # fmt: skip
    for parameter in model.parameters():
        parameter.data.add_(torch.randn(parameter.shape) / 30)
    images = torch.randn(5, 3, 11, 11)

    def run():
        prediction = bo.predict(model, images, num_samples=10, seed=0, chunk_size=4, link="softmax")
        return {"mean": prediction.mean, "variance": prediction.variance}

    with_threads(run)


@pytest.mark.cpu_only
def test_unknown_capability_is_refused_or_named():
    environment = os.environ | {"BAYESOPS_CPU_CAPABILITY": "quantum"}
    command = [sys.executable, "-c", "import bayesops; bayesops.random.bernoulli_mask(0, (3,), 0.5)"]
    result = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=300)
    assert "quantum" in result.stderr
    assert "baseline" in result.stderr


@pytest.fixture
def of_library(has_cuda_operators):
    """How much larger roundings may be where the library convolves, by an algorithm for each memory format."""
    return 8 if has_cuda_operators else 1


@pytest.mark.parametrize("granularity", ["weight", "kernel", "in_channel", "out_channel", "channel"])
@pytest.mark.parametrize("per_example", [False, True])
def test_memory_formats_agree(granularity, per_example, of_library):
    input, weight = torch.randn(2, 20, 9, 8), torch.randn(24, 20, 3, 3) / 13
    options = {"p": 0.3, "seed": SEEDS, "granularity": granularity, "per_example": per_example}
    plain = bo.ops.masked_conv2d(input, weight, **options)
    last = bo.ops.masked_conv2d(input.to(memory_format=torch.channels_last), weight, **options)
    torch.testing.assert_close(last, plain, rtol=0, atol=20 * of_library * torch.finfo(torch.float32).eps)


@pytest.mark.parametrize("family", ["lrt", "sampled", "flipout"])
@pytest.mark.parametrize("lead", [(2,), (3, 2)], ids=["shared", "own"])
def test_memory_formats_agree_for_gaussian_weights(family, lead, of_library):
    input, mu, spread = torch.randn(*lead, 20, 9, 8), torch.randn(24, 20, 3, 3) / 13, torch.rand(24, 20, 3, 3) / 100
    operator = getattr(bo.ops, f"{family}_conv2d")
    plain = operator(input, mu, spread, seed=SEEDS)
    last = operator(input.movedim(-3, -1).contiguous().movedim(-1, -3), mu, spread, seed=SEEDS)
    torch.testing.assert_close(last, plain, rtol=0, atol=40 * of_library * torch.finfo(torch.float32).eps)


def test_dropout_is_the_same_in_each_memory_format():
    input = torch.randn(2, 20, 9, 8)
    last = input.to(memory_format=torch.channels_last)
    assert torch.equal(bo.ops.dropout(last, p=0.3, seed=1), bo.ops.dropout(input, p=0.3, seed=1))


def test_batch_split():
    """The examples of a batch do not see each other; with a mask an example, its index in the batch is what counts."""
    input, weight = torch.randn(6, 5, 9, 8), torch.randn(7, 5, 3, 3)
    whole = bo.ops.masked_conv2d(input, weight, p=0.3, seed=SEEDS)
    parts = torch.cat([bo.ops.masked_conv2d(part, weight, p=0.3, seed=SEEDS) for part in input.split(2)], 1)
    torch.testing.assert_close(parts, whole)


def test_samples_do_not_see_each_other():
    input, weight = torch.randn(2, 5, 9, 8), torch.randn(7, 5, 3, 3)
    together = bo.ops.masked_conv2d(input, weight, p=0.3, seed=SEEDS)
    for seed, sample in zip(SEEDS, together, strict=True):
        torch.testing.assert_close(bo.ops.masked_conv2d(input, weight, p=0.3, seed=seed), sample)


def test_calls_from_several_threads_do_not_disturb_each_other():
    """Work space belongs to the thread that calls, and to the workers of its pool."""
    shapes = [(1, 3, 8, 8), (4, 16, 14, 14), (2, 40, 7, 7), (8, 5, 20, 20)]
    cases = [
        (torch.randn(shape), torch.randn(24, shape[1], 3, 3), torch.arange(3 + i)) for i, shape in enumerate(shapes)
    ]

    def run(case: int) -> list[Tensor]:
        images, weight, seeds = cases[case]
        images, weight = images.clone().requires_grad_(), weight.clone().requires_grad_()
        outputs = [
            ops.masked_conv2d(images, weight, p=0.4, seed=seeds, padding=1),
            ops.lrt_conv2d(images, weight, weight.square(), seed=seeds, padding=1),
            ops.sampled_conv2d(images, weight, weight, seed=seeds, padding=1),
            ops.flipout_conv2d(images, weight, weight, seed=seeds, padding=1),
        ]
        loss = torch.stack([output.square().sum() for output in outputs]).sum()
        return [*(output.detach() for output in outputs), *torch.autograd.grad(loss, (images, weight))]

    alone = [run(case) for case in range(len(cases))]
    order = [case for _ in range(25) for case in range(len(cases))]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(run, order))
    for case, results in zip(order, together, strict=True):
        for mine, theirs in zip(alone[case], results, strict=True):
            assert torch.equal(mine, theirs)
