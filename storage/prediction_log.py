"""The prediction log's writer: frames in, rows that show once out, however often they come."""

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from schemas.features import FeatureSchema
from schemas.frames import Frame
from storage.client import Client
from storage.log_tables import coverage_table, rows_table


class PredictionLog:
    """Writes frames of any pipeline; the tables must be there (`storage.migrate`).

    An insert may be repeated, torn, cut into other blocks, out of order, or come late from a writer
    that was frozen: the views show each source offset once, the first decision on it.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def insert(self, frames: Sequence[Frame]) -> int:
        """Insert the rows of `frames`, then their coverage; returns rows scored and rejected.

        All is in the tables when this returns. When it raises, any part of it may be: insert again.
        """
        if not frames:
            return 0
        rows = rows_table(frames)
        if rows.num_rows:
            self._client.insert("prediction_log", rows)
        coverage = coverage_table([frame.header for frame in frames])
        if coverage.num_rows:
            self._client.insert("coverage_log", coverage)
        return int(rows.num_rows)

    def describe(self, schema: FeatureSchema) -> None:
        """Record the names behind a schema hash, so that features can be asked for by name."""
        definition = msgspec.json.encode(schema, order="deterministic").decode()
        row = {
            "schema_hash": [schema.hash],
            "names": pa.array([list(schema.names)], pa.list_(pa.string())),
            "definition": [definition],
        }
        self._client.insert("feature_schemas", pa.table(row))
