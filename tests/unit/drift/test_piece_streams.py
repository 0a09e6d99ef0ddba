"""ADWIN fed by pieces: the stated rate whatever the pieces, each piece once, restarts, power."""

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from drift.alert_signals import Signal
from drift.column_watch import StreamAlarm
from drift.columns import ColumnSpec
from drift.coverage import Coverage
from drift.families import StatedRate
from drift.findings import Level, Subject
from drift.levels import AlertBands
from drift.mean_scale import MIN_ITEM_ROWS, RestlessError, measure_mean
from drift.piece_streams import PieceStreams, stream_signals
from drift.reference import Reference, make_reference
from drift.result import Result
from drift.sketch import Sketch, SketchKey, decode_sketch
from tests.unit.drift.piece_stream_rates import (
    CELLS,
    WINDOW_MS,
    Cell,
    Floats,
    Pieces,
    count_alarms,
    measure_delay,
    reference_of,
    stream,
)

LONG = os.environ.get("DRIFT_LONG") == "1"
RATE = StatedRate(2_000.0, 2)
ROWS = 2_000


def normal_reference(n_columns: int = 3, seed: int = 1) -> Reference:
    rng = np.random.default_rng(seed)
    return reference_of(stream("normal", 10 * ROWS, n_columns, rng), rng)


def pieces_of(reference: Reference, matrix: Floats, seed: int = 2) -> list[Sketch]:
    """`matrix` in windows of ROWS, in pieces of unequal size of three partitions."""
    cutter = Pieces(reference, ROWS, np.random.default_rng(seed))
    windows = np.split(matrix, range(ROWS, len(matrix), ROWS))
    return [piece for window in windows for _, piece in cutter.of_window(window)]


def fed(streams: PieceStreams, pieces: list[Sketch]) -> list[StreamAlarm]:
    return [alarm for piece in pieces for alarm in streams.update(piece)]


def new_streams(reference: Reference) -> PieceStreams:
    return PieceStreams(reference, rate=RATE, window_rows=ROWS)


def shifted(n_windows: int, by: float, first: int, seed: int = 3) -> Floats:
    rows = stream("normal", n_windows * ROWS, 3, np.random.default_rng(seed))
    rows[first * ROWS :, 1] += by
    return rows


# --- what it says


def test_a_shift_is_seen_in_its_column_within_its_window_and_described() -> None:
    reference = normal_reference()

    alarms = fed(new_streams(reference), pieces_of(reference, shifted(40, 0.5, first=30)))

    assert [alarm.column for alarm in alarms] == [1]
    (alarm,) = alarms
    assert alarm.window_start_ms == 30 * WINDOW_MS
    # The item that the change falls in may have begun in the window before.
    assert alarm.change_point_ms in (29 * WINDOW_MS, 30 * WINDOW_MS)
    assert alarm.result.detector == "adwin"
    assert alarm.result.exceeded
    assert alarm.result.effect == pytest.approx(0.5, abs=0.2)
    assert alarm.scale == pytest.approx(1.0, abs=0.05)
    assert 30 * ROWS * 0.9 < alarm.result.n_reference < 30 * ROWS * 1.1
    assert alarm.result.n_window < ROWS


def test_a_small_shift_is_placed_in_the_window_it_began_in() -> None:
    reference = normal_reference()

    (alarm,) = fed(new_streams(reference), pieces_of(reference, shifted(60, 0.07, first=30)))

    assert abs(alarm.change_point_ms / WINDOW_MS - 30) <= 1
    assert alarm.window_start_ms > alarm.change_point_ms


def test_units_do_not_matter_and_the_effect_is_in_the_columns_own() -> None:
    rows = stream("normal", 10 * ROWS, 3, np.random.default_rng(4))
    euros = reference_of(rows, np.random.default_rng(5))
    cents = reference_of(100 * rows + 700, np.random.default_rng(5))
    later = shifted(20, 1.0, first=10)

    of_euros = fed(new_streams(euros), pieces_of(euros, later))
    of_cents = fed(new_streams(cents), pieces_of(cents, 100 * later + 700))

    assert [each.column for each in of_cents] == [each.column for each in of_euros] == [1]
    assert of_cents[0].result.effect == pytest.approx(100 * of_euros[0].result.effect, rel=1e-3)


