"""Whatever way frames reach the log, each source offset shows once, and always the same way."""

import itertools
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schemas.frames import Frame
from schemas.settings import ClickHouseSettings
from storage import queries
from storage.client import Client, connect
from storage.migrate import migrate
from storage.prediction_log import PredictionLog
from storage.reconcile import Interval, SourcePartition, read_coverage
from tests.fixtures.frames import START_MS, make_frame

N_OFFSETS = 24
FIVE_HOURS_MS = 5 * 3600 * 1000  # the rows of a run span five partitions of the table
SHOWN = (
    "SELECT source_offset, model_version, score, features, scored_at, append_time "
    "FROM predictions WHERE pipeline = {pipeline:String} ORDER BY source_offset"
)
REJECTED = (
    "SELECT source_offset, reason, rejected_at "
    "FROM dead_letters WHERE pipeline = {pipeline:String} ORDER BY source_offset"
)
_numbers = itertools.count()

PASSES = st.lists(
    st.tuples(
        st.integers(0, N_OFFSETS - 1),  # where a scorer resumed
        st.sampled_from(["m1", "m2", "m33"]),  # the model it then had
        st.integers(0, 3),  # milliseconds: several passes may share one
        st.integers(1, 7),  # every so manieth event it rejects
    ),
    max_size=3,
)


@pytest.fixture(scope="module")
def client(clickhouse: ClickHouseSettings) -> Iterator[Client]:
    name = f"exact_{random.randrange(10**9)}"
    with connect(clickhouse) as admin:
        admin.command(f"CREATE DATABASE {name}")
        with connect(clickhouse.model_copy(update={"database": name})) as client:
            migrate(client, clickhouse)
            yield client
        admin.command(f"DROP DATABASE {name} SYNC")


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes here
)
@given(PASSES, st.randoms(use_true_random=False))
def test_torn_recut_repeated_and_late_inserts_show_each_offset_once_and_the_first_decision(
    client: Client, passes: list[tuple[int, str, int, int]], rng: random.Random
) -> None:
    runs = [scored(0, "m1", 1, 5), *(scored(*each) for each in passes)]
    views = []
    for pipeline in (f"fraud-{next(_numbers)}", f"fraud-{next(_numbers)}"):
        for block in delivery(runs, rng):
            PredictionLog(client).insert([renamed(frame, pipeline) for frame in block])
        shown = client.query(SHOWN, {"pipeline": pipeline})
        rejected = client.query(REJECTED, {"pipeline": pipeline})
        views.append((shown, rejected))

        offsets = [row[0] for row in (*shown, *rejected)]
        assert sorted(offsets) == list(range(N_OFFSETS)), "each offset once, in one of the views"
        counts = queries.counts(client, pipeline)
        assert counts.n_rows == counts.n_identities == counts.n_rollup == len(shown)
        assert counts.n_dead_letters == len(rejected)
        first = earliest(runs)
        assert {row[0]: row[-2] for row in shown}.items() <= first.items()
        assert {row[0]: row[-1] for row in rejected}.items() <= first.items()
        assert list(read_coverage(client, pipeline).values()) == [[Interval(0, N_OFFSETS)]]
    assert views[0] == views[1], "another way of delivery shows the same"


def scored(start: int, model: str, at_ms: int, reject_every: int) -> Frame:
    """What a scorer that resumes at `start` makes of the rest of the source."""
    offsets = range(start, N_OFFSETS)
    return make_frame(
        [offset for offset in offsets if (offset + at_ms) % reject_every or reject_every == 1],
        rejected=[o for o in offsets if (o + at_ms) % reject_every == 0 and reject_every > 1],
        covers=(start, N_OFFSETS),
        model_version=model,
        scored_at_ms=START_MS + 60_000 + at_ms,
        append_step_ms=FIVE_HOURS_MS,
    )


def delivery(runs: Sequence[Frame], rng: random.Random) -> list[list[Frame]]:
    """Every run at least once, and parts of it again: cut anew, in any order and in any blocks."""
    pieces: list[Frame] = []
    for run in runs:
        for _ in range(rng.randint(1, 2)):
            pieces += cut_anew(run, rng)
        pieces += rng.choices(cut_anew(run, rng), k=rng.randint(0, 3))
    rng.shuffle(pieces)
    blocks = []
    while pieces:
        size = rng.randint(2, 8)
        blocks.append(pieces[:size])
        pieces = pieces[size:]
    return blocks


