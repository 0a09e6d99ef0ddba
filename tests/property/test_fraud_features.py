"""The vectorised features against a plain reading of their definitions, one event at a time."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.fraud.features import Featurizer
from producers.fraud.schema import FRAUD_SCHEMA
from producers.fraud.transactions import Transactions
from producers.fraud.world import DAY_MS, World, make_world

WORLD = make_world(np.random.default_rng(1), n_customers=5, n_terminals=6)
HOUR_MS = 3_600_000


def make_block(rows: list[tuple[int, int, int, int, bool, int]]) -> Transactions:
    """From rows of minutes since the last, customer, terminal, cents, fraud, label delay (h)."""
    gap, customer, terminal, cents, fraud, delay = (np.array(c) for c in zip(*rows, strict=True))
    time_ms = 16_000 * DAY_MS + np.cumsum(gap) * 60_000
    return Transactions(
        index=np.arange(len(rows)),
        time_ms=time_ms,
        customer=customer,
        terminal=terminal,
        cents=cents,
        fraud=fraud,
        label_time_ms=time_ms + delay * HOUR_MS,
        luck=np.zeros(len(rows)),
    )


ROW = st.tuples(
    st.sampled_from([0, 1, 30, 600, 3000]),
    st.integers(0, 4),
    st.integers(0, 5),
    st.integers(1, 99_999),
    st.booleans(),
    st.integers(1, 1440),
)
BLOCKS = st.lists(ROW, min_size=1, max_size=40).map(make_block)


def expected(block: Transactions, k: int, world: World) -> dict[str, float]:
    """Features of event k that depend on the past, from the events before it alone."""
    now = int(block.time_ms[k])
    before = [j for j in range(k) if block.time_ms[j] < now]
    mine = [j for j in before if block.customer[j] == block.customer[k]]
    here = [j for j in before if block.terminal[j] == block.terminal[k]]
    frauds = [j for j in before if block.fraud[j] and block.label_time_ms[j] < now]

    def recent(rows: list[int], days: int) -> list[int]:
        return [j for j in rows if block.time_ms[j] >= now - days * DAY_MS]

    def reported(rows: list[int], days: int) -> list[int]:
        return [j for j in rows if block.label_time_ms[j] >= now - days * DAY_MS]

    out: dict[str, float] = {}
    for days in (1, 7, 30):
        amounts = [block.cents[j] / 100 for j in recent(mine, days)]
        out[f"customer_count_{days}d"] = len(amounts)
        out[f"customer_mean_amount_{days}d"] = float(np.mean(amounts)) if amounts else 0
        visits = recent(here, days)
        reports = reported([j for j in frauds if block.terminal[j] == block.terminal[k]], days)
        out[f"terminal_count_{days}d"] = len(visits)
        out[f"terminal_fraud_rate_{days}d"] = min(1, len(reports) / max(1, len(visits)))
    # The loop ends with 30 days.
    out["customer_std_amount_30d"] = float(np.std(amounts)) if amounts else 0
    mean = float(np.mean(amounts)) if amounts else 0
    out["amount_to_customer_mean_30d"] = block.cents[k] / 100 / mean if amounts else 1
    out["terminal_mean_amount_30d"] = (
        float(np.mean([block.cents[j] / 100 for j in visits])) if visits else 0
    )
    month = recent(mine, 30)
    online = world.online
    out["customer_online_share_30d"] = (
        float(np.mean([online[block.terminal[j]] for j in month])) if month else 0
    )
    out["customer_fraud_reports_30d"] = len(
        reported([j for j in frauds if block.customer[j] == block.customer[k]], 30)
    )
    out["is_new_terminal"] = not any(block.terminal[j] == block.terminal[k] for j in month)
    last = month[-1] if month else None
    out["hours_since_customer_last"] = (
        720 if last is None else (now - int(block.time_ms[last])) / HOUR_MS
    )
    same_time = (
        [] if last is None else [j for j in month if block.time_ms[j] == block.time_ms[last]]
    )
    if last is None or len(same_time) > 1:
        return out  # which of two payments in one millisecond was last is not promised
    there, at = int(block.terminal[last]), int(block.terminal[k])
    km = math.dist(world.terminal_xy[there], world.terminal_xy[at])
    out["distance_from_last_km"] = 0 if online[there] or online[at] else km
    return out


@given(BLOCKS)
@settings(max_examples=60, deadline=None)
def test_features_are_what_their_definitions_say_from_earlier_events_alone(
    block: Transactions,
) -> None:
    features = Featurizer(WORLD).features(block)
    for k in range(len(block)):
        for name, value in expected(block, k, WORLD).items():
            got = features[k, FRAUD_SCHEMA.names.index(name)]
            assert math.isclose(got, value, abs_tol=2e-4), (k, name, got, value)


@given(BLOCKS, st.data())
@settings(max_examples=60, deadline=None)
def test_features_do_not_depend_on_how_the_stream_is_cut(
    block: Transactions, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(block)))
    if 0 < cut < len(block) and block.time_ms[cut - 1] == block.time_ms[cut]:
        cut = 0
    featurizer = Featurizer(WORLD)
    parts = [part for part in (block[:cut], block[cut:]) if len(part)]
    np.testing.assert_array_equal(
        np.concatenate([featurizer.features(part) for part in parts]),
        Featurizer(WORLD).features(block),
    )


@given(BLOCKS, st.data())
@settings(max_examples=60, deadline=None)
def test_later_events_change_no_earlier_features(block: Transactions, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(block)))
    np.testing.assert_array_equal(
        Featurizer(WORLD).features(block)[:k], Featurizer(WORLD).features(block[:k])
    )


def test_a_long_block_forgets_nothing_that_its_first_events_still_need() -> None:
    day = 24 * 60
    block = make_block(
        [(0, 1, 2, 500, False, 1), (20 * day, 1, 2, 500, False, 1), (25 * day, 1, 2, 500, False, 1)]
    )
    featurizer = Featurizer(WORLD)
    featurizer.remember(block[:1])
    counts = featurizer.features(block[1:])[:, FRAUD_SCHEMA.names.index("customer_count_30d")]
    assert counts.tolist() == [1, 1]
