"""The traced plan: the same draws as a loop, whatever the model is made of."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import bayesops as bo
from bayesops.engine.plan import plan_of
from bayesops.engine.steps import Mapped
from bayesops.engine.tracer import NoPlan
from bayesops.sampling import Streams

SAMPLES = 7


def layers():
    """One of each kind, 4 channels in and out."""
    yield bo.nn.BernoulliConv2d(4, 4, 3, padding=1, p=0.3)
    yield bo.nn.BernoulliConv2d(4, 4, 3, padding=1, p=0.3, granularity="channel")
    yield bo.nn.BernoulliConv2d(4, 4, 3, padding=1, p=0.3, per_example=True)
    yield bo.nn.BernoulliConv2d(4, 4, 3, padding=1, padding_mode="reflect")
    for estimator in ("local_reparam", "weight_sample", "flipout"):
        yield bo.nn.GaussianConv2d(4, 4, 3, padding=1, estimator=estimator, rho_init=-1.5)
    yield bo.nn.Dropout(0.3)
    yield bo.nn.Dropout(0.3, "channel")


class Block(nn.Module):
    """A residual block in the usual form, with everything that is fused and both orders of the sum."""

    def __init__(self, layer, shortcut=None, swapped=False, in_place=True):
        super().__init__()
        self.conv, self.bn = layer, nn.BatchNorm2d(4)
        self.shortcut = nn.Identity() if shortcut is None else nn.Sequential(shortcut, nn.BatchNorm2d(4))
        self.relu, self.swapped = nn.ReLU(inplace=in_place), swapped

    def forward(self, x):
        y = self.bn(self.conv(x))
        if self.swapped:
            return self.relu(self.shortcut(x) + y)
        y += self.shortcut(x)
        return self.relu(y)


class Forward(nn.Module):
    """A model of one forward function and some layers."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x):
        return self.function(*self.layers, x)


class Sum(nn.Module):
    """Two inputs and an option."""

    def __init__(self):
        super().__init__()
        self.a, self.b = bo.nn.BernoulliLinear(4, 5), bo.nn.BernoulliLinear(4, 5)

    def forward(self, x, y=None, factor=2.0, mask=None):
        z = factor * self.a(x)
        if y is not None:
            z = z + self.b(y)
        return z if mask is None else z * mask


def train_statistics(model):
    """Give batch normalisation statistics and weights that are not 0 and 1, some of them negative."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for tensor in (module.running_mean, module.weight.data, module.bias.data):
                tensor.copy_(torch.randn(tensor.shape, generator=generator, device="cpu"))
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator, device="cpu") + 0.5)
    return model


def looped(model, *inputs, seed=3, samples=SAMPLES):
    draws = []
    with torch.no_grad():
        for one in bo.random.sample_seeds(seed, samples, device=inputs[0].device):
            with bo.sampling(seed=one):
                draws.append(model(*inputs))
    return torch.stack(draws)


def assert_planned(model, *inputs, mapped=0, chunk_size=3):
    """The plan takes the model, with as many mapped steps as said, and makes the loop's draws."""
    model.eval()
    train_statistics(model)
    expected = looped(model, *inputs)
    prediction = bo.predict(
        model, inputs, SAMPLES, 3, link="identity", return_samples=True, path="plan", chunk_size=chunk_size
    )
    torch.testing.assert_close(prediction.samples, expected, rtol=2e-4, atol=2e-5)
    assert prediction.samples.std(0).max() > 1e-3
    assert sum(type(step) is Mapped for step in plan_of(model, len(inputs)).each) == mapped