def test_values_that_come_rarely_are_watched_by_the_rows_that_have_them() -> None:
    rng = np.random.default_rng(5)
    reference = reference_of(stream("missing", 10 * ROWS, 3, rng), rng)
    rows = stream("missing", 40 * ROWS, 3, rng)
    rows[20 * ROWS :, 2] += 1.0

    alarms = fed(new_streams(reference), pieces_of(reference, rows))

    assert [alarm.column for alarm in alarms] == [2]
    assert alarms[0].result.n_reference == pytest.approx(0.3 * 20 * ROWS, rel=0.1)


@pytest.mark.parametrize("kind", ["amounts", "heavy amounts"])
def test_one_absurd_row_is_one_alarm_at_most(kind: str) -> None:
    rng = np.random.default_rng(6)
    reference = reference_of(stream(kind, 10 * ROWS, 2, rng), rng)
    rows = stream(kind, 20 * ROWS, 2, rng)
    rows[10 * ROWS, 0] = 1e30

    assert len(fed(new_streams(reference), pieces_of(reference, rows))) <= 1


# --- there and back


def steps(*levels: float, seed: int = 23) -> Floats:
    """Twelve windows at each level in column 1."""
    rows = stream("normal", 12 * len(levels) * ROWS, 3, np.random.default_rng(seed))
    rows[:, 1] += np.repeat(levels, 12 * ROWS)
    return rows


@pytest.mark.parametrize("level", [0.1, 0.5, 3.0])
def test_what_comes_back_to_the_reference_is_told_once_when_it_leaves(level: float) -> None:
    reference = normal_reference()

    alarms = fed(new_streams(reference), pieces_of(reference, steps(0, level, 0, -level, 0)))

    assert [alarm.column for alarm in alarms] == [1, 1]
    assert [round(alarm.change_point_ms / WINDOW_MS / 12) for alarm in alarms] == [1, 3]
    assert alarms[0].result.effect > 0 > alarms[1].result.effect


def test_what_goes_further_off_or_past_the_reference_to_its_other_side_is_told() -> None:
    reference = normal_reference()

    further = fed(new_streams(reference), pieces_of(reference, steps(0, 0.3, 0.6)))
    past = fed(new_streams(reference), pieces_of(reference, steps(0, 0.3, -0.4)))

    assert [alarm.result.effect > 0 for alarm in further] == [True, True]
    assert [alarm.result.effect > 0 for alarm in past] == [True, False]
    assert past[1].result.effect == pytest.approx(-0.7, abs=0.2)


# --- the stated rate


@pytest.mark.parametrize("kind", ["normal", "ar0.9", "customers", "heavy amounts"])
def test_the_stated_rate_is_kept_within_twice_whatever_the_pieces(kind: str) -> None:
    """300 windows of ten columns; docs/drift/piece-streams.md has thousands of thirty."""
    cell = Cell(kind, n_columns=10, arl0=10.0, n_references=3, n_windows=100)

    count = count_alarms(cell, seed=8)

    assert count.watched >= 0.9
    assert count.n_alarms <= stats.poisson.ppf(0.999, 2 * count.stated)


def test_independent_rows_raise_no_fewer_alarms_than_half_the_stated() -> None:
    """Else the rate is paid for with delay."""
    count = count_alarms(
        Cell("normal", n_columns=10, arl0=5.0, n_references=2, n_windows=150), seed=9
    )

    assert count.n_alarms >= stats.poisson.ppf(0.001, count.stated / 2)


def test_a_column_that_moved_once_is_quiet_whatever_the_traffic_does() -> None:
    """The sums of larger pieces are further off; items are not (traffic changes eightfold here)."""
    reference = normal_reference(n_columns=1)
    rows = stream("normal", 200 * ROWS, 1, np.random.default_rng(10)) + 0.5

    assert len(fed(new_streams(reference), pieces_of(reference, rows))) <= stats.poisson.ppf(
        0.999, 2 * 200 / RATE.sequential_arl0
    )


