"""The topics of the node: names, ids, partitions and configuration."""

import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.broker.configs import TopicConfig, topic_config
from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.log.partition_log import PartitionLog
from deploy.local.broker.store import Store, StoredTopic

_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_FOLDER = re.compile(r"[a-zA-Z0-9._-]{1,200}-\d+-[0-9a-f]{16}")
MAX_PARTITIONS = 1000
# Of all topics together: at 0.3 ms each to make and 0.1 ms to open, a start stays about a second.
MAX_ALL_PARTITIONS = 10_000


@dataclass(slots=True)
class Topic:
    """A topic: `overrides` are the options that were set, `config` what they mean."""

    name: str
    id: bytes
    overrides: dict[str, str]
    config: TopicConfig
    partitions: list[PartitionLog]


class Topics:
    """All topics, opened from the store; logs lie in `directory`, one folder for each partition."""

    def __init__(
        self, store: Store, directory: Path, *, most_partitions: int = MAX_ALL_PARTITIONS
    ) -> None:
        self._store = store
        self._most_partitions = most_partitions
        self._directory = directory
        self._topics: dict[str, Topic] = {}
        self._names: dict[bytes, str] = {}
        for stored in store.topics():
            self._open(stored)
        self._remove_leftovers()

    def __iter__(self) -> Iterator[Topic]:
        return iter(list(self._topics.values()))

    def get(self, name: str) -> Topic | None:
        return self._topics.get(name)

    def named(self, name: str) -> Topic:
        """The topic; raises RefusedError(UNKNOWN_TOPIC_OR_PARTITION)."""
        topic = self._topics.get(name)
        if topic is None:
            raise RefusedError(Code.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic {name}")
        return topic

    def with_id(self, topic_id: bytes) -> Topic:
        """The topic; raises RefusedError(UNKNOWN_TOPIC_ID)."""
        name = self._names.get(topic_id)
        if name is None:
            raise RefusedError(Code.UNKNOWN_TOPIC_ID, "no topic has this id")
        return self._topics[name]

    def partition(self, name: str, index: int) -> PartitionLog:
        """The log of a partition; raises RefusedError(UNKNOWN_TOPIC_OR_PARTITION)."""
        topic = self._topics.get(name)
        if topic is None or not 0 <= index < len(topic.partitions):
            raise RefusedError(Code.UNKNOWN_TOPIC_OR_PARTITION, f"there is no {name}-{index}")
        return topic.partitions[index]

    def check_new(self, name: str, partitions: int, overrides: Mapping[str, str]) -> TopicConfig:
        """Raises RefusedError where such a topic cannot be created."""
        if name in self._topics:
            raise RefusedError(Code.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
        check_name(name)
        self._check_no_collision(name)
        _check_partitions(partitions)
        self._check_room(partitions)
        return topic_config(overrides)

    def _check_room(self, added: int) -> None:
        present = sum(len(topic.partitions) for topic in self._topics.values())
        most = self._most_partitions
        if present + added > most:
            raise RefusedError(
                Code.POLICY_VIOLATION,
                f"{present} partitions are there, {added} more would be over {most}",
            )

    def _check_no_collision(self, name: str) -> None:
        """Metric names have "_" for ".": two topics must not become one there, says Kafka."""
        if "." not in name and "_" not in name:
            return
        plain = name.replace(".", "_")
        for other in self._topics:
            if other.replace(".", "_") == plain:
                raise RefusedError(
                    Code.INVALID_TOPIC, f"Topic '{name}' collides with existing topic: {other}"
                )

    def create(self, name: str, partitions: int, overrides: Mapping[str, str]) -> Topic:
        """A new topic; raises RefusedError where it cannot be."""
        self.check_new(name, partitions, overrides)
        stored = StoredTopic(name, uuid.uuid4().bytes, partitions, dict(overrides))
        self._store.put_topic(stored)
        return self._open(stored)

    def delete(self, name: str) -> None:
        """Remove a topic, its records and the offsets committed for it."""
        topic = self.named(name)
        self._store.delete_topic(name)
        del self._topics[name], self._names[topic.id]
        for index, log in enumerate(topic.partitions):
            log.close(gone=True)
            # A compaction may still be writing here: what it leaves, the next start removes.
            shutil.rmtree(self._folder(topic, index), ignore_errors=True)

    def check_growth(self, name: str, partitions: int) -> int:
        """How many partitions that adds; raises RefusedError where it cannot be."""
        topic = self.named(name)
        _check_partitions(partitions)
        if partitions <= len(topic.partitions):
            raise RefusedError(
                Code.INVALID_PARTITIONS,
                f"{name} has {len(topic.partitions)} partitions, {partitions} is not more",
            )
        self._check_room(partitions - len(topic.partitions))
        return partitions - len(topic.partitions)

    def grow(self, name: str, partitions: int) -> None:
        """Add partitions up to `partitions`; raises RefusedError(INVALID_PARTITIONS) for fewer."""
        self.check_growth(name, partitions)
        topic = self.named(name)
        self._store.put_topic(StoredTopic(name, topic.id, partitions, topic.overrides))
        self._open_partitions(topic, partitions)

    def configure(self, name: str, overrides: Mapping[str, str]) -> None:
        """Replace the options of a topic; raises RefusedError(INVALID_CONFIG)."""
        topic = self.named(name)
        config = topic_config(overrides)
        self._store.put_topic(StoredTopic(name, topic.id, len(topic.partitions), dict(overrides)))
        topic.overrides, topic.config = dict(overrides), config
        for log in topic.partitions:
            log.config = config

    def close(self) -> None:
        """Close all logs so that the next start need not check them."""
        for topic in self._topics.values():
            for log in topic.partitions:
                log.close()

    def _open(self, stored: StoredTopic) -> Topic:
        overrides = dict(stored.config)
        topic = Topic(stored.name, stored.id, overrides, topic_config(overrides), [])
        self._open_partitions(topic, stored.partitions)
        self._topics[topic.name] = topic
        self._names[topic.id] = topic.name
        return topic

    def _open_partitions(self, topic: Topic, partitions: int) -> None:
        for index in range(len(topic.partitions), partitions):
            topic.partitions.append(PartitionLog(self._folder(topic, index), topic.config))

    def _folder(self, topic: Topic, index: int) -> Path:
        """The id makes a topic of the same name start empty; file names have 255 characters."""
        return self._directory / f"{topic.name[:200]}-{index}-{topic.id.hex()[:16]}"  # _FOLDER

    def _remove_leftovers(self) -> None:
        """Folders of topics whose deletion a crash cut short."""
        self._directory.mkdir(parents=True, exist_ok=True)
        known = {
            self._folder(topic, index).name
            for topic in self._topics.values()
            for index in range(len(topic.partitions))
        }
        for folder in self._directory.iterdir():
            # Only what looks like ours: somebody may have named the wrong directory.
            if folder.name not in known and _FOLDER.fullmatch(folder.name):
                shutil.rmtree(folder)


def check_name(name: str) -> None:
    """Raises RefusedError(INVALID_TOPIC) for what no topic may be called."""
    if not _NAME.fullmatch(name) or name in {".", ".."}:
        raise RefusedError(
            Code.INVALID_TOPIC,
            f"'{name}' is no topic name: 1 to 249 letters, digits, '.', '_' or '-'",
        )


def _check_partitions(partitions: int) -> None:
    if not 1 <= partitions <= MAX_PARTITIONS:
        raise RefusedError(
            Code.INVALID_PARTITIONS,
            f"{partitions} partitions; a topic here has 1 to {MAX_PARTITIONS}",
        )
