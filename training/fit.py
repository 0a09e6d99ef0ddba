"""Fitting the network: weighted log loss, Adam, early stop on the held-out rows, calibration."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from training.dataset import Floats, Labels, Split
from training.metrics import platt
from training.network import ScoringNetwork

Progress = Callable[[int, float], None]
"""Called after every epoch with its number, from 1, and the held-out loss."""

# Rare positives count more, yet by the root of the imbalance and at most so much: full balancing
# would leave scores that calibration has to move by orders of magnitude.
_LARGEST_CLASS_WEIGHT = 10.0
_BATCH_ROWS = (32, 1024)
_STEPS_PER_EPOCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """How to fit; `patience` is how many epochs without a better held-out loss end it."""

    hidden: Sequence[int] = (64, 32)
    epochs: int = 60
    patience: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4


def fit(
    features: Floats,
    labels: Labels,
    parts: Split,
    options: FitOptions,
    *,
    seed: int,
    progress: Progress | None = None,
) -> ScoringNetwork:
    """A calibrated network in evaluation mode; the same for the same seed, rows and machine.

    Calibration is on the held-out rows, so what is measured there is a little flattering; the gate
    that compares models uses rows that no model has seen.
    """
    with _alone_on_one_core(seed):
        network = ScoringNetwork(features.shape[1], options.hidden)
        network.measure(features[parts.train])
        with torch.no_grad():
            inputs = network.standardised(torch.from_numpy(features))
        targets = torch.from_numpy(labels).float().unsqueeze(1)
        train = inputs[parts.train], targets[parts.train]
        held_out = inputs[parts.held_out], targets[parts.held_out]
        _fit_layers(network, train, held_out, options, progress)
        network.eval()
        with torch.inference_mode():
            logits = network.logits(held_out[0]).numpy().ravel()
        network.calibrate(*platt(labels[parts.held_out], logits))
    return network


def _fit_layers(
    network: ScoringNetwork,
    train: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor],
    options: FitOptions,
    progress: Progress | None,
) -> None:
    """Fit the layers and leave them as they were at the lowest held-out loss."""
    inputs, targets = train
    log_loss = nn.BCEWithLogitsLoss(pos_weight=_class_weight(targets))
    optimizer = AdamW(
        network.layers.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )
    smallest, largest = _BATCH_ROWS
    batch_rows = min(max(len(inputs) // _STEPS_PER_EPOCH, smallest), largest)
    best_loss, best_state, best_epoch = float("inf"), _state(network), 0
    for epoch in range(1, options.epochs + 1):
        for rows in torch.randperm(len(inputs)).split(batch_rows):
            optimizer.zero_grad()
            log_loss(network.logits(inputs[rows]), targets[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            loss = float(log_loss(network.logits(held_out[0]), held_out[1]))
        if progress is not None:
            progress(epoch, loss)
        if loss < best_loss:
            best_loss, best_state, best_epoch = loss, _state(network), epoch
        elif epoch - best_epoch >= options.patience:
            break
    network.layers.load_state_dict(best_state)


def _class_weight(targets: Tensor) -> Tensor:
    ones = float(targets.sum())
    imbalance = (len(targets) - ones) / max(ones, 1.0)
    return torch.tensor([min(max(imbalance, 1.0) ** 0.5, _LARGEST_CLASS_WEIGHT)])


def _state(network: ScoringNetwork) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.layers.state_dict().items()}


@contextmanager
def _alone_on_one_core(seed: int) -> Iterator[None]:
    """Seeded, on one thread, and the process's generator and threads as before afterwards.

    Small layers gain nothing from threads, and sums in another order would give another model.
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(n_threads)