@pytest.mark.skipif(not LONG, reason="long form: DRIFT_LONG=1")
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_promise_holds_in_every_cell(cell: Cell) -> None:
    count = count_alarms(replace(cell, n_references=5), seed=12)

    assert count.n_alarms <= stats.poisson.ppf(0.999, 2 * count.stated)
    assert count.n_alarms >= stats.poisson.ppf(0.001, count.stated / 2)


def test_a_shift_of_half_a_deviation_is_seen_before_its_window_ends() -> None:
    delay = measure_delay(0.5, 3, seed=13)

    assert np.nanmax(delay.stream) < 3_000
    assert not np.isnan(delay.window).any()


# --- which columns


def test_what_cannot_keep_a_rate_is_left_alone_and_named_with_the_reason() -> None:
    rng = np.random.default_rng(14)
    n = 10 * ROWS
    columns = {
        "steady": rng.normal(size=n),
        "constant": np.full(n, 3.0),
        "absent": np.full(n, np.nan),
        "trend": rng.normal(size=n) + np.linspace(0, 2, n),
        "walk": np.cumsum(rng.normal(size=n)),
        "step": rng.normal(size=n) + 0.4 * (np.arange(n) > n / 2),
        "kind": rng.integers(3, size=n).astype(float),
        "hour": np.arange(n) % 24,
    }
    specs = [ColumnSpec(name, ("a", "b", "c") if name == "kind" else ()) for name in columns]
    matrix = np.column_stack(list(columns.values())).astype(np.float32)
    reference = make_reference(matrix, specs, rng=rng, calendar=["hour"])

    streams = PieceStreams(reference, rate=RATE, window_rows=ROWS)

    assert set(streams.restless) == set(columns) - {"steady"}
    assert streams.restless["constant"] == "constant in the reference"
    assert streams.restless["absent"] == "always missing in the reference"
    assert "moves by itself" in streams.restless["walk"]


def test_a_reference_of_under_fifty_blocks_watches_nothing_and_takes_pieces() -> None:
    rng = np.random.default_rng(15)
    reference = reference_of(rng.normal(size=(400, 3)), rng)
    streams = new_streams(reference)

    assert set(streams.restless) == {"x0", "x1", "x2"}
    assert fed(streams, pieces_of(reference, shifted(4, 5.0, first=2))) == []


def test_rows_that_depend_get_items_that_are_worth_as_many_independent_rows() -> None:
    rng = np.random.default_rng(16)
    independent = reference_of(stream("normal", 10 * ROWS, 1, rng), rng)
    dependent = reference_of(stream("ar0.9", 10 * ROWS, 1, rng), rng)

    assert MIN_ITEM_ROWS <= measure_mean(independent, 0, ROWS).item_rows < 1.4 * MIN_ITEM_ROWS
    assert measure_mean(independent, 0, 64_000).item_rows == 1_000
    assert measure_mean(dependent, 0, ROWS).item_rows >= 15 * MIN_ITEM_ROWS
    with pytest.raises(RestlessError, match="more than a window"):
        measure_mean(dependent, 0, 200)


