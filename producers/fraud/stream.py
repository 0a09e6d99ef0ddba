"""The stream of fraud events: endless, and the same for the same arguments."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from producers.fraud.drifts import Drift, DriftKind, strength_of
from producers.fraud.features import Featurizer
from producers.fraud.schema import FRAUD_SCHEMA
from producers.fraud.transactions import Transactions, days
from producers.fraud.world import DAY_MS, Floats, Ints, make_world
from schemas.events import Label
from schemas.features import Dtype

START_MS = 1_420_070_400_000
"""2015-01-01: some 40 million events of the default size pass before event time meets our own."""


class FraudEvent(NamedTuple):
    """One payment; `row` holds FRAUD_SCHEMA's 30 values, `label` (1: fraud) is known later."""

    event_id: str
    entity: str
    event_time_ms: int
    row: tuple[float, ...]
    label: int
    label_time_ms: int


@dataclass(frozen=True, slots=True)
class FraudBlock:
    """Events of one simulated day in time order; `first_index` is the number of the first one."""

    first_index: int
    features: Floats  # [n, 30]
    customer: Ints
    event_time_ms: Ints
    label: npt.NDArray[np.int8]
    label_time_ms: Ints

    def __len__(self) -> int:
        return len(self.customer)


class FraudStream:
    """Iterates over FraudEvents without end; every iteration starts anew and gives the same events.

    About two events per customer and simulated day. `start_ms` is rounded down to its UTC day.
    `drifts` change nothing before their event numbers. Raises ConfigurationError for sizes that
    cannot work.
    """

    schema = FRAUD_SCHEMA

    def __init__(
        self,
        *,
        seed: int = 0,
        n_customers: int = 5_000,
        n_terminals: int = 5_000,
        start_ms: int = START_MS,
        drifts: Sequence[Drift] = (),
    ) -> None:
        self.seed = seed
        self._world = make_world(np.random.default_rng((seed, 0)), n_customers, n_terminals)
        self._start_ms = start_ms // DAY_MS * DAY_MS
        self._drifts = tuple(drifts)

    def __iter__(self) -> Iterator[FraudEvent]:
        return self.events()

    def events(self, skip: int = 0) -> Iterator[FraudEvent]:
        """The events from number `skip` on."""
        for block in self.blocks(skip):
            start = max(0, skip - block.first_index)
            yield from _events(block, start, self.seed)

    def blocks(self, skip: int = 0) -> Iterator[FraudBlock]:
        """The days from the one that holds event number `skip` on."""
        featurizer = Featurizer(self._world)
        for raw in days(self._world, self.seed, self._start_ms, self._drifts):
            if raw.index[-1] < skip:
                featurizer.remember(raw)
            else:
                yield self._block(raw, featurizer.features(raw))

    def _block(self, raw: Transactions, features: Floats) -> FraudBlock:
        for drift in self._drifts:
            if drift.kind == DriftKind.BROKEN_FEATURE:
                broken = raw.luck < strength_of([drift], drift.kind, raw.index)
                features[broken, FRAUD_SCHEMA.names.index(drift.feature)] = 0
        return FraudBlock(
            first_index=int(raw.index[0]),
            features=features,
            customer=raw.customer,
            event_time_ms=raw.time_ms,
            label=raw.fraud.astype(np.int8),
            label_time_ms=raw.label_time_ms,
        )


def history(
    stream: FraudStream, n: int, skip: int = 0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8], Ints]:
    """Features float32[n, 30], labels int8[n], event times int64[n] (ms), from number `skip` on."""
    features = np.empty((n, len(FRAUD_SCHEMA)), np.float32)
    labels, times = np.empty(n, np.int8), np.empty(n, np.int64)
    if n == 0:
        return features, labels, times
    for block in stream.blocks(skip):
        begin = max(0, skip - block.first_index)
        at = block.first_index + begin - skip
        part = slice(begin, begin + n - at)
        rows = slice(at, at + len(block.label[part]))
        features[rows] = block.features[part]
        labels[rows], times[rows] = block.label[part], block.event_time_ms[part]
        if rows.stop == n:
            break
    return features, labels, times


def interleave_labels(
    events: Iterable[FraudEvent], *, source: str = "bank", delay: float = 1.0
) -> Iterator[FraudEvent | Label]:
    """The events, and each one's Label when event time has reached its label time.

    `delay` is a factor on how long labels take; the labels themselves stay. Holds the labels not
    yet due: 30 simulated days of them, or as many as `delay` leaves.
    """
    due: list[tuple[int, str, int]] = []
    for event in events:
        while due and due[0][0] <= event.event_time_ms:
            label_time_ms, event_id, label = heapq.heappop(due)
            yield Label(event_id=event_id, label=label, label_time_ms=label_time_ms, source=source)
        wait_ms = round(delay * (event.label_time_ms - event.event_time_ms))
        heapq.heappush(due, (event.event_time_ms + wait_ms, event.event_id, event.label))
        yield event


def _events(block: FraudBlock, start: int, seed: int) -> Iterator[FraudEvent]:
    """Python objects of a block, with integers and booleans where the schema has them."""
    types = {Dtype.BOOLEAN: np.bool_, Dtype.INTEGER: np.int64}
    columns = [
        block.features[start:, index].astype(types.get(feature.dtype, np.float64)).tolist()
        for index, feature in enumerate(FRAUD_SCHEMA.features)
    ]
    return map(
        FraudEvent,
        (f"tx-{seed}-{number}" for number in range(block.first_index + start, 2**63)),
        (f"customer-{number}" for number in block.customer[start:].tolist()),
        block.event_time_ms[start:].tolist(),
        zip(*columns, strict=True),
        block.label[start:].tolist(),
        block.label_time_ms[start:].tolist(),
    )
