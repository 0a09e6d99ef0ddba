"""Segments in the detector: what moves in one of them only is seen, and named with it."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import poisson

from drift.alert_book import Window
from drift.columns import ColumnSpec, Matrix
from drift.coverage import Coverage
from drift.live import FAMILIES, Checked, WatchOptions
from drift.reference import Reference, make_reference
from drift.segments import Segment
from drift.sketch import Sketch, SketchKey
from schemas.drift_events import AlertState, DriftAlert
from stream_processors.detect_drift import recorder
from stream_processors.detect_drift.recorder import Recorder
from stream_processors.detect_drift.records import WindowRecord
from stream_processors.detect_drift.watchers import Watchers

MINUTE = 60_000
ROWS = 1000
VERSION = "v1"
SHOP, WEB = Segment("channel=shop", 1, 0.0), Segment("channel=web", 1, 1.0)
SPECS = [ColumnSpec("amount"), ColumnSpec("channel", ("shop", "web")), ColumnSpec("score")]


def rows(rng: np.random.Generator, n: int, shift: float = 0.0) -> Matrix:
    """A tenth of the rows are by web, where amounts are other ones; `shift` moves those."""
    web = rng.random(n) < 0.1
    amount = rng.normal(np.where(web, 3.0 + shift, 0.0), 1.0)
    return np.column_stack([amount, web, rng.random(n)]).astype(np.float32)


@pytest.fixture(scope="module")
def reference() -> Reference:
    rng = np.random.default_rng(1)
    return make_reference(rows(rng, 30_000), SPECS, rng=rng, segments=(SHOP, WEB))


class Stream:
    """Closed windows of rows, all of them and by segment, to one detector."""

    def __init__(self, reference: Reference, *, arl0: float = 1000.0, seed: int = 2) -> None:
        self.reference = reference
        self.options = WatchOptions(arl0=arl0)
        self.watchers = Watchers("p", self.options, lambda _: reference)
        self.rng = np.random.default_rng(seed)
        self.n_windows = 0
        self.told: list[DriftAlert] = []

    def close(
        self, shift: float = 0.0, segments: tuple[Segment, ...] = (SHOP, WEB)
    ) -> list[Checked]:
        """One window; segments that are not given have no rows in it."""
        start = self.n_windows * MINUTE
        matrix = rows(self.rng, ROWS, shift)
        if WEB not in segments:
            matrix = matrix[SHOP.places(matrix)]
        sketches = {(VERSION, ""): self._sketch(start, "", matrix)}
        for each in segments:
            own = matrix[each.places(matrix)]
            sketches[VERSION, each.name] = self._sketch(start, each.name, own)
        for sketch in sketches.values():
            self.watchers.feed(sketch)
        checked = self.watchers.close(Window(start, start + MINUTE, start + MINUTE), sketches)
        self.told += [alert for each in checked.values() for alert in each.alerts]
        self.told += self.watchers.retire(sketches, start + MINUTE)
        self.n_windows += 1
        return list(checked.values())

    def _sketch(self, start: int, segment: str, matrix: Matrix) -> Sketch:
        columns = self.reference.columns
        key = SketchKey("p", VERSION, start, start + MINUTE, segment, columns.fingerprint)
        place = [(self.n_windows * ROWS, (self.n_windows + 1) * ROWS)]
        covers = Coverage.of({("topic", 0): place})
        return Sketch.empty(columns, key).update(columns, matrix, covers, latest_ms=start)


def test_what_moves_in_one_segment_is_told_of_that_segment(reference: Reference) -> None:
    stream = Stream(reference)
    for _ in range(3):
        stream.close()
    assert stream.told == [], "nothing moved"
    stream.close(shift=1.0)
    (alert,) = [each for each in stream.told if each.level == "alert"]
    assert (alert.name, alert.segment, alert.n_reference) == (
        "amount",
        "channel=web",
        len(WEB.places(rows(np.random.default_rng(1), 30_000))),
    )
    assert alert.sentence.startswith("feature amount in segment channel=web: moved, PSI")
    assert not [each for each in stream.told if each.segment == "channel=shop"]
    for _ in range(3):
        stream.close()
    resolved = [each for each in stream.told if each.state is AlertState.RESOLVED]
    assert "feature amount in segment channel=web: quiet for 3 windows" in {
        each.sentence.split(";")[0] for each in resolved
    }


def test_an_alert_of_a_segment_and_of_all_rows_have_ids_of_their_own(reference: Reference) -> None:
    stream = Stream(reference)
    stream.close()
    stream.close(shift=-5.0)
    opened = {each.segment: each.alert_id for each in stream.told if each.name == "amount"}
    assert set(opened) == {"", "channel=web"}
    assert len(set(opened.values())) == 2


def test_the_stated_rate_is_split_over_all_rows_and_segments(reference: Reference) -> None:
    """e-SR's threshold is its part of ARL0."""
    for given, n_watched in ((reference, 3), (replace(reference, segments=()), 1)):
        stream = Stream(given)
        results = [each.result for checked in stream.close() for each in checked.answers]
        limits = [each.threshold for each in results if each.detector == "e_sr"]
        assert limits == [1000.0 * FAMILIES * n_watched] * n_watched


def test_all_rows_and_segments_together_keep_the_stated_rate(reference: Reference) -> None:
    stream, n_windows, arl0 = Stream(reference, arl0=10.0, seed=5), 150, 10.0
    noticed = sum(
        any(answer.level is not None for each in stream.close() for answer in each.answers)
        for _ in range(n_windows)
    )
    assert noticed <= poisson.ppf(0.999, n_windows / arl0)


def test_a_successor_goes_on_with_the_state_of_segments(reference: Reference) -> None:
    straight, broken = Stream(reference), Stream(reference)
    for number in range(8):
        shift = 1.0 if number in (3, 4) else 0.0
        straight.close(shift)
        broken.close(shift)
        states = broken.watchers.encode()
        broken.watchers = Watchers("p", broken.options, lambda _: reference, states)
    assert broken.told == straight.told != []


def test_a_segment_without_rows_keeps_its_alerts_while_its_version_serves(
    reference: Reference,
) -> None:
    stream = Stream(reference)
    stream.close()
    stream.close(shift=1.0)
    for _ in range(5):
        stream.close(segments=(SHOP,))
    assert "channel=web" in {each.segment for each in stream.watchers.open_alerts}
    resolved = [each for each in stream.told if each.state is AlertState.RESOLVED]
    assert "channel=web" not in {each.segment for each in resolved}


def test_pieces_of_a_segment_that_the_reference_does_not_have_are_not_tested() -> None:
    rng = np.random.default_rng(1)
    stream = Stream(make_reference(rows(rng, 30_000), SPECS, rng=rng, segments=(SHOP,)))
    checked = stream.close()
    assert len(checked) == 2


def test_records_that_wait_are_bounded_by_their_size_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of many segments are large, and all of them are in one message."""
    record = WindowRecord()
    monkeypatch.setattr(recorder, "MAX_WAITING_BYTES", 2 * len(record.encode()))

    async def fill() -> int:
        waiting = Recorder(lambda _: None)
        for _ in range(2):
            await asyncio.wait_for(waiting.add(record), 60)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting.add(record), 0.05)
        return len(waiting.waiting)

    assert asyncio.run(fill()) == 2
