"""Models that draw from torch's own generators: their draws have the seed, too, and nobody else notices."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import bayesops as bo

X = torch.randn(4, 6)

pytestmark = pytest.mark.filterwarnings("ignore:predict. draws are made one after another")


def mc_dropout(*layers):
    return nn.Sequential(*layers, nn.Dropout(0.5), nn.Linear(8, 3)).train()


def samples(model, **options):
    # Models that tests are parametrised by were made on the CPU.
    return bo.predict(model.to(X.device), X, 12, return_samples=True, **({"seed": 0} | options)).samples


@pytest.mark.parametrize("model", [mc_dropout(bo.nn.BernoulliLinear(6, 8)), mc_dropout(nn.Linear(6, 8))], ids=str)
def test_the_seed_governs_dropout_of_torch(model):
    first = samples(model)
    for chunk_size in (1, 5, "auto"):
        assert torch.equal(samples(model, chunk_size=chunk_size), first)
    assert len(first.unique(dim=0)) == 12
    assert not torch.equal(samples(model, seed=1), first)


@pytest.mark.parametrize("model", [mc_dropout(nn.Linear(6, 8)), nn.Linear(6, 3)], ids=str)
@pytest.mark.filterwarnings("ignore:predict. nothing in the model draws")
def test_torchs_generator_goes_on_as_if_there_had_been_no_prediction(model, generator_state):
    fails = nn.Sequential(model, nn.Linear(7, 2))
    before = generator_state()
    samples(model, path="loop")
    assert torch.equal(generator_state(), before)
    with pytest.raises(RuntimeError):
        bo.predict(fails, X, 4, path="loop")
    assert torch.equal(generator_state(), before)


class CountItems(TorchDispatchMode):
    """Counts tensors that are asked for their number, each of which a GPU would be waited for."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def test_no_draw_asks_for_its_seed_by_itself():
    with CountItems() as items:
        samples(mc_dropout(nn.Linear(6, 8)), path="loop")
    assert items.count == 0


def test_batch_statistics_beside_dropout_count_each_draw_once():
    model = mc_dropout(nn.Linear(6, 8), nn.BatchNorm1d(8))
    samples(model)
    assert model[1].num_batches_tracked == 12


@pytest.mark.parametrize("path", ["plan", "vmap", "loop"])
@pytest.mark.parametrize("model", [nn.Linear(6, 3), mc_dropout(nn.Linear(6, 8)).eval()], ids=str)
def test_a_model_in_which_nothing_draws_is_warned_of(model, path):
    with pytest.warns(UserWarning, match="predict: nothing in the model draws, so all draws are the same"):
        assert bo.predict(model.to(X.device), X, 4, path=path).variance.max() == 0
