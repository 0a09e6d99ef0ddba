"""A request as handlers see it, and what they may answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.local.broker.protocol.wire import Api, Message

if TYPE_CHECKING:
    from deploy.local.broker.node import Node


@dataclass(frozen=True, slots=True)
class Request:
    """One decoded request: who sent it, from `host`, and the address they reached this node at."""

    api: Api
    version: int
    client_id: str | None
    host: str
    reached_at: tuple[str, int]
    body: Message


# The response's body, or None where the client wants no answer (acks=0). A handler that waits
# answers with an awaitable, which is cancelled when its client disconnects.
Reply = Message | None | Awaitable[Message | None]
Handler = Callable[["Node", Request], Reply]
