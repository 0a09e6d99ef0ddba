"""A live system's log for tests: windows through the detector's own code, quality, decisions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deploy.reference import load_reference
from drift.alert_book import Window
from drift.columns import specs_of
from drift.live import VersionWatch, WatchOptions
from drift.nulls import Nulls
from drift.reference import Reference, make_reference
from drift.segments import choose_segments
from drift.sketch import Sketch, SketchKey
from schemas.drift_events import DriftAlert, RetrainingDecision, RetrainingRequest
from schemas.features import Dtype, Feature, FeatureSchema
from schemas.model import read_manifest
from schemas.pipeline import Pipeline, write_pipeline
from storage.drift_tables import DriftLog, QualityMeasurement, QualitySource
from storage.model_store import ModelStore
from stream_processors.detect_drift.records import WindowRecord, record_of

START_MS = 1_772_323_200_000
WINDOW_MS = 300_000
ROWS = 400
REQUEST_ID = "5e1f0c2d9ab34b77"

SCHEMA = FeatureSchema(
    (
        Feature(name="amount"),
        Feature(name="n_last_day"),
        Feature(name="distance_km", nullable=True),
        Feature(name="channel", dtype=Dtype.CATEGORY, categories=("chip", "online", "phone")),
        *(Feature(name=f"v{i}") for i in range(1, 5)),
    )
)


@dataclass
class LiveLog:
    """What stages wrote: in order of windows, decisions newest last."""

    records: list[WindowRecord] = field(default_factory=list)
    quality: list[QualityMeasurement] = field(default_factory=list)
    decisions: list[RetrainingDecision] = field(default_factory=list)
    requests: list[RetrainingRequest] = field(default_factory=list)

    @property
    def alerts(self) -> list[DriftAlert]:
        """All that was told, in order."""
        return [alert for record in self.records for alert in record.alerts]

    def insert(self, log: DriftLog) -> None:
        for record in self.records:
            record.insert(log)
        log.insert_quality(self.quality)
        log.insert_decisions(self.decisions)
        log.insert_requests(self.requests)


def features(rng: np.random.Generator, n: int, shift: float = 0.0) -> np.ndarray:
    """float32[n, 8]; `shift` moves the amount, in standard deviations, and the channel with it."""
    matrix = rng.normal(size=(n, len(SCHEMA))).astype(np.float32)
    matrix[:, 0] += shift
    matrix[:, 1] = rng.poisson(2, n)
    matrix[rng.random(n) < 0.1, 2] = np.nan
    matrix[:, 3] = rng.choice(3, n, p=(0.7 - 0.3 * min(shift, 1), 0.2 + 0.3 * min(shift, 1), 0.1))
    return matrix


def store_pipeline(store: Path, name: str = "fraud", segments: Sequence[str] = ()) -> str:
    """A pipeline with a model and its reference in the store; returns the model's version."""
    from training.bootstrap import train_first_model

    rng = np.random.default_rng(3)
    rows = features(rng, 8000)
    labels = (np.nan_to_num(rows[:, 0] + rows[:, 2]) + rng.normal(size=len(rows)) > 1.5).astype(
        np.int8
    )
    directory = train_first_model(
        rows, labels, SCHEMA, pipeline=name, seed=7, epochs=2, segments=segments
    )
    sha256 = ModelStore(store).put(directory)
    pipeline = Pipeline(name=name, schema=SCHEMA, model=sha256, segments=tuple(segments))
    write_pipeline(store, pipeline)
    return read_manifest(ModelStore(store).path(sha256)).version


def reference_of_rows(segments: Sequence[str] = ()) -> Reference:
    """A reference without a model."""
    rng = np.random.default_rng(5)
    rows = features(rng, 8000)
    matrix = np.column_stack([rows, rng.beta(2, 8, 8000)]).astype(np.float32)
    parts = choose_segments(SCHEMA, segments, rows)
    return make_reference(matrix, specs_of(SCHEMA), rng=rng, segments=parts)


def reference_of(store: Path) -> Reference:
    """Of the only model in the store."""
    (sha256,) = ModelStore(store).sha256s()
    return load_reference(ModelStore(store).path(sha256))