IMAGES = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1))
ROWS = torch.randn(3, 4, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("index", range(len(list(layers()))))
@pytest.mark.parametrize("channels_last", [False, True])
def test_each_layer_first_and_second(index, channels_last):
    """On an input that all draws share, and on one of each draw's own."""
    inputs = IMAGES.contiguous(memory_format=torch.channels_last) if channels_last else IMAGES
    assert_planned(nn.Sequential(list(layers())[index]), inputs)
    assert_planned(nn.Sequential(next(layers()), nn.ReLU(), list(layers())[index]), inputs)


@pytest.mark.parametrize("index", range(len(list(layers()))))
def test_a_layer_by_itself(index):
    layer = list(layers())[index]
    assert_planned(layer, IMAGES)
    optimized = bo.optimize(layer)
    for ours, expected in zip(looped(optimized, IMAGES), looped(layer, IMAGES), strict=True):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("index", range(7))
@pytest.mark.parametrize("shortcut", [None, "plain", "bayesian"])
@pytest.mark.parametrize("swapped", [False, True])
def test_residual_blocks(index, shortcut, swapped):
    def block():
        other = {None: None, "plain": nn.Conv2d(4, 4, 1), "bayesian": bo.nn.GaussianConv2d(4, 4, 1, rho_init=-1.0)}
        return Block(list(layers())[index], other[shortcut], swapped)

    model = nn.Sequential(block(), block())
    assert_planned(model, IMAGES)
    bayesian = 4 if shortcut == "bayesian" else 2
    assert sum(type(step).__name__ == "DrawFused" for step in plan_of(model).each) == bayesian


@pytest.mark.parametrize("dims", [1, 3])
@pytest.mark.parametrize("family", ["Bernoulli", "Gaussian"])
def test_other_numbers_of_dimensions(dims, family):
    conv = getattr(bo.nn, f"{family}Conv{dims}d")
    norm = getattr(nn, f"BatchNorm{dims}d")
    inputs = torch.randn(2, 3, *[5] * dims)
    assert_planned(nn.Sequential(conv(3, 4, 3), norm(4), nn.ReLU(), conv(4, 2, 2)), inputs)


def moments_of(model):
    return [step.name for step in plan_of(model).once if type(step).__name__ == "OutputMoments"]


class TestMomentsOfSharedInputs:
    """Mean and deviation of a first layer's outputs are computed once for all draws."""

    @pytest.mark.parametrize("dims", [1, 2, 3])
    @pytest.mark.parametrize("options", [{}, {"bias": False, "padding_mode": "circular"}, {"variance": "alpha"}])
    def test_convolutions(self, dims, options):
        conv, norm = getattr(bo.nn, f"GaussianConv{dims}d"), getattr(nn, f"BatchNorm{dims}d")
        first = conv(3, 4, 3, padding=1, stride=2, rho_init=-1.0, **options)
        model = nn.Sequential(nn.Identity(), first, norm(4), nn.ReLU(), conv(4, 2, 2, rho_init=-1.0))
        inputs = torch.randn(2, 3, *[6] * dims)
        assert_planned(model, inputs)
        assert moments_of(model) == ["1"]
        first.weight_mu.data.mul_(2)  # nothing is kept between predictions
        assert_planned(model, inputs)

    def test_linear(self):
        model = nn.Sequential(bo.nn.GaussianLinear(4, 5, rho_init=-1.0), nn.ReLU(), bo.nn.GaussianLinear(5, 3))
        assert_planned(model, ROWS)
        assert moments_of(model) == ["0"]
        assert_planned(model, torch.randn(3, 2, 4), mapped=0)

    def test_branches(self):
        """Each layer on the input, the second one with the first one's draws as its shortcut."""
        a, b = (bo.nn.GaussianConv2d(4, 3, 3, rho_init=-1.0) for _ in range(2))
        model = Forward(lambda a, b, x: (a(x) + b(x)).relu(), a, b)
        assert_planned(model, IMAGES)
        assert moments_of(model) == ["layers.0", "layers.1"]

    def test_behind_what_depends_on_a_draws_shape(self):
        model = Forward(
            lambda a, b, x: b(x[:, : a(x).shape[1] - 1]), bo.nn.GaussianConv2d(4, 4, 3), bo.nn.GaussianConv2d(3, 2, 3)
        )
        model.layers[1].weight_rho.data.fill_(-1.0)
        assert_planned(model, IMAGES)
        assert moments_of(model) == ["layers.0"]

    def test_optimized(self):
        model = nn.Sequential(bo.nn.GaussianConv2d(4, 3, 3, rho_init=-1.0), nn.BatchNorm2d(3), nn.ReLU()).eval()
        optimized = bo.optimize(model)
        assert_planned(optimized, IMAGES)
        assert len(moments_of(optimized)) == 1

    def test_follows_the_estimator(self):
        model = nn.Sequential(bo.nn.GaussianConv2d(4, 3, 3, rho_init=-1.0))
        for estimator, moments in (("local_reparam", ["0"]), ("flipout", []), ("local_reparam", ["0"])):
            model[0].estimator = estimator
            assert_planned(model, IMAGES)
            assert moments_of(model) == moments

    def test_half_precision_is_left_to_the_operator(self):
        """Moments would be rounded before the noise is added."""
        model = nn.Sequential(bo.nn.GaussianConv2d(4, 3, 3, rho_init=-1.0)).bfloat16().eval()
        images = IMAGES.bfloat16()
        by_plan, by_loop = (
            bo.predict(model, images, 4, link="identity", return_samples=True, path=path).samples
            for path in ("plan", "loop")
        )
        assert torch.equal(by_plan, by_loop)

    def test_so_is_autocast(self, device):
        model = nn.Sequential(bo.nn.GaussianConv2d(4, 3, 3, rho_init=-1.0)).eval()
        with torch.autocast(device, torch.bfloat16):
            at_once, in_chunks = (
                bo.predict(model, IMAGES, 6, link="identity", return_samples=True, path="plan", chunk_size=size).samples
                for size in (6, 2)
            )
        assert torch.equal(at_once, in_chunks)

    def test_a_variance_rounded_below_zero(self, monkeypatch):
        """As some convolutions do where all inputs are zero."""
        layer = bo.nn.GaussianConv2d(4, 3, 3, bias=False).eval()

        def plain(*args, **kwargs):
            return functional.conv2d(*args, **kwargs) - 1e-12

        monkeypatch.setattr(layer, "_operators", layer._operators._replace(plain=plain))
        prediction = bo.predict(nn.Sequential(layer), torch.zeros(1, 4, 5, 5), 6, link="identity", chunk_size=2)
        assert prediction.mean.isfinite().all()


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"bias": False, "stride": 2, "padding_mode": "circular", "padding": 1}])
def test_plain_convolutions_take_their_batch_normalisation(dims, options):
    conv, plain, norm = (
        getattr(module, f"{kind}{dims}d")
        for module, kind in ((bo.nn, "BernoulliConv"), (nn, "Conv"), (nn, "BatchNorm"))
    )
    inputs = torch.randn(2, 3, *[6] * dims)
    model = nn.Sequential(plain(3, 3, 1), norm(3), conv(3, 4, 3), plain(4, 5, 3, **options), norm(5), nn.ReLU())
    assert_planned(model, inputs)
    assert [type(step).__name__ for step in plan_of(model).each] == ["Draw", "FoldedLayer", "Stackwise"]
    model[4].running_mean.add_(1)  # nothing is kept between predictions
    assert_planned(model, inputs)


