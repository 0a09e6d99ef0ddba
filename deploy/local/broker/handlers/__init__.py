"""What the broker does for each request: an API key and its handler.

Each module has `HANDLERS`, the API keys it answers. A handler returns the response's body (see
requests.Reply); RefusedError is for the parts it concerns, and handlers put its code there.
"""

from deploy.local.broker.handlers import (
    admin,
    fetch,
    groups,
    metadata,
    offsets,
    produce,
    transactions,
)
from deploy.local.broker.requests import Handler

HANDLERS: dict[int, Handler] = {
    key: handler
    for module in (produce, fetch, offsets, metadata, groups, transactions, admin)
    for key, handler in module.HANDLERS.items()
}
