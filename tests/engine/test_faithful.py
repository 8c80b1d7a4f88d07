"""Whatever a model's Python code does, its draws are those of the model itself, and it is left as it was."""

import copy
import functools
import logging
import pickle
import random
import threading
import types
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional

import bayesops as bo
from bayesops.engine.plan import plan_of
from bayesops.engine.state import fingerprint
from bayesops.engine.tracer import NoPlan

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))


@dataclass
class Options:
    """Something that a model may hold."""

    factor: float = 2.0


class Net(nn.Module):
    """A Bayesian layer, some state, and a forward function of the test's."""

    def __init__(self, forward, out=6):
        super().__init__()
        self.layer, self._function = bo.nn.BernoulliLinear(6, out), forward
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])[:out])
        self.gain = nn.Parameter(torch.full((out,), 0.5))
        self.plain = torch.full((out,), 2.0)
        self.number, self.order, self.config = 3, [2.0, 1.0], {"t": types.SimpleNamespace(value=1.0)}
        self.activation, self.options, self.tensors = torch.relu, Options(), [torch.full((out,), 2.0)]
        self.eval()

    def forward(self, x):
        return self._function(self, x)


def looped(model, count=6):
    draws = []
    with torch.no_grad():
        for seed in bo.random.sample_seeds(0, count):
            with bo.sampling(seed):
                draws.append(model(X.clone()))
    return torch.stack(draws)


def predicted(model, count=6, **options):
    options = {"link": "identity", "return_samples": True, "chunk_size": 4} | options
    return bo.predict(model, X, count, **options).samples


def assert_faithful(model, **options):
    before = copy.deepcopy(model.state_dict())
    torch.testing.assert_close(predicted(model, **options), looped(model), rtol=1e-4, atol=1e-5)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


# --- what is computed anew for every prediction -----------------------------------------------------------------------