def test_plain_linear_layers_take_their_batch_normalisation():
    model = nn.Sequential(bo.nn.BernoulliLinear(4, 5), nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU())
    assert_planned(model, ROWS)
    assert [type(step).__name__ for step in plan_of(model).each] == ["Draw", "FoldedLayer", "Stackwise"]


@pytest.mark.parametrize("linear", [nn.Linear, bo.nn.BernoulliLinear, bo.nn.GaussianLinear])
def test_batch_normalisation_of_another_dimension(linear):
    """Behind a linear layer of ``[N, C, L]`` it normalises C, which are no outputs of the layer, even if as many."""
    first = bo.nn.BernoulliConv1d(3, 6, 3, padding=1)
    assert_planned(nn.Sequential(first, linear(5, 6), nn.BatchNorm1d(6), nn.ReLU()), torch.randn(2, 3, 5))


def test_batch_normalisation_of_another_dimension_behind_a_first_layer():
    model = nn.Sequential(bo.nn.BernoulliLinear(5, 3), nn.BatchNorm1d(3), nn.ReLU())
    assert_planned(model, torch.randn(2, 3, 5))
    assert_planned(bo.optimize(model), torch.randn(2, 3, 5), mapped=0)


@pytest.mark.parametrize("family", ["Bernoulli", "Gaussian"])
def test_linear_layers(family):
    linear = getattr(bo.nn, f"{family}Linear")
    assert_planned(nn.Sequential(linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), linear(5, 3)), ROWS)
    assert_planned(nn.Sequential(linear(4, 5), nn.Tanh(), nn.Linear(5, 5), linear(5, 3)), ROWS)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda x: x.mean((2, 3)), "Batchwise"),
        (lambda x: x.mean(dim=(-2, -1), keepdim=True), "Batchwise"),
        (lambda x: x.sum(1), "Batchwise"),
        (lambda x: torch.amax(x, (2, 3)), "Batchwise"),
        (lambda x: nn.functional.log_softmax(x, dim=1), "Batchwise"),
        (lambda x: x.softmax(-1), "Batchwise"),
        (lambda x: x.mean(0, keepdim=True), "Mapped"),
        (lambda x: x.sum(-4, keepdim=True), "Batchwise"),
        (lambda x: x.mean((1, 2, 3), dtype=torch.float64), "Mapped"),
        (lambda x: x + x.mean(), "Mapped"),
    ],
)
def test_along_dimensions(function, kind):
    """Within examples, or over the batch of each draw."""
    model = Forward(lambda conv, x: function(conv(x)), bo.nn.BernoulliConv2d(4, 4, 3))
    assert_planned(model, IMAGES, mapped=int(kind == "Mapped"))
    assert kind in [type(step).__name__ for step in plan_of(model).each]


