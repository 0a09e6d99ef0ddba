"""Which topics the members of a consumer group read, from the metadata they join with."""

import struct
from collections.abc import Iterable

_INT16 = struct.Struct(">h")
_INT32 = struct.Struct(">i")


def subscribed_topics(metadata: Iterable[bytes]) -> set[str] | None:
    """The topics of all these subscriptions (ConsumerProtocolSubscription: a version, the topics);
    None where one of them cannot be read."""
    topics: set[str] = set()
    try:
        for subscription in metadata:
            topics |= _topics(subscription)
    except (struct.error, ValueError):
        return None
    return topics


def _topics(subscription: bytes) -> set[str]:
    (count,) = _INT32.unpack_from(subscription, _INT16.size)
    at = _INT16.size + _INT32.size
    if not 0 <= count <= len(subscription):
        raise ValueError(f"{count} topics in {len(subscription)} bytes")
    topics = set()
    for _ in range(count):
        (length,) = _INT16.unpack_from(subscription, at)
        at += _INT16.size
        if not 0 <= length <= len(subscription) - at:
            raise ValueError(f"a name of {length} bytes, {len(subscription) - at} are left")
        topics.add(subscription[at : at + length].decode())
        at += length
    return topics
