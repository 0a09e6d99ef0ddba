"""What a partition knows of its producers: sequences, epochs and transactions (KIP-98, KIP-360)."""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.log.batches import NO_PRODUCER, BatchHeader

# As many as a producer may have in flight; Kafka keeps so many for finding duplicates.
REMEMBERED_BATCHES = 5
# Kafka's default of producer.id.expiration.ms.
EXPIRY_MS = 86_400_000
_LAST_SEQUENCE = 2**31 - 1


class Written(NamedTuple):
    """A batch that was appended: its sequences, both included, and its first offset."""

    first_sequence: int
    last_sequence: int
    base_offset: int


class Aborted(NamedTuple):
    """An aborted transaction, from its first record to its marker."""

    producer_id: int
    first_offset: int
    marker_offset: int


@dataclass(slots=True)
class Producer:
    """One producer id: its epoch, its last batches, and when it last wrote (ms)."""

    epoch: int
    last_ms: int
    written: list[Written] = field(default_factory=list)


class Producers:
    """All producers of one partition; `open` holds the first offset of each open transaction.

    Both `open` (a dict in the order of offsets) and `aborted` (in the order of markers) grow at
    their end only.
    """

    def __init__(self) -> None:
        self.open: dict[int, int] = {}
        self.aborted: list[Aborted] = []
        self._known: dict[int, Producer] = {}

    def __len__(self) -> int:
        return len(self._known)

    def check(self, header: BatchHeader) -> int | None:
        """None where the batch may be appended; the first offset it got where it already was.

        Raises RefusedError: INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER, or
        INVALID_TXN_STATE for a plain batch inside the producer's transaction.
        """
        known = self._known.get(header.producer_id)
        if known is None:
            # Retention or expiry may have taken its state: Kafka accepts any sequence then.
            return None
        if header.producer_epoch < known.epoch:
            raise RefusedError(
                Code.INVALID_PRODUCER_EPOCH,
                f"producer {header.producer_id} has epoch {known.epoch} by now",
            )
        first = header.base_sequence
        if header.producer_epoch == known.epoch:
            for written in known.written:
                if written[:2] == (first, header.last_sequence):
                    return written.base_offset
        expected = 0
        if header.producer_epoch == known.epoch and known.written:
            last = known.written[-1].last_sequence
            expected = 0 if last == _LAST_SEQUENCE else last + 1
        if first != expected:
            raise RefusedError(
                Code.OUT_OF_ORDER_SEQUENCE_NUMBER,
                f"producer {header.producer_id} sent sequence {first} where {expected} was next",
            )
        if header.producer_id in self.open and not header.transactional:
            raise RefusedError(
                Code.INVALID_TXN_STATE,
                f"producer {header.producer_id} has an open transaction, and this batch is in none",
            )
        return None

    def record(self, header: BatchHeader, now_ms: int) -> None:
        """Remember a batch of records that was appended."""
        producer_id = header.producer_id
        if producer_id == NO_PRODUCER:
            return
        known = self._known.get(producer_id)
        if known is None or known.epoch != header.producer_epoch:
            known = self._known[producer_id] = Producer(header.producer_epoch, now_ms)
        known.last_ms = now_ms
        if len(known.written) == REMEMBERED_BATCHES:
            del known.written[0]
        known.written.append(
            Written(header.base_sequence, header.last_sequence, header.base_offset)
        )
        if header.transactional and producer_id not in self.open:
            self.open[producer_id] = header.base_offset

    def check_marker(self, producer_id: int, epoch: int) -> None:
        """Raises RefusedError(INVALID_PRODUCER_EPOCH) where a newer epoch has written already."""
        known = self._known.get(producer_id)
        if known is not None and epoch < known.epoch:
            raise RefusedError(
                Code.INVALID_PRODUCER_EPOCH, f"producer {producer_id} has epoch {known.epoch}"
            )

    def end(self, header: BatchHeader, *, commit: bool, now_ms: int) -> None:
        """Remember a marker that was appended; a newer epoch starts the sequences anew."""
        producer_id = header.producer_id
        known = self._known.get(producer_id)
        if known is None or known.epoch < header.producer_epoch:
            known = self._known[producer_id] = Producer(header.producer_epoch, now_ms)
        known.last_ms = now_ms
        first = self.open.pop(producer_id, None)
        if first is not None and not commit:
            self.aborted.append(Aborted(producer_id, first, header.base_offset))

    def aborted_in(self, first: int, upto: int) -> list[tuple[int, int]]:
        """Producer id and first offset of the aborted transactions that overlap [first, upto)."""
        start = bisect_left(self.aborted, first, key=lambda aborted: aborted.marker_offset)
        return [
            (aborted.producer_id, aborted.first_offset)
            for aborted in self.aborted[start:]
            if aborted.first_offset < upto
        ]

    def forget_aborted(self, before: int) -> None:
        """Forget the aborted transactions whose marker lies before an offset."""
        del self.aborted[
            : bisect_left(self.aborted, before, key=lambda aborted: aborted.marker_offset)
        ]

    def expire(self, now_ms: int) -> None:
        """Forget producers that were silent for EXPIRY_MS and have no open transaction."""
        silent = [
            producer_id
            for producer_id, known in self._known.items()
            if now_ms - known.last_ms >= EXPIRY_MS and producer_id not in self.open
        ]
        for producer_id in silent:
            del self._known[producer_id]

    def dump(self) -> dict[str, Any]:
        """The state in values that JSON has."""
        return {
            "known": [
                [producer_id, known.epoch, known.last_ms, known.written]
                for producer_id, known in self._known.items()
            ],
            "open": list(self.open.items()),
            "aborted": self.aborted,
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> "Producers":
        """The state that `dump` gave."""
        producers = cls()
        for producer_id, epoch, last_ms, written in state["known"]:
            producers._known[producer_id] = Producer(
                epoch, last_ms, [Written(*entry) for entry in written]
            )
        producers.open = dict(state["open"])
        producers.aborted = [Aborted(*entry) for entry in state["aborted"]]
        return producers
