"""What an event id must be, whatever format brought it."""

from schemas.codecs.packed import MAX_EVENT_ID_BYTES
from schemas.errors import EventError, Reason


def check_event_id(event_id: str) -> None:
    """Raise EventError for an id that is empty or longer than the packed format can carry."""
    if not event_id:
        raise EventError(Reason.BAD_EVENT_ID, "event_id is empty")
    size = len(event_id.encode())
    if size > MAX_EVENT_ID_BYTES:
        raise EventError(
            Reason.BAD_EVENT_ID,
            f"event_id has {size} bytes of UTF-8, at most {MAX_EVENT_ID_BYTES} are allowed",
        )