@torch.fx.wrap
def mean(x, dim):
    """Not torch's: over the batch as well."""
    return x - x.mean((0, dim), keepdim=True)


def test_functions_are_not_known_by_their_names():
    model = Forward(lambda conv, x: mean(conv(x), 1), bo.nn.BernoulliConv2d(4, 4, 3))
    assert_planned(model, IMAGES, mapped=1)


@pytest.mark.parametrize("layer", [nn.Softmax(1), nn.LogSoftmax(-1)])
def test_softmax_layers(layer):
    model = nn.Sequential(bo.nn.BernoulliLinear(4, 5), layer)
    assert_planned(model, ROWS)
    assert [type(step).__name__ for step in plan_of(model).each] == ["Draw", "Batchwise"]


def test_linear_layer_on_more_dimensions():
    """Shared rows of three dimensions cannot be told from rows of each draw, so they are mapped."""
    model = nn.Sequential(bo.nn.GaussianLinear(4, 5, rho_init=-1.0), nn.ReLU(), bo.nn.GaussianLinear(5, 3))
    assert_planned(model, torch.randn(2, 3, 4))


def test_unbatched_image():
    """Where there is no batch, there is nothing to join the draws to."""
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(0))
    model.append(nn.Unflatten(0, (1, 3))).append(bo.nn.BernoulliLinear(3, 2))
    assert_planned(model, IMAGES[0])


POOLS = {
    "relu": nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)),
    "in_place": nn.Sequential(nn.ReLU(inplace=True), nn.MaxPool2d(2)),
    "softplus": nn.Sequential(nn.Softplus(), nn.MaxPool2d(3, 2)),
    "steep_softplus": nn.Sequential(nn.Softplus(beta=3), nn.MaxPool2d(3, 2, padding=1)),
    "none": nn.MaxPool2d(2, ceil_mode=True),
    "dilated": nn.MaxPool2d(2, dilation=2),
    "average": nn.Sequential(nn.ReLU(), nn.AvgPool2d(2)),
}


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("before", ["sampled", "shared"])
def test_pooling(pool, before):
    layer = bo.nn.GaussianConv2d(4, 4, 3, padding=1, rho_init=-1.0)
    parts = [layer, POOLS[pool]] if before == "sampled" else [nn.Conv2d(4, 4, 3), POOLS[pool], layer]
    assert_planned(nn.Sequential(*parts), IMAGES)


