"""The log of labels: what turned out to be true, written once however often it is told."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from storage.client import Client
from storage.log_tables import UTC_MS


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One message of `labels`: `label` is 0 or 1, times are ms UTC that DateTime64 can hold."""

    event_id: str
    label: float
    label_time_ms: int
    source: str
    append_time_ms: int


class LabelLog:
    """Writes labels of any pipeline; the tables must be there (`storage.migrate`).

    An insert may be repeated, torn, out of order, or come late from a writer that was frozen: the
    views show one label an event, that of the latest label time.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def insert(self, pipeline: str, labels: Sequence[LabelRow]) -> None:
        """All is in the table when this returns. When it raises, any part of it may be: insert
        again.
        """
        if labels:
            self._client.insert("label_log", _table(pipeline, labels))


def _table(pipeline: str, labels: Sequence[LabelRow]) -> pa.Table:
    def times(values: list[int]) -> pa.Array:
        return pa.array(values, pa.int64()).cast(UTC_MS)

    return pa.table(
        {
            "pipeline": pa.array([pipeline] * len(labels), pa.string()),
            "event_id": pa.array([each.event_id for each in labels], pa.string()),
            "label": pa.array([each.label for each in labels], pa.float32()),
            "label_time": times([each.label_time_ms for each in labels]),
            "source": pa.array([each.source for each in labels], pa.string()),
            "append_time": times([each.append_time_ms for each in labels]),
        }
    )
