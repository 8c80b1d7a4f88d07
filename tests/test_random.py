"""The random streams: known answers, torch = NumPy = definition, on each device, and statistics.

Every statistical test has fixed seeds and a false-alarm rate of 1e-6 (over the choice of the seeds).
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import bayesops as bo
import bayesops.random.numpy as bo_numpy
from bayesops.reference import random as reference

pytestmark = pytest.mark.usefixtures("device")
FALSE_ALARM = 1e-6
SEEDS = [0, 1, -1, 2**63 - 1, -(2**63), 123456789012345678]
SHAPES = [(), (1,), (15,), (16,), (17,), (3, 5, 7), (127,), (129,), (1000,), (0,), (2, 0)]


# Known-answer vectors of Random123 (examples/kat_vectors, philox4x32 10).
@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_known_answers(counter, key, words):
    counter, key, words = ([int(w, 16) for w in text.split()] for text in (counter, key, words))
    assert list(bo_numpy.philox4x32(counter, key)) == words
    assert reference.philox4x32(counter, key).tolist() == words


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("stream", [0, 1, 2**32 - 1])
class TestDefinition:
    def test_bernoulli(self, seed, shape, stream, device):
        for p in (0.0, 0.3, 0.5, 1e-3, 1 - 2**-20):
            expected = reference.bernoulli_mask(seed, shape, p, stream)
            ours = bo.random.bernoulli_mask(seed, shape, p, stream, device=device)
            assert np.array_equal(ours.cpu().numpy(), expected)
            assert np.array_equal(bo_numpy.bernoulli_mask(seed, shape, p, stream), expected)

    def test_words(self, seed, shape, stream):
        expected = reference.words(seed, shape, stream)
        tensor = torch.ops.bayesops.random_words(torch.tensor(seed), list(shape), stream)
        assert np.array_equal(tensor.cpu().numpy().view(np.uint32), expected)

    def test_signs(self, seed, shape, stream, device):
        expected = reference.signs(seed, shape, stream)
        assert np.array_equal(bo.random.signs(seed, shape, stream, device=device).cpu().numpy(), expected)
        assert np.array_equal(bo_numpy.signs(seed, shape, stream), expected)

    def test_normal(self, seed, shape, stream, device):
        ours = bo.random.normal(seed, shape, stream, device=device).cpu().numpy()
        assert np.array_equal(bo_numpy.normal(seed, shape, stream), ours)
        np.testing.assert_allclose(ours, reference.normal(seed, shape, stream), rtol=0, atol=2e-6)


def test_normals_are_close_to_the_exact_transform(device):
    """To 4 ULP of the larger of the pair."""
    ours = bo.random.normal(7, (1_000_000,), device=device).cpu().numpy().reshape(-1, 2)
    exact = reference.normal(7, (1_000_000,)).reshape(-1, 2)
    error = np.abs(ours - exact).max(1)
    ulp = np.spacing(np.abs(exact).max(1).astype(np.float32))
    assert (error <= 4 * ulp).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_sample_seeds(seed, device):
    expected = reference.sample_seeds(seed, 50)
    assert np.array_equal(bo.random.sample_seeds(seed, 50, device=device).cpu().numpy(), expected)
    assert np.array_equal(bo_numpy.sample_seeds(seed, 50), expected)
    assert np.array_equal(bo.random.sample_seeds(seed, 7, device=device).cpu().numpy(), expected[:7])
    assert len(set(expected.tolist())) == 50


def test_unsigned_and_signed_seeds_are_the_same_64_bits(device):
    unsigned, signed = (bo.random.bernoulli_mask(seed, (99,), 0.5, device=device) for seed in (2**64 - 1, -1))
    assert torch.equal(unsigned, signed)


@pytest.mark.parametrize("name", ["bernoulli_mask", "normal", "signs"])
def test_many_seeds_are_single_seeds_side_by_side(name, device):
    arguments = ((5, 3), 0.3) if name == "bernoulli_mask" else ((5, 3),)
    function = getattr(bo.random, name)
    together = function(torch.tensor(SEEDS), *arguments)
    assert torch.equal(together, torch.stack([function(s, *arguments, device=device) for s in SEEDS]))
    assert np.array_equal(getattr(bo_numpy, name)(np.array(SEEDS), *arguments), together.cpu().numpy())
    mapped = torch.vmap(lambda seed: function(seed, *arguments))(torch.tensor(SEEDS))
    assert torch.equal(mapped, together)
    nested = torch.vmap(torch.vmap(lambda seed: function(seed, *arguments)))(torch.tensor(SEEDS).reshape(2, 3))
    assert torch.equal(nested.flatten(0, 1), together)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("random_bernoulli", ([3, 5], 0.3, 1)), ("random_normal", ([3, 5], 1)), ("random_signs", ([7], 1)),
     ("random_words", ([7], 1)), ("sample_seeds", (5,))],
)  # fmt: skip
def test_opcheck(name, arguments):
    torch.library.opcheck(getattr(torch.ops.bayesops, name).default, (torch.tensor(3), *arguments))


@pytest.mark.cpu_only
@pytest.mark.parametrize("p", [1e-5, 1e-3, 1 / 256, 0.003, 0.1, 0.3, 0.5, 0.9, 1 - 1e-3])
def test_frequency(p):
    """χ² of 100 masks together: dropped counts are binomial. Small p, whose top byte is 0, hang on the tie words."""
    per_mask, masks = 200_000, 100
    dropped = (~bo.random.bernoulli_mask(bo.random.sample_seeds(1, masks), (per_mask,), p)).sum(1).double().numpy()
    statistic = ((dropped - per_mask * p) ** 2 / (per_mask * p * (1 - p))).sum()
    low, high = stats.chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], masks)
    assert low < statistic < high
    total = dropped.sum()
    assert abs(total - masks * per_mask * p) < stats.norm.isf(FALSE_ALARM / 2) * math.sqrt(
        masks * per_mask * p * (1 - p)
    )


@pytest.mark.cpu_only
def test_threshold_is_exact():
    """With p = k / 2**32 an element is dropped exactly if its 32 bits are below k."""
    seed, count = 5, 64
    low, high = np.zeros(count), np.full(count, 2**32, dtype=np.float64)
    for _ in range(32):  # bisect every element's number
        middle = np.floor((low + high) / 2)
        kept = np.array([bo.random.bernoulli_mask(seed, (count,), m / 2**32)[i].item() for i, m in enumerate(middle)])
        low, high = np.where(kept, middle, low), np.where(kept, high, middle)
    byte = reference._words(seed, reference.BERNOULLI, 0, 0, count // 16).astype("<u4").view(np.uint8).astype(np.uint64)
    rest = (reference.words(seed, (count,), domain=reference.BERNOULLI_TIE) >> np.uint32(8)).astype(np.uint64)
    assert np.array_equal(low.astype(np.uint64), byte << np.uint64(24) | rest)


def agreement(first, second, p):
    """Normal deviate of the number of places in which two masks agree, if they were independent."""
    n, q = first.numel(), p * p + (1 - p) ** 2
    return ((first == second).sum().item() - n * q) / math.sqrt(n * q * (1 - q))


@pytest.mark.cpu_only
@pytest.mark.parametrize("p", [0.01, 0.3, 0.5])
class TestIndependence:
    """Pairs of draws agree as often as independent ones do (normal approximation; Bonferroni over the pairs)."""

    size = 2**20

    def check(self, pairs, p):
        bound = stats.norm.isf(FALSE_ALARM / 2 / len(pairs))
        assert max(abs(agreement(a, b, p)) for a, b in pairs) < bound

    def test_of_elements(self, p):
        mask = bo.random.bernoulli_mask(3, (self.size,), p)
        lags = [*range(1, 65), 127, 128, 129, 255, 256, 1024, 4096, 65536]
        self.check([(mask[lag:], mask[:-lag]) for lag in lags], p)

    def test_of_samples(self, p):
        masks = bo.random.bernoulli_mask(bo.random.sample_seeds(3, 12), (self.size // 4,), p)
        self.check([(masks[i], masks[j]) for i in range(12) for j in range(i)], p)

    def test_of_neighbouring_seeds(self, p):
        masks = bo.random.bernoulli_mask(torch.arange(12), (self.size // 4,), p)
        self.check([(masks[i], masks[j]) for i in range(12) for j in range(i)], p)

    def test_of_streams(self, p):
        masks = [bo.random.bernoulli_mask(3, (self.size // 4,), p, stream=s) for s in range(12)]
        self.check([(masks[i], masks[j]) for i in range(12) for j in range(i)], p)


@pytest.mark.cpu_only
def test_normals_are_standard_normal():
    values = bo.random.normal(11, (1_000_000,)).double().numpy()
    assert stats.kstest(values, "norm").pvalue > FALSE_ALARM
    pairs = values.reshape(-1, 2)
    assert abs(np.corrcoef(pairs.T)[0, 1]) < stats.norm.isf(FALSE_ALARM / 2) / math.sqrt(len(pairs))
    assert abs(np.corrcoef((pairs**2).T)[0, 1]) < 2 * stats.norm.isf(FALSE_ALARM / 2) / math.sqrt(len(pairs))


@pytest.mark.cpu_only
def test_signs_are_fair():
    total = bo.random.signs(11, (1_000_000,)).sum().item()
    assert abs(total) < stats.norm.isf(FALSE_ALARM / 2) * 1000


@pytest.mark.slow
def test_beyond_two_to_the_31_elements(device):
    count = 2**31 + 32
    mask = bo.random.bernoulli_mask(5, (count,), 0.3, device=device)
    tail = reference._words(5, reference.BERNOULLI, 0, 2**31 // 16, 2).astype("<u4").view(np.uint8)
    certain = tail != int(0.3 * 256)  # ties are decided elsewhere
    assert np.array_equal(mask[2**31 :].cpu().numpy()[certain], tail[certain] > int(0.3 * 256))


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, (3,), 1.0), ValueError, r"bernoulli_mask: argument 'p' must be in \[0, 1\)"),
        ((0, (-3,), 0.1), ValueError, r"bernoulli_mask: argument 'shape' must be without negative sizes"),
        ((0, "x", 0.1), TypeError, r"bernoulli_mask: argument 'shape' must be a sequence of ints, got 'x'"),
        ((0, (2.5,), 0.1), TypeError, r"bernoulli_mask: argument 'shape' must be of sizes that are ints, got float"),
        ((True, (3,), 0.1), TypeError, r"bernoulli_mask: argument 'seed' must be an int .*, got bool"),
        ((0, 3, 0.1), TypeError, r"bernoulli_mask: argument 'shape' must be a sequence"),
        ((0.5, (3,), 0.1), TypeError, r"bernoulli_mask: argument 'seed' must be an int"),
        ((torch.zeros(2, 2, dtype=torch.int64), (3,), 0.1), ValueError, r"bernoulli_mask: argument 'seed' must be"),
        ((0, (3,), 0.1, -1), ValueError, r"bernoulli_mask: argument 'stream' must be"),
    ],
)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        bo.random.bernoulli_mask(*arguments)


@pytest.mark.cpu_only
def test_sample_seeds_errors():
    with pytest.raises(ValueError, match="argument 'num_samples' must be at least 0"):
        bo.random.sample_seeds(0, -1)
    with pytest.raises(ValueError, match=r"argument 'seed' must be an int or a tensor of shape \[\]"):
        bo.random.sample_seeds(torch.arange(3), 1)
    with pytest.raises(TypeError, match="sample_seeds: argument 'num_samples' must be an int, got float"):
        bo.random.sample_seeds(0, 2.5)


@pytest.mark.cpu_only
@pytest.mark.parametrize("seed", [np.int64(-3), np.uint64(2**63 + 5), np.uint8(7), np.array(7)])
def test_integers_of_numpy_are_seeds(seed):
    assert torch.equal(bo.random.normal(seed, (np.int64(5),)), bo.random.normal(int(seed), (5,)))


def test_a_device_is_also_known_without_its_number(device):
    seed = torch.tensor(3, device=device)
    for name in {device, f"{device}:0"}:
        drawn = bo.random.normal(seed, [4], device=name)
        assert drawn.device == seed.device
        assert torch.equal(drawn, bo.random.normal(seed, [4]))
