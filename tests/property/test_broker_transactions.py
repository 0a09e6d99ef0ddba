"""Whatever clients do and whenever the broker dies, readers see committed transactions only."""

import contextlib
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from deploy.local.broker.errors import Code
from deploy.local.broker.store import TopicPartition
from deploy.local.broker.transactions.transaction import Producer
from tests.fixtures.coordinator import TIMEOUT_MS, Clock, Coordinator, Died, Fuse

IDS = ["t", "u", "v"]
PARTITIONS = [("a", 0), ("a", 1), ("b", 0)]
ids = st.sampled_from(IDS)
partitions = st.sampled_from(PARTITIONS)
# An end of the largest transaction here takes 3 markers, one group and two states: 12 steps.
steps = st.integers(1, 13)


@dataclass
class Tx:
    """A transaction as the model knows it; None of `committed` is undecided."""

    producer: Producer
    started: float
    committed: bool | None = None
    offsets: dict[TopicPartition, int] = field(default_factory=dict)


class Transactional(RuleBasedStateMachine):
    """Clients of three transactional ids, each id with a group of its own, and plain writers."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="transactions-"))
        self.broker = Coordinator(self.directory, Clock(), Fuse())
        self.broker.topics.create("a", 2, {})
        self.broker.topics.create("b", 1, {})
        self.producers: dict[str, Producer] = {}
        self.open: dict[str, Tx] = {}
        self.written: dict[TopicPartition, list[tuple[str, Tx | None]]] = {
            partition: [] for partition in PARTITIONS
        }
        self.committed: dict[str, dict[TopicPartition, int]] = {id: {} for id in IDS}
        self.n = 0

    def teardown(self) -> None:
        self.broker.close()
        shutil.rmtree(self.directory)

    def next(self) -> str:
        self.n += 1
        return str(self.n)

    def begun(self, id: str) -> Tx:
        if id not in self.open:
            self.open[id] = Tx(self.producers[id], self.broker.clock.now)
        return self.open[id]

    def decide(self, id: str, *, commit: bool) -> None:
        transaction = self.open.pop(id)
        transaction.committed = commit
        if commit:
            self.committed[id].update(transaction.offsets)

    # --- what clients do ------------------------------------------------------------------------

    @rule(id=ids)
    def init(self, id: str) -> None:
        old = self.producers.get(id)
        if id in self.open:
            self.decide(id, commit=False)
        new = self.producers[id] = self.broker.init(id)
        assert old is None or (new.id == old.id and new.epoch > old.epoch)

    @precondition(lambda self: self.producers)
    @rule(data=st.data(), to=partitions)
    def write(self, data: st.DataObject, to: TopicPartition) -> None:
        id, value = data.draw(st.sampled_from(sorted(self.producers))), self.next()
        assert self.broker.write(id, self.producers[id], to, value) is Code.NONE
        self.written[to].append((value, self.begun(id)))

    @rule(to=partitions)
    def write_outside(self, to: TopicPartition) -> None:
        value = self.next()
        self.broker.append(to, value)
        self.written[to].append((value, None))

    @precondition(lambda self: self.producers)
    @rule(data=st.data(), at=partitions, offset=st.integers(0, 99))
    def hold(self, data: st.DataObject, at: TopicPartition, offset: int) -> None:
        id = data.draw(st.sampled_from(sorted(self.producers)))
        self.broker.hold(id, self.producers[id], f"group-{id}", {at: offset})
        self.begun(id).offsets[at] = offset

    @precondition(lambda self: self.open)
    @rule(data=st.data(), commit=st.booleans())
    def end(self, data: st.DataObject, commit: bool) -> None:
        id = data.draw(st.sampled_from(sorted(self.open)))
        self.broker.transactions.end(id, self.producers[id], commit=commit)
        self.decide(id, commit=commit)

    # --- what happens to the broker -------------------------------------------------------------

    @precondition(lambda self: self.open)
    @rule(data=st.data(), commit=st.booleans(), step=steps)
    def die_at_an_end(self, data: st.DataObject, commit: bool, step: int) -> None:
        id = data.draw(st.sampled_from(sorted(self.open)))
        self.broker.fuse.left = step
        try:
            self.broker.transactions.end(id, self.producers[id], commit=commit)
            decided = True
        except Died:
            # Step 1 lies before the decision is stored.
            decided = step > 1
        self.broker.restart()
        if decided:
            self.decide(id, commit=commit)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), step=steps)
    def die_at_an_init(self, data: st.DataObject, step: int) -> None:
        """The new producer's id is lost with the answer; only the next one goes on."""
        id = data.draw(st.sampled_from(sorted(self.open)))
        self.broker.fuse.left = step
        with contextlib.suppress(Died):
            self.broker.init(id)
        self.broker.restart()
        if step > 1:
            self.decide(id, commit=False)
            self.producers[id] = self.broker.init(id)

    @rule()
    def die(self) -> None:
        self.broker.restart()

    @rule(seconds=st.integers(1, 2 * TIMEOUT_MS // 1000))
    def wait(self, seconds: int) -> None:
        self.broker.clock.now += seconds
        self.broker.transactions.tick()
        for id, transaction in list(self.open.items()):
            if self.broker.clock.now - transaction.started >= TIMEOUT_MS / 1000:
                self.decide(id, commit=False)
                self.producers[id] = self.broker.init(id)

    # --- what readers see -----------------------------------------------------------------------

    @invariant()
    def readers_see_what_was_committed_up_to_the_first_open_record(self) -> None:
        for partition, written in self.written.items():
            expected = []
            for value, transaction in written:
                if transaction is not None and transaction.committed is None:
                    break
                if transaction is None or transaction.committed:
                    expected.append(value)
            assert self.broker.visible(partition) == expected

    @invariant()
    def groups_have_the_offsets_of_committed_transactions(self) -> None:
        for id, offsets in self.committed.items():
            assert self.broker.committed(f"group-{id}") == offsets

    @invariant()
    def only_open_transactions_are_open_in_the_logs(self) -> None:
        owners = {transaction.producer.id for transaction in self.open.values()}
        for partition in PARTITIONS:
            assert self.broker.topics.partition(*partition).open_transactions.keys() <= owners


Transactional.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestTransactional = Transactional.TestCase
