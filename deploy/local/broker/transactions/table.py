"""All transactional ids, in memory as in the store, and when something is due for them."""

from collections.abc import Callable, Iterator

import structlog

from deploy.local.broker.store import Store
from deploy.local.broker.transactions.transaction import State, Transaction, from_text, to_text

log = structlog.get_logger()

# Kafka's transactional.id.expiration.ms and the interval at which it looks for such ids.
ID_EXPIRATION_MS = 7 * 24 * 60 * 60 * 1000
_CLEANUP_INTERVAL_S = 60 * 60
# When the end of a transaction failed, on a full disk for example, it is tried again after this.
_RETRY_S = 1.0


class TransactionTable:
    """The state of each transactional id; what `put` returned from survives the process.

    `clock` (seconds, monotonic) says when a transaction is due; `wall_clock` (seconds since 1970)
    how old a stored one is.
    """

    def __init__(
        self, store: Store, clock: Callable[[], float], wall_clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._clock = clock
        self._wall_clock = wall_clock
        self._known: dict[str, Transaction] = {}
        self._due: dict[str, float] = {}
        self._next_cleanup = clock()
        for transactional_id, text in store.transactions().items():
            self._remember(from_text(transactional_id, text))

    def __iter__(self) -> Iterator[Transaction]:
        return iter(list(self._known.values()))

    def get(self, transactional_id: str) -> Transaction | None:
        return self._known.get(transactional_id)

    def put(self, transaction: Transaction) -> None:
        """Store the state, unless it is the same as before; raises sqlite3.Error."""
        if transaction != self._known.get(transaction.id):
            self._store.put_transaction(transaction.id, to_text(transaction))
            self._remember(transaction)

    def due(self) -> list[Transaction]:
        """Transactions that took too long, and those whose end has failed a while ago."""
        now = self._clock()
        return [self._known[key] for key, due in self._due.items() if due <= now]

    def retry(self, transactional_id: str) -> None:
        """What was due could not be done now."""
        self._due[transactional_id] = self._clock() + _RETRY_S

    def forget_unused(self) -> None:
        """Forget ids that were not used for ID_EXPIRATION_MS; looks once an hour."""
        if self._clock() < self._next_cleanup:
            return
        self._next_cleanup = self._clock() + _CLEANUP_INTERVAL_S
        unused_since_ms = self.now_ms() - ID_EXPIRATION_MS
        for known in self:
            if known.updated_ms <= unused_since_ms and known.id not in self._due:
                self._store.delete_transaction(known.id)
                del self._known[known.id]
                log.info("transactional_id_expired", id=known.id)

    def now_ms(self) -> int:
        """The wall clock's time."""
        return int(self._wall_clock() * 1000)

    def _remember(self, transaction: Transaction) -> None:
        self._known[transaction.id] = transaction
        if transaction.state.prepared:
            self.retry(transaction.id)
        elif transaction.state is not State.ONGOING:
            self._due.pop(transaction.id, None)
        elif transaction.id not in self._due:
            passed_ms = max(0, self.now_ms() - transaction.started_ms)
            left_s = (transaction.timeout_ms - passed_ms) / 1000
            self._due[transaction.id] = self._clock() + left_s
