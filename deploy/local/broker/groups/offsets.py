"""Committed offsets, in memory as in the store, and those that open transactions hold back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from deploy.local.broker.store import Committed, Store, TopicPartition

# Kafka's offset.metadata.max.bytes, which it counts in UTF-16 units.
MAX_METADATA = 4096
_NOTHING: Mapping[TopicPartition, Committed] = MappingProxyType({})


@dataclass(slots=True)
class _Held:
    """What one transaction would commit; `overtaken` was committed past it in the meantime."""

    offsets: dict[TopicPartition, Committed] = field(default_factory=dict)
    overtaken: set[TopicPartition] = field(default_factory=set)


class Offsets:
    """The offsets of all groups; what `commit` returned from survives the process.

    Held offsets are in memory only: who holds them (transactions) holds them again at start.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._committed = store.offsets()
        self._held: dict[str, dict[int, _Held]] = {}

    def groups(self) -> list[str]:
        """The groups that committed offsets."""
        return [group for group, offsets in self._committed.items() if offsets]

    def known(self, group: str) -> bool:
        """Whether the group has an offset, committed or held."""
        return bool(self._committed.get(group) or self._held.get(group))

    def commit(self, group: str, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Commit all of `offsets`, or none when the process dies meanwhile."""
        if not offsets:
            return
        self._store.put_offsets(group, offsets)
        self._committed.setdefault(group, {}).update(offsets)
        for held in self._held.get(group, {}).values():
            held.overtaken.update(offsets.keys() & held.offsets.keys())

    def fetch(self, group: str) -> Mapping[TopicPartition, Committed]:
        """The group's committed offsets as they are now; read it, do not keep it."""
        return self._committed.get(group, _NOTHING)

    def delete(self, group: str, partitions: Iterable[TopicPartition]) -> None:
        """Forget some of a group's offsets, those that are held for them included."""
        gone = set(partitions)
        self._store.delete_offsets(group, gone)
        committed = self._committed.get(group, {})
        for partition in gone:
            committed.pop(partition, None)
        self._forget_held(group, gone)

    def forget_topic(self, name: str) -> None:
        """A topic was deleted: the next one of its name has no offsets."""
        for group in [*self._committed, *(self._held.keys() - self._committed.keys())]:
            gone = {partition for partition in self._partitions(group) if partition[0] == name}
            if gone:
                self.delete(group, gone)

    def forget_group(self, group: str) -> None:
        """A group was deleted: its offsets, and the store's record of it."""
        self._store.delete_group(group)
        self._committed.pop(group, None)
        self._held.pop(group, None)

    def hold(
        self, group: str, producer_id: int, offsets: Mapping[TopicPartition, Committed]
    ) -> None:
        """Keep what an open transaction would commit, beside what it held before."""
        if not offsets:
            return
        held = self._held.setdefault(group, {}).setdefault(producer_id, _Held())
        held.offsets.update(offsets)
        held.overtaken -= offsets.keys()

    def release(self, group: str, producer_id: int, *, commit: bool) -> None:
        """The transaction ended. A commit made since by another than it stays, as in Kafka."""
        held = self._held.get(group, {}).pop(producer_id, None)
        if not self._held.get(group):
            self._held.pop(group, None)
        if held is not None and commit:
            self.commit(
                group,
                {
                    partition: committed
                    for partition, committed in held.offsets.items()
                    if partition not in held.overtaken
                },
            )

    def pending(self, group: str, partition: TopicPartition) -> bool:
        """Whether an open transaction holds an offset of it (KIP-447)."""
        return any(partition in held.offsets for held in self._held.get(group, {}).values())

    def _partitions(self, group: str) -> set[TopicPartition]:
        partitions = set(self._committed.get(group, {}))
        for held in self._held.get(group, {}).values():
            partitions |= held.offsets.keys()
        return partitions

    def _forget_held(self, group: str, gone: set[TopicPartition]) -> None:
        holders = self._held.get(group, {})
        for producer_id, held in list(holders.items()):
            for partition in gone:
                held.offsets.pop(partition, None)
                held.overtaken.discard(partition)
            if not held.offsets:
                del holders[producer_id]
        if not holders:
            self._held.pop(group, None)


def metadata_too_large(metadata: str) -> bool:
    """Whether the metadata of a committed offset is beyond Kafka's limit."""
    return len(metadata.encode("utf-16-le")) > 2 * MAX_METADATA
