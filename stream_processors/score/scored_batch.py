"""One batch on its way out."""

from dataclasses import dataclass

from inference.decode import Columns, Decoded
from inference.engine import Scored
from stream_processors.transport import RawBatch


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """What came in, what it was read as, and what the model made of it."""

    source: RawBatch
    columns: Columns
    decoded: Decoded
    scored: Scored
