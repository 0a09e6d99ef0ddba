"""The dead letter of one message that cannot be used; its topic is keyed as the message was."""

import hashlib

from schemas.codecs.json import CONTENT_TYPE as JSON
from schemas.errors import Reason
from schemas.events import DeadLetter

MAX_EXPLANATION = 500
MAX_CONTENT_TYPE = 200
MAX_KEY_BYTES = 1024


def dead_letter(
    *,
    pipeline: str,
    reason: Reason,
    explanation: str,
    source: tuple[str, str, int, int],
    append_time_ms: int,
    now_ms: int,
    content_type: bytes | None,
    payload: bytes | None,
    max_bytes: int,
) -> DeadLetter:
    """With its bytes, cut to `max_bytes`; `source` is topic, topic id, partition and offset."""
    topic, topic_id, partition, offset = source
    whole = payload or b""
    return DeadLetter(
        pipeline=pipeline,
        reason=reason,
        explanation=explanation[:MAX_EXPLANATION],
        source_topic=topic,
        source_topic_id=topic_id,
        source_partition=partition,
        source_offset=offset,
        append_time_ms=append_time_ms,
        rejected_at_ms=now_ms,
        content_type=(content_type or JSON.encode()).decode(errors="replace")[:MAX_CONTENT_TYPE],
        payload=None if payload is None else payload[:max_bytes],
        payload_bytes=len(whole),
        payload_sha256=hashlib.sha256(whole).hexdigest(),
    )


def bounded_key(key: bytes | None) -> bytes | None:
    """The key that a dead letter goes by."""
    return None if key is None else key[:MAX_KEY_BYTES]
