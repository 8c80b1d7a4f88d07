"""The masked convolution under PyTorch's transforms: opcheck, compile, export, vmap, autocast."""

import io

import pytest
import torch
from torch import nn

import bayesops as bo

SEEDS = torch.tensor([3, -8, 21, 4])


def native_arguments(problem, lead, seed, dtype=torch.float64, mask=None, granularity=0, per_example=False):
    """Arguments of ``bayesops::masked_conv`` for `problem`, with the gradient switched on."""
    from bayesops.ops._arguments import padding_pairs, per_dim

    input, weight, bias = (t.requires_grad_() for t in problem.tensors(dtype, lead))
    dims = problem.spatial
    stride = per_dim("", "", problem.options.get("stride", 1), dims, 1)
    dilation = per_dim("", "", problem.options.get("dilation", 1), dims, 1)
    padding = padding_pairs("", problem.options.get("padding", 0), problem.weight[2:], stride, dilation)
    groups = problem.options.get("groups", 1)
    options = (0.3, granularity, True, per_example, 5, stride, padding, dilation, groups)
    return input, weight, bias, seed, mask, options


# Enough to meet each shape rule; opcheck takes a second a case.
@pytest.mark.parametrize("problem", ["linear", "1d-stride", "2d-same-even", "2d-groups", "3d"], indirect=True)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"], indirect=True)
@pytest.mark.parametrize("lead", [(2,), (4, 2)], ids=["shared", "per-sample"])
def test_opcheck(problem, lead, layout):
    input, weight, bias, seed, mask, options = native_arguments(problem, lead, SEEDS)
    input = layout(input.detach(), problem.spatial).requires_grad_()
    namespace = torch.ops.bayesops
    args = (input, weight, bias, seed, mask, *options)
    torch.library.opcheck(namespace.masked_conv.default, args)
    grad = layout(torch.randn_like(namespace.masked_conv(*args)).detach(), problem.spatial).requires_grad_()
    torch.library.opcheck(
        namespace.masked_conv_input_grad.default, (grad, weight, seed, mask, list(input.shape), *options)
    )
    torch.library.opcheck(
        namespace.masked_conv_weight_grad.default, (grad, input, seed, mask, list(weight.shape), *options)
    )


@pytest.mark.parametrize("granularity", range(5))
@pytest.mark.parametrize("per_example", [False, True])
def test_opcheck_of_mask_options(granularity, per_example):
    input, weight = torch.randn(2, 4, 5, 5, requires_grad=True), torch.randn(6, 2, 3, 3, requires_grad=True)
    base = [(6, 2, 3, 3), (6, 2), (4,), (6,), (10,)][granularity]
    options = (0.3, granularity, True, per_example, 5, [1, 1], [0, 1, 1, 0], [1, 1], 2)
    for seed in (SEEDS[0], SEEDS):
        for mask in (None, torch.rand(*seed.shape, *([2] if per_example else []), *base) < 0.5):
            torch.library.opcheck(torch.ops.bayesops.masked_conv.default, (input, weight, None, seed, mask, *options))


