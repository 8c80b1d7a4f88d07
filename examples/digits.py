import torch
from torch import nn

import bayesops as bo
from bayesops import data

torch.manual_seed(0)
digits = data.digits()  # scikit-learn's, 8 x 8 pixels
conv, linear = bo.nn.BernoulliConv2d(1, 32, 3, p=0.3), bo.nn.BernoulliLinear(32 * 6 * 6, 10, p=0.3)
model = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), linear)
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for batch in torch.randint(len(digits.train_images), (300, 64)):  # a fresh mask for each batch
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(digits.train_images[batch]), digits.train_labels[batch]).backward()
    optimizer.step()
for images in (digits.test_images, data.corrupt(digits.test_images, "noise", 0.3)):
    prediction = bo.predict(model, images, num_samples=100, seed=0)  # over 100 masks
    right = (prediction.mean.argmax(1) == digits.test_labels).float().mean()
    print(f"{right:.1%} right, mean entropy {prediction.entropy.mean():.2f} nats")
