"""BatchBALD: against enumeration, its sampled part against the exact one, copies, ties; what must not change it."""

import itertools
import math

import pytest
import torch
from torch import nn

import bayesops as bo
from bayesops.acquisition import bald, batch_bald, top_k
from bayesops.acquisition.joint_entropy import Configurations


def joint_information(probabilities, points):
    """I(labels of `points`; w) from draws ``[T, N, C]``, all joint labels one by one."""
    total = 0.0
    for labels in itertools.product(range(probabilities.shape[2]), repeat=len(points)):
        likelihood = torch.stack([probabilities[:, n, c] for n, c in zip(points, labels, strict=True)]).prod(0)
        joint = likelihood.mean()
        total += float(torch.special.entr(joint) - torch.special.entr(likelihood).mean())
    return total


def greedy(probabilities, k):
    chosen, scores = [], []
    for _ in range(k):
        values = {n: joint_information(probabilities, [*chosen, n])
                  for n in range(probabilities.shape[1]) if n not in chosen}  # fmt: skip
        chosen.append(max(values, key=values.get))
        scores.append(values[chosen[-1]])
    return chosen, scores


def draws(model, pool, num_samples, seed=0):
    return bo.predict(model, pool, num_samples=num_samples, seed=seed, return_samples=True).samples.double()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_against_enumeration(model, pool, seed):
    expected, scores = greedy(draws(model, pool[:12], 7, seed), 4)
    batch = batch_bald(model, pool[:12], 4, num_samples=7, seed=seed)
    assert batch.indices.tolist() == expected
    torch.testing.assert_close(batch.scores, torch.tensor(scores).double(), rtol=1e-5, atol=1e-6)
    assert batch.scores.dtype == torch.float64


def test_the_first_point_is_the_best_by_bald(model, pool):
    scores = bald(model, pool)
    batch = batch_bald(model, pool, 1)
    assert batch.indices.tolist() == top_k(scores, 1).tolist()
    torch.testing.assert_close(batch.scores[0].float(), scores.max(), rtol=1e-4, atol=1e-6)


def test_sampled_joint_labels_come_near_to_all_of_them(model, pool):
    """From 60 of up to 3^7 joint labels."""
    exact = batch_bald(model, pool, 8, seed=3)
    sampled = batch_bald(model, pool, 8, seed=3, max_configurations=60)
    assert sampled.indices[:4].tolist() == exact.indices[:4].tolist()  # 27 joint labels: nothing is sampled yet
    probabilities = draws(model, pool, 100, seed=3)
    truth = joint_information(probabilities, sampled.indices.tolist())
    assert float(sampled.scores[-1]) == pytest.approx(truth, rel=0.05)
    assert truth > 0.95 * float(exact.scores[-1])


def test_the_sample_of_joint_labels_is_fair(model, pool):
    """Systematic sampling, averaged over its offset, has each joint label in proportion to its probability."""
    probabilities = draws(model, pool, 20)
    exact = Configurations(20, 1000, torch.device("cpu"))
    exact.add(probabilities[:, 0], 0.0)
    exact.add(probabilities[:, 1], 0.0)
    wanted = exact.information(probabilities)
    offsets, estimates = [(i + 0.5) / 200 for i in range(200)], []
    for offset in offsets:
        sampled = Configurations(20, 4, torch.device("cpu"))
        sampled.add(probabilities[:, 0], offset)
        sampled.add(probabilities[:, 1], offset)
        assert len(sampled.probability) <= 4
        assert float(sampled.probability.sum()) == pytest.approx(1)
        torch.testing.assert_close(sampled.posterior.sum(1), torch.ones_like(sampled.probability))
        estimates.append(sampled.information(probabilities))
    spread = torch.stack(estimates).std(0)
    torch.testing.assert_close(torch.stack(estimates).mean(0), wanted, rtol=0.003, atol=0)
    assert spread.max() > 0.01  # single estimates are further off


def test_many_points_neither_underflow_nor_exceed_the_information_in_the_draws(model, pool):
    """The likelihood of 40 labels is far below the smallest float32; log T is all that labels can say of T draws."""
    batch = batch_bald(model, pool, 40, num_samples=16, max_configurations=200)
    assert sorted(batch.indices.tolist()) == list(range(40))
    assert batch.scores.isfinite().all()
    gains = batch.scores.diff()
    assert gains.min() > -1e-9
    assert 0.8 * math.log(16) < float(batch.scores[-1]) < 1.02 * math.log(16)


def test_copies_are_avoided_where_single_scores_take_them(model, pool):
    best = int(top_k(bald(model, pool), 1))
    crowded = torch.cat([pool, pool[best].expand(5, 5)])
    copies = {best, *range(40, 45)}
    assert set(top_k(bald(model, crowded), 6).tolist()) == copies
    assert len(copies & set(batch_bald(model, crowded, 6).indices.tolist())) <= 2


