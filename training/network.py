"""The network: raw features in, calibrated probability out, all preparation inside."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from training.dataset import Floats

# What hardly varied in training would explode when it moves later (elec2: AUC 0.56 against 0.77).
_SMALLEST_STD = 1e-3
_LARGEST_Z = 8.0


class ScoringNetwork(nn.Module):  # type: ignore[misc]  # torch is not type-checked
    """A multi-layer perceptron over standardised features, calibrated, with a sigmoid.

    Takes `float32[n, n_features]` with NaN where missing, which counts as the training mean, and
    gives `float32[n, 1]` in 0..1. What training measured is part of the network, so that serving
    needs no preparation that could differ.
    """

    mean: Tensor
    std: Tensor
    slope: Tensor
    intercept: Tensor

    def __init__(self, n_features: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("std", torch.ones(n_features))
        self.register_buffer("slope", torch.ones(1))
        self.register_buffer("intercept", torch.zeros(1))
        layers: list[nn.Module] = []
        width = n_features
        for size in hidden:
            layers += [nn.Linear(width, size), nn.ReLU()]
            width = size
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, features: Tensor) -> Tensor:
        logits = self.logits(self.standardised(features))
        return torch.sigmoid(self.slope * logits + self.intercept)

    def standardised(self, features: Tensor) -> Tensor:
        """The features as z scores clipped to +-8; 0 where missing."""
        filled = torch.where(torch.isnan(features), self.mean, features)
        return torch.clamp((filled - self.mean) / self.std, -_LARGEST_Z, _LARGEST_Z)

    def logits(self, standardised: Tensor) -> Tensor:
        """Uncalibrated log odds `[n, 1]` of standardised features."""
        out: Tensor = self.layers(standardised)
        return out

    def measure(self, features: Floats) -> None:
        """Take mean and standard deviation from training rows, leaving out what is missing."""
        present = ~np.isnan(features)
        n_present = np.maximum(present.sum(axis=0), 1)
        values = np.where(present, features, 0.0).astype(np.float64)
        mean = values.sum(axis=0) / n_present
        squares = np.where(present, (values - mean) ** 2, 0.0).sum(axis=0)
        std = np.sqrt(squares / n_present)
        std[std < _SMALLEST_STD] = 1.0
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(std))

    def calibrate(self, slope: float, intercept: float) -> None:
        """Fold `probability = sigmoid(slope * logit + intercept)` in."""
        self.slope.fill_(slope)
        self.intercept.fill_(intercept)

    def score(self, features: Floats) -> Floats:
        """Scores float32[n] of rows, as the network itself computes them."""
        with torch.inference_mode():
            scores: Floats = self(torch.from_numpy(features)).numpy().reshape(len(features))
        return scores