CHANGES = {
    "buffer": (lambda s, x: s.layer(x) / s.scale.clamp(min=0.1), lambda s: s.scale.mul_(3)),
    "buffer_slice": (lambda s, x: s.layer(x) * s.scale[None, :6], lambda s: setattr(s, "scale", s.scale * 2)),
    "parameter": (lambda s, x: s.layer(x) * s.gain.exp(), lambda s: s.gain.data.add_(1)),
    "tensor": (lambda s, x: s.layer(x) * s.plain, lambda s: setattr(s, "plain", s.plain * 3)),
    "of_a_tensor": (lambda s, x: s.layer(x) * s.plain.exp(), lambda s: setattr(s, "plain", s.plain * 3)),
    "double": (lambda s, x: s.layer(x.to(s.gain.dtype)) * (1 + s.scale), lambda s: s.double()),
    "number": (lambda s, x: s.layer(x) * s.number, lambda s: setattr(s, "number", 5)),
    "list": (lambda s, x: s.layer(x) * s.order[0], lambda s: s.order.reverse()),
    "object": (lambda s, x: s.layer(x) * s.config["t"].value, lambda s: setattr(s.config["t"], "value", 4.0)),
    "dataclass": (lambda s, x: s.layer(x) * s.options.factor, lambda s: setattr(s.options, "factor", 4.0)),
    "tensor_in_a_list": (lambda s, x: s.layer(x) * s.tensors[0], lambda s: s.tensors[0].mul_(3)),
    "function": (lambda s, x: s.activation(s.layer(x)), lambda s: setattr(s, "activation", torch.tanh)),
    "forward": (
        lambda s, x: s.layer(x), lambda s: setattr(s, "forward", types.MethodType(lambda s, x: -s.layer(x), s))
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_changes_are_seen(case):
    function, change = CHANGES[case]
    model = Net(function)
    assert_faithful(model)
    before = predicted(model)
    with torch.no_grad():
        change(model)
    assert_faithful(model)
    assert not torch.equal(predicted(model).to(before.dtype), before)


def test_a_change_of_the_class_is_seen(monkeypatch):
    class Scaled(Net):
        factor = 1.0

    model = Scaled(lambda s, x: s.layer(x) * s.factor)
    assert_faithful(model)
    plan = plan_of(model)
    assert plan_of(model) is plan
    monkeypatch.setattr(Scaled, "factor", 3.0)
    assert_faithful(model)


def test_a_logger_is_not_looked_into():
    model = Net(lambda s, x: s.layer(x))
    model.logger = logging.getLogger("bayesops.test")
    plan = plan_of(model)
    model.logger.info("its cache changes")
    assert plan_of(model) is plan
    assert len(str(fingerprint(model))) < 2000


@pytest.mark.parametrize("case", ["buffer", "buffer_slice", "parameter", "tensor", "number", "function"])
def test_these_have_a_plan(case):
    plan_of(Net(CHANGES[case][0]))


def test_constants_of_numbers_have_a_plan():
    model = Net(lambda s, x: s.layer(x) * torch.arange(6) + torch.ones(6) * 2)
    del model.plain
    assert_faithful(model, path="plan")
    assert not [name for name in vars(model) if name.startswith("_tensor_constant")]
    assert_faithful(pickle.loads(pickle.dumps(bo.optimize(model))))


def shaped(s, x):
    assert len(s.scale) == s.scale.numel() == s.scale.size(-1)
    assert s.scale.dim() == s.scale.ndim == 1
    y = s.layer(x).view(-1, s.scale.shape[0])
    return y * s.scale if s.gain.size()[0] > 1 and s.scale.nelement() else y


def test_code_may_depend_on_the_shapes_of_parameters_and_buffers():
    model = Net(shaped)
    assert_faithful(model, path="plan")
    plan = plan_of(model)
    with torch.no_grad():
        model.gain.mul_(2)
    assert plan_of(model) is plan
    model.gain = nn.Parameter(torch.ones(1))
    assert_faithful(model, path="plan")
    assert plan_of(model) is not plan
    assert_faithful(bo.optimize(model))
    model.scale = None
    with pytest.raises(NoPlan, match="NoneType"):
        plan_of(model)


def test_a_buffer_that_is_overwritten_by_another_name_has_no_plan():
    def adds(s, x):
        scale = s.scale
        scale += len(scale)
        return s.layer(x) * scale

    with pytest.raises(NoPlan, match="iadd overwrites"):
        plan_of(Net(adds))


# --- what tracing does not see ----------------------------------------------------------------------------------------


def overwritten(s, x):
    h = s.layer(x)
    g = h
    g += 1
    return h * g


def overwritten_view(s, x):
    h = s.layer(x)
    v = h.view(-1)
    v *= 2
    return h


def overwritten_input(s, x):
    y = x
    y *= 2
    return s.layer(y)


def inner_block(s, x):
    with bo.sampling(seed=3):
        h = s.layer(x)
    return h + s.layer(x)


def autocast(s, x):
    with torch.autocast(x.device.type, torch.bfloat16):
        return s.layer(x)


def swallowed(s, x):
    try:
        return s.layer(x) if x.sum() > 1e6 else -s.layer(x)
    except Exception:
        return 100 * s.layer(x)


ODD = {
    "overwritten": overwritten,
    "overwritten_view": overwritten_view,
    "overwritten_input": overwritten_input,
    "inner_block": inner_block,
    "autocast": autocast,
    "isinstance": lambda s, x: s.layer(2 * x if isinstance(x, torch.Tensor) else x),
    "not_isinstance": lambda s, x: s.layer(x if isinstance(x, torch.Tensor) else x[0]),
    "dtype": lambda s, x: s.layer(x) * (2 if x.dtype is torch.float32 else 1),
    "lookup": lambda s, x: s.layer(x) * {2: 5.0}.get(x.ndim, 1.0),
    "swallowed": swallowed,
}


@pytest.mark.filterwarnings("ignore:predict. draws are made one after another")
@pytest.mark.parametrize("case", ODD)
def test_odd_code(case):
    assert_faithful(Net(ODD[case]))


@pytest.mark.parametrize("function", [overwritten, inner_block, autocast])
def test_optimize_refuses_what_a_graph_loses(function):
    with pytest.raises(ValueError, match="optimize: argument 'model'"):
        bo.optimize(Net(function))


def test_sums_in_place_have_a_plan():
    def function(s, x):
        h = functional.relu(s.layer(x))
        h += x
        h *= 2
        return h

    assert_faithful(Net(function), path="plan")


def residual(view):
    """A sum in place behind what may be a view."""

    def function(s, x):
        h = view(s.layer(x))
        h += 1
        return h * 2

    return function


def sizes(s, x):
    count, width = x.size(0), x.shape[-1]
    total = count
    total *= width
    width //= 2
    return s.layer(x) * total + width * count


@pytest.mark.parametrize(
    "function",
    [
        *map(
            residual,
            [
                lambda h: functional.dropout(h, 0.5, False),
                lambda h: h.view(5, 2, 3).transpose(1, 2),
                lambda h: h.flatten(1),
                lambda h: torch.einsum("ni,ni->ni", h, h),
                lambda h: functional.interpolate(h[None], scale_factor=2),
            ],
        ),
        sizes,
    ],
)
def test_what_nobody_else_sees_may_be_overwritten(function):
    assert_faithful(Net(function), path="plan")


def sets_the_same(s, x):
    s.number = 6 // 2
    s.big = len(s.order) * 500
    return s.layer(x) * s.number * s.big


def test_numbers_that_are_set_again_do_not_matter():
    model = Net(sets_the_same)
    model.big = 10**3
    assert_faithful(model, path="plan")


def test_tensors_of_inference_mode():
    with torch.inference_mode():
        model = nn.Sequential(bo.nn.BernoulliLinear(6, 6), nn.BatchNorm1d(6)).eval()
    assert_faithful(model, path="plan")


def test_half_precision_inside():
    torch.manual_seed(0)
    blocks = [nn.Sequential(bo.nn.GaussianLinear(6, 6, rho_init=-4.0), nn.BatchNorm1d(6), nn.ReLU()) for _ in range(12)]
    model = nn.Sequential(*blocks).bfloat16().eval()
    wide = Net(lambda s, x: s.body(x.bfloat16()).float())
    wide.body = model
    assert predicted(wide, path="plan").dtype == torch.float32


RANDOM = {
    "randn": lambda s, x: s.layer(x) + torch.randn(6),
    "in_place": lambda s, x: s.layer(x) + torch.empty(6).normal_(),
    "item": lambda s, x: s.layer(x) * (3 if torch.rand(1).item() < 0.5 else 1),
    "python": lambda s, x: s.layer(x) * random.random(),
    "attention": lambda s, x: functional.scaled_dot_product_attention(s.layer(x)[None], x[None], x[None], None, 0.5)[0],
}


@pytest.mark.filterwarnings("ignore:predict. draws are made one after another")
@pytest.mark.parametrize("case", RANDOM)
def test_random_numbers_of_others_are_drawn_for_every_draw(case):
    model = Net(RANDOM[case])
    model.layer.p = 0.0
    with pytest.raises(NoPlan):
        plan_of(model)
    assert predicted(model, 40).var(0).max() > 1e-4


@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.LSTM(6, 6, 2, dropout=0.5),
        lambda: nn.MultiheadAttention(6, 2, dropout=0.5),
        lambda: nn.FractionalMaxPool2d(2, 1),
    ],
)
def test_layers_that_draw_by_themselves(layer):
    with pytest.raises(NoPlan, match=r"training mode|torch's generator"):
        plan_of(nn.Sequential(bo.nn.BernoulliLinear(6, 6), layer()).train())