def cut_anew(frame: Frame, rng: random.Random) -> list[Frame]:
    first, last = frame.header.covers_from, frame.header.covers_to
    inner = sorted(rng.sample(range(first, last), k=min(rng.randint(0, 2), last - first)))
    bounds = [first, *inner, last]
    return [part(frame, start, stop) for start, stop in itertools.pairwise(bounds) if start < stop]


def part(frame: Frame, start: int, stop: int) -> Frame:
    """The frame for `[start, stop)` alone."""
    offsets = frame.rows.column("source_offset").to_pylist()
    positions = [position for position, offset in enumerate(offsets) if start <= offset < stop]
    rejections = tuple(each for each in frame.header.rejections if start <= each.offset < stop)
    header = msgspec.structs.replace(
        frame.header, covers_from=start, covers_to=stop, rejections=rejections
    )
    return Frame(header, frame.rows.take(pa.array(positions, pa.int64())))


def renamed(frame: Frame, pipeline: str) -> Frame:
    return Frame(msgspec.structs.replace(frame.header, pipeline=pipeline), frame.rows)


def earliest(runs: Sequence[Frame]) -> dict[int, datetime]:
    """When each offset was scored or rejected first."""
    found: dict[int, int] = {}
    for run in runs:
        for offset in range(run.header.covers_from, run.header.covers_to):
            found[offset] = min(found.get(offset, run.header.scored_at_ms), run.header.scored_at_ms)
    return {offset: moment(at_ms) for offset, at_ms in found.items()}


def moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC) + timedelta(milliseconds=at_ms % 1000)


def test_merging_the_parts_changes_nothing(client: Client) -> None:
    pipeline = f"fraud-{next(_numbers)}"
    runs = [scored(0, "m2", 3, 4), scored(0, "m1", 1, 5), scored(10, "m1", 2, 3)]
    for run in runs:
        PredictionLog(client).insert([renamed(run, pipeline)])
    before = client.query(SHOWN, {"pipeline": pipeline})
    client.command("OPTIMIZE TABLE prediction_log FINAL")
    assert client.query(SHOWN, {"pipeline": pipeline}) == before
    stored = client.query(
        "SELECT count() FROM prediction_log WHERE pipeline = {p:String}", {"p": pipeline}
    )
    assert stored == [(N_OFFSETS,)]


def test_a_recreated_topic_with_the_same_offsets_is_other_rows(client: Client) -> None:
    pipeline = f"fraud-{next(_numbers)}"
    log = PredictionLog(client)
    log.insert([make_frame(range(5), pipeline=pipeline, topic_id="first")])
    log.insert([make_frame(range(5), pipeline=pipeline, topic_id="second")])
    counts = queries.counts(client, pipeline)
    assert (counts.n_rows, counts.n_identities, counts.n_rollup) == (10, 10, 10)
    assert set(read_coverage(client, pipeline)) == {
        SourcePartition(f"{pipeline}.features", "first", 0),
        SourcePartition(f"{pipeline}.features", "second", 0),
    }


def test_filters_on_the_views_see_only_the_row_that_shows(client: Client) -> None:
    pipeline = f"fraud-{next(_numbers)}"
    log = PredictionLog(client)
    log.insert([make_frame([1], pipeline=pipeline, model_version="first", scored_at_ms=START_MS)])
    later = START_MS + 86_400_000
    log.insert([make_frame([1], pipeline=pipeline, model_version="later", scored_at_ms=later)])
    log.insert([make_frame([], rejected=[1], pipeline=pipeline, scored_at_ms=later)])
    where = "FROM predictions WHERE pipeline = {p:String} AND"
    for condition, n_rows in (
        ("model_version = 'later'", 0),
        ("model_version = 'first'", 1),
        ("scored_at > append_time + INTERVAL 1 HOUR", 0),
        ("scored_at >= toDateTime64('2025-11-22 00:00:00', 3, 'UTC')", 0),
    ):
        sql = f"SELECT count() {where} {condition}"
        assert client.query(sql, {"p": pipeline}) == [(n_rows,)], condition
    assert queries.counts(client, pipeline).n_dead_letters == 0
