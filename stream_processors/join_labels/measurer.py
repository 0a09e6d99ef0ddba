"""Quality of the windows that something touched, measured and logged."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import structlog

from drift.quality.baseline import calibrator_of
from drift.quality.cbpe import estimate_quality
from drift.quality.costs import Costs
from drift.quality.estimate import Estimate
from drift.quality.windows import LabelledRows, measure_quality
from drift.segments import Segment
from schemas.quality import QualityBaseline
from storage.client import Client
from storage.drift_tables import DriftLog, QualityMeasurement, QualitySource
from storage.labels import touched_windows
from storage.scored_rows import (
    MAX_RANGES,
    ScoredRows,
    count_rows,
    scored_rows,
    window_totals,
)
from stream_processors import metrics
from stream_processors.model_files import ModelFiles

log = structlog.get_logger()

MAX_REMEMBERED = 10_000
"""Windows whose last measurement is known, so that the same rows are not logged again."""

Key = tuple[str, int]
"""Model version and start of a window."""


@dataclass(frozen=True, slots=True)
class MeasuringOptions:
    """`amount`: a schema hash and the place of the feature that is a row's money; `cut_by`: those
    of the features that segments are cut by."""

    pipeline: str
    window_ms: int
    max_rows: int
    max_ahead_ms: int
    settle_ms: int
    costs: Costs
    amount: tuple[str, int] | None = None
    cut_by: tuple[str, tuple[int, ...]] = ("", ())


@dataclass(frozen=True, slots=True)
class Progress:
    """Measured is what was inserted before `since_ms` (ClickHouse's clock); `reached_ms` is the
    latest event time seen."""

    since_ms: int = 0
    reached_ms: int = -(2**62)


def decode_progress(data: bytes) -> Progress:
    """What was published last; where that cannot be read, it is said, and nothing is measured
    yet."""
    try:
        return msgspec.json.decode(data, type=Progress)
    except ValueError as error:
        log.error(
            "quality_progress_unreadable",
            error=str(error)[:500],
            consequence="every window is measured again, which takes as long as the first time",
        )
        return Progress()


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows that are read at once; one row in `share` of them."""

    starts_ms: list[int]
    share: int


class Measurer:
    """Measures what changed, of all rows and by segment. Blocking; keeps nothing that matters
    between rounds. `segments` are those of a model version.

    An insert that began `settle_ms` ago may only now be seen, under the time it began: each round
    looks that far back, and logs a window again only when its rows are not what they were.
    """

    def __init__(
        self,
        options: MeasuringOptions,
        baselines: ModelFiles[QualityBaseline],
        segments: Callable[[str], Sequence[Segment]] = lambda _: (),
    ) -> None:
        self._options = options
        self._baselines = baselines
        self._segments = segments
        self._seen: OrderedDict[Key, bytes] = OrderedDict()

    def measure(self, client: Client, before: Progress) -> Progress:
        """One round: every window touched since `before` is measured and logged."""
        options = self._options
        touched = touched_windows(
            client,
            options.pipeline,
            window_ms=options.window_ms,
            since_ms=before.since_ms,
            max_ahead_ms=options.max_ahead_ms,
        )
        counts = count_rows(
            client, options.pipeline, touched.starts_ms, window_ms=options.window_ms
        )
        for batch in batches(counts, options.max_rows):
            self._measure(client, batch, touched.now_ms)
        reached_ms = max(before.reached_ms, touched.reached_ms or before.reached_ms)
        return Progress(max(0, touched.now_ms - options.settle_ms), reached_ms)

    def _measure(self, client: Client, batch: Batch, now_ms: int) -> None:
        options = self._options
        rows = scored_rows(
            client,
            options.pipeline,
            batch.starts_ms,
            window_ms=options.window_ms,
            share=batch.share,
            amount=options.amount,
            cut_by=options.cut_by,
        )
        totals: dict[Key, tuple[int, int]] = {}
        if batch.share > 1:
            found = window_totals(
                client, options.pipeline, batch.starts_ms, window_ms=options.window_ms
            )
            totals = {(w.model_version, w.start_ms): (w.n_scored, w.n_labelled) for w in found}
        measurements: list[QualityMeasurement] = []
        digests: dict[Key, bytes] = {}
        for version in sorted(set(rows.versions.tolist())):
            own = rows.at(rows.versions == version)
            for start_ms, window in _windows(own):
                digest, key = _digest(window, totals.get((version, start_ms))), (version, start_ms)
                if self._seen.get(key) != digest:
                    digests[key] = digest
                    measurements += self._of_rows(key, "", window, totals.get(key), now_ms)
                    measurements += self._of_segments(key, window, batch.share, now_ms)
        DriftLog(client).insert_quality(measurements)
        metrics.QUALITY_WINDOWS.inc(len(digests))
        self._remember(digests)

    def _of_segments(
        self, key: Key, rows: ScoredRows, share: int, now_ms: int
    ) -> Iterator[QualityMeasurement]:
        """Of a sample the rows are as many as it stands for."""
        places = self._options.cut_by[1]
        for segment in self._segments(key[0]):
            if segment.column not in places:
                continue  # of a model that was cut otherwise than the pipeline is now
            own = rows.at(rows.cut_by[:, places.index(segment.column)] == segment.value)
            if len(own):
                n_labelled = int((~np.isnan(own.labels)).sum())
                totals = len(own) * share, n_labelled * share
                yield from self._of_rows(key, segment.name, own, totals, now_ms)

    def _of_rows(
        self,
        key: Key,
        segment: str,
        rows: ScoredRows,
        totals: tuple[int, int] | None,
        now_ms: int,
    ) -> list[QualityMeasurement]:
        version, start_ms = key
        labelled = int((~np.isnan(rows.labels)).sum())
        n_scored, n_labelled = totals or (len(rows), labelled)
        by_source = {QualitySource.REALISED: realised(rows, self._options.costs)}
        baseline = self._baselines.find(version)
        if baseline is not None:
            by_source[QualitySource.ESTIMATED] = estimated(rows, baseline, self._options.costs)
        return [
            QualityMeasurement(
                pipeline=self._options.pipeline,
                model_version=version,
                window_start_ms=start_ms,
                window_end_ms=start_ms + self._options.window_ms,
                segment=segment,
                measure=name,
                source=source,
                value=each.value,
                standard_error=each.standard_error,
                n_scored=n_scored,
                n_labelled=n_labelled,
                measured_at_ms=now_ms,
            )
            for source, found in by_source.items()
            for name, each in found.items()
        ]

    def _remember(self, digests: Mapping[Key, bytes]) -> None:
        for key, digest in digests.items():
            self._seen[key] = digest
            self._seen.move_to_end(key)
        while len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)


