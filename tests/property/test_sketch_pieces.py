"""Any number of workers, cuts, crashes and scorers that repeat themselves give the same windows, of
all rows and of segments."""

import random
from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from drift.binning import bin_columns
from drift.columns import ColumnSpec
from drift.merging import merge_once
from drift.segments import Segment
from drift.sketch import Sketch, decode_sketch
from schemas.frames import Frame
from stream_processors.sketch_drift.gatherer import Gatherer, Shape, Watched
from tests.fixtures.frames import START_MS, make_frame

N_FEATURES = 3
N_OFFSETS = 120
N_PARTITIONS = 5
WINDOW_MS = 60_000
COLUMNS = bin_columns(
    np.random.default_rng(3).normal(50, 30, (500, N_FEATURES + 1)).astype(np.float32),
    [ColumnSpec(f"f{i}") for i in range(N_FEATURES + 1)],
)
SHAPE = Shape("fraud", WINDOW_MS, max_ahead_ms=10**9, entity_limit=4, sample_rows=5)

SEGMENTS = (Segment("f0=common", 0, 0.0), Segment("f0=rare", 0, 1.0), Segment("f0=absent", 0, 9.0))
WATCHED = Watched(COLUMNS, True, SEGMENTS)

Key = tuple[str, int, str]


def new_gatherer() -> Gatherer:
    return Gatherer(SHAPE, lambda version: WATCHED if version != "m3" else None)


def source_frame(partition: int, chance: random.Random, sparse: bool) -> Frame:
    """All offsets of a source partition; `sparse` windows come and go."""
    frame = make_frame(
        range(N_OFFSETS), partition=partition, noise=np.random.default_rng(partition)
    )
    n_windows = 6 if sparse else 2
    windows = [
        chance.choices(range(n_windows), [40, *[2] * (n_windows - 1)])[0] for _ in range(N_OFFSETS)
    ]
    times = START_MS + np.array(windows) * WINDOW_MS
    index = frame.rows.schema.get_field_index("event_time")
    field = frame.rows.schema.field(index)
    rows = frame.rows.set_column(index, field, pa.array(times, pa.int64()).view(field.type))
    versions = pa.array([chance.choice([0, 0, 0, 1, 2]) for _ in range(N_OFFSETS)], pa.int8())
    index = rows.schema.get_field_index("model_version")
    named = pa.DictionaryArray.from_arrays(versions, pa.array(["m1", "m2", "m3"]))
    rows = rows.set_column(index, rows.schema.field(index), named)
    features = rows.column("features").flatten().to_numpy().reshape(-1, N_FEATURES).copy()
    features[:, 0] = chance.choices([0.0, 1.0, 2.0, np.nan], [80, 5, 10, 5], k=N_OFFSETS)
    index = rows.schema.get_field_index("features")
    changed = pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), N_FEATURES)
    return Frame(frame.header, rows.set_column(index, rows.schema.field(index), changed))


def scored(whole: Frame, chance: random.Random) -> list[Frame]:
    """What scorers make of it: frames in order; now and then one dies and its successor repeats
    offsets since a commit, cut otherwise.
    """
    frames, at = [], 0
    commits = [0]
    while at < N_OFFSETS:
        end = min(N_OFFSETS, at + chance.randint(1, 25))
        frames.append(part(whole, at, end))
        commits.append(end)
        at = end if chance.random() < 0.8 or at == 0 else chance.choice(commits[-4:])
    return frames


def part(frame: Frame, begin: int, end: int) -> Frame:
    header = msgspec.structs.replace(frame.header, covers_from=begin, covers_to=end)
    return Frame(header, frame.rows.slice(begin, end - begin))


def work(frames: Sequence[Frame], chance: random.Random, crashes: int, torn: bool) -> list[Sketch]:
    """Everything workers publish of one partition: each dies at some flush, and its successor
    begins where that left off. `torn`: what it published of its last flushes was not acknowledged.
    """
    published: list[Sketch] = []
    acknowledged = [0]
    for left in range(crashes, -1, -1):
        at = chance.choice(acknowledged) if torn and chance.random() < 0.5 else acknowledged[-1]
        acknowledged = [each for each in acknowledged if each <= at]
        gatherer = new_gatherer()
        if at:
            header = frames[0].header
            source = (header.source_topic_id, header.source_partition)
            gatherer.resume(source, max(frame.header.covers_to for frame in frames[:at]))
        dies_at = chance.randint(at, len(frames)) if left else len(frames) + 1
        while at < len(frames):
            end = min(len(frames), at + chance.randint(1, 6))
            pieces = list(gatherer.cut(frames[at:end]))
            if end >= dies_at:
                chance.shuffle(pieces)
                published += pieces[: chance.randint(0, len(pieces)) if torn else 0]
                break
            published += pieces
            at = end
            acknowledged.append(at)
    return published


def merged(pieces: Sequence[Sketch]) -> dict[Key, Sketch]:
    by_key: dict[Key, list[Sketch]] = defaultdict(list)
    for piece in pieces:
        key = piece.key
        by_key[key.model_version, key.window_start_ms, key.segment].append(piece)
    return {key: merge_once(own).sketch for key, own in by_key.items()}


def assert_same(found: dict[Key, Sketch], whole: dict[Key, Sketch]) -> None:
    assert set(found) == set(whole)
    for key, one in found.items():
        a, b = one.summary, whole[key].summary
        assert a.n == b.n
        for name in ("counts", "n_finite", "n_out_of_range", "minimum", "maximum"):
            assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name
        deviation = np.sqrt(b.m2 / np.maximum(b.n_finite, 1))
        assert (np.abs(a.shift - b.shift) <= 1e-9 * np.maximum(deviation, 1e-30)).all()
        np.testing.assert_allclose(a.m2, b.m2, rtol=1e-9, atol=1e-9)
        assert one.entities is not None
        assert whole[key].entities is not None
        assert one.entities.hashes.tolist() == whole[key].entities.hashes.tolist()
        assert one.entities.counts.tolist() == whole[key].entities.counts.tolist()
        assert one.sample is not None
        assert whole[key].sample is not None
        assert one.sample.rows.tobytes() == whole[key].sample.rows.tobytes()


def check(n_workers: int, seed: int, sparse: bool, torn: bool) -> None:
    chance = random.Random(seed)
    published: list[Sketch] = []
    wholes = [source_frame(partition, chance, sparse) for partition in range(n_workers)]
    for whole in wholes:
        published += work(scored(whole, chance), chance, chance.randint(0, 3), torn)
    published += chance.choices(published, k=3)
    chance.shuffle(published)
    received = [decode_sketch(piece.encode(), COLUMNS) for piece in published]
    assert_same(merged(received), merged(list(new_gatherer().cut(wholes))))


@pytest.mark.parametrize("n_workers", [1, 2, 5])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), sparse=st.booleans())
def test_workers_cuts_and_scorers_that_repeat_frames_make_no_difference(
    n_workers: int, seed: int, sparse: bool
) -> None:
    check(n_workers, seed, sparse, torn=False)


@pytest.mark.parametrize("n_workers", [1, 2, 5])
@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@example(seed=10, sparse=True)
@given(seed=st.integers(0, 2**32), sparse=st.booleans())
def test_crashes_between_publishing_and_acknowledging_make_no_difference(
    n_workers: int, seed: int, sparse: bool
) -> None:
    check(n_workers, seed, sparse, torn=True)