def conv(**options):
    return bo.nn.GaussianConv2d(4, 4, 3, padding=1, rho_init=-1.0, **options)


FUNCTIONS = {
    "methods": lambda a, x: a(x).relu().mul(2).add(1).sigmoid(),
    "in_place": lambda a, x: functional.relu(a(x), inplace=True),
    "in_place_method": lambda a, x: a(x).relu_(),
    "max_pool": lambda a, x: functional.max_pool2d(torch.relu(a(x)), 2),
    "average": lambda a, x: functional.adaptive_avg_pool2d(a(x), 1).flatten(1),
    "dropout_off": lambda a, x: functional.dropout(a(x), 0.5, False),
    "branches": lambda a, x: torch.relu(a(x)) - torch.tanh(a(x)),
    "with_the_input": lambda a, x: (a(x) + x) * x,
    "constant": lambda a, x: a(x) / 3 + 1 - a(x),
    "interpolate": lambda a, x: functional.interpolate(a(x), scale_factor=2),
    "upsample": lambda a, x: functional.interpolate(a(x), scale_factor=2, mode="bilinear", align_corners=False),
}
MAPPED = {
    "view": (1, lambda a, x: (y := a(x)).view(y.size(0), -1)),
    "view_by_shape": (1, lambda a, x: (y := a(x)).reshape(y.shape[0], -1)),
    "cat": (1, lambda a, x: torch.cat([a(x), x], 1)),
    "var": (1, lambda a, x: a(x).var((2, 3))),
    "permute": (1, lambda a, x: a(x).permute(0, 2, 3, 1)),
    "chunk": (2, lambda a, x: (lambda parts: parts[0])(a(x).chunk(2, 1)) * 2 + x.mean((1, 2, 3), keepdim=True).sum()),
    "index": (1, lambda a, x: a(x)[:, :2]),
    "cumsum": (1, lambda a, x: a(x).cumsum(1)),
    "bigger_constant": (0, lambda a, x: a(x) + x.mean(0)),
    "matmul": (1, lambda a, x: a(x) @ x.transpose(-1, -2)),
    "dropout1d": (0, lambda a, x: functional.dropout1d(a(x).mean(3), training=False)),
    "dropout2d": (0, lambda a, x: functional.dropout2d(a(x), 0.3, False) + 1),
    "einsum": (1, lambda a, x: torch.einsum("nchw,nchw->nc", a(x), x)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    assert_planned(Forward(FUNCTIONS[name], conv()), IMAGES)


@pytest.mark.parametrize("name", MAPPED)
def test_functions_that_are_mapped(name):
    mapped, function = MAPPED[name]
    assert_planned(Forward(function, conv()), IMAGES, mapped=mapped)


def test_attention_without_its_weights():
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    model = Forward(lambda a, b, x: b(y := a(x), y, y, need_weights=False)[0], bo.nn.BernoulliLinear(4, 8), attention)
    assert_planned(model, torch.randn(3, 5, 4), mapped=2)


def test_sum_with_more_dimensions_than_a_draw():
    """Broadcasting counts from behind: the draws' dimension must not be met."""
    model = Forward(lambda a, x: a(x) + torch.ones(5, 1, 1, 1), bo.nn.GaussianLinear(4, 5, rho_init=-1.0))
    assert_planned(model, ROWS)


def test_several_inputs():
    """Some are left out; another number of them needs another plan."""
    model = Sum()
    assert_planned(model, ROWS, ROWS.flip(0))
    assert_planned(model, ROWS)
    with pytest.raises(NoPlan, match="5 inputs were given"):
        plan_of(model, 5)


def test_a_layer_that_is_used_twice_draws_once():
    model = Forward(lambda a, x: a(x) - 2 * a(x), bo.nn.BernoulliLinear(4, 5))
    assert_planned(model, ROWS)


def test_streams_are_those_of_the_order_of_use():
    """A shortcut that is computed after the layer it is added to keeps its stream; so does one with its own."""
    second = conv()
    second.stream = 7
    model = Forward(lambda a, b, c, x: torch.relu(a(x) + b(x)) + c(x), conv(), second, conv())
    assert_planned(model, IMAGES)


def test_mean_and_frozen_layers():
    model = nn.Sequential(conv(), nn.ReLU(), conv(), nn.ReLU(), conv(estimator="weight_sample"), nn.ReLU(), conv())
    model[0].use_mean()
    model[4].freeze_noise(5)
    model[6].freeze_noise(6)
    assert_planned(model, IMAGES, mapped=2)


def test_layers_before_the_first_draw_run_once():
    calls = []
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), bo.nn.BernoulliLinear(16, 3))

    class Counted(nn.Conv2d):
        def forward(self, input):
            calls.append(input.shape)
            return super().forward(input)

    prediction = bo.predict(model.eval(), IMAGES, 10, chunk_size=2)
    assert prediction.plan.startswith("plan: 4 steps ran once, 1 for each of 5 chunks of 2 draws")
    counted = Counted(4, 4, 3)
    counted.__class__.__module__ = "torch.nn.modules.conv"  # kept whole when traced
    model = nn.Sequential(counted, *model[1:]).eval()
    bo.predict(model, IMAGES, 10, chunk_size=2, path="plan")
    assert len(calls) == 2  # and once as the model has it, which a new plan is held against
    bo.predict(model, IMAGES, 10, chunk_size=2, path="plan")
    assert len(calls) == 3


