"""Where layers take seed and stream from."""

import asyncio
import threading

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import bayesops as bo
from bayesops.sampling import current_block


def model():
    return nn.Sequential(
        bo.nn.BernoulliLinear(6, 8), nn.ReLU(), bo.nn.Dropout(0.5), bo.nn.BernoulliLinear(8, 5, granularity="kernel")
    )


X = torch.randn(3, 6)


def draw(network, seed, **options):
    with bo.sampling(seed=seed, **options):
        return network(X)


def test_same_seed_same_draw():
    network = model()
    assert torch.equal(draw(network, 1), draw(network, 1))
    assert not torch.equal(draw(network, 1), draw(network, 2))
    assert torch.equal(draw(network, 1), draw(network, torch.tensor(1)))
    assert torch.equal(draw(network, -1), draw(network, 2**64 - 1))


def test_streams_are_numbered_by_first_use():
    network = model()
    layers = [network[0], network[2], network[3]]
    hidden = bo.ops.masked_linear(X, layers[0].weight, layers[0].bias, p=0.5, seed=9, stream=0).relu()
    hidden = bo.ops.dropout(hidden, p=0.5, seed=9, stream=1)
    expected = bo.ops.masked_linear(
        hidden, layers[2].weight, layers[2].bias, p=0.5, seed=9, stream=2, granularity="kernel"
    )
    assert torch.equal(draw(network, 9), expected)


def test_trap_9_one_mask_for_all_calls_within_a_block():
    """A layer called twice in a block (a recurrent cell) keeps its mask; a fresh mask a call is asked for by name."""
    layer = bo.nn.BernoulliLinear(6, 6)
    with bo.sampling(seed=3):
        first, second = layer(X), layer(X)
    assert torch.equal(first, second)
    with bo.sampling(seed=3):
        first = layer(X)
    with bo.sampling(seed=4):
        second = layer(X)
    assert not torch.equal(first, second)
    assert not torch.equal(layer(X), layer(X))  # outside, every call draws


def test_trap_9_two_layers_do_not_share_their_mask():
    first, second = bo.nn.BernoulliLinear(6, 6), bo.nn.BernoulliLinear(6, 6)
    second.load_state_dict(first.state_dict())
    with bo.sampling(seed=3):
        assert not torch.equal(first(X), second(X))


def test_outside_torchs_generator_rules():
    network = model()
    torch.manual_seed(1)
    first = network(X)
    torch.manual_seed(1)
    assert torch.equal(network(X), first)
    assert not torch.equal(network(X), first)


def test_a_block_leaves_torchs_generator_alone():
    network = model()
    state = torch.get_rng_state()
    draw(network, 1)
    assert torch.equal(torch.get_rng_state(), state)


def test_explicit_stream():
    layer = bo.nn.BernoulliLinear(6, 6, bias=False)
    layer.stream = 77
    expected = bo.ops.masked_linear(X, layer.weight, p=0.5, seed=5, stream=77)
    assert torch.equal(draw(layer, 5), expected)
    assert "stream=77" in repr(layer)


def test_numbering_steps_over_explicit_streams():
    first, second, third = (bo.nn.BernoulliLinear(6, 6) for _ in range(3))
    first.stream = 0
    with bo.sampling(seed=5):
        a, b, c = first(X), second(X), third(X)
    options = {"p": 0.5, "seed": 5}
    for stream, layer, output in ((0, first, a), (1, second, b), (2, third, c)):
        assert torch.equal(output, bo.ops.masked_linear(X, layer.weight, layer.bias, stream=stream, **options))


def test_a_stream_that_is_taken_is_refused():
    first, second = bo.nn.BernoulliLinear(6, 6), bo.nn.BernoulliLinear(6, 6)
    second.stream = 0
    with bo.sampling(seed=5), pytest.raises(ValueError, match=r"stream is 0, which this block gave to another layer"):
        second(first(X))


def test_nested_blocks():
    layer = bo.nn.BernoulliLinear(6, 6)
    with bo.sampling(seed=1):
        outer = layer(X)
        with bo.sampling(seed=2):
            inner = layer(X)
        assert torch.equal(layer(X), outer)
    assert torch.equal(draw(layer, 2), inner)
    assert not torch.equal(inner, outer)


def test_an_error_ends_the_block():
    layer = bo.nn.BernoulliLinear(6, 6)
    with pytest.raises(ZeroDivisionError), bo.sampling(seed=1):
        1 / 0  # noqa: B018
    assert not torch.equal(layer(X), layer(X))


def test_blocks_that_overlap_are_an_error_and_leave_none_open():
    """As those of two coroutines do that await within theirs."""
    layer = model()[0]

    async def request(seed, seconds):
        with bo.sampling(seed):
            layer(X)
            await asyncio.sleep(seconds)

    async def both():
        return await asyncio.gather(request(0, 0.01), request(1, 0.03), return_exceptions=True)

    first, second = asyncio.run(both())
    assert isinstance(first, RuntimeError)
    assert "no `await` may stand in a block" in str(first)
    assert second is None
    assert current_block() is None
    assert not torch.equal(layer(X), layer(X))


