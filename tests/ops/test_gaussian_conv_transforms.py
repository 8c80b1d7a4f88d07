"""The Gaussian convolutions under PyTorch's transforms: opcheck, vmap, torch.func, compile, export, autocast."""

import io

import pytest
import torch
from torch import nn

import bayesops as bo

SEEDS = torch.tensor([3, -8, 21, 4])

# Enough to meet each shape rule; tracing takes a second a case.
few_problems = pytest.mark.parametrize("problem", ["linear", "1d-stride", "2d-groups", "3d"], indirect=True)


@pytest.mark.parametrize(
    ("problem", "layout", "lead", "which"),
    [
        ("linear", "contiguous", (2,), ...),
        ("1d-stride", "contiguous", (4, 2), ...),
        ("2d-groups", "channels_last", (2,), ...),
        ("2d-same-even", "channels_last", (2,), 0),
        ("3d", "channels_last", (4, 2), ...),
    ],
    ids=["linear", "1d", "2d-shared", "2d-one-draw", "3d-per-sample"],
    indirect=["problem", "layout"],
)
class TestOpcheck:
    @pytest.mark.parametrize("estimator", ["sampled", "flipout"], indirect=True)
    @pytest.mark.parametrize("bias_per_sample", [False, True])
    def test_weight_noise(self, estimator, problem, layout, lead, which, bias_per_sample):
        seed = SEEDS[which]
        input, mu, sigma, bias, _ = (t.requires_grad_() for t in estimator.tensors(problem, torch.float64, lead))
        input = layout(input.detach(), problem.spatial).requires_grad_()
        if bias_per_sample:
            bias = bias.detach().expand(*seed.shape, -1).clone().requires_grad_()
        forward, input_grad, weight_grad = (
            getattr(torch.ops.bayesops, f"{estimator.name}_conv{suffix}").default
            for suffix in ("", "_input_grad", "_weight_grad")
        )
        options = (5, *problem.geometry())
        args = (input, mu, sigma, bias, seed, *options)
        torch.library.opcheck(forward, args)
        if not bias_per_sample:
            grad = layout(torch.randn_like(forward(*args)).detach(), problem.spatial).requires_grad_()
            torch.library.opcheck(input_grad, (grad, mu, sigma, seed, list(input.shape), *options))
            torch.library.opcheck(weight_grad, (grad, input, seed, list(mu.shape), *options))

    @pytest.mark.parametrize("estimator", ["lrt"], indirect=True)
    def test_local_reparameterisation(self, estimator, problem, layout, lead, which):
        seed = SEEDS[which]
        input, *parameters = (t.requires_grad_() for t in estimator.tensors(problem, torch.float64, lead))
        input = layout(input.detach(), problem.spatial).requires_grad_()
        native, geometry = torch.ops.bayesops, problem.geometry()
        args = (input, *parameters, seed, 5, *geometry)
        torch.library.opcheck(native.lrt_conv.default, args)
        torch.library.opcheck(native.lrt_conv_std.default, args)
        output, std = (layout(t.detach().clone(), problem.spatial).requires_grad_() for t in native.lrt_conv_std(*args))
        grad = layout(torch.randn_like(output).detach(), problem.spatial).requires_grad_()
        torch.library.opcheck(native.lrt_variance_grad.default, (grad, std, seed, 5, problem.spatial))
        grads = [layout(torch.randn_like(std).detach(), problem.spatial).requires_grad_() for _ in range(2)]
        torch.library.opcheck(native.lrt_conv_input_grad.default, (*grads, input, *parameters[:2], *geometry))
        torch.library.opcheck(
            native.lrt_conv_weight_grad.default, (*grads, input, list(parameters[0].shape), *geometry)
        )


def run_vmap(function, in_dims, *args):
    """`torch.vmap` gives what a loop gives."""
    mapped = torch.vmap(function, in_dims)(*args)
    size = next(a.shape[d] for a, d in zip(args, in_dims, strict=True) if d is not None)
    looped = torch.stack(
        [
            function(*[a if d is None else a.select(d, i) for a, d in zip(args, in_dims, strict=True)])
            for i in range(size)
        ]
    )
    torch.testing.assert_close(mapped, looped)


