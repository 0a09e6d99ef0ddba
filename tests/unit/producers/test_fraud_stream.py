"""The synthetic fraud stream: the same for the same seed, plausible, and drifting when told to."""

from itertools import islice, takewhile

import numpy as np
import pytest

from producers.fraud import (
    FRAUD_SCHEMA,
    Drift,
    DriftKind,
    FraudEvent,
    FraudStream,
    history,
    interleave_labels,
)
from producers.fraud.transactions import days
from producers.fraud.world import make_world
from schemas.errors import ConfigurationError
from schemas.events import Label
from schemas.features import Dtype

DAY_MS = 86_400_000
AT = 1500
"""Event number of the drifts below; in the middle of a day of the small stream."""


def small(seed: int = 7, **options: object) -> FraudStream:
    """About 370 events a day."""
    return FraudStream(seed=seed, n_customers=200, n_terminals=300, **options)  # type: ignore[arg-type]


def column(features: np.ndarray, name: str) -> np.ndarray:
    return features[:, FRAUD_SCHEMA.names.index(name)]


def test_the_schema_has_thirty_features() -> None:
    assert len(FRAUD_SCHEMA) == 30


def test_the_same_seed_gives_the_same_events_and_another_seed_others() -> None:
    events = list(islice(small(), 1000))
    assert events == list(islice(small(), 1000))
    assert events != list(islice(small(seed=8), 1000))


def test_iterating_again_starts_anew() -> None:
    stream = small()
    assert list(islice(stream, 500)) == list(islice(stream, 500))


def test_skipped_events_leave_the_others_as_they_were() -> None:
    stream = small()
    assert list(islice(stream.events(skip=1234), 300)) == list(islice(stream, 1234, 1534))


def test_history_is_the_stream_as_arrays() -> None:
    stream = small()
    features, labels, times = history(stream, 900, skip=250)
    events = list(islice(stream, 250, 1150))
    assert features.dtype == np.float32
    assert labels.dtype == np.int8
    assert times.dtype == np.int64
    np.testing.assert_array_equal(features, np.array([e.row for e in events], dtype=np.float32))
    assert labels.tolist() == [event.label for event in events]
    assert times.tolist() == [event.event_time_ms for event in events]


def test_no_history_is_an_empty_matrix() -> None:
    assert history(small(), 0)[0].shape == (0, 30)


def test_every_value_fits_the_schema() -> None:
    for event in islice(small(), 2000):
        for feature, value in zip(FRAUD_SCHEMA.features, event.row, strict=True):
            expected = {Dtype.BOOLEAN: bool, Dtype.INTEGER: int}.get(feature.dtype, float)
            assert type(value) is expected, feature.name
            assert np.isfinite(value)
            assert feature.lowest <= value <= feature.highest, feature.name


def test_event_ids_are_numbered_and_event_times_never_go_back() -> None:
    events = list(islice(small(), 1500))
    assert [event.event_id for event in events] == [f"tx-7-{n}" for n in range(1500)]
    times = [event.event_time_ms for event in events]
    assert times == sorted(times)


def test_event_time_begins_on_the_day_of_start_ms() -> None:
    first = next(iter(small(start_ms=5 * DAY_MS + 1234)))
    assert 5 * DAY_MS <= first.event_time_ms < 6 * DAY_MS


def test_labels_come_late_frauds_after_hours_to_weeks_and_genuine_ones_after_a_month() -> None:
    events = list(islice(small(), 8000))
    delays = {
        label: [(e.label_time_ms - e.event_time_ms) / DAY_MS for e in events if e.label == label]
        for label in (0, 1)
    }
    assert set(delays[0]) == {30.0}
    assert min(delays[1]) >= 1 / 24
    assert max(delays[1]) <= 60
    assert 1.5 < float(np.median(delays[1])) < 6


def test_frauds_are_rare_and_stand_out() -> None:
    features, labels, _ = history(FraudStream(n_customers=1000, n_terminals=1000), 30_000)
    assert 0.003 < labels.mean() < 0.02
    ratio = column(features, "amount_to_customer_mean_30d")
    assert ratio[labels == 1].mean() > 2 * ratio[labels == 0].mean()
    reported = column(features, "terminal_fraud_rate_7d")
    assert reported[labels == 1].mean() > 3 * reported[labels == 0].mean()


def test_features_are_steady_from_the_first_event_without_drift() -> None:
    features, _, _ = history(FraudStream(n_customers=1000, n_terminals=1000), 60_000)
    for name in ("customer_count_30d", "terminal_count_30d", "customer_age_days", "amount"):
        early, late = column(features, name)[:10_000], column(features, name)[-10_000:]
        assert late.mean() == pytest.approx(early.mean(), rel=0.06), name


