"""Mushrooms that are digits: even ones may be eaten, odd ones are poisonous, and only eating tells.

The rewards are those of Blundell et al., "Weight uncertainty in neural networks", 2015, section 5.3.
"""

import argparse

import torch
from torch import nn

import bayesops as bo
from bayesops import data

LEAVE, EAT = 0, 1
LOG_VAR = -4.0  # of a reward, in tens: those of good mushrooms have no noise
digits = data.digits()  # scikit-learn's, 8 x 8 pixels
contexts = torch.cat([digits.train_images, digits.test_images]).flatten(1) * 2 - 0.5
poisonous = torch.cat([digits.train_labels, digits.test_labels]) % 2 == 1


def network(bayesian):
    """Map a context to the mean reward of each action, in tens."""
    if not bayesian:
        return nn.Sequential(nn.Linear(64, 50), nn.ReLU(), nn.Linear(50, 2))
    options = {"prior": bo.priors.Gaussian(0.0, 0.3), "rho_init": -2.5}  # wide enough to explore from the first step on
    return nn.Sequential(bo.nn.GaussianLinear(64, 50, **options), nn.ReLU(), bo.nn.GaussianLinear(50, 2, **options))


def set_estimator(model, estimator):
    model[0].estimator = model[2].estimator = estimator


def play(steps, seed, epsilon=None):
    """Return the cumulative regret after each step: Thompson sampling, or epsilon-greedy with a plain network."""
    torch.manual_seed(seed)
    bayesian = epsilon is None
    model = network(bayesian)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3 if bayesian else 1e-3)  # of 1e-3, 3e-3, 1e-2 the best
    meets, luck, explores = torch.randint(len(contexts), (steps,)), torch.rand(steps), torch.rand(steps, 2)
    actions, rewards, regret = torch.zeros(steps, 1, dtype=torch.int64), torch.zeros(steps, 1), torch.zeros(steps)
    for step, mushroom in enumerate(meets.tolist()):
        with torch.no_grad():
            if bayesian:
                set_estimator(model, "weight_sample")  # a draw is one network
                with bo.sampling(seed=seed * steps + step):
                    action = int(model(contexts[mushroom]).argmax())
            elif explores[step, 0] < epsilon:
                action = int(explores[step, 1] < 0.5)
            else:
                action = int(model(contexts[mushroom]).argmax())
        bad = bool(poisonous[mushroom])
        if action == EAT:
            rewards[step] = -3.5 if bad and luck[step] < 0.5 else 0.5
        actions[step] = action
        regret[step] = 15.0 * (bad and action == EAT) + 5.0 * (not bad and action == LEAVE)

        if bayesian:
            set_estimator(model, "local_reparam")  # the quietest gradients
        for batch in torch.randint(step + 1, (2, 64)):
            mean = model(contexts[meets[batch]]).gather(1, actions[batch])
            loss = bo.losses.gaussian_nll(mean, rewards[batch], LOG_VAR)
            if bayesian:
                loss = loss + bo.kl_divergence(model) / (step + 1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return regret.cumsum(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=3, help="that each figure is the mean of (default: 3)")
    games = parser.parse_args().games
    print("regret after        100    300   1000   3000")
    for name, epsilon in (("Thompson", None), ("greedy", 0.0), ("1 % random", 0.01), ("5 % random", 0.05)):
        curves = torch.stack([play(3000, seed, epsilon) for seed in range(games)])
        print(f"{name:15s}" + "".join(f"{curves[:, after - 1].mean():7.0f}" for after in (100, 300, 1000, 3000)))
