"""Bayes by Backprop on digits: one weight's posterior, and the terms of the bound."""

import torch
from torch import nn

import bayesops as bo
from bayesops import data


def pictures(quick):
    torch.manual_seed(0)
    epochs = 4 if quick else 100
    digits = data.digits()
    options = {"prior": bo.priors.Gaussian(0.0, 0.5), "rho_init": -1.0}
    model = nn.Sequential(
        nn.Flatten(), bo.nn.GaussianLinear(64, 32, **options), nn.ReLU(), bo.nn.GaussianLinear(32, 10, **options)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    elbo = bo.losses.ELBO(model, num_data=len(digits.train_images))
    history, posteriors = [], {}
    for epoch in range(1, epochs + 1):
        steps = []
        for batch in torch.randperm(len(digits.train_images)).split(64):
            warm = min(1.0, 2 * epoch / epochs)
            terms = elbo.terms(digits.train_images[batch], digits.train_labels[batch], kl_weight=warm)
            optimizer.zero_grad()
            terms.loss.backward()
            optimizer.step()
            steps.append([value.item() for value in terms])
        history.append(bo.losses.ELBOTerms(*torch.tensor(steps).mean(0)))
        layer = model[1]
        posteriors[epoch] = layer.weight_mu.detach().clone(), nn.functional.softplus(layer.weight_rho).detach()

    axes = bo.plot.elbo_terms(history, num_data=len(digits.train_images), xlabel="epoch")
    yield "elbo_terms", axes

    mu, sigma = posteriors[epochs]
    weight = (mu.abs() / sigma).argmax()  # of which the data tell most
    of_one = {epoch: (mu.flatten()[weight], sigma.flatten()[weight]) for epoch, (mu, sigma) in posteriors.items()}
    shown = [epoch for epoch in (1, 5, 20, 50, 100) if epoch <= epochs]
    axes = bo.plot.weight_posterior(of_one, shown, prior=(0.0, 0.5))
    yield "weight_posterior", axes