def realised(rows: ScoredRows, costs: Costs) -> Mapping[str, Estimate]:
    """Every measure on the rows whose label has come."""
    own = rows.at(~np.isnan(rows.labels))
    (quality,) = measure_quality(
        LabelledRows(
            labels=own.labels,
            scores=own.scores,
            flagged=own.flagged,
            groups=np.zeros(len(own), dtype=np.int64),
            amounts=np.nan_to_num(own.amounts),
        ),
        n_scored=[len(rows)],
        costs=costs,
    )
    return quality.metrics


def estimated(rows: ScoredRows, baseline: QualityBaseline, costs: Costs) -> Mapping[str, Estimate]:
    """What every measure will be if a score still means what it meant (`cbpe.CAVEAT`); none where
    the model has no calibration."""
    calibrator = calibrator_of(baseline)
    if calibrator is None:
        return {}
    (quality,) = estimate_quality(
        rows.scores,
        rows.flagged,
        np.zeros(len(rows), dtype=np.int64),
        n_groups=1,
        calibrator=calibrator,
        costs=costs,
        amounts=np.nan_to_num(rows.amounts),
    )
    return quality.metrics


def batches(counts: Mapping[int, int], max_rows: int) -> Iterator[Batch]:
    """Windows in order, together at most about `max_rows` rows; a larger one alone, by a sample."""
    starts: list[int] = []
    n_rows = 0
    for start_ms, n in sorted(counts.items()):
        if starts and (n_rows + n > max_rows or len(starts) == MAX_RANGES):
            yield Batch(starts, 1)
            starts, n_rows = [], 0
        if n > max_rows:
            yield Batch([start_ms], -(-n // max_rows))
            continue
        starts.append(start_ms)
        n_rows += n
    if starts:
        yield Batch(starts, 1)


def _windows(rows: ScoredRows) -> Iterator[tuple[int, ScoredRows]]:
    """Rows in order of time, window by window."""
    for start_ms in np.unique(rows.starts_ms).tolist():
        yield start_ms, rows.at(rows.starts_ms == start_ms)


def _digest(rows: ScoredRows, totals: tuple[int, int] | None) -> bytes:
    digest = hashlib.blake2b(repr(totals).encode(), digest_size=16)
    for column in (rows.event_times_ms, rows.scores, rows.flagged, rows.labels, rows.amounts):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.digest()
