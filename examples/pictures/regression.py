"""The progress of diabetes, which is uncertain for two reasons: the noise, and the weights."""

import torch
from sklearn.datasets import load_diabetes
from torch import nn

import bayesops as bo


class MeanAndLogVariance(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(10, 64), nn.ReLU(),
            bo.nn.BernoulliLinear(64, 64, p=p), nn.ReLU(),
            bo.nn.BernoulliLinear(64, 2, p=p),
        )  # fmt: skip

    def forward(self, features):
        return self.layers(features).chunk(2, dim=1)


def pictures(quick):
    torch.manual_seed(0)
    features, target = (torch.from_numpy(part).float() for part in load_diabetes(return_X_y=True))
    features = (features - features.mean(0)) / features.std(0)
    target = ((target - target.mean()) / target.std())[:, None]
    order = torch.randperm(len(target))
    train, test = order[:120], order[242:]

    model = MeanAndLogVariance(p=0.4)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-3)
    for batch in torch.randint(len(train), (10 if quick else 100, 64)):
        mean, log_var = model(features[train[batch]])
        loss = bo.losses.gaussian_nll(mean, target[train[batch]], log_var)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    prediction = bo.predict(model.eval(), features[test], num_samples=200, link="gaussian")
    variances = {
        "weights alone": prediction.variance,
        "noise alone": prediction.aleatoric_variance,
        "both": prediction.total_variance,
    }
    calibration = {
        name: bo.metrics.IntervalCalibration().update(prediction.mean, target[test], variance).compute()
        for name, variance in variances.items()
    }
    axes = bo.plot.interval_calibration(calibration)
    yield "interval_calibration", axes
