"""Write the golden files that do not exist yet: `python -m tests.golden.write`."""

from pathlib import Path

import msgspec

from schemas.codecs import json, packed
from schemas.drift_events import encode_event
from schemas.frames import encode_frame
from tests.golden import messages

FOLDER = Path(__file__).parent


def encoded() -> dict[str, bytes]:
    """What today's encoders make of the examples, by file name."""
    event = (messages.EVENT_ID, messages.EVENT_TIME_MS, messages.ROW)
    return {
        "feature_event.json": json.Encoder(messages.SCHEMA).encode(*event),
        "feature_event.packed.bin": packed.Encoder(messages.SCHEMA).encode(*event),
        "prediction.json": msgspec.json.encode(messages.PREDICTION),
        "label.json": msgspec.json.encode(messages.LABEL),
        "dead_letter.json": msgspec.json.encode(messages.DEAD_LETTER),
        "drift_alert.json": encode_event(messages.ALERT),
        "retraining_request.json": encode_event(messages.REQUEST),
        "retraining_decision.json": encode_event(messages.DECISION),
        "feature_schema.json": msgspec.json.encode(messages.SCHEMA),
        "scored_batch.arrow.bin": encode_frame(messages.frame()),
    }


if __name__ == "__main__":
    for name, data in encoded().items():
        if not (FOLDER / name).exists():
            (FOLDER / name).write_bytes(data)
