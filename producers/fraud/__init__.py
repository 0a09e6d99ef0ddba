"""A seeded, endless stream of synthetic card transactions with frauds, late labels and known drift.

In the manner of Le Borgne et al., "Reproducible Machine Learning for Credit Card Fraud Detection -
Practical Handbook" (2022): customers and terminals on a map, and fraud scenarios between them.
"""

from producers.fraud.drifts import Drift, DriftKind
from producers.fraud.schema import FRAUD_SCHEMA
from producers.fraud.stream import FraudBlock, FraudEvent, FraudStream, history, interleave_labels

__all__ = [
    "FRAUD_SCHEMA",
    "Drift",
    "DriftKind",
    "FraudBlock",
    "FraudEvent",
    "FraudStream",
    "history",
    "interleave_labels",
]
