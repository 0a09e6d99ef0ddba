"""What an agent receives: a run of records of one partition, and the schema that lets it
through.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Message
from faust.serializers.schemas import Schema
from faust.types import TP

from stream_processors.transport.budget import Lease


@dataclass(frozen=True, slots=True, eq=False)
class RawBatch:
    """Records of one partition, in order, that answer for the offsets `[covers_from, covers_to)`.

    `topic_id` tells a topic from a recreated one of the same name. The lease is released when the
    batch is acknowledged.
    """

    tp: TP
    topic_id: str
    messages: list[Message]
    covers_from: int
    covers_to: int
    lease: Lease

    def __len__(self) -> int:
        return len(self.messages)


class BatchSchema(Schema):  # type: ignore[misc]
    """Declares a batch topic: the event's value is the RawBatch itself, nothing is decoded by
    Faust.
    """

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[Any]]:
        """Faust's hook: a coroutine function from a Faust message to a Faust event."""
        create_event = app.create_event

        async def decode(message: Any, **_: Any) -> Any:
            return create_event(None, message.value, message.headers, message)

        return decode