def test_a_block_that_another_thread_ends_is_left():
    """As that of a generator which is closed there."""

    def draws():
        with bo.sampling(0):
            yield

    layer, generator, errors = model()[0], draws(), []

    def close():
        try:
            generator.close()
        except RuntimeError as error:
            errors.append(str(error))

    next(generator)
    assert torch.equal(layer(X), layer(X))
    thread = threading.Thread(target=close)
    thread.start()
    thread.join()
    assert len(errors) == 1
    assert "in another thread than it began in" in errors[0]
    assert not torch.equal(layer(X), layer(X))


def test_blocks_belong_to_their_thread():
    layer, results = bo.nn.BernoulliLinear(6, 6), {}
    inside, done = threading.Event(), threading.Event()

    def other():
        inside.wait()
        results["other"] = (layer(X), layer(X))
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with bo.sampling(seed=1):
        inside.set()
        done.wait()
        mine = (layer(X), layer(X))
    thread.join()
    assert torch.equal(*mine)
    assert not torch.equal(*results["other"])


def test_under_vmap():
    network = model()
    seeds = bo.random.sample_seeds(0, 5)
    mapped = torch.vmap(lambda seed: draw(network, seed))(seeds)
    torch.testing.assert_close(mapped, torch.stack([draw(network, seed) for seed in seeds]))


@pytest.mark.parametrize(
    ("seed", "error", "message"),
    [
        (0.5, TypeError, "sampling: argument 'seed' must be an int"),
        (None, TypeError, "sampling: argument 'seed' must be an int"),
        (True, TypeError, "sampling: argument 'seed' must be an int"),
        (torch.arange(3), ValueError, "sampling: argument 'seed' must be one draw"),
        (torch.tensor(1.0), TypeError, "sampling: argument 'seed' must be an int or an int64 tensor"),
    ],
)
def test_errors(seed, error, message):
    with pytest.raises(error, match=message), bo.sampling(seed=seed):
        pass


class TestCheckpointing:
    """What a backward pass computes again meets the noise of the forward pass."""

    @staticmethod
    def network():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(6, 8), nn.Tanh(), bo.nn.GaussianLinear(8, 8, rho_init=-1.0), nn.Tanh(),
            bo.nn.BernoulliLinear(8, 5), bo.nn.Dropout(0.3),
        )  # fmt: skip

    @staticmethod
    def gradients(network, output):
        return torch.autograd.grad(output.square().sum(), list(network.parameters()))

    def expected(self, network):
        with bo.sampling(seed=3):
            return self.gradients(network, network(X))

    @pytest.mark.parametrize("where", ["in_block", "behind_block", "in_another_block", "in_another_thread"])
    def test_in_a_block(self, where):
        network, found = self.network(), []
        expected = self.expected(network)

        def backward():
            found.extend(self.gradients(network, output))

        with bo.sampling(seed=3):
            output = checkpoint(network, X, use_reentrant=False, context_fn=bo.checkpoint_contexts)
            if where == "in_block":
                backward()
            elif where == "in_another_thread":  # as CUDA's backward pass
                thread = threading.Thread(target=backward)
                thread.start()
                thread.join()
        if where == "behind_block":
            backward()
        elif where == "in_another_block":
            with bo.sampling(seed=4):
                backward()
        assert all(map(torch.equal, found, expected))
        assert len(found) == len(expected)

    def test_a_lost_block_is_an_error(self):
        network = self.network()
        with bo.sampling(seed=3):
            output = checkpoint(network, X, use_reentrant=False)
        with pytest.raises(RuntimeError, match=r"context_fn=bayesops\.checkpoint_contexts"):
            self.gradients(network, output)

    def test_a_prediction_in_between(self):
        network = self.network().requires_grad_()
        output = checkpoint(network, X, use_reentrant=False)
        bo.predict(network.eval(), X, 3)
        assert all(gradient.isfinite().all() for gradient in self.gradients(network, output))

    @pytest.mark.parametrize("options", [{}, {"context_fn": bo.checkpoint_contexts}])
    def test_outside_of_blocks(self, options):
        network = self.network()
        with bo.sampling(seed=3):
            network(X)  # is over
        torch.manual_seed(1)
        expected = self.gradients(network, network(X))
        torch.manual_seed(1)
        found = self.gradients(network, checkpoint(network, X, use_reentrant=False, **options))
        assert all(map(torch.equal, found, expected))


def test_a_block_serves_all_modes_one_after_another():
    layer, x = bo.nn.BernoulliLinear(6, 4), torch.randn(3, 6)
    with bo.sampling(0):
        expected = layer(x)
    with bo.sampling(0):
        with torch.inference_mode():
            assert torch.equal(layer(x), expected)
        layer(x).sum().backward()
    with bo.sampling(0):
        torch.export.export(layer, (x,))
        assert torch.equal(layer(x), expected)
    with bo.sampling(0):
        layer.to_empty(device="meta")(x.to("meta"))
        assert torch.equal(bo.nn.BernoulliLinear(6, 4)(x).isnan(), torch.zeros(3, 4).bool())


def test_checkpoints_are_refused_where_torch_has_none():
    layer = bo.nn.BernoulliLinear(6, 4)

    def checkpointed(x):
        return checkpoint(layer, x, use_reentrant=False, context_fn=bo.checkpoint_contexts).sum()

    with bo.sampling(0):
        with pytest.raises(RuntimeError, match=r"checkpoint_contexts: torch checkpoints no .* within torch\.vmap"):
            torch.func.grad(checkpointed)(X)
        with torch.no_grad():
            assert torch.vmap(checkpointed)(X).shape == (3,)