def test_a_copy_of_a_sure_answer_adds_nothing(pool):
    """Where each draw is sure of its label, one label tells all that a copy's would."""
    model = nn.Sequential(bo.nn.BernoulliLinear(5, 3, p=0.5))
    with torch.no_grad():
        model[0].weight.mul_(1e4)
        model[0].bias.zero_()
    batch = batch_bald(model, pool[:1].expand(3, 5), 3)
    assert batch.indices.tolist() == [0, 1, 2]
    assert float(batch.scores[0]) > 0.5
    torch.testing.assert_close(batch.scores, batch.scores[:1].expand(3), atol=1e-6, rtol=0)


def test_of_equal_points_the_first_is_taken(model, pool):
    batch = batch_bald(model, pool[7:8].expand(20, 5), 4, batch_size=3)
    assert batch.indices.tolist() == [0, 1, 2, 3]


def test_candidates_are_the_best_by_bald(model, pool):
    few = top_k(bald(model, pool), 6).sort().values
    batch = batch_bald(model, pool, 4, candidates=6, batch_size=4)
    alone = batch_bald(model, pool[few], 4)
    assert batch.indices.tolist() == few[alone.indices].tolist()
    torch.testing.assert_close(batch.scores, alone.scores, atol=1e-6, rtol=0)
    everything = batch_bald(model, pool, 4, candidates=None)
    assert torch.equal(everything.indices, batch_bald(model, pool, 4).indices)


def test_neither_batches_nor_chunks_nor_threads_change_the_choice(model, pool):
    whole = batch_bald(model, pool, 8, max_configurations=100)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        others = [batch_bald(model, pool, 8, max_configurations=100)]
    finally:
        torch.set_num_threads(threads)
    others.append(batch_bald(model, pool, 8, max_configurations=100, chunk_size=7))
    others.append(batch_bald(model, pool, 8, max_configurations=100, batch_size=6))
    others.append(batch_bald(model, iter(pool.split(11)), 8, max_configurations=100))
    for other in others:
        assert torch.equal(other.indices, whole.indices)
        torch.testing.assert_close(other.scores, whole.scores, atol=1e-5, rtol=0)


def test_the_seed_decides(model, pool):
    batch = batch_bald(model, pool, 6, seed=3, max_configurations=30)
    again = batch_bald(model, pool, 6, seed=3, max_configurations=30)
    assert torch.equal(batch.indices, again.indices)
    assert torch.equal(batch.scores, again.scores)
    assert not torch.equal(batch.scores, batch_bald(model, pool, 6, seed=4, max_configurations=30).scores)


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (bo.nn.GaussianLinear(5, 3), r"GaussianLinear has estimator='local_reparam'"),
        (bo.nn.GaussianLinear(5, 3, estimator="flipout"), r"GaussianLinear has estimator='flipout'"),
        (bo.nn.BernoulliLinear(5, 3, per_example=True), r"BernoulliLinear has per_example=True"),
        (nn.Sequential(bo.nn.Dropout(0.5), nn.Linear(5, 3)), "Dropout drops activations"),
    ],
)
def test_noise_of_each_example_is_warned_of(layer, why, pool):
    with pytest.warns(UserWarning, match=f"batch_bald: {why}") as warned:
        batch_bald(layer, pool, 2, 5)
    assert warned[0].filename == __file__


@pytest.mark.filterwarnings("error")
def test_draws_of_whole_networks_are_not_warned_of(model, pool):
    batch_bald(model, pool, 2, 5)
    batch_bald(bo.nn.GaussianLinear(5, 3, estimator="weight_sample"), pool, 2, 5)
    batch_bald(bo.nn.use_mean(bo.nn.GaussianLinear(5, 3)), pool, 2, 5)


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, {"k": 0}, "'k' must be an int of at least 1, got 0"),
        (ValueError, {"k": 41}, "'k' must be no more than the number of candidates, 40, got 41"),
        (ValueError, {"k": 7, "candidates": 6}, "'k' must be no more than the number of candidates, 6, got 7"),
        (ValueError, {"candidates": 0}, "'candidates' must be an int of at least 1, got 0"),
        (TypeError, {"num_samples": "auto"}, "'num_samples' must be an int of at least 1, got 'auto'"),
        (ValueError, {"max_configurations": 0}, "'max_configurations' must be an int of at least 1, got 0"),
        (ValueError, {"pool": []}, "'pool' must be of at least one batch, got none"),
        (TypeError, {"return_samples": True}, "'return_samples' is none of its options"),
        (ValueError, {"model": lambda x: x[:, :, None]}, r"'model' must be one that returns \[N, C\], got .*5, 1\)"),
    ],
)  # fmt: skip
def test_errors(error, arguments, message, model, pool):
    arguments = {"model": model, "pool": pool, "k": 2} | arguments
    with pytest.raises(error, match=f"batch_bald: argument {message}"):
        batch_bald(**arguments)


@pytest.mark.parametrize("candidates", [None, 1000, 4])
def test_points_without_a_score_are_named(model, pool, candidates):
    pool[[3, 7], 0] = torch.nan
    with pytest.raises(ValueError, match=r"batch_bald: argument 'pool' must be .*, got NaN at positions 3, 7$"):
        batch_bald(model, pool, 2, candidates=candidates)
    pool[3:30] = torch.nan
    with pytest.raises(ValueError, match=r"NaN at positions 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 17 more$"):
        batch_bald(model, pool, 2, candidates=candidates)