@pytest.mark.parametrize("place", [0, 1, 3])
def test_patched_layers(place):
    model = nn.Sequential(nn.Linear(6, 6), bo.nn.BernoulliLinear(6, 6), nn.BatchNorm1d(6), nn.ReLU()).eval()
    plan_of(model)
    layer = model[place]
    layer.forward = functools.partial(lambda forward, x: 3 * forward(x) - 1, layer.forward)
    with pytest.raises(NoPlan, match="a forward function of its own"):
        plan_of(model)
    assert_faithful(model)


def test_hooks_of_all_modules():
    model, seen = nn.Sequential(bo.nn.BernoulliLinear(6, 6), nn.ReLU()).eval(), []
    plan_of(model)
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: seen.append(type(module)))
    try:
        predicted(model)
    finally:
        handle.remove()
    assert nn.ReLU in seen


# --- what the model holds ---------------------------------------------------------------------------------------------


def keeps_features(s, x):
    s.features = s.layer(x)
    s.order.append(s.features)
    return s.features * 2


@pytest.mark.parametrize("path", ["plan", "vmap"])
def test_nothing_is_left_on_the_model(path):
    model = Net(keeps_features)
    names = set(vars(model))
    predicted(model, path=path)
    assert set(vars(model)) == names
    assert model.order == [2.0, 1.0]
    pickle.dumps(model.order)


@pytest.mark.filterwarnings("ignore:predict. draws are made one after another")
def test_state_that_goes_from_call_to_call():
    def halves(s, x):
        s.scale.mul_(0.5)
        return s.layer(x) * s.scale

    def counts(s, x):
        s.number += 1
        return s.layer(x) * s.number

    halving, counting = Net(halves), Net(counts)
    bo.predict(halving, X, 3)
    assert halving.scale[0] == 0.125
    bo.predict(counting, X, 10)
    assert counting.number == 13


