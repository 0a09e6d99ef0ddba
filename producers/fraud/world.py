"""Who pays where: the customers and terminals of the synthetic stream, drawn once from the seed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.errors import ConfigurationError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DAY_MS = 86_400_000
MAP_KM = 100.0
N_NEAR = 50
"""Physical terminals that a customer may pay at: the nearest ones."""
ACCOUNT_LIFE_DAYS = 3650
"""An account is closed and opened again after ten years, so that the ages stay steady."""

_GOLDEN = (5**0.5 - 1) / 2

MAX_PAIRS = 500_000_000
"""Of customer and terminal: they share an int64 with a time (see timeline.py)."""


@dataclass(frozen=True, slots=True)
class World:
    """`[c]` arrays are per customer, `[t]` per terminal; positions in km, amounts in cents."""

    customer_xy: Floats  # [c, 2]
    mean_cents: Floats  # [c]
    transactions_per_day: Floats  # [c]
    online_share: Floats  # [c]
    account_offset_ms: Ints  # [c] age of the account at time 0, modulo ACCOUNT_LIFE_DAYS
    top_spenders: Ints  # the fifth of the customers with the highest mean amount
    terminal_xy: Floats  # [t, 2]
    online: npt.NDArray[np.bool_]  # [t] an online shop: the card is not present
    online_terminals: Ints
    near: Ints  # [c, N_NEAR or fewer] the nearest physical terminals, nearest first

    @property
    def n_customers(self) -> int:
        return len(self.customer_xy)

    @property
    def n_terminals(self) -> int:
        return len(self.terminal_xy)


def make_world(rng: np.random.Generator, n_customers: int, n_terminals: int) -> World:
    """Draw a world; raises ConfigurationError for sizes that cannot work."""
    if n_customers < 5 or n_terminals < 2 or n_customers * n_terminals > MAX_PAIRS:
        raise ConfigurationError(
            "a fraud stream has 5 or more customers, 2 or more terminals and at most"
            f" {MAX_PAIRS} pairs of them, not {n_customers} and {n_terminals}"
        )
    customer_xy = rng.uniform(0, MAP_KM, (n_customers, 2))
    mean_cents = rng.uniform(500, 10_000, n_customers)
    terminal_xy = rng.uniform(0, MAP_KM, (n_terminals, 2))
    transactions_per_day = rng.uniform(0.1, 4, n_customers)
    online = np.arange(n_terminals) < max(1, n_terminals // 10)
    return World(
        customer_xy=customer_xy,
        mean_cents=mean_cents,
        transactions_per_day=transactions_per_day,
        online_share=rng.beta(1.5, 6, n_customers),
        account_offset_ms=_spread_ages(transactions_per_day, rng.random()),
        top_spenders=np.argsort(mean_cents)[-(n_customers // 5) :],
        terminal_xy=terminal_xy,
        online=online,
        online_terminals=np.flatnonzero(online),
        near=_nearest(customer_xy, terminal_xy, np.flatnonzero(~online)),
    )


def _spread_ages(transactions_per_day: Floats, start: float) -> Ints:
    """int64[c]: ages at time 0, in ms, even at every level of activity (a golden-ratio sequence).

    Drawn at random, the ages of a few thousand customers move as they all grow older: after 60 days
    by a PSI of 0.0005, which a long-run test of a stream that is to be stable finds.
    """
    rank = np.empty(len(transactions_per_day))
    rank[np.argsort(transactions_per_day)] = np.arange(len(rank))
    share = (start + rank * _GOLDEN) % 1.0
    return (share * (ACCOUNT_LIFE_DAYS * DAY_MS)).astype(np.int64)


def _nearest(customer_xy: Floats, terminal_xy: Floats, physical: Ints) -> Ints:
    """int64[c, k]: each customer's nearest physical terminals, nearest first."""
    n_near = min(N_NEAR, len(physical))
    xy = terminal_xy[physical]
    near = np.empty((len(customer_xy), n_near), dtype=np.int64)
    for customer, position in enumerate(customer_xy):
        squared = ((xy - position) ** 2).sum(axis=1)
        some = np.argpartition(squared, n_near - 1)[:n_near]
        near[customer] = physical[some[np.argsort(squared[some], kind="stable")]]
    return near
