"""When to insert: a block is due at a number of rows or at an age, whichever comes first."""

from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class BlockBuilder(Generic[Item]):
    """Gathers items into a block. `clock` returns seconds and never goes back.

    An item is never cut, so a block holds up to one item more than `max_rows`. What waits is
    bounded by the caller, who looks at `n_bytes` before it fetches more.
    """

    def __init__(self, max_rows: int, max_ms: int, clock: Callable[[], float]) -> None:
        assert max_rows > 0
        assert max_ms > 0
        self._max_rows = max_rows
        self._max_s = max_ms / 1000
        self._clock = clock
        self._items: list[Item] = []
        self._first_at = 0.0
        self.n_rows = 0
        """Rows that wait."""
        self.n_bytes = 0
        """Bytes that wait."""

    def __len__(self) -> int:
        """Items that wait."""
        return len(self._items)

    def add(self, item: Item, n_rows: int, n_bytes: int) -> None:
        """Put `item` at the end of the block; one without rows ages like any other."""
        if not self._items:
            self._first_at = self._clock()
        self._items.append(item)
        self.n_rows += n_rows
        self.n_bytes += n_bytes

    def due(self, now: float) -> bool:
        """Whether the block is to be inserted: full, or its first item has waited long enough."""
        wait_s = self.due_in_s(now)
        return wait_s is not None and wait_s <= 0

    def due_in_s(self, now: float) -> float | None:
        """Seconds until the block is due, 0 when it is; None when nothing waits."""
        if not self._items:
            return None
        if self.n_rows >= self._max_rows:
            return 0.0
        return max(0.0, self._first_at + self._max_s - now)

    def take(self) -> list[Item]:
        """The items in the order they came; the builder is empty afterwards."""
        items, self._items = self._items, []
        self.n_rows = self.n_bytes = 0
        return items
