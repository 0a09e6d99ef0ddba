"""Raw transactions, a day at a time: who paid how much where, and whether it was fraud."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from producers.fraud.compromised import Luck
from producers.fraud.drifts import Drift, DriftKind, strength_of
from producers.fraud.world import DAY_MS, Floats, Ints, World

Bools = npt.NDArray[np.bool_]

TERMINAL_DAYS, TERMINAL_RATE = 28, 2 / 10_000
CUSTOMER_DAYS, CUSTOMER_RATE = 14, 3 / 5_000
"""How long a compromise lasts and the share compromised anew each day: the Handbook's numbers."""
HIGH_AMOUNT_RATE, LEAK_RATE = 0.003, 0.0005
"""Frauds by high amount, and frauds with no trait at all, as shares of all transactions."""
TERMINAL_FRAUD_SHARE, CUSTOMER_FRAUD_SHARE = 0.6, 1 / 3
"""Of the transactions at a compromised terminal, and of a compromised customer."""

GENUINE_LABEL_MS = 30 * DAY_MS
"""A transaction that nobody disputed for this long counts as genuine."""
REPORT_MEDIAN_MS, REPORT_SIGMA, REPORT_MAX_MS = 3 * DAY_MS, 0.8, 60 * DAY_MS
"""Frauds are reported after a log-normal delay, between an hour and the maximum."""

BURN_IN_DAYS = 30 + 60
"""Days made before the first event: the longest window and the longest delay of a report, so that
features are steady from event 0."""

WEEKEND_FACTOR = 0.75


@dataclass(frozen=True, slots=True)
class Transactions:
    """One block in time order, every array [n]; `index` numbers the events."""

    index: Ints
    time_ms: Ints
    customer: Ints
    terminal: Ints
    cents: Ints
    fraud: Bools
    label_time_ms: Ints
    luck: Floats
    """Uniform draws for whatever later stage needs one per event."""

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, part: slice) -> "Transactions":
        return Transactions(
            *(getattr(self, name)[part] for name in Transactions.__dataclass_fields__)
        )


def days(world: World, seed: int, start_ms: int, drifts: Sequence[Drift]) -> Iterator[Transactions]:
    """Endless blocks of a day each; those of the burn-in have negative event numbers.

    Every day draws from a generator of its own and always the same numbers, so a drift changes
    nothing before its event number.
    """
    starts = np.random.default_rng((seed, 2)).random(2)
    terminals = Luck(starts[0], TERMINAL_RATE, TERMINAL_DAYS, _payments(world))
    customers = Luck(starts[1], CUSTOMER_RATE, CUSTOMER_DAYS, world.transactions_per_day)
    first_index = 0
    for day in range(-BURN_IN_DAYS, 2**31):
        rng = np.random.default_rng((seed, 1, day + BURN_IN_DAYS))
        block = _day(
            world,
            rng,
            day_ms=start_ms + day * DAY_MS,
            first_index=first_index if day >= 0 else None,
            drifts=drifts,
            terminal_luck=terminals.lowest(day),
            customer_luck=customers.lowest(day),
        )
        if day >= 0:
            first_index += len(block)
        if len(block):
            yield block


def _day(
    world: World,
    rng: np.random.Generator,
    *,
    day_ms: int,
    first_index: int | None,
    drifts: Sequence[Drift],
    terminal_luck: Floats,
    customer_luck: Floats,
) -> Transactions:
    counts = rng.poisson(world.transactions_per_day * _weekday_factor(day_ms))
    customer = np.repeat(np.arange(world.n_customers), counts)
    n = len(customer)
    time_ms = day_ms + (rng.normal(12 * 3600e3, 20_000e3, n).astype(np.int64) % DAY_MS)
    order = np.argsort(time_ms, kind="stable")
    time_ms, customer = time_ms[order], customer[order]
    index = np.arange(n) + (first_index if first_index is not None else -n)

    draw = rng.random((13, n))
    covariate = strength_of(drifts, DriftKind.COVARIATE, index)
    richer = world.top_spenders[_pick(draw[0], len(world.top_spenders))]
    customer = np.where(draw[1] < covariate, richer, customer)

    more = 1 + strength_of(drifts, DriftKind.PRIOR, index)
    new_tactics = draw[2] < strength_of(drifts, DriftKind.CONCEPT, index)
    high_amount = draw[3] < HIGH_AMOUNT_RATE * more
    stolen_card = (customer_luck[customer] < CUSTOMER_RATE * more) & (
        draw[4] < CUSTOMER_FRAUD_SHARE
    )

    cents = _usual_cents(world.mean_cents[customer], rng.standard_normal(n), draw[5])
    cents = np.where(stolen_card & ~new_tactics, cents * 5, cents)
    huge, tiny = 22_000 - 15_000 * np.log1p(-draw[6]), 50 + 250 * draw[6]
    cents = np.where(high_amount, np.where(new_tactics, tiny, huge), cents)

    # A stolen card is used online; new tactics hide in the customer's usual places.
    pays_online = draw[7] < world.online_share[customer]
    pays_online |= stolen_card & ~new_tactics
    # The cube makes favourites: an eighth of the nearest places gets half of the payments.
    near = world.near[customer, _pick(draw[8] ** 3, world.near.shape[1])]
    shop = world.online_terminals[_pick(draw[9], len(world.online_terminals))]
    terminal = np.where(pays_online, shop, near)
    skimmed = (terminal_luck[terminal] < TERMINAL_RATE * more) & (draw[10] < TERMINAL_FRAUD_SHARE)

    fraud = high_amount | stolen_card | skimmed | (draw[11] < LEAK_RATE * more)
    delay_ms = REPORT_MEDIAN_MS * np.exp(REPORT_SIGMA * rng.standard_normal(n))
    delay_ms = np.where(fraud, np.clip(delay_ms, 3600e3, REPORT_MAX_MS), GENUINE_LABEL_MS)
    return Transactions(
        index=index,
        time_ms=time_ms,
        customer=customer,
        terminal=terminal,
        cents=np.maximum(1, np.rint(cents)).astype(np.int64),
        fraud=fraud,
        label_time_ms=time_ms + delay_ms.astype(np.int64),
        luck=draw[12],
    )


def _payments(world: World) -> Floats:
    """Expected payments a day at each terminal, float64[t]."""
    at_shops = world.transactions_per_day * world.online_share
    n_near = world.near.shape[1]
    shares = np.diff(np.cbrt(np.arange(n_near + 1) / n_near))
    nearby = (world.transactions_per_day - at_shops)[:, None] * shares
    payments = np.zeros(world.n_terminals)
    np.add.at(payments, world.near, nearby)
    payments[world.online_terminals] += at_shops.sum() / len(world.online_terminals)
    return payments


def _usual_cents(mean: Floats, normal: Floats, uniform: Floats) -> Floats:
    """Normal around the customer's mean; what comes out negative is drawn uniformly (Handbook)."""
    cents = mean * (1 + 0.5 * normal)
    return np.where(cents < 0, 2 * mean * uniform, cents)


def _pick(uniform: Floats, n: int) -> Ints:
    """int64: an index below `n` for each uniform draw in [0, 1)."""
    return (uniform * n).astype(np.int64)


def _weekday_factor(day_ms: int) -> float:
    return WEEKEND_FACTOR if (day_ms // DAY_MS + 3) % 7 >= 5 else 1.0
