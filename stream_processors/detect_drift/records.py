"""What the log of drift is to say of a closed window, kept until ClickHouse has it."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from drift.live import Answer, Checked
from drift.sketch import Sketch
from schemas.drift_events import AlertKind, AlertLevel, DriftAlert
from storage.drift_tables import DriftLog, DriftMetric, DriftWindow


class WindowRecord(msgspec.Struct, frozen=True):
    """The rows of one closed window; inserting them again changes nothing."""

    windows: list[DriftWindow] = []
    metrics: list[DriftMetric] = []
    alerts: list[DriftAlert] = []

    def insert(self, log: DriftLog) -> None:
        """Blocking; raises TransientError when ClickHouse does not answer."""
        log.insert_windows(self.windows)
        log.insert_metrics(self.metrics)
        log.insert_alerts(self.alerts)

    def encode(self) -> bytes:
        return _encoder.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> "WindowRecord":
        """A record of `encode`; raises ValueError for anything else."""
        try:
            record: WindowRecord = _decoder.decode(data)
        except msgspec.DecodeError as error:
            raise ValueError(f"not the record of a window: {error}") from error
        return record


def record_of(sketch: Sketch, checked: Checked, arl0: float) -> WindowRecord:
    """What is logged of one model version's window and segment; alerts go with the last."""
    key, verdict = sketch.key, checked.verdict
    about: dict[str, Any] = {
        "pipeline": key.pipeline,
        "model_version": key.model_version,
        "window_start_ms": key.window_start_ms,
        "window_end_ms": key.window_end_ms,
        "segment": key.segment,
    }
    if verdict is None:
        return WindowRecord(alerts=list(checked.alerts))
    evidence = verdict.evidence
    window = DriftWindow(
        **about,
        columns=key.columns,
        n_rows=sketch.n,
        counts=sketch.summary.counts.astype(np.int64),
        psi=verdict.psi,
        p_values=verdict.p_values,
        e_value=evidence.result.statistic if evidence else None,
        arl0=arl0,
        n_noticed=sum(each.level is not None for each in checked.answers),
    )
    metrics = [_metric(about, each) for each in checked.answers]
    return WindowRecord([window], metrics, list(checked.alerts))


def _metric(about: dict[str, Any], answer: Answer) -> DriftMetric:
    result = answer.result
    return DriftMetric(
        **about,
        kind=AlertKind(answer.subject),
        name=answer.name,
        detector=result.detector,
        statistic=result.statistic,
        threshold=result.threshold,
        p_value=result.p_value,
        effect=result.effect,
        n_reference=result.n_reference,
        n_window=result.n_window,
        noticed=answer.level is not None,
        level=None if answer.level is None else AlertLevel(answer.level),
    )


def _to_list(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(type(value))  # how a hook tells msgspec that it knows no such type


def _to_array(kind: Any, value: Any) -> Any:
    if kind in (NDArray[np.int64], NDArray[np.float64]):
        wanted = np.int64 if kind == NDArray[np.int64] else np.float64
        return np.asarray([np.nan if each is None else each for each in value], dtype=wanted)
    raise NotImplementedError(kind)


_encoder = msgspec.msgpack.Encoder(enc_hook=_to_list)
_decoder = msgspec.msgpack.Decoder(WindowRecord, dec_hook=_to_array)
