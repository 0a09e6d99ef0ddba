"""How far the source was read by the frames before a place on `scored-batches`.

A scorer that was killed repeats frames. Whether a frame repeats offsets shows in the frames before
it, which a worker that takes a partition over has not read: it looks back.
"""

from faust.types import TP

from drift.coverage import Source
from schemas.frames import decode_frame
from schemas.kafka_settings import KafkaSettings
from stream_processors.records import read_records

LOOK_BACK_FRAMES = 1000
"""More than a scorer repeats: what it did since its last commit, a second ago, and its budget."""


def reached_before(kafka: KafkaSettings, tp: TP, offset: int) -> dict[Source, int]:
    """By source partition, the offset after the last one that the frames before `offset` of a
    partition of `scored-batches` answer for. `offset` must hold a record or lie before one.

    Blocking; raises TransientError when the broker does not give them.
    """
    found: dict[Source, int] = {}
    for message in read_records(kafka, tp, max(0, offset - LOOK_BACK_FRAMES), offset):
        try:
            header = decode_frame(message.value() or b"").header
        except ValueError:
            continue  # said and counted when it was read
        source = (header.source_topic_id, header.source_partition)
        found[source] = max(found.get(source, 0), header.covers_to)
    return found
