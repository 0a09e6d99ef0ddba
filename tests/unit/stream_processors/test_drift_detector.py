"""Whatever the detector dies of, and wherever: a successor tells the same alerts, once."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from faust.types import TP

from drift.columns import ColumnSpec
from drift.coverage import Coverage, Source
from drift.live import WatchOptions
from drift.reference import Reference, make_reference
from drift.sketch import Sketch, SketchKey
from drift.windows import WindowSettings
from schemas.drift_events import DriftAlert, decode_alert
from schemas.errors import DeliveryError, TransientError
from stream_processors.detect_drift import detector as under_test
from stream_processors.detect_drift.detector import DriftDetector, Place
from stream_processors.detect_drift.memory import Memory
from stream_processors.detect_drift.recorder import Recorder
from stream_processors.detect_drift.records import WindowRecord
from stream_processors.detect_drift.watchers import Watchers
from stream_processors.outbox import Messages

MINUTE = 60_000
ROWS = 200
SKETCHES = TP("drift-sketches", 0)
SOURCE: Source = ("topic", 0)
N_WINDOWS = 7
WINDOWS = WindowSettings(width_ms=MINUTE, allowed_lateness_ms=0, idle_timeout_ms=10**6)
VERSION = "v1"


@pytest.fixture(scope="module")
def reference() -> Reference:
    rows = np.random.default_rng(1).normal(size=(5000, 3)).astype(np.float32)
    specs = [ColumnSpec("a"), ColumnSpec("b"), ColumnSpec("score")]
    return make_reference(rows, specs, rng=np.random.default_rng(2))


@dataclass
class Cluster:
    """What outlives a detector: topics, and the log. `dies_at` counts publications and inserts."""

    reference: Reference
    pieces: list[Any] = field(default_factory=list)
    memory: bytes | None = None
    alerts: list[DriftAlert] = field(default_factory=list)
    logged: list[WindowRecord] = field(default_factory=list)
    dies_at: int | None = None
    after_effect: bool = False
    n_steps: int = 0

    def fill(self) -> None:
        """Two pieces a window; column `a` moves in windows 3 and 4."""
        columns, random = self.reference.columns, np.random.default_rng(7)
        for number in range(2 * N_WINDOWS):
            window = number // 2
            rows = random.normal(size=(ROWS, 3)).astype(np.float32)
            rows[:, 0] += 2.0 if window in (3, 4) else 0.0
            start = window * MINUTE
            key = SketchKey("p", VERSION, start, start + MINUTE, "", columns.fingerprint)
            covers = Coverage.of({SOURCE: [(number * ROWS, (number + 1) * ROWS)]})
            latest = start + (number % 2) * 30_000
            piece = Sketch.empty(columns, key).update(columns, rows, covers, latest_ms=latest)
            self._append(b"p", piece.encode())
            self._append(b"other", b"of another pipeline")
        self._append(b"p", b"garbage")

    def _append(self, key: bytes, value: bytes) -> None:
        now, offset = time.time_ns() // 1_000_000, len(self.pieces)
        self.pieces.append(
            SimpleNamespace(
                key=lambda: key,
                value=lambda: value,
                offset=lambda: offset,
                timestamp=lambda: (2, now),
            )
        )

    def step(self, effect: Any) -> None:
        """Something that others see: it happens, unless this is where the detector dies."""
        self.n_steps += 1
        dies = self.n_steps == self.dies_at
        if not dies or self.after_effect:
            effect()
        if dies:
            raise DeliveryError("killed")

    # -- the parts of the detector's world

    def publish(self, _: int, outputs: list[Messages]) -> "asyncio.Future[None]":
        (messages,) = outputs
        self.step(lambda: self._take(messages))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def _take(self, messages: Messages) -> None:
        for value in messages.values:
            if messages.topic == "drift-alerts":
                self.alerts.append(decode_alert(value))
            else:
                self.memory = value

    def insert(self, record: WindowRecord) -> None:
        self.step(lambda: self.logged.append(record))

    def sources(self) -> list[Source]:
        return [SOURCE]

    def behind(self, _: int) -> set[Source]:
        return set()

    def remembered(self) -> Memory | None:
        return None if self.memory is None else Memory.decode(self.memory)

    def pieces_from(self, begin: int) -> Iterable[Any]:
        return self.pieces[begin:]

    def generation(self) -> int:
        return 1

    def draining(self) -> bool:
        return False

    def owns(self, tp: TP) -> bool:
        return bool(tp == SKETCHES)


class Stream:
    """Everything there is, then silence until the test has seen enough."""

    def __init__(self, cluster: Cluster, done: Any) -> None:
        self._cluster, self._done = cluster, done

    def noack(self) -> "Stream":
        return self

    async def events(self) -> AsyncIterator[Any]:
        messages = self._cluster.pieces
        for begin in range(0, len(messages), 3):
            found = messages[begin : begin + 3]
            batch = SimpleNamespace(tp=SKETCHES, messages=found, covers_to=begin + len(found))
            message = SimpleNamespace(generation_id=1)
            yield SimpleNamespace(value=batch, message=message, ack=lambda: None)
        while not self._done():  # noqa: ASYNC110 - nobody tells a stream that all is logged
            await asyncio.sleep(0.01)


def run_once(cluster: Cluster) -> None:
    """One life of a detector: until all windows are told and logged, or until it dies."""
    surroundings: Any = SimpleNamespace(
        sources=cluster.sources,
        behind=cluster.behind,
        remembered=cluster.remembered,
        pieces=cluster.pieces_from,
    )
    reference = cluster.reference

    async def live() -> None:
        recorder = Recorder(cluster.insert)
        detector = DriftDetector(
            Place("p", SKETCHES, "drift-alerts", lambda m: Messages("drift-state", [b"k"], [m])),
            WINDOWS,
            hold_ms=1000,
            arl0=1000.0,
            new_watchers=lambda states: Watchers(
                "p", WatchOptions(), lambda version: reference, states
            ),
            surroundings=surroundings,
            outbox=cluster,
            recorder=recorder,
            membership=cluster,
        )

        def done() -> bool:
            memory = cluster.remembered()
            told = memory is not None and not memory.open.closing
            return told and len(starts(cluster)) == N_WINDOWS - 1 and not recorder.waiting

        await asyncio.wait_for(detector.run(Stream(cluster, done)), 30)

    asyncio.run(live())


def starts(cluster: Cluster) -> set[int]:
    return {window.window_start_ms for each in cluster.logged for window in each.windows}


def told(cluster: Cluster) -> list[tuple[str, str, str, int, float | None]]:
    """The alerts that were told, those told twice once, in their order."""
    seen: dict[tuple[str, str, str, int, float | None], None] = {}
    for each in cluster.alerts:
        seen[each.alert_id, each.state, each.name, each.window_start_ms, each.statistic] = None
    return list(seen)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "TICK_S", 0.01)


@pytest.fixture(scope="module")
def undisturbed(reference: Reference) -> Cluster:
    cluster = Cluster(reference)
    cluster.fill()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(under_test, "TICK_S", 0.01)
        run_once(cluster)
    return cluster


def test_a_column_that_moves_is_alerted_in_its_first_window(undisturbed: Cluster) -> None:
    opened = [each for each in undisturbed.alerts if each.state == "opened" and each.name == "a"]
    assert [each.window_start_ms for each in opened] == [3 * MINUTE]
    assert opened[0].n_window == 2 * ROWS


def test_wherever_it_dies_its_successor_tells_the_same(undisturbed: Cluster) -> None:
    for dies_at in range(1, undisturbed.n_steps + 1):
        for after_effect in (False, True):
            cluster = Cluster(undisturbed.reference)
            cluster.fill()
            cluster.dies_at, cluster.after_effect = dies_at, after_effect
            died = False
            try:
                run_once(cluster)
            except (DeliveryError, TransientError):
                died = True
                run_once(cluster)
            # An insert that fails is tried again by the same detector: no death.
            assert died or cluster.n_steps >= dies_at
            assert told(cluster) == told(undisturbed), (dies_at, after_effect)
            assert starts(cluster) == starts(undisturbed)


def test_a_successor_that_comes_later_reads_what_it_must_and_no_more(undisturbed: Cluster) -> None:
    memory = undisturbed.remembered()
    assert memory is not None
    first_open = min(
        place
        for place, message in enumerate(undisturbed.pieces)
        if message.key() == b"p" and place >= memory.open.resume_from
    )
    assert first_open == memory.open.resume_from == 4 * (N_WINDOWS - 1)
    assert memory.unlogged == [] or len(memory.unlogged) <= N_WINDOWS