class TestVmap:
    """`torch.vmap` gives what a loop gives, whatever is mapped."""

    def run(self, function, in_dims, *args, randomness="error"):
        mapped = torch.vmap(function, in_dims, randomness=randomness)(*args)
        size = next(a.shape[d] for a, d in zip(args, in_dims, strict=True) if d is not None)
        looped = torch.stack(
            [
                function(*[a if d is None else a.select(d, i) for a, d in zip(args, in_dims, strict=True)])
                for i in range(size)
            ]
        )
        torch.testing.assert_close(mapped, looped)

    @pytest.mark.parametrize("per_example", [False, True])
    @pytest.mark.parametrize(
        "in_dims",
        [
            (None, None, None, 0), (0, None, None, 0), (2, None, None, 0), (0, None, None, None), (3, None, None, None),
            (None, 0, None, None), (0, 1, None, 0), (None, None, 0, None), (0, 0, 1, 0),
        ],
        ids=str,
    )  # fmt: skip
    def test_any_argument(self, problem, in_dims, per_example):
        tensors = problem.tensors(torch.float64, (2,))
        args = []
        for tensor, dim in zip(tensors, in_dims[:3], strict=True):
            stacked = torch.stack([tensor + i for i in range(4)])
            args.append(tensor if dim is None else stacked.movedim(0, min(dim, tensor.dim())))
        in_dims = tuple(d if d is None else min(d, t.dim()) for d, t in zip(in_dims[:3], tensors, strict=True)) + (
            in_dims[3],
        )
        seed = SEEDS[0] if in_dims[3] is None else SEEDS

        def function(input, weight, bias, seed):
            return problem.operator(input, weight, bias, p=0.3, seed=seed, per_example=per_example, **problem.options)

        self.run(function, in_dims, *args, seed)

    @pytest.mark.parametrize("mask_dim", [0, 2])
    @pytest.mark.parametrize("input_dim", [None, 0])
    def test_masks(self, input_dim, mask_dim):
        input = torch.randn(*([4] if input_dim == 0 else []), 2, 3, 6, 6, dtype=torch.float64)
        weight = torch.randn(5, 3, 3, 3, dtype=torch.float64)
        masks = (torch.rand(4, 5, 3, 3, 3) < 0.5).movedim(0, mask_dim)

        def function(input, mask):
            return bo.ops.masked_conv2d(input, weight, p=0.3, seed=None, mask=mask)

        self.run(function, (input_dim, mask_dim), input, masks)

    @pytest.mark.parametrize("per_sample", [False, True])
    @pytest.mark.parametrize("seed_dim", [None, 0, 1])
    def test_samples_inside(self, per_sample, seed_dim):
        """Seeds [S] under a map over something else."""
        input = torch.randn(3, *([4] if per_sample else []), 2, 3, 6, 6, dtype=torch.float64)
        weight = torch.randn(5, 3, 3, 3, dtype=torch.float64)
        seed = SEEDS if seed_dim is None else torch.arange(12).reshape((3, 4) if seed_dim == 0 else (4, 3))

        def function(input, seed):
            return bo.ops.masked_conv2d(input, weight, p=0.3, seed=seed)

        self.run(function, (0, seed_dim), input, seed)

    def test_nested(self):
        input, weight = torch.randn(2, 3, 6, 6, dtype=torch.float64), torch.randn(5, 3, 3, 3, dtype=torch.float64)
        seeds = torch.arange(6).reshape(2, 3)

        def function(seed):
            return bo.ops.masked_conv2d(input, weight, p=0.3, seed=seed)

        nested = torch.vmap(torch.vmap(function))(seeds)
        torch.testing.assert_close(nested.flatten(0, 1), function(seeds.flatten()))

    @pytest.mark.parametrize("input_dim", [None, 0])
    def test_gradients_per_sample(self, problem, input_dim):
        """``vmap(grad)``: one gradient for each seed (and input)."""
        input, weight, bias = problem.tensors(torch.float64, (2,) if input_dim is None else (4, 2))

        def loss(input, weight, bias, seed):
            return problem.operator(input, weight, bias, p=0.3, seed=seed, **problem.options).square().sum()

        for argument in range(3):
            self.run(torch.func.grad(loss, argument), (input_dim, None, None, 0), input, weight, bias, SEEDS)

    def test_gradients_per_example(self, problem):
        """``vmap(grad)`` over examples under one mask."""
        input, weight, bias = problem.tensors(torch.float64, (4,))

        def loss(input, weight):
            return problem.operator(input[None], weight, bias, p=0.3, seed=7, **problem.options).square().sum()

        self.run(torch.func.grad(loss, 1), (0, None), input, weight)
        self.run(torch.func.grad(loss, 0), (0, None), input, weight)

    def test_backward_through_vmap(self, problem):
        input, weight, bias = (t.requires_grad_() for t in problem.tensors(torch.float64, (2,)))

        def function(seed):
            return problem.operator(input, weight, bias, p=0.3, seed=seed, **problem.options)

        cotangent = torch.randn_like(function(SEEDS))
        mapped = torch.autograd.grad(torch.vmap(function)(SEEDS), (input, weight, bias), cotangent)
        direct = torch.autograd.grad(function(SEEDS), (input, weight, bias), cotangent)
        for a, b in zip(mapped, direct, strict=True):
            torch.testing.assert_close(a, b)


def test_second_functional_gradient():
    """`torch.func.grad` of `torch.func.grad` is what backward of backward is."""
    input, weight = torch.randn(2, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)

    def loss(input, weight):
        return bo.ops.masked_linear(bo.ops.dropout(input, p=0.3, seed=2), weight, p=0.3, seed=1).square().sum()

    def penalty(gradients):
        return sum(gradient.square().sum() for gradient in gradients)

    nested = torch.func.grad(lambda *args: penalty(torch.func.grad(loss, (0, 1))(*args)), (0, 1))(input, weight)
    leaves = input.requires_grad_(), weight.requires_grad_()
    direct = torch.autograd.grad(penalty(torch.autograd.grad(loss(*leaves), leaves, create_graph=True)), leaves)
    for pair in zip(nested, direct, strict=True):
        assert pair[1].abs().sum() > 0
        torch.testing.assert_close(*pair)


def small_model():
    return nn.Sequential(
        bo.nn.BernoulliConv2d(1, 4, 3, padding=1, p=0.2), nn.ReLU(), nn.MaxPool2d(2), bo.nn.Dropout(0.3, "channel"),
        bo.nn.BernoulliConv2d(4, 6, 3, p=0.2, granularity="in_channel"), nn.ReLU(), nn.Flatten(),
        bo.nn.BernoulliLinear(6 * 2 * 2, 5, p=0.2),
    )  # fmt: skip