def live_log(
    reference: Reference,
    version: str,
    *,
    n_windows: int = 60,
    drift_at: int | None = 40,
    moving: str = "",
) -> LiveLog:
    """Windows of `ROWS` rows; from window `drift_at` on amounts are larger, and labels show it.

    `moving` names the only segment in which they are larger, "" all rows.
    """
    rng = np.random.default_rng(11)
    columns, log = reference.columns, LiveLog()
    places = {segment.name: segment.places for segment, _ in reference.segments}
    options = WatchOptions(n_segments=len(places))
    watches = {
        name: VersionWatch("fraud", version, own, options, nulls=Nulls(seed=0), segment=name)
        for name in ("", *places)
        if (own := reference.of_segment(name)) is not None
    }
    scores = reference.sample[:, -1]
    for number in range(n_windows):
        drifting = drift_at is not None and number >= drift_at
        rows = features(rng, ROWS, 0.7 if drifting and not moving else 0.0)
        matrix = np.column_stack([rows, rng.choice(scores, ROWS)]).astype(np.float32)
        if drifting and moving:
            matrix[places[moving](matrix), 0] += 1.5
        start = START_MS + number * WINDOW_MS
        end = start + WINDOW_MS
        for name, watch in watches.items():
            own_rows = matrix[places[name](matrix)] if name else matrix
            key = SketchKey("fraud", version, start, end, name, columns.fingerprint)
            sketch = Sketch.empty(columns, key).update(columns, own_rows)
            checked = watch.close(Window(start, end, end + 30_000), sketch)
            log.records.append(record_of(sketch, checked, 1000.0))
        log.quality += _quality(rng, version, number, drifting=drifting, n_windows=n_windows)
    log.decisions = _decisions(log.alerts, n_windows)
    log.requests = [
        RetrainingRequest(
            request_id=REQUEST_ID,
            pipeline="fraud",
            champion_version=version,
            reason=decision.reasons[0],
            alert_ids=decision.alert_ids,
            training_from_ms=START_MS + (drift_at or 0) * WINDOW_MS,
            training_to_ms=decision.decided_at_ms,
            requested_at_ms=decision.decided_at_ms,
            n_labelled_since=5120,
        )
        for decision in log.decisions
        if decision.requested
    ]
    return log


def _quality(
    rng: np.random.Generator, version: str, number: int, *, drifting: bool, n_windows: int
) -> list[QualityMeasurement]:
    """Labels come for four of five rows, and not yet for the last ten windows."""
    start = START_MS + number * WINDOW_MS
    n_labelled = 320 if number < n_windows - 10 else 0
    found = []
    for measure, level in (("precision", 0.8), ("recall", 0.6), ("cost_per_row", 3.0)):
        for source in QualitySource:
            realised = source is QualitySource.REALISED
            value = level - (0.2 if drifting and realised else 0) + 0.02 * rng.normal()
            if realised and not n_labelled:
                continue
            found.append(
                QualityMeasurement(
                    pipeline="fraud",
                    model_version=version,
                    window_start_ms=start,
                    window_end_ms=start + WINDOW_MS,
                    segment="",
                    measure=measure,
                    source=source,
                    value=value,
                    standard_error=0.03 if realised else 0.015,
                    n_scored=ROWS,
                    n_labelled=n_labelled if realised else 0,
                    measured_at_ms=start + 3 * WINDOW_MS,
                )
            )
    return found


def _decisions(alerts: list[DriftAlert], n_windows: int) -> list[RetrainingDecision]:
    ids = tuple(dict.fromkeys(alert.alert_id for alert in alerts))
    if not ids:
        return []
    end = START_MS + n_windows * WINDOW_MS

    def decision(number: int, requested: bool, *reasons: str) -> RetrainingDecision:
        return RetrainingDecision(
            decision_id=f"d-{number}",
            pipeline="fraud",
            decided_at_ms=end - (3 - number) * WINDOW_MS,
            requested=requested,
            reasons=reasons,
            alert_ids=ids[:2],
            request_id=REQUEST_ID if requested else None,
            policy={"quorum": 1},
        )

    return [
        decision(0, False, "1 signal of 1 has lasted 600 s, less than the 1800 s of persistence_s"),
        decision(
            1,
            True,
            "feature amount has lasted 35 minutes at PSI 0.45, 0.2 is asked for",
            "precision fell by 0.19 as labels showed, 0.02 is asked for",
            "5,120 labelled rows since 2026-03-01 03:20, 1,000 are asked for",
        ),
        decision(2, False, "the last request was 5 minutes ago: cool-down is 6 hours"),
    ]