def test_plan_follows_parameters_and_statistics():
    model = nn.Sequential(conv(), nn.BatchNorm2d(4), nn.ReLU()).eval()
    assert_planned(model, IMAGES)
    with torch.no_grad():
        model[0].weight_mu.mul_(-2)
        model[1].running_mean.add_(1)
        model[1].weight.data.mul_(3)
    model[0].load_state_dict(conv().state_dict())
    assert_planned(model, IMAGES)


def test_what_is_used_twice_is_not_folded_into_one_of_its_users():
    drawn = bo.nn.BernoulliConv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
    assert_planned(Forward(lambda conv, norm, x: (lambda y: norm(y) + y)(conv(x)), *drawn), IMAGES)
    plain = bo.nn.BernoulliConv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
    assert_planned(Forward(lambda drop, conv, norm, x: (lambda y: norm(y) * y)(conv(drop(x))), *plain), IMAGES)


def test_what_is_returned_outlives_the_steps_that_use_it():
    parts = bo.nn.BernoulliLinear(4, 5), bo.nn.BernoulliLinear(5, 3)
    model = Forward(lambda a, b, x: (lambda y: (y, b(y)))(a(x)), *parts).eval()
    ours, expected = (
        bo.predict(model, ROWS, SAMPLES, 3, link="identity", output=0, path=path, return_samples=True).samples
        for path in ("plan", "loop")
    )
    torch.testing.assert_close(ours, expected)


@torch.no_grad()
def test_the_largest_activation_is_that_of_one_draw():
    """Chunks are chosen by it."""
    model = nn.Sequential(bo.nn.BernoulliLinear(4, 50), nn.ReLU(), bo.nn.BernoulliLinear(50, 3)).eval()
    plan, modules = plan_of(model), dict(model.named_modules())
    for draws in (1, 6):
        seeds = bo.random.sample_seeds(1, draws, device=ROWS.device)
        _, largest = plan.draw(plan.begin((ROWS,), modules), seeds, Streams(), modules)
        assert largest == len(ROWS) * 50 * 4
