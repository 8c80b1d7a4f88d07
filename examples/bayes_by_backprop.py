import torch
from torch import nn

import bayesops as bo
from bayesops import data

torch.manual_seed(0)
digits = data.digits()  # scikit-learn's, 8 x 8 pixels
options = {"prior": bo.priors.Gaussian(0.0, 0.5), "rho_init": -3.0}
model = nn.Sequential(
    bo.nn.GaussianConv2d(1, 16, 3, **options), nn.ReLU(),
    bo.nn.GaussianConv2d(16, 16, 3, **options), nn.ReLU(), nn.Flatten(),
    bo.nn.GaussianLinear(16 * 4 * 4, 10, **options),
)  # fmt: skip
elbo = bo.losses.ELBO(model, num_data=len(digits.train_images))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
steps = 1000
for step, batch in enumerate(torch.randint(len(digits.train_images), (steps, 64))):
    loss = elbo(digits.train_images[batch], digits.train_labels[batch], kl_weight=min(1.0, 2 * step / steps))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, images in (("clean", digits.test_images), ("noisy", data.corrupt(digits.test_images, "noise", 0.3))):
    prediction = bo.predict(model, images, num_samples=100, seed=0)
    right = (prediction.mean.argmax(1) == digits.test_labels).float().mean()
    print(f"{name}: {right:.1%} right, mean entropy {prediction.entropy.mean():.2f} nats")
print(f"KL {bo.kl_divergence(model):.0f} nats")