class TestCompile:
    """`torch.compile` with the eager-numerics backend: what is tested is the tracing, not inductor's code."""

    def test_model_in_one_graph(self):
        model, input = small_model(), torch.randn(3, 1, 8, 8)
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        torch.manual_seed(5)
        expected = model(input)
        expected.sum().backward()
        grads = [p.grad.clone() for p in model.parameters()]
        model.zero_grad()
        torch.manual_seed(5)
        output = compiled(input)
        output.sum().backward()
        torch.testing.assert_close(output, expected)
        for parameter, grad in zip(model.parameters(), grads, strict=True):
            torch.testing.assert_close(parameter.grad, grad)

    @pytest.mark.parametrize("dynamic", [False, True])
    def test_operator(self, problem, dynamic):
        tensors = problem.tensors(torch.float64, (2,))

        def function(input, weight, bias, seeds):
            return problem.operator(input, weight, bias, p=0.3, seed=seeds, per_example=True, **problem.options) * 2

        torch._dynamo.reset()
        compiled = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=dynamic)
        torch.testing.assert_close(compiled(*tensors, SEEDS), function(*tensors, SEEDS))

    def test_integer_seed_does_not_recompile_for_ever(self):
        input, weight = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3)
        torch._dynamo.reset()
        counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
        compiled = torch.compile(
            lambda x, seed: bo.ops.masked_conv2d(x, weight, p=0.3, seed=seed), fullgraph=True, backend=counter
        )
        for seed in range(100, 110):
            expected = bo.ops.masked_conv2d(input, weight, p=0.3, seed=seed)
            torch.testing.assert_close(compiled(input, seed), expected)
        assert counter.frame_count <= 2

    @pytest.mark.slow
    def test_inductor(self):
        model, input = small_model().eval(), torch.randn(3, 1, 8, 8)
        torch._dynamo.reset()
        with torch.no_grad():
            torch.manual_seed(5)
            output = torch.compile(model, fullgraph=True)(input)
        assert output.shape == (3, 5)
        assert output.isfinite().all()

    @pytest.mark.xfail(
        torch.__version__ < (2, 13), reason="dynamo of torch 2.10 cannot guard on an object in a threading.local"
    )
    def test_inside_a_sampling_block(self):
        model, input = small_model(), torch.randn(3, 1, 8, 8)
        torch._dynamo.reset()
        compiled = torch.compile(model, backend="aot_eager")
        for seed in (1, 2):
            with bo.sampling(seed=seed):
                expected = model(input)
            with bo.sampling(seed=seed):
                torch.testing.assert_close(compiled(input), expected)


class TestExport:
    def test_round_trip_with_live_randomness(self):
        model, input = small_model().eval(), torch.randn(3, 1, 8, 8)
        program = torch.export.export(model, (input,), dynamic_shapes=({0: torch.export.Dim("n", min=2, max=64)},))
        file = io.BytesIO()
        torch.export.save(program, file)
        file.seek(0)
        loaded = torch.export.load(file).module()
        for batch in (3, 5):
            input = torch.randn(batch, 1, 8, 8)
            torch.manual_seed(2)
            first = loaded(input)
            torch.manual_seed(2)
            torch.testing.assert_close(first, model(input))
            assert not torch.equal(first, loaded(input))


class TestAutocast:
    def test_runs_in_the_regions_dtype(self, problem, device):
        input, weight, bias = problem.tensors()
        options = {"p": 0.3, "seed": SEEDS, **problem.options}
        with torch.autocast(device, torch.bfloat16):
            output = problem.operator(input, weight, bias, **options)
            mixed = problem.operator(input.bfloat16(), weight, bias, **options)
        assert output.dtype == torch.bfloat16
        assert torch.equal(output, problem.operator(input.bfloat16(), weight.bfloat16(), bias.bfloat16(), **options))
        assert torch.equal(mixed, output)

    def test_gradients_come_back_in_the_parameters_dtype(self, device):
        input, weight = torch.randn(2, 3, 5, 5, requires_grad=True), torch.randn(4, 3, 3, 3, requires_grad=True)
        with torch.autocast(device, torch.bfloat16):
            output = bo.ops.masked_conv2d(input, weight, p=0.3, seed=1)
        output.float().sum().backward()
        assert input.grad.dtype == weight.grad.dtype == torch.float32

    def test_float64_stays(self, device):
        input, weight = torch.randn(2, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
        with torch.autocast(device, torch.bfloat16):
            assert bo.ops.masked_linear(input, weight, p=0.3, seed=1).dtype == torch.float64

    def test_under_vmap(self, device):
        input, weight = torch.randn(2, 3), torch.randn(4, 3)
        with torch.autocast(device, torch.bfloat16):
            mapped = torch.vmap(lambda seed: bo.ops.masked_linear(input, weight, p=0.3, seed=seed))(SEEDS)
            assert torch.equal(mapped, bo.ops.masked_linear(input, weight, p=0.3, seed=SEEDS))
        assert mapped.dtype == torch.bfloat16
