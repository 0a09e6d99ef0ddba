"""Which handler answers which API key."""

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