def test_frauds_are_as_many_in_each_four_weeks_as_chance_alone_gives() -> None:
    """40 stretches of four weeks, in which a compromise lasts or is over; 1 is chance alone."""
    dispersions = []
    for seed in range(20, 24):
        raw = islice(days(make_world(np.random.default_rng(seed), 5000, 5000), seed, 0, []), 280)
        frauds = np.array([(block.fraud.sum(), len(block)) for block in raw])
        n_frauds, n_rows = frauds.reshape(10, 28, 2).sum(axis=1).T
        expected = n_rows * n_frauds.sum() / n_rows.sum()
        dispersions.append(((n_frauds - expected) ** 2 / expected).sum() / 9)
    # Chi-square on 36 degrees of freedom over 36: above 1.9 in one of 1,000.
    assert np.mean(dispersions) < 1.9


def test_frauds_are_reported_at_one_rate_from_a_month_before_the_first_event() -> None:
    """The features of the first event count 30 days of reports, some of frauds two months older."""
    before, after = 0, 0
    for seed in range(20, 24):
        world = make_world(np.random.default_rng(seed), 2000, 2000)
        raw = takewhile(lambda block: block.time_ms[0] < 60 * DAY_MS, days(world, seed, 0, []))
        reported = np.concatenate([block.label_time_ms[block.fraud] for block in raw]) / DAY_MS
        before += ((reported >= -30) & (reported < 0)).sum()
        after += ((reported >= 0) & (reported < 60)).sum()
    # About 4,300 reports before: give or take 0.02.
    assert before / after == pytest.approx(30 / 60, rel=0.05)


@pytest.mark.parametrize("kind", list(DriftKind))
def test_a_drift_changes_nothing_before_its_event_number(kind: DriftKind) -> None:
    plain = list(islice(small(), 4000))
    drifted = list(islice(small(drifts=[Drift(kind, AT)]), 4000))
    assert drifted[:AT] == plain[:AT]
    assert drifted[AT:] != plain[AT:]


def after_drift(kind: DriftKind, strength: float) -> tuple[np.ndarray, np.ndarray]:
    stream = FraudStream(
        n_customers=1000, n_terminals=1000, drifts=[Drift(kind, 0, strength)] if strength else []
    )
    features, labels, _ = history(stream, 20_000)
    return features, labels


def test_covariate_drift_moves_the_inputs_and_not_the_rate_of_fraud() -> None:
    (plain, labels), (drifted, drifted_labels) = (
        after_drift(DriftKind.COVARIATE, strength) for strength in (0, 1)
    )
    assert column(drifted, "amount").mean() > 1.5 * column(plain, "amount").mean()
    assert drifted_labels.mean() == pytest.approx(labels.mean(), rel=0.4)


def test_prior_drift_makes_frauds_more_frequent() -> None:
    (_, labels), (_, drifted_labels) = (after_drift(DriftKind.PRIOR, s) for s in (0, 3))
    assert drifted_labels.mean() > 2.5 * labels.mean()


def test_concept_drift_changes_frauds_and_leaves_the_inputs_nearly_as_they_were() -> None:
    (plain, labels), (drifted, drifted_labels) = (after_drift(DriftKind.CONCEPT, s) for s in (0, 1))
    fraud, drifted_fraud = plain[labels == 1], drifted[drifted_labels == 1]
    assert column(drifted_fraud, "amount").mean() < 0.5 * column(fraud, "amount").mean()
    assert column(drifted, "log_amount").mean() == pytest.approx(
        column(plain, "log_amount").mean(), rel=0.02
    )


def test_a_broken_feature_is_zero_in_the_given_share_of_events() -> None:
    drift = Drift(DriftKind.BROKEN_FEATURE, 0, 0.4, feature="customer_count_30d")
    features, _, _ = history(small(drifts=[drift]), 5000)
    assert (column(features, "customer_count_30d") == 0).mean() == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Drift("sideways", 0),  # type: ignore[arg-type]
        lambda: Drift(DriftKind.PRIOR, -1),
        lambda: Drift(DriftKind.COVARIATE, 0, 1.5),
        lambda: Drift(DriftKind.CONCEPT, 0, 0),
        lambda: Drift(DriftKind.BROKEN_FEATURE, 0, feature="colour"),
        lambda: FraudStream(n_customers=1),
        lambda: FraudStream(n_terminals=1),
        lambda: FraudStream(n_customers=10**6, n_terminals=10**6),
    ],
)
def test_what_cannot_work_is_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigurationError):
        make()


def test_each_label_follows_its_event_once_event_time_has_reached_it() -> None:
    now_ms, seen, labelled = 0, {}, []
    for item in interleave_labels(islice(small(), 20_000)):
        if isinstance(item, FraudEvent):
            now_ms = item.event_time_ms
            seen[item.event_id] = item
        else:
            assert isinstance(item, Label)
            assert item.label_time_ms == seen[item.event_id].label_time_ms
            assert item.label == seen[item.event_id].label
            labelled.append(item.event_id)
    due = {key for key, event in seen.items() if event.label_time_ms <= now_ms - DAY_MS}
    assert len(labelled) == len(set(labelled))
    assert due <= set(labelled)
    assert due