def test_a_dependence_too_small_for_the_reference_to_show_is_allowed_for() -> None:
    """Rows come in pairs that agree: sums vary by a tenth more than those of independent rows,
    which doubles the alarms. Most references have as much room; of a normal law, 84%."""
    rng = np.random.default_rng(22)
    n, n_columns = 10 * ROWS, 40
    pairs = np.repeat(rng.normal(size=(n // 2, n_columns)), 2, axis=0)
    rows = np.sqrt(0.9) * rng.normal(size=(n, n_columns)) + np.sqrt(0.1) * pairs
    reference = reference_of(rows, rng)

    allowed = [measure_mean(reference, i, ROWS).row_std ** 2 for i in range(n_columns)]

    assert np.mean(np.array(allowed) >= 1.1) >= 0.6


def test_a_heavy_tail_is_watched_by_bins_and_rare_values_that_are_not_far_by_their_mean() -> None:
    rng = np.random.default_rng(17)
    n = 10 * ROWS
    score = np.where(rng.random(n) < 0.01, 0.5, 0.02) + 0.01 * rng.random(n)
    columns = np.column_stack([stream("heavy amounts", n, 1, rng)[:, 0], score])
    reference = reference_of(columns, rng)
    window_rows = 10_000
    amounts, scores = (measure_mean(reference, i, window_rows) for i in (0, 1))

    assert amounts.scores is not None
    assert amounts.scores[-1] == 0.0
    assert abs(amounts.skewness) < 1.5
    assert scores.scores is None
    assert scores.spread == pytest.approx(columns[:, 1].std(), rel=1e-3)


def test_twice_as_many_rare_high_scores_are_seen_though_they_share_a_bin_with_low_ones() -> None:
    rng = np.random.default_rng(18)

    def score(n: int, rate: float) -> Floats:
        return np.asarray(np.where(rng.random(n) < rate, 0.5, 0.02) + 0.01 * rng.random(n))

    reference = reference_of(score(100_000, 0.01)[:, None], rng)
    rows = np.concatenate([score(100_000, 0.01), score(100_000, 0.02)])[:, None]
    cutter, alarms = Pieces(reference, 10_000, rng), []
    streams = PieceStreams(reference, rate=RATE, window_rows=10_000)
    for window in np.split(rows, 20):
        for _, piece in cutter.of_window(window):
            alarms += streams.update(piece)

    assert len(alarms) == 1
    assert abs(alarms[0].change_point_ms / WINDOW_MS - 10) <= 1
    assert alarms[0].result.effect == pytest.approx(0.0048, rel=0.5)


def test_heavy_amounts_that_grow_by_a_third_are_seen() -> None:
    rng = np.random.default_rng(19)
    reference = reference_of(stream("heavy amounts", 10 * ROWS, 2, rng), rng)
    rows = stream("heavy amounts", 20 * ROWS, 2, rng)
    rows[10 * ROWS :, 1] *= 4 / 3

    alarms = fed(new_streams(reference), pieces_of(reference, rows))

    assert {alarm.column for alarm in alarms} == {1}
    assert alarms[0].result.effect > 0


# --- each piece once


def test_a_replay_changes_nothing_even_cut_otherwise() -> None:
    reference = normal_reference()
    pieces = pieces_of(reference, shifted(12, 0.8, first=6))
    once, twice = new_streams(reference), new_streams(reference)
    recut = [covering(pieces[5], -7), covering(pieces[3], 0, 4)]

    alarms = fed(once, pieces)

    assert fed(twice, [*pieces[:20], *pieces[4:20], *recut, *pieces[20:]]) == alarms
    assert twice.n_repeated == 16 + 2
    assert len(alarms) >= 1


def covering(piece: Sketch, first: int, more: int = 0) -> Sketch:
    """The piece as though it had begun `first` and ended `more` offsets later."""
    only = piece.coverage.only_range
    assert only is not None
    source, (begin, end) = only
    return replace(piece, coverage=Coverage.of({source: [(max(0, begin + first), end + more)]}))


def test_a_piece_over_other_columns_is_refused() -> None:
    reference, other = normal_reference(3), normal_reference(3, seed=99)
    (piece,) = pieces_of(other, stream("normal", 20, 3, np.random.default_rng(0)))[:1]

    with pytest.raises(ValueError, match="other columns"):
        new_streams(reference).update(piece)


def test_pieces_as_workers_publish_them_say_the_same_as_their_moments() -> None:
    """Made by `Sketch.update` and read from their bytes."""
    reference = normal_reference()
    columns, rows = reference.columns, shifted(12, 1.0, first=6).astype(np.float32)
    alarms, streams = [], new_streams(reference)
    for begin in range(0, len(rows), 500):
        start = begin // ROWS * WINDOW_MS
        key = SketchKey("p", "1", start, start + WINDOW_MS, "", columns.fingerprint)
        covers = Coverage.of({("topic", 0): [(begin, begin + 500)]})
        piece = Sketch.empty(columns, key).update(columns, rows[begin : begin + 500], covers)
        alarms += streams.update(decode_sketch(piece.encode(), columns))

    assert [(each.column, each.change_point_ms // WINDOW_MS) for each in alarms] == [(1, 6)]


# --- restarts


@given(stops=st.lists(st.integers(0, 60), max_size=4))
@settings(max_examples=15, deadline=None)
def test_alarms_do_not_depend_on_restarts(stops: list[int]) -> None:
    whole, pieces, reference = restart_case()
    streams, alarms = new_streams(reference), []
    for number, piece in enumerate(pieces):
        if number in stops:
            data = streams.encode()
            streams = PieceStreams.decode(data, reference, rate=RATE, window_rows=ROWS)
            assert streams.encode() == data
        alarms += streams.update(piece)

    assert alarms == whole
    assert len(whole) >= 2


_case: list[tuple[list[StreamAlarm], list[Sketch], Reference]] = []


def restart_case() -> tuple[list[StreamAlarm], list[Sketch], Reference]:
    if not _case:
        reference = normal_reference()
        rows = shifted(8, 1.0, first=2)
        rows[5 * ROWS :, 2] -= 1.0
        rows[4 * ROWS :, 1] -= 1.2  # a doubt for a window
        pieces = pieces_of(reference, rows)
        _case.append((fed(new_streams(reference), pieces), pieces, reference))
    return _case[0]


def test_a_state_of_other_options_or_of_no_streams_is_refused() -> None:
    reference = normal_reference()
    data = new_streams(reference).encode()

    for bad in (b"", b"\x00\x01", data[:-5]):
        with pytest.raises(ValueError, match="not streams"):
            PieceStreams.decode(bad, reference, rate=RATE, window_rows=ROWS)
    with pytest.raises(ValueError, match="built with"):
        PieceStreams.decode(data, reference, rate=RATE, window_rows=2 * ROWS)
    with pytest.raises(ValueError, match="built with"):
        PieceStreams.decode(data, reference, rate=StatedRate(100.0), window_rows=ROWS)
    with pytest.raises(ValueError, match="built with"):
        PieceStreams.decode(data, normal_reference(seed=98), rate=RATE, window_rows=ROWS)


# --- signals


def alarm_of(column: int, effect: float, statistic: float = 1.5, scale: float = 1.0) -> StreamAlarm:
    result = Result("adwin", statistic, 1.0, 1.0, effect, 1_000, 100)
    return StreamAlarm(column, result, scale, window_start_ms=60_000, change_point_ms=0)


def test_each_column_gives_one_signal_its_strongest() -> None:
    alarms = [alarm_of(2, 0.9), alarm_of(0, 9.0, 1.2), alarm_of(0, 2.0, 3.0), alarm_of(2, 0.1, 5.0)]
    subjects = [Subject.FEATURE, Subject.FEATURE, Subject.SCORE]

    signals = stream_signals(alarms, ["a", "b", "score"], subjects, AlertBands(sigma=0.45))

    assert [(each.name, each.level, each.result.effect) for each in signals] == [
        ("a", Level.NOTICE, 2.0),
        ("score", Level.ALERT, 0.9),
    ]
    assert all(isinstance(each, Signal) and each.change_point_ms == 0 for each in signals)


def test_the_columns_own_deviation_is_the_scale_unless_another_is_given() -> None:
    alarms, subjects = [alarm_of(0, 0.1, scale=0.1)], [Subject.SCORE]

    (own,) = stream_signals(alarms, ["score"], subjects, AlertBands())
    (given_one,) = stream_signals(alarms, ["score"], subjects, AlertBands(), scales={"score": 1.0})

    assert (own.level, given_one.level) == (Level.ALERT, Level.NOTICE)