@pytest.mark.filterwarnings("ignore:predict. draws are made one after another")
def test_a_buffer_that_is_set_anew_goes_from_call_to_call():
    def grows(s, x):
        s.scale = s.scale * 2
        return s.layer(x) * s.scale

    model = Net(grows)
    assert bo.predict(model, X, 3, link="identity").path == "loop"
    assert model.scale[0] == 8


def test_a_number_in_place_of_a_tensor():
    def forgets(s, x):
        s.plain = 1.0
        return s.layer(x)

    model = Net(forgets)
    plain, samples = model.plain, predicted(model)
    assert model.plain is plain
    torch.testing.assert_close(samples, looped(model))


def test_batch_statistics_count_each_draw_once():
    model = nn.Sequential(bo.nn.BernoulliLinear(6, 6), nn.BatchNorm1d(6)).train()
    with pytest.warns(UserWarning, match="one after another"):
        bo.predict(model, X, 10)
    assert model[1].num_batches_tracked == 10


def test_default_arguments_of_any_kind():
    class Defaults(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = bo.nn.BernoulliLinear(6, 6)

        def forward(self, x, scale=(1.0, 2.0), *, options={"shift": 3.0}, **others):  # noqa: B006
            return self.layer(x) * scale[1] + options["shift"]

    model = Defaults().eval()
    assert_faithful(model, path="plan")
    assert_faithful(bo.optimize(model))


def test_optimized_models_read_parameters_and_buffers():
    model = Net(lambda s, x: s.layer(x) * s.gain + s.scale)
    optimized = bo.optimize(model)
    torch.testing.assert_close(looped(optimized), looped(model))
    assert {name for name, _ in optimized.named_parameters()} >= {"gain"}


# --- other threads ----------------------------------------------------------------------------------------------------


def test_other_threads_do_not_notice():
    other, errors, done = nn.Sequential(nn.Linear(6, 4), nn.ReLU()), [], threading.Event()
    expected = other(X)

    def serve():
        while not done.is_set():
            try:
                if not torch.equal(other(X), expected):
                    errors.append("another result")
            except Exception as error:
                errors.append(repr(error))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        for _ in range(30):
            predicted(nn.Sequential(nn.Linear(6, 6), nn.ReLU(), bo.nn.BernoulliLinear(6, 4)).eval(), 2)
    finally:
        done.set()
        thread.join()
    assert errors == []


def test_several_threads_predict():
    shared = Net(lambda s, x: s.layer(x) * s.gain)
    expected, errors = looped(shared), []

    def work():
        try:
            for _ in range(10):
                # torch's default device is that of a thread.
                own = nn.Sequential(bo.nn.BernoulliLinear(6, 6), nn.ReLU()).eval().to(X.device)
                torch.testing.assert_close(predicted(own), looped(own))
                torch.testing.assert_close(predicted(shared), expected)
        except Exception as error:
            errors.append(repr(error))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


# --- what a model returns ---------------------------------------------------------------------------------------------


class Several(nn.Module):
    """Returns two tensors and something else."""

    def __init__(self, looped=False):
        super().__init__()
        self.a, self.b, self.looped = bo.nn.BernoulliLinear(6, 4), bo.nn.BernoulliLinear(6, 3), looped

    def forward(self, x):
        if self.looped and x.sum().item() > 1e9:
            return None
        return self.a(x), self.b(x), None


@pytest.mark.filterwarnings("ignore:predict. draws are made one after another")
@pytest.mark.parametrize("path", ["plan", "vmap", "loop"])
def test_functions_of_what_is_returned_are_of_one_draw(path):
    model = Several()
    options = {"num_samples": 6, "link": "identity", "return_samples": True, "path": path}
    first, second = (bo.predict(model, X, output=which, **options).samples for which in (0, 1))
    both = bo.predict(model, X, output=lambda o: torch.cat(o[:2], 1), **options).samples
    torch.testing.assert_close(both, torch.cat([first, second], 2))
    part = bo.predict(model, X, output=lambda o: o[0][:, :2], **options).samples
    torch.testing.assert_close(part, first[..., :2])
    by_value = bo.predict(model, X, output=lambda o: o[0] if o[1].isfinite().all() else o[1], **options).samples
    torch.testing.assert_close(by_value, first)


def test_an_index_into_one_tensor_is_an_error():
    with pytest.raises(ValueError, match=r"predict: argument 'output' must be an index .* got 0 .*one tensor"):
        bo.predict(bo.nn.BernoulliLinear(6, 3), X, 4, output=0)
