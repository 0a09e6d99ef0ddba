"""What the broker remembers besides records: topics, offsets, groups, transactions (SQLite).

Every method is one transaction in the page cache: what returned survives SIGKILL. Like the log,
it is not forced to disk at each write.
"""

import json
import sqlite3
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topics (
    name TEXT PRIMARY KEY, id BLOB NOT NULL, partitions INTEGER NOT NULL, config TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS offsets (
    group_id TEXT, topic TEXT, partition INTEGER,
    "offset" INTEGER NOT NULL, leader_epoch INTEGER NOT NULL, metadata TEXT NOT NULL,
    PRIMARY KEY (group_id, topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS groups (id TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transactions (
    id TEXT PRIMARY KEY, state TEXT NOT NULL
) WITHOUT ROWID;
"""

_KEPT_WAL_BYTES = 16 << 20

TopicPartition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class StoredTopic:
    """A topic: its id (16 bytes, never used again), partitions and the options that were set."""

    name: str
    id: bytes
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Committed:
    """A committed offset: the next record to read, and what the committer said of it."""

    offset: int
    leader_epoch: int = -1
    metadata: str = ""


class Store:
    """The file `path`; one process at a time, which the data directory's lock sees to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = sqlite3.connect(path, isolation_level=None)
        # WAL without a sync at each commit: the promise is for the death of the process.
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        # A checkpoint syncs the disk: not within some client's request, see `checkpoint`.
        self._database.execute("PRAGMA wal_autocheckpoint = 0")
        self._database.execute(f"PRAGMA journal_size_limit = {_KEPT_WAL_BYTES}")
        self._checkpointed = 0
        self._database.executescript(_SCHEMA)
        self.cluster_id = self._fact("cluster_id", _new_cluster_id())

    def close(self) -> None:
        self._database.close()

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database, from a thread beside the one that writes."""
        changes = self._database.total_changes
        if changes == self._checkpointed:
            return
        self._checkpointed = changes
        with closing(sqlite3.connect(self._path, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def next_producer_id(self) -> int:
        """A producer id that nobody was given before."""
        with self._database:
            number = int(self._fact("next_producer_id", "1000"))
            self._database.execute(
                "UPDATE facts SET value = ? WHERE name = 'next_producer_id'", (str(number + 1),)
            )
        return number

    def topics(self) -> list[StoredTopic]:
        rows = self._database.execute("SELECT name, id, partitions, config FROM topics")
        return [StoredTopic(name, id, count, json.loads(text)) for name, id, count, text in rows]

    def put_topic(self, topic: StoredTopic) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO topics VALUES (?, ?, ?, ?)",
            (topic.name, topic.id, topic.partitions, json.dumps(dict(topic.config))),
        )

    def delete_topic(self, name: str) -> None:
        """Forget a topic and the offsets that groups committed for it."""
        self._database.execute("BEGIN")
        with self._database:
            self._database.execute("DELETE FROM topics WHERE name = ?", (name,))
            self._database.execute("DELETE FROM offsets WHERE topic = ?", (name,))

    def offsets(self) -> dict[str, dict[TopicPartition, Committed]]:
        """All committed offsets, by group."""
        found: dict[str, dict[TopicPartition, Committed]] = {}
        for group, topic, partition, *committed in self._database.execute("SELECT * FROM offsets"):
            found.setdefault(group, {})[topic, partition] = Committed(*committed)
        return found

    def put_offsets(self, group: str, offsets: Mapping[TopicPartition, Committed]) -> None:
        """All of `offsets` or, when the process dies, none of them."""
        rows = [
            (group, topic, partition, given.offset, given.leader_epoch, given.metadata)
            for (topic, partition), given in offsets.items()
        ]
        self._database.execute("BEGIN")
        with self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO offsets VALUES (?, ?, ?, ?, ?, ?)", rows
            )

    def delete_offsets(self, group: str, partitions: Iterable[TopicPartition]) -> None:
        self._database.execute("BEGIN")
        with self._database:
            self._database.executemany(
                "DELETE FROM offsets WHERE group_id = ? AND topic = ? AND partition = ?",
                [(group, topic, partition) for topic, partition in partitions],
            )

    def groups(self) -> dict[str, str]:
        """Each group's last stable state, as the text it was put with."""
        return dict(self._database.execute("SELECT id, state FROM groups"))

    def put_group(self, group: str, state: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO groups VALUES (?, ?)", (group, state))

    def delete_group(self, group: str) -> None:
        """Forget a group's state and its offsets."""
        self._database.execute("BEGIN")
        with self._database:
            self._database.execute("DELETE FROM groups WHERE id = ?", (group,))
            self._database.execute("DELETE FROM offsets WHERE group_id = ?", (group,))

    def transactions(self) -> dict[str, str]:
        """Each transactional id's state, as the text it was put with."""
        return dict(self._database.execute("SELECT id, state FROM transactions"))

    def put_transaction(self, transactional_id: str, state: str) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO transactions VALUES (?, ?)", (transactional_id, state)
        )

    def delete_transaction(self, transactional_id: str) -> None:
        self._database.execute("DELETE FROM transactions WHERE id = ?", (transactional_id,))

    def _fact(self, name: str, otherwise: str) -> str:
        self._database.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, otherwise))
        row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row[0])


def _new_cluster_id() -> str:
    return urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