class TestVmap:
    # In the order input, weight_mu, the weight's spread, bias_mu, the bias's spread, seed.
    @pytest.mark.parametrize(
        "in_dims",
        [
            (None, None, None, None, None, 0), (0, None, None, None, None, 0), (2, None, None, None, None, 0),
            (0, None, None, None, None, None), (3, None, None, None, None, None), (None, 0, None, None, None, None),
            (None, None, 0, None, None, 0), (None, None, None, 1, None, None), (None, None, None, 0, 0, 0),
            (0, 1, 0, 1, 0, 0),
        ],
        ids=str,
    )  # fmt: skip
    def test_any_argument(self, estimator, problem, in_dims):
        tensors = estimator.tensors(problem, torch.float64, (2,))
        in_dims = (
            *[d if d is None else min(d, t.dim()) for d, t in zip(in_dims[:-1], tensors, strict=True)],
            in_dims[-1],
        )
        args = [
            tensor if dim is None else torch.stack([tensor + i / 4 for i in range(4)]).movedim(0, dim)
            for tensor, dim in zip(tensors, in_dims[:-1], strict=True)
        ]

        def function(*args):
            return estimator.operator(problem)(*args[:-1], seed=args[-1], **problem.options)

        run_vmap(function, in_dims, *args, SEEDS[0] if in_dims[-1] is None else SEEDS)

    @pytest.mark.parametrize("per_sample", [False, True])
    @pytest.mark.parametrize("seed_dim", [None, 0, 1])
    @few_problems
    def test_samples_inside(self, estimator, problem, per_sample, seed_dim):
        """Seeds [S] under a map over something else."""
        input, *parameters = estimator.tensors(problem, torch.float64, (3, 4, 2) if per_sample else (3, 2))
        seed = SEEDS if seed_dim is None else torch.arange(12).reshape((3, 4) if seed_dim == 0 else (4, 3))

        def function(input, seed):
            return estimator.operator(problem)(input, *parameters, seed=seed, **problem.options)

        run_vmap(function, (0, seed_dim), input, seed)

    @few_problems
    def test_nested(self, estimator, problem):
        tensors = estimator.tensors(problem, torch.float64)
        seeds = torch.arange(6).reshape(2, 3)

        def function(seed):
            return estimator.operator(problem)(*tensors, seed=seed, **problem.options)

        nested = torch.vmap(torch.vmap(function))(seeds)
        torch.testing.assert_close(nested.flatten(0, 1), function(seeds.flatten()))

    @pytest.mark.parametrize("per_sample", [False, True])
    def test_gradients_per_sample(self, estimator, problem, per_sample):
        """``vmap(grad)``: one gradient for each seed (and input)."""
        tensors = estimator.tensors(problem, torch.float64, (4, 2) if per_sample else (2,))

        def loss(*args):
            return estimator.operator(problem)(*args[:-1], seed=args[-1], **problem.options).square().sum()

        in_dims = (0 if per_sample else None, None, None, None, None, 0)
        for argument in range(5):
            run_vmap(torch.func.grad(loss, argument), in_dims, *tensors, SEEDS)

    def test_gradients_per_example(self, estimator, problem):
        """``vmap(grad)`` over examples under one seed."""
        input, *parameters = estimator.tensors(problem, torch.float64, (4,))

        def loss(input, *parameters):
            return estimator.operator(problem)(input[None], *parameters, seed=7, **problem.options).square().sum()

        for argument in range(5):
            run_vmap(torch.func.grad(loss, argument), (0, None, None, None, None), input, *parameters)

    @few_problems
    def test_second_derivatives_per_sample(self, estimator, problem):
        tensors = estimator.tensors(problem, torch.float64, (2,))

        def loss(*args):
            return estimator.operator(problem)(*args[:-1], seed=args[-1], **problem.options).square().sum()

        def penalty(*args):
            return sum(g.square().sum() for g in torch.func.grad(loss, tuple(range(5)))(*args))

        for argument in range(5):
            run_vmap(torch.func.grad(penalty, argument), (None, None, None, None, None, 0), *tensors, SEEDS[:2])

    def test_backward_through_vmap(self, estimator, problem):
        tensors = [t.requires_grad_() for t in estimator.tensors(problem, torch.float64, (2,))]

        def function(seed):
            return estimator.operator(problem)(*tensors, seed=seed, **problem.options)

        cotangent = torch.randn_like(function(SEEDS))
        mapped = torch.autograd.grad(torch.vmap(function)(SEEDS), tensors, cotangent)
        direct = torch.autograd.grad(function(SEEDS), tensors, cotangent)
        for pair in zip(mapped, direct, strict=True):
            torch.testing.assert_close(*pair)


class TestFunctionalGradients:
    @pytest.mark.parametrize("lead", [(2,), (4, 2)], ids=["shared", "per-sample"])
    def test_first_order(self, estimator, problem, lead):
        tensors = estimator.tensors(problem, torch.float64, lead)

        def loss(*tensors):
            return estimator.operator(problem)(*tensors, seed=SEEDS, **problem.options).square().sum()

        functional = torch.func.grad(loss, tuple(range(5)))(*tensors)
        leaves = [t.clone().requires_grad_() for t in tensors]
        for pair in zip(functional, torch.autograd.grad(loss(*leaves), leaves), strict=True):
            torch.testing.assert_close(*pair)

    @few_problems
    def test_second_order(self, estimator, problem):
        """A gradient of a gradient's norm, against plain PyTorch's."""
        tensors = estimator.tensors(problem, torch.float64, (2,))

        def penalty(function):
            def loss(*tensors):
                return function(*tensors, seed=SEEDS, **problem.options).square().sum()

            return lambda *tensors: sum(g.square().sum() for g in torch.func.grad(loss, tuple(range(5)))(*tensors))

        ours = torch.func.grad(penalty(estimator.operator(problem)), tuple(range(5)))(*tensors)
        plain = torch.func.grad(penalty(estimator.reference), tuple(range(5)))(*tensors)
        for pair in zip(ours, plain, strict=True):
            torch.testing.assert_close(*pair)


class Layer(nn.Module):
    """The operator with its parameters; its seed comes from torch's generator, so that a program holds no fixed one."""

    def __init__(self, operator, tensors, **options):
        super().__init__()
        self.operator, self.options = operator, options
        self.parameters_in_order = nn.ParameterList(tensors)

    def forward(self, input):
        seed = torch.randint(2**62, ())
        return self.operator(input, *self.parameters_in_order, seed=seed, **self.options)


class TestCompile:
    """`torch.compile` with the eager-numerics backend: what is tested is the tracing, not inductor's code."""

    @pytest.mark.parametrize("dynamic", [False, True])
    @few_problems
    def test_values_and_gradients_in_one_graph(self, estimator, problem, dynamic):
        tensors = [t.requires_grad_() for t in estimator.tensors(problem, torch.float64, (2,))]

        def function(*args):
            return estimator.operator(problem)(*args[:-1], seed=args[-1], **problem.options) * 2

        torch._dynamo.reset()
        compiled = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=dynamic)
        ours, expected = compiled(*tensors, SEEDS), function(*tensors, SEEDS)
        torch.testing.assert_close(ours, expected)
        cotangent = torch.randn_like(expected)
        ours, expected = (torch.autograd.grad(output, tensors, cotangent) for output in (ours, expected))
        for pair in zip(ours, expected, strict=True):
            torch.testing.assert_close(*pair)

    def test_integer_seed_does_not_recompile_for_ever(self, estimator):
        operator = getattr(bo.ops, f"{estimator.name}_conv2d")
        input, mu, spread = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3), torch.rand(4, 3, 3, 3)
        torch._dynamo.reset()
        counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
        compiled = torch.compile(lambda x, seed: operator(x, mu, spread, seed=seed), fullgraph=True, backend=counter)
        for seed in range(100, 110):
            torch.testing.assert_close(compiled(input, seed), operator(input, mu, spread, seed=seed))
        assert counter.frame_count <= 2


class TestExport:
    @few_problems
    def test_round_trip_with_live_randomness(self, estimator, problem):
        input, *parameters = estimator.tensors(problem, torch.float64)
        layer = Layer(estimator.operator(problem), parameters, **problem.options)
        program = torch.export.export(layer, (input,), dynamic_shapes=({0: torch.export.Dim("n", min=2, max=64)},))
        file = io.BytesIO()
        torch.export.save(program, file)
        file.seek(0)
        loaded = torch.export.load(file).module()
        for batch in (3, 5):
            input = torch.randn(batch, *problem.image, dtype=torch.float64)
            torch.manual_seed(2)
            first = loaded(input)
            torch.manual_seed(2)
            torch.testing.assert_close(first, layer(input))
            assert not torch.equal(first, loaded(input))


class TestAutocast:
    def test_runs_in_the_regions_dtype(self, estimator, problem, device):
        tensors = estimator.tensors(problem)
        operator, options = estimator.operator(problem), {"seed": SEEDS, **problem.options}
        with torch.autocast(device, torch.bfloat16):
            output = operator(*tensors, **options)
            mixed = operator(tensors[0].bfloat16(), *tensors[1:], **options)
        assert output.dtype == torch.bfloat16
        assert torch.equal(mixed, output)
        # Not bit by bit: the standard deviation is computed before it is rounded.
        low = operator(*[t.bfloat16() for t in tensors], **options)
        torch.testing.assert_close(output, low, rtol=0.1, atol=0.1)

    def test_gradients_come_back_in_the_parameters_dtype(self, estimator, problem, device):
        tensors = [t.requires_grad_() for t in estimator.tensors(problem)]
        with torch.autocast(device, torch.bfloat16):
            output = estimator.operator(problem)(*tensors, seed=1, **problem.options)
        output.float().sum().backward()
        assert {t.grad.dtype for t in tensors} == {torch.float32}

    def test_float64_stays(self, estimator, problem, device):
        tensors = estimator.tensors(problem, torch.float64)
        with torch.autocast(device, torch.bfloat16):
            assert estimator.operator(problem)(*tensors, seed=1, **problem.options).dtype == torch.float64

    def test_under_vmap(self, estimator, problem, device):
        tensors = estimator.tensors(problem)

        def function(seed):
            return estimator.operator(problem)(*tensors, seed=seed, **problem.options)

        with torch.autocast(device, torch.bfloat16):
            mapped, direct = torch.vmap(function)(SEEDS), function(SEEDS)
        assert mapped.dtype == torch.bfloat16
        torch.testing.assert_close(mapped, direct)
